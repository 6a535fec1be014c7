"""The contract that every detector fulfils.

Images go in as pixels; ground truth is an argument; nothing is remembered between calls.
"""

import abc
import dataclasses
from collections.abc import Callable

import tf_keras

from tfodhelper.ops import nms


@dataclasses.dataclass(frozen=True)
class SingleShotOutput:
    """What turns the raw predictions of one stage into detections, for exporters that do it in a different way.

    Attributes:
      scale_factors: of the box codes, see `ops.box_coder`.
      to_scores: class logits -> scores, same shape.
      num_background_columns: columns of the scores before class 0.
      suppression: a `BatchNonMaxSuppression`.
    """

    scale_factors: tuple
    to_scores: Callable
    num_background_columns: int
    suppression: nms.BatchNonMaxSuppression


class Detector(tf_keras.Model, abc.ABC):
    """A network with its anchors, losses and postprocessing.

    Shape letters: B batch, M ground truth boxes (padded), D detections, A anchors, K classes.

    Attributes:
      num_classes: K, without background.
      resizer: image, or batch of images of one size -> images at the model's input size, true shapes; see
        `ops.resize`.
    """

    def __init__(self, num_classes, resizer, name=None):
        super().__init__(name=name)
        self.num_classes = num_classes
        self.resizer = resizer

    def preprocess(self, images):
        """Brings images of any one size to the model's input.

        Args:
          images: [B, height, width, 3] RGB, 0..255, uint8 or float.

        Returns:
          inputs: float32 [B, input height, input width, 3], see `normalize`.
          true_image_shapes: int32 [B, 3], height and width without padding, channels.
        """
        resized, true_image_shapes = self.resizer(images)
        return self.normalize(resized, true_image_shapes), true_image_shapes

    @abc.abstractmethod
    def normalize(self, images, true_image_shapes=None):
        """Turns resized pixels into what the backbone takes.

        Args:
          images: float32 [B, input height, input width, 3], RGB, 0..255, as `resizer` returns them.
          true_image_shapes: int32 [B, 3]; not needed where the resizer never pads.

        Returns:
          float32, same shape.
        """

    @abc.abstractmethod
    def predict_raw(self, inputs, true_image_shapes, training=False, groundtruth=None):
        """Runs the network.

        Args:
          inputs: float32 [B, input height, input width, 3], from `preprocess` or `normalize`.
          true_image_shapes: int32 [B, 3].
          training: whether dropout works and batch norm moves.
          groundtruth: as in `losses`; needed in training by detectors of two stages.

        Returns:
          Raw predictions, keys of `fields.Predictions`.
        """

    def extract_features(self, inputs, training=False):
        """Runs the backbone alone, where the rest of the network works on what it gives.

        A process that predicts many images on one core runs the backbone, whose maps are large, image by image, and
        the rest, whose maps are small, for several images at once.

        Args:
          inputs: as in `predict_raw`.
          training: as in `predict_raw`.

        Returns:
          list of float32 [B, h, w, c], for `predict_from_features`; None where a network runs in one piece only.
        """
        del inputs, training

    def predict_from_features(self, feature_maps, image_size, training=False):
        """What `predict_raw` does after `extract_features`.

        Args:
          feature_maps: from `extract_features`.
          image_size: height and width of the model inputs.
          training: as in `predict_raw`.

        Returns:
          Raw predictions, as `predict_raw`.
        """
        raise TypeError(f"{type(self).__name__} runs in one piece only")

    def served_predictions(self, predictions):
        """What exports contain besides the detections, as those of the Object Detection API do.

        Args:
          predictions: from `predict_raw`.

        Returns:
          {name: tensor}; empty for most detectors.
        """
        del predictions
        return {}

    @abc.abstractmethod
    def losses(self, predictions, groundtruth, training=False):
        """Compares raw predictions with ground truth. (A tf_keras property of this name is not wanted here.)

        Args:
          predictions: from `predict_raw`. Outside training, a detector of masks compares those of its detections: it
            takes them where what `postprocess` returned is there too, and else finds them again.
          groundtruth: keys of `fields.Groundtruth`: boxes float32 [B, M, 4] normalized to the padded model input,
            classes int32 [B, M], 0-based, weights float32 [B, M], and perhaps location weights float32 [B, M]. Padding
            rows have zero boxes, class -1 and weight 0; another box of weight 0 is an ignored region. For a detector of
            masks also masks uint8 [B, M, height, width] in the frame of the boxes, and perhaps their weights float32
            [B, M].
          training: as in `predict_raw`.

        Returns:
          {name: scalar}, weighted, without regularization; the names are those of the family's `loss_terms`.
        """

    @abc.abstractmethod
    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        """Turns raw predictions into detections.

        Args:
          predictions: from `predict_raw`.
          true_image_shapes: int32 [B, 3].
          score_threshold: scalar; detections of a score that is not above it are left out, which makes the rest
            cheaper. None: only the threshold of the configuration counts.

        Returns:
          Keys of `fields.Detections`. Boxes are normalized to the true image, without its padding; raw boxes of one
          stage to the padded model input. Classes are 0-based; rows past the number of detections are zero.
        """

    def single_shot_output(self):
        """What `postprocess` is made of, if it is only the decoding and the suppression of the boxes of all anchors.

        Returns:
          A `SingleShotOutput`; None for detectors of two stages.
        """

    @abc.abstractmethod
    def parts(self):
        """The parts with variables, each with its role and its names in checkpoints.

        Returns:
          A list of `checkpoints.keys.Part`; every variable of the detector is in one of them.
        """

    def regularization_losses(self):
        """A list of scalars, one for each regularized kernel."""
        return [loss for part in self.parts() for loss in part.module.regularization_losses()]

    def checkpoint_keys(self):
        """{key in an object-based checkpoint of the OD API: variable}, for all variables."""
        return {named.key: named.variable for part in self.parts() for named in part.variables()}
