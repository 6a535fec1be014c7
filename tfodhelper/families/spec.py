"""What the rest of the program knows about a family of detectors."""

import dataclasses
import operator
from collections.abc import Callable, Mapping

BOXES = "boxes"  # of known classes
PROPOSALS = "proposals"  # boxes of any object
MASKS = "masks"  # of detections, in the frames of their boxes


def no_settings(model):
    """For a family whose memory depends only on batch size and input size."""
    del model
    return ()


def no_anchors(model, side_px):
    """For a family without anchors."""
    del model, side_px


def no_check(model, is_training):
    """For a family whose builder says what it cannot use."""
    del model, is_training


def no_changes(model):
    """For a family whose layers follow from the number of classes only where they predict something of each class."""
    del model
    return []


def boxes_alone(model):
    """For a family that detects objects of known classes."""
    del model
    return frozenset({BOXES})


@dataclasses.dataclass(frozen=True)
class BatchNormSwitch:
    """The field that decides whether the statistics of batch norm move in training.

    Attributes:
      path: below the architecture's message, as in "feature_extractor.batch_norm_trainable".
      frozen: the value with which they do not.
    """

    path: str
    frozen: bool


@dataclasses.dataclass(frozen=True, kw_only=True)
class Family:
    """One family of detectors. Its functions take `model`, a DetectionModel message that holds the family.

    Attributes:
      name: field of DetectionModel that holds the architecture's message.
      builder: "MODULE:FUNCTION"; the function takes the architecture's message and whether to train, and returns a
        `models.detector.Detector`. It is imported only when a detector is built, because it needs TensorFlow.
      rules: {type of message: {field: rule}}; these replace the shared rules of the same type.
      rules_by_path: {path below the architecture's message: rule}; these take precedence over rules by type.
      feature_extractors: {type of feature extractor: {field of its message: rule}}.
      loss_terms: model -> {name of a loss: the word for it in the progress line}; names begin with "Loss/".
      default_batch_size: model -> images per step.
      memory_settings: model -> names of integer fields of the architecture's message whose reduction saves memory,
        those that cost the least precision first.
      smallest_anchor_px: model, shorter side of the input in pixels -> side of the smallest anchor in pixels of the
        input; None if there are no anchors or the size is unknown.
      batch_norm_switch: a `BatchNormSwitch`, or None.
      training_fields: names of fields that affect training or the processing of outputs, but not the meaning of the
        weights. Configurations that differ only in these describe the same network.
      check: model, whether to train -> None; raises a ConfigError where values contradict each other, or where the
        network cannot have them. The builder calls it too.
      keep_widths: model, with the number of classes of the published weights -> a list of sentences about what it has
        changed; called before that number changes, so that other layers keep their shapes and fit to these weights.
      outputs: model -> what it detects: a frozenset of `BOXES`, `PROPOSALS` and `MASKS`.
      is_single_shot: whether its detectors have a `single_shot_output`, so that TFLite files can contain them.
    """

    name: str
    builder: str
    rules: Mapping
    loss_terms: Callable
    default_batch_size: Callable
    rules_by_path: Mapping = dataclasses.field(default_factory=dict)
    feature_extractors: Mapping = dataclasses.field(default_factory=dict)
    memory_settings: Callable = no_settings
    smallest_anchor_px: Callable = no_anchors
    batch_norm_switch: BatchNormSwitch | None = None
    training_fields: frozenset = frozenset()
    check: Callable = no_check
    keep_widths: Callable = no_changes
    outputs: Callable = boxes_alone
    is_single_shot: bool = False

    def architecture(self, model):
        """The architecture's message (Ssd, FasterRcnn, ...)."""
        return getattr(model, self.name)

    def set_batch_norm(self, model, frozen):
        """Freezes the statistics of batch norm in a message, or lets them move.

        Returns:
          Whether that changed the message; False for a family without a switch.
        """
        if self.batch_norm_switch is None:
            return False
        *parents, field = self.batch_norm_switch.path.split(".")
        message = self.architecture(model)
        if parents:
            message = operator.attrgetter(".".join(parents))(message)
        value = self.batch_norm_switch.frozen if frozen else not self.batch_norm_switch.frozen
        if getattr(message, field) == value:
            return False
        setattr(message, field, value)
        return True
