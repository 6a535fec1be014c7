"""From a DetectionModel message to a detector.

The modules `build*` are the only readers of configuration in this layer. Their tables name what is known; an unknown
name is an error that lists them.
"""

from tfodhelper.models import parts
from tfodhelper.models.faster_rcnn import build as build_faster_rcnn
from tfodhelper.models.ssd import build as build_ssd


def build_detector(model_message, is_training):
    """Builds a detector with all its variables, freshly initialized.

    Args:
      model_message: a DetectionModel message.
      is_training: whether the detector is to be trained; if not, batch norm statistics never move.

    Returns:
      A `models.detector.Detector`.

    Raises:
      ConfigError: on names and combinations that are not known.
    """
    build, message = parts.choose(model_message, "model", ARCHITECTURES)
    return build(message, is_training)


def image_resizer_of(model_message):
    """The ImageResizer message of a DetectionModel message."""
    _, message = parts.choose(model_message, "model", ARCHITECTURES)
    return message.image_resizer


ARCHITECTURES = {"ssd": build_ssd.build_ssd, "faster_rcnn": build_faster_rcnn.build_faster_rcnn}

# {architecture: {type of feature extractor: builder}}
FEATURE_EXTRACTORS = {"ssd": build_ssd.FEATURE_EXTRACTORS, "faster_rcnn": build_faster_rcnn.FEATURE_EXTRACTORS}
