"""From the padded batches of training to what a metric is told about each image."""

import numpy as np

from tfodhelper import mask_geometry
from tfodhelper.fields import Detections, Groundtruth, Inputs, Predictions


def to_original_pixels(boxes, original_shape):
    """Boxes normalized to the whole image -> pixels of the stored image.

    Args:
      boxes: [n, 4] ymin, xmin, ymax, xmax, normalized to the image.
      original_shape: height and width of the stored image.

    Returns:
      float64 [n, 4].
    """
    height, width = (float(side) for side in original_shape[:2])
    return np.asarray(boxes, np.float64) * [height, width, height, width]


def unbatch(batch, padded_shape, first_id=1):
    """Splits an evaluation batch into its images.

    Args:
      batch: dict of arrays whose first axis runs over the images: of `Inputs` the keys SOURCE_ID,
        TRUE_IMAGE_SHAPE and ORIGINAL_IMAGE_SHAPE, and VERIFIED where it is there; of `Groundtruth` at least BOXES,
        CLASSES and NUM_BOXES; of `Detections` BOXES, SCORES, CLASSES and NUM, as the model gives them (classes from
        0); of a two-stage detector also of `Predictions` PROPOSALS and NUM_PROPOSALS; of one with masks also of
        `Inputs` STORED_MASKS and of `Detections` MASKS.
      padded_shape: height and width of the padded model input, which ground truth boxes are normalized to.
      first_id: label map id of class 0.

    Yields:
      image id (str), groundtruth dict, detections dict, as `MetricsGroup.update` takes them: boxes in pixels of the
      stored image, class ids of the label map, padding removed. Detections have "proposals" [P, 4] where there are any;
    both have "masks", object arrays of run-length codes (`mask_geometry`) in the stored image, of objects without a
    mask None, where there are any.
    """
    batch = {key: np.asarray(value) for key, value in batch.items()}
    for row, source_id in enumerate(batch[Inputs.SOURCE_ID]):
        original = batch[Inputs.ORIGINAL_IMAGE_SHAPE][row]
        # The padded frame is larger than the image at the lower and the right border.
        scale = np.asarray(padded_shape[:2], np.float64) / batch[Inputs.TRUE_IMAGE_SHAPE][row][:2]
        groundtruth = _groundtruth(batch, row, first_id)
        groundtruth["boxes"] = to_original_pixels(groundtruth["boxes"] * np.tile(scale, 2), original)
        num_detections = int(batch[Detections.NUM][row])
        detections = {
            "boxes": to_original_pixels(batch[Detections.BOXES][row, :num_detections], original),
            "scores": batch[Detections.SCORES][row, :num_detections],
            "classes": np.rint(batch[Detections.CLASSES][row, :num_detections]).astype(np.int64) + first_id,
        }
        if Detections.MASKS in batch:
            grids, boxes = (batch[key][row, :num_detections] for key in (Detections.MASKS, Detections.BOXES))
            detections["masks"] = mask_geometry.encode_detections(grids, boxes, *map(int, original[:2]))
        if Predictions.PROPOSALS in batch:
            proposals = batch[Predictions.PROPOSALS][row, : int(batch[Predictions.NUM_PROPOSALS][row])]
            detections["proposals"] = to_original_pixels(proposals * np.tile(scale, 2), original)
        yield _text(source_id), groundtruth, detections


def _groundtruth(batch, row, first_id):
    num_gt = int(batch[Groundtruth.NUM_BOXES][row])
    optional = {"is_crowd": Groundtruth.IS_CROWD, "difficult": Groundtruth.DIFFICULT, "area": Groundtruth.AREA}
    optional["group_of"] = Groundtruth.GROUP_OF
    groundtruth = {name: batch[key][row, :num_gt] for name, key in optional.items() if key in batch}
    if Inputs.VERIFIED in batch:
        verified = batch[Inputs.VERIFIED][row].astype(np.int64)
        groundtruth["verified"] = verified[verified >= 0] + first_id
    if Inputs.STORED_MASKS in batch:
        groundtruth["masks"] = np.empty([num_gt], object)
        for index, data in enumerate(batch[Inputs.STORED_MASKS][row, :num_gt]):
            groundtruth["masks"][index] = mask_geometry.decode_png(data)
    groundtruth["boxes"] = batch[Groundtruth.BOXES][row, :num_gt].astype(np.float64)
    groundtruth["classes"] = batch[Groundtruth.CLASSES][row, :num_gt].astype(np.int64) + first_id
    return groundtruth


def _text(source_id):
    return source_id.decode("utf-8", "backslashreplace") if isinstance(source_id, bytes) else str(source_id)


def batch_of(image_detections):
    """`ImageDetections` as a batch of one, as a detector's `postprocess` returns it."""
    objects = image_detections.detections
    size = [image_detections.height, image_detections.width] * 2
    boxes = np.array([(each.ymin, each.xmin, each.ymax, each.xmax) for each in objects], np.float64).reshape(1, -1, 4)
    return {
        Detections.BOXES: boxes / size,
        Detections.SCORES: np.array([[each.score for each in objects]], np.float64),
        Detections.CLASSES: np.array([[each.id - 1 for each in objects]], np.int64),
        Detections.NUM: np.array([len(objects)]),
    }
