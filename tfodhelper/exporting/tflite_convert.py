"""Converts a network to the content of a TFLite file."""

import contextlib

import tensorflow as tf
from tensorflow.lite.python import convert_phase

from tfodhelper import errors, own_files, tensorflow_setup
from tfodhelper.exporting import options as export_options
from tfodhelper.ops import own_gradients
from tfodhelper.tflite import interface, model_file

_DEFAULT_PER_CLASS = 100  # detections that the operation keeps of a class unless it is told otherwise


class Converter:
    """Converts a network to several kinds of numbers; a context manager, since it keeps files meanwhile.

    Args:
      network: a `tflite_graph.Network`.
      suppression: a `BatchNonMaxSuppression`.
    """

    def __init__(self, network, suppression):
        self.network, self._suppression = network, suppression
        self._folder = own_files.TemporaryFolder()

    def __enter__(self):
        # A SavedModel: with a concrete function, the converter would inline functions before it sees their annotations.
        with tensorflow_setup.stderr_is_silent():
            _save(self.network.module, self._folder.path)
        return self

    def __exit__(self, *exc):
        self._folder.remove()

    def convert(self, quantization, samples=None):
        """Converts.

        Args:
          quantization: a key of `options.QUANTIZATIONS`.
          samples: function without arguments to an iterable of inputs, float32 [1, height, width, 3]; for int8.

        Returns:
          ModelT of the schema, see `tflite.model_file`: outputs are in order and named.

        Raises:
          ExportError: the converter does not support something in the network.
        """
        model = _convert(self._folder.path, quantization, samples)
        if self.network.decoder is not None:
            with own_files.temporary_folder() as folder:
                _save(self.network.decoder, folder)
                model_file.append(model, _convert(folder, export_options.FLOAT32))
        model_file.arrange(model, self.network.outputs)
        if self.network.decoder is None and self._suppression.max_per_class != _DEFAULT_PER_CLASS:
            per_class = self._suppression.max_per_class
            model_file.set_options(model, interface.POSTPROCESS, detections_per_class=per_class)
        return model


def _save(module, folder):
    with own_gradients.left_out():
        tf.saved_model.save(module, folder, signatures=module.serve.get_concrete_function())


def _convert(folder, quantization, samples=None):
    """Converts a SavedModel."""
    with _explain_refusals(), tensorflow_setup.stderr_is_silent():
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.allow_custom_ops = True
        if quantization != export_options.FLOAT32:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantization == export_options.FLOAT16:
            converter.target_spec.supported_types = [tf.float16]
        if quantization == export_options.INT8:
            converter.representative_dataset = lambda: ([sample] for sample in samples())
            # The second set is for the operation that decodes and suppresses boxes.
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
            converter.inference_input_type = tf.uint8
        return model_file.parse(converter.convert())


@contextlib.contextmanager
def _explain_refusals():
    try:
        yield
    except (convert_phase.ConverterError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise errors.ExportError(
            f"the network cannot be converted to TFLite: {reason[0]}",
            fix="try a different --quantization; the SavedModel (--format=saved_model) can be used in any case",
        ) from error


def make_samples(read_images, network):
    """Inputs for the calibration of int8.

    The ranges of tensors follow from the inputs. That of the input itself has to go from the darkest to the brightest
    pixel, so that a uint8 input is the pixel: programs pass pixels without looking at the quantization of the input.
    One sample is therefore repeated with two pixels that are black and white.

    Args:
      read_images: function that yields tensors, float32 [height, width, 3], 0..255, resized to the model input.
      network: a `tflite_graph.Network`.

    Returns:
      A function as `Converter.convert` takes it.
    """

    def to_input(pixels):
        return pixels if network.takes_pixels else (pixels - tf.constant(network.mean)) / tf.constant(network.std)

    def samples():
        for pixels in read_images():
            yield to_input(pixels)[tf.newaxis]
        extremes = tf.constant([[[0.0] * 3, [255.0] * 3]])
        yield to_input(tf.concat([tf.concat([extremes, pixels[:1, 2:]], axis=1), pixels[1:]], axis=0))[tf.newaxis]

    return samples
