"""The validation images as a model has seen them: once, in its evaluation, or in the views in which it sees the pool.

What boxes are worth, and from which score and doubt on, is only known of boxes that were found in the same way.
"""

import dataclasses

import numpy as np

from tfodhelper import errors
from tfodhelper.active_learning.pool import predictions
from tfodhelper.metrics import detection_file, detection_set


@dataclasses.dataclass(frozen=True)
class SeenInViews(detection_set.DetectionSet):
    """Detections that were fused from several views.

    Attributes:
      det_doubts: float64 [D], of their places; nan where only one view has found a box.
    """

    det_doubts: np.ndarray | None = None


def read(evaluation_dir, predictions_dir=None):
    """Reads the ground truth of the validation images, and what a model found in them.

    Args:
      evaluation_dir: of the evaluation of the model.
      predictions_dir: of the predictions of these images in several views, see `predictions`; None: the detections are
        those of the evaluation.

    Returns:
      `detection_set.DetectionSet`; with predictions, `SeenInViews`.

    Raises:
      PredictionError: a file cannot be read, or an image was not predicted.
    """
    images = detection_file.read_detections(evaluation_dir)
    if predictions_dir is None:
        return images
    columns_of = {each.name: _to_columns(each.found, images) for each in predictions.read_predictions(predictions_dir)}
    missing = next((name for name in images.image_names if name not in columns_of), None)
    if missing is not None:
        raise errors.PredictionError(
            f"{predictions_dir}: a validation image was not predicted",
            expected=missing,
            received=f"predictions of {len(columns_of)} other images",
            fix="put the image back, remove this folder, and type the same command again",
        )
    columns = [columns_of[name] for name in images.image_names]
    empty = np.zeros([0, 7])
    table = np.concatenate([empty, *columns])
    return SeenInViews(
        **{field.name: getattr(images, field.name) for field in dataclasses.fields(detection_set.DetectionSet)}
        | {
            "det_starts": np.cumsum([0, *map(len, columns)]).astype(np.int64),
            "det_class": table[:, 0].astype(np.int32),
            "det_boxes": table[:, 1:5],
            "det_scores": table[:, 5],
        },
        det_doubts=table[:, 6],
    )


def _to_columns(predicted, images):
    """float64 [n, 7]: row of the class, ymin, xmin, ymax, xmax, score, doubt, of classes of the label map."""
    row_of = {int(id_): row for row, id_ in enumerate(images.class_ids)}
    rows = [
        (row_of[each.id], each.ymin, each.xmin, each.ymax, each.xmax, each.score, _number(each.doubt))
        for each in predicted.detections
        if each.id in row_of
    ]
    return np.array(rows, np.float64).reshape(-1, 7)


def _number(doubt):
    return np.nan if doubt is None else doubt
