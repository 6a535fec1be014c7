"""tfodhelper: from a folder of labelled images to a trained, evaluated, exported TensorFlow object detector."""

__version__ = "0.1.0"
