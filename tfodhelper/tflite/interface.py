"""What a program has to know about a .tflite detector of this program: it is in the file, as JSON."""

import dataclasses
import functools
import json

from google.protobuf import text_format

from tfodhelper import errors, json_shapes, limits, protos, resizers

NAME = "TFODHELPER"  # of the entry in the file's metadata
POSTPROCESS = "TFLite_Detection_PostProcess"  # the operation that decodes and suppresses boxes, and its first output
RAW_BOXES, RAW_SCORES = "raw_detection_boxes", "raw_detection_scores"

_VERSION = 1


@dataclasses.dataclass(frozen=True)
class Suppression:
    """How raw boxes and scores become detections; the fields are those of `ops.nms.BatchNonMaxSuppression`."""

    score_threshold: float
    iou_threshold: float
    max_per_class: int
    max_total: int
    soft_sigma: float
    is_class_agnostic: bool


@dataclasses.dataclass(frozen=True)
class Interface:
    """How images become inputs, and outputs detections.

    Attributes:
      image_resizer: ImageResizer message of the pipeline.config, in text format.
      mean, std: three numbers each; an input of floats is (pixel - mean) / std, one of integers is the pixel itself.
      class_names: {id: name}, ids from 1.
      suppression: a `Suppression` of raw boxes and scores; None if the file does it.
      num_background_columns: columns of the raw scores before class 0.
    """

    image_resizer: str
    mean: tuple
    std: tuple
    class_names: dict = dataclasses.field(default_factory=dict)
    suppression: Suppression | None = None
    num_background_columns: int = 0

    @functools.cached_property
    def resizer(self):
        """The `resizers.Resizer`."""
        message = text_format.Parse(self.image_resizer, protos.message("ImageResizer")())
        return resizers.build_resizer(message)

    @property
    def padding_pixel(self):
        """Three numbers: the pixel that the resizer should pad with; None if it does not pad."""
        if self.resizer.padding is None:
            return None
        return tuple(value * s + m for value, m, s in zip(self.resizer.padding, self.mean, self.std))

    def to_json(self):
        """JSON text."""
        return json.dumps({"version": _VERSION, **dataclasses.asdict(self)})


_SHAPE = {"image_resizer": str, "mean": [float], "std": [float], "class_names": {}, "suppression": ({}, None)}
_SHAPE |= {"version": int, "num_background_columns?": int}


def from_json(text):
    """The `Interface` of what `to_json` wrote.

    Raises:
      ValueError, TypeError, KeyError: it is something else.
    """
    values = limits.parse_json(text)
    json_shapes.check(values, _SHAPE)
    if values.pop("version") != _VERSION:
        raise ValueError("a different version")
    values["class_names"] = {int(id): name for id, name in values["class_names"].items()}
    suppression = values["suppression"]
    values["suppression"] = None if suppression is None else Suppression(**suppression)
    made = Interface(**values | {"mean": tuple(values["mean"]), "std": tuple(values["std"])})
    try:
        made.resizer  # noqa: B018 - a text that is not one of a resizer is noticed here
    except (text_format.ParseError, errors.TfodhelperError, OverflowError, RecursionError) as error:
        raise ValueError(f"image_resizer: {error}") from error
    return made


def fixed_size(height, width):
    """The text of a resizer that stretches images to a size."""
    return f"fixed_shape_resizer {{ height: {height} width: {width} }}"
