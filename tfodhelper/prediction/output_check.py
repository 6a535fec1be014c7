"""What the outputs of a model must be before they become detections: fractions of the image, numbers, ids of classes.

Any SavedModel with the right signature is accepted, so that its units are known from its values alone. The TF Model
Garden, for example, exports boxes in pixels unless told otherwise.
"""

import collections

import numpy as np

from tfodhelper import console, errors, fields, mask_geometry, spelling

IMAGE_INFO = "image_info"  # of the Model Garden: [4, 2], original size, input size, scale, offset; y before x
REQUIRED = (fields.Detections.BOXES, fields.Detections.SCORES, fields.Detections.CLASSES)

_FRACTIONS, _PIXELS = "fractions", "pixels"
_FARTHEST = 1.0  # beyond the image, in sizes of the image; detections may reach a little beyond it
_ABSURD = 1e6  # more than any image has pixels
_SLACK = 0.1  # beyond the image, after pixels were converted
_LARGEST_ID = (1 << 31) - 1
_WHOLE = 1e-3
_SHOWN = 6


class OutputCheck:
    """Reads the outputs of one model, image by image.

    The first image with boxes decides whether they are fractions or pixels. Problems that do not end the prediction are
    reported once: see `report`.

    Args:
      model: path of the model, for messages.
      names: {id: name} of the label map; empty without any, when no id is reported.
      label_map: what to call the label map in messages.
    """

    def __init__(self, model, names, label_map="the label map"):
        self._model, self._names, self._label_map = model, names, label_map
        self._unit = None
        self._unnamed, self._reported = collections.Counter(), set()

    def read(self, output, size, image):
        """Checks the outputs for one image.

        Args:
          output: dict from keys of `fields.Detections` to arrays without the batch dimension.
          size: (height, width) of the stored image.
          image: its name, for messages.

        Returns:
          boxes [n, 4] as fractions of the image, scores [n] and classes [n], without padded rows.

        Raises:
          PredictionError: the outputs are not finite, not fractions, or differ in length.
        """
        boxes, scores, classes = (np.asarray(output[key]) for key in REQUIRED)
        num = self._count(output.get(fields.Detections.NUM, len(scores)), len(scores), image)
        boxes, scores, classes = boxes[:num], scores[:num], classes[:num]
        if boxes.shape != (num, 4) or scores.shape != (num,) or classes.shape != (num,):
            shapes = f"boxes {boxes.shape}, scores {scores.shape}, classes {classes.shape}"
            raise self._refuse(image, "the model's outputs differ in length", "[n, 4], [n] and [n]", shapes)
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise self._refuse(
                image, "the model's outputs are not finite", fix="its weights are damaged; export another checkpoint"
            )
        return self._to_fractions(boxes, output, size, image), scores, classes

    def read_masks(self, output, rows, boxes, size, image):
        """The masks of some detections.

        Args:
          output: as for `read`.
          rows: indices of the detections, at least all with a high score.
          boxes: [n, 4], their boxes as fractions of the image.
          size: (height, width) of the stored image.
          image: its name, for messages.

        Returns:
          object array [n] of run-length codes in the stored image (`mask_geometry`), or None if the model has no masks.

        Raises:
          PredictionError: the masks are not grids or pictures of numbers from 0 to 1.
        """
        if fields.Detections.MASKS not in output:
            return None
        masks = np.asarray(output[fields.Detections.MASKS])
        most = len(np.asarray(output[fields.Detections.SCORES]))
        if masks.ndim != 3 or len(masks) != most:
            raise self._refuse(
                *(image, "the model's masks do not fit its boxes"),
                "detection_masks [n, height, width], relative to the boxes or as large as the image",
                f"{list(masks.shape)} for {spelling.count(most, 'box')}",
            )
        masks = masks[rows]
        is_picture = masks.dtype.kind in "ub"
        if not is_picture and masks.size and not (masks.min() >= 0 and masks.max() <= 1):  # false for NaN
            raise self._refuse(
                *(image, "the model's masks are not shares of a pixel", "numbers from 0 to 1"),
                fix="export the model with its score converter, so that masks are probabilities",
            )
        return mask_geometry.encode_detections(masks, boxes, *size)

    def _count(self, number, most, image):
        value = float(np.reshape(number, [-1])[0])
        if not 0 <= value <= most:
            raise self._refuse(image, "the model's num_detections is invalid", f"from 0 to {most}", f"{value:g}")
        return int(round(value))

    def _to_fractions(self, boxes, output, size, image):
        """The boxes as fractions; decides the unit of the model if it is not known yet."""
        boxes = boxes.astype(np.float64)
        if boxes.size and np.abs(boxes).max() > _ABSURD:
            raise self._explain_boxes(boxes, image)
        with_area = boxes[(boxes[:, 2:] > boxes[:, :2]).all(axis=1)]
        if not len(with_area):
            return boxes
        if self._unit is None:
            self._unit = self._find_unit(with_area, output, size, image)
        return _from_pixels(boxes, output[IMAGE_INFO]) if self._unit == _PIXELS else boxes

    def _find_unit(self, boxes, output, size, image):
        is_far = (boxes.max(axis=1) > 1.0 + _FARTHEST) | (boxes.min(axis=1) < -_FARTHEST)
        if is_far.mean() <= 0.5:
            return _FRACTIONS
        info = np.asarray(output.get(IMAGE_INFO, []))
        if not _is_about(info, size):
            raise self._explain_boxes(boxes[is_far], image)
        is_outside = (boxes > (1.0 + _SLACK) * np.tile(info[2] * info[0], 2)).any(axis=1)
        if is_outside.mean() >= 0.5:
            raise self._explain_boxes(boxes[is_far], image)
        console.warn(
            f"{self._model}: its boxes are pixels of its input; they are converted with its output {IMAGE_INFO}"
        )
        return _PIXELS

    def _explain_boxes(self, boxes, image):
        box = boxes[np.abs(boxes).max(axis=1).argmax()]
        corners = ", ".join(f"{side} {value:g}" for side, value in zip(("ymin", "xmin", "ymax", "xmax"), box))
        return self._refuse(
            image,
            "the model's boxes are not fractions of the image, but perhaps pixels",
            "detection_boxes from 0 to 1, relative to the image",
            corners,
            "export the model with normalized boxes; in the TF Model Garden, with "
            "export_config.output_normalized_coordinates=true",
        )

    def to_ids(self, classes, image):
        """The ids of detections, as whole numbers; those without a name are remembered.

        Args:
          classes: [n], of the detections that are kept.
          image: its name, for messages.

        Raises:
          PredictionError: a class is not a whole number from 0, or is larger than any id.
        """
        values = classes.astype(np.float64)
        with np.errstate(invalid="ignore"):
            is_id = (np.abs(values - np.rint(values)) <= _WHOLE) & (values > -0.5) & (values <= _LARGEST_ID)
        if not is_id.all():
            raise self._refuse(
                image,
                "a class of the model's detections is not the id of a class",
                "whole numbers from 1, as in a label map",
                f"{values[~is_id][0]:g}",
                "check the order and the units of the model's outputs; export it again",
            )
        ids = np.rint(values).astype(int)
        if self._names:
            self._unnamed.update(id for id in ids.tolist() if id not in self._names)
        return ids

    def report(self):
        """Prints a warning if there were ids without a name that have not been reported yet."""
        fresh = sorted(id for id in self._unnamed if id not in self._reported)
        if not fresh:
            return
        self._reported.update(fresh)
        number = spelling.count(sum(self._unnamed[id] for id in fresh), "detection")
        console.warn(
            f"{self._model} finds classes that {self._label_map} does not have: {_list(fresh)} ({number}); it has "
            f"{_list(sorted(self._names))}. They are called class_{fresh[0]} and so on: is that the model's label map?"
        )

    def _refuse(self, image, problem, expected=None, received=None, fix=None):
        where = image or "an image in memory"
        return errors.PredictionError(
            f"{where}: {problem} ({self._model})", expected=expected, received=received, fix=fix
        )


def _is_about(info, size):
    """Whether the Model Garden's image_info describes an image of this size."""
    if info.shape != (4, 2) or not np.isfinite(info).all() or (info[1:3] <= 0).any() or info[3].any():
        return False
    return bool((np.abs(info[0] - size) <= 1.0).all())


def _from_pixels(boxes, info):
    """Pixels of the scaled image -> fractions, as the Model Garden normalizes them (serving/detection.py)."""
    return np.clip(boxes / np.tile(info[2] * info[0], 2), 0.0, 1.0)


def _list(ids):
    shown = ", ".join(map(str, ids[:_SHOWN]))
    return f"ids {shown}" + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
