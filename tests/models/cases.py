"""What the conformance suite knows about a family: its small detectors as rows, and the form of their outputs."""

import contextlib
import dataclasses
from collections.abc import Callable

BATCH = 2


@dataclasses.dataclass(frozen=True)
class Variant:
    """One small detector.

    Attributes:
      num_norms: how many batch norms it has.
      num_moving: how many of them have statistics that move in training.
      pieces: {piece of the family's text: its replacement}; the others are the family's own.
    """

    num_norms: int
    num_moving: int
    pieces: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Cases:
    """A family under test.

    Attributes:
      text: a DetectionModel message as protobuf text, with `%(piece)s` where variants differ.
      pieces: {piece: text}.
      variants: {name: `Variant`}; names are unique over all families. Inputs have 64 to 128 pixels per side.
      object_loss: name of the loss that is above 0 exactly where there are objects.
      check_raw_predictions: checks the shapes of raw predictions; returns how many boxes and class columns there are.
      raw_boxes_of_padded_input: whether raw boxes are normalized to the padded model input; else to the true image.
      has_box_of_each_class: predictions -> whether a detection may have another box than the raw one.
      runs_in_parts: whether backbone and rest can be run one after the other.
      shapes_of_masks: DetectionModel -> {key of detections: shape}, in addition to those of all detectors.
      make_small: a context manager in which small networks take the place of the published ones.
    """

    text: str
    pieces: dict
    variants: dict
    object_loss: str
    check_raw_predictions: Callable
    raw_boxes_of_padded_input: bool
    has_box_of_each_class: Callable
    runs_in_parts: bool
    shapes_of_masks: Callable = lambda model: {}
    make_small: Callable = contextlib.nullcontext
