"""Non-max suppression: from many overlapping boxes to detections.

Shape letters: B batch, A boxes, K classes, D detections.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfodhelper.ops import boxes as box_ops

# Some threads take smaller numbers for 0 and others do not, so whether they are above 0 depends on who computes.
_SMALLEST_SCORE = float(np.finfo(np.float32).tiny)
_NEAR = 3  # candidates that are tried first, for each detection that is wanted


class Selected(NamedTuple):
    """Detections, best first; rows past `num` are zero."""

    boxes: tf.Tensor  # float32 [B, D, 4]
    scores: tf.Tensor  # float32 [B, D]
    classes: tf.Tensor  # float32 [B, D], 0-based
    indices: tf.Tensor  # int32 [B, D], which of the A boxes
    num: tf.Tensor  # int32 [B]


class _Candidates(NamedTuple):
    """The boxes of each image with the greatest best scores."""

    indices: tf.Tensor  # int32 [B, M], which of the A boxes
    scores: tf.Tensor  # float32 [B, M, K]; -inf where they are not above the bound
    bounds: tf.Tensor  # float32 [B], the greatest score of all other boxes; NaN: unknown


@dataclasses.dataclass(frozen=True)
class BatchNonMaxSuppression:
    """Greedy suppression inside each class, or over all classes at once.

    Attributes:
      score_threshold: boxes of a lower or equal score are left out; for 0, also those of the scores next to 0 that
        float32 only represents with fewer digits.
      iou_threshold: a box that overlaps a better one by more is left out.
      max_per_class: maximum number of detections of one class.
      max_total: maximum number of detections of an image: D.
      soft_sigma: sigma of Soft-NMS (Bodla et al. 2017, arXiv 1704.04503), which lowers scores instead; 0: none.
      is_class_agnostic: whether each box has only its best class and boxes of different classes suppress each other.
      change_frame: whether boxes are returned relative to the clip windows.
    """

    score_threshold: float = 0.0
    iou_threshold: float = 0.6
    max_per_class: int = 100
    max_total: int = 100
    soft_sigma: float = 0.0
    is_class_agnostic: bool = False
    change_frame: bool = True

    def select(self, boxes, scores, clip_windows, score_threshold=None):
        """Runs suppression over a batch.

        Boxes are clipped after the suppression; those outside their window are then left out.

        Args:
          boxes: float32 [B, A, 4], or [B, A, K, 4] where every class has boxes of its own.
          scores: float32 [B, A, K], without background; K is static. Boxes of negative score are not candidates.
          clip_windows: float32 [B, 4], in the frame of `boxes`.
          score_threshold: scalar, a further score that boxes have to be above, or None. With it, one operation handles
            all classes at once, first with the boxes of the best scores, which are usually enough; where scores of a
            class are equal, the other operation decides. The detections are the same bit for bit, and many times faster
            with many classes. Without it, only operations are used that every converter of SavedModels knows.

        Returns:
          `Selected`, in the frame of `boxes`, or of the clip windows where `change_frame` is set.
        """
        best_classes = None
        max_per_class = self.max_per_class
        if self.is_class_agnostic:
            best_classes = tf.argmax(scores, axis=-1, output_type=tf.int32)
            if boxes.shape.rank == 4:
                boxes = tf.gather(boxes, best_classes, batch_dims=2)
            scores = tf.reduce_max(scores, axis=-1, keepdims=True)
            max_per_class = self.max_total
        if boxes.shape.rank == 4:
            boxes = tf.transpose(boxes, [0, 2, 1, 3])
        threshold = max(self.score_threshold, _SMALLEST_SCORE) if self.score_threshold >= 0.0 else self.score_threshold
        if score_threshold is not None:
            threshold = tf.maximum(tf.cast(score_threshold, tf.float32), threshold)

        def run_in_full(boxes, scores, best_classes, clip_windows):
            indices, kept_scores = self._suppress_each_class(boxes, scores, max_per_class, threshold)
            return self._gather_best(boxes, indices, kept_scores, best_classes, clip_windows)

        images = boxes, scores, best_classes, clip_windows
        if score_threshold is None or self.soft_sigma > 0.0:
            return run_in_full(*images)

        def run_at_once(images, candidates=None):
            boxes, scores, best_classes, clip_windows = images
            return self._select_at_once(boxes, scores, candidates, best_classes, clip_windows, max_per_class, threshold)

        def run_over_all(*images):
            return _repeat_unsure(*run_at_once(images), images, run_in_full)

        num_near = _NEAR * self.max_total
        if scores.shape[1] is not None and scores.shape[1] <= num_near:
            return run_over_all(*images)
        near_the_best = _find_near_the_best(scores, num_near, threshold)
        return _repeat_unsure(*run_at_once(images, near_the_best), images, run_over_all)

    def _suppress_each_class(self, boxes, scores, max_per_class, score_threshold):
        """Runs suppression for each image and class; boxes [B, A, 4] or [B, K, A, 4].

        Returns:
          int32 [B, K, P] indices and float32 [B, K, P] scores, best first; unused entries have the score -1.
        """
        num_classes = scores.shape[-1]
        batch = tf.shape(scores)[0]
        by_class = tf.reshape(tf.transpose(scores, [0, 2, 1]), [batch * num_classes, -1])
        has_own_boxes = boxes.shape.rank == 4
        if has_own_boxes:
            boxes = tf.reshape(boxes, [batch * num_classes, -1, 4])

        def suppress(job):
            own_scores = tf.gather(by_class, job)
            options = {
                "boxes": tf.gather(boxes, job if has_own_boxes else job // num_classes),
                "scores": own_scores,
                "max_output_size": max_per_class,
                "iou_threshold": self.iou_threshold,
                "score_threshold": score_threshold,
                "pad_to_max_output_size": True,
            }
            if self.soft_sigma > 0.0:
                selected, kept, num = tf.raw_ops.NonMaxSuppressionV5(soft_nms_sigma=self.soft_sigma, **options)
            else:  # the version that XLA compiles
                selected, num = tf.raw_ops.NonMaxSuppressionV4(**options)
                selected = tf.ensure_shape(selected, [max_per_class])
                kept = tf.gather(own_scores, selected)
            return selected, tf.where(tf.range(max_per_class) < num, kept, -1.0)

        indices, kept_scores = tf.map_fn(
            suppress,
            tf.range(batch * num_classes),
            fn_output_signature=(
                tf.TensorSpec([max_per_class], tf.int32),
                tf.TensorSpec([max_per_class], tf.float32),
            ),
            parallel_iterations=1 if tf.executing_eagerly() else 32,
        )
        shape = [batch, num_classes, max_per_class]
        return tf.reshape(indices, shape), tf.reshape(kept_scores, shape)

    def _gather_best(self, boxes, indices, scores, best_classes, clip_windows):
        """Keeps the best boxes of all classes that are inside the clip windows."""
        batch, num_classes, max_per_class = tf.shape(scores)[0], scores.shape[1], scores.shape[2]
        candidates = tf.gather(boxes, indices, batch_dims=boxes.shape.rank - 2)
        candidates = tf.reshape(candidates, [batch, num_classes * max_per_class, 4])
        indices = tf.reshape(indices, [batch, num_classes * max_per_class])
        scores = tf.reshape(scores, [batch, num_classes * max_per_class])
        classes = tf.range(num_classes * max_per_class) // max_per_class
        classes = tf.tile(classes[tf.newaxis], [batch, 1])
        return self._take_best(candidates, indices, classes, scores, best_classes, clip_windows)

    def _select_at_once(self, boxes, scores, candidates, best_classes, clip_windows, max_per_class, score_threshold):
        """Runs suppression over all classes by one operation, over all boxes or over `_Candidates`.

        The operation does not say which boxes it takes, in which order it takes those of equal scores, or what it would
        return beyond its maximum. A box is identified by its score. The result is not sure where another box of the
        class has the same score (whether the box is kept or outside the window), where too many detections are outside,
        or where only candidates were tried, other boxes have scores above the threshold, and detections are missing. Of
        equal scores the lower class comes first.

        Returns:
          bool [B], whether the detections of an image are sure, and `Selected`.
        """
        is_whole, class_ids = True, None
        if candidates is not None:
            scores = candidates.scores
            is_whole = candidates.bounds <= score_threshold
            # The operation sorts all boxes for every class, and most images show few classes. The first always stays.
            is_shown = tf.reduce_any(scores > score_threshold, axis=[0, 1]) | (tf.range(scores.shape[2]) == 0)
            class_ids = tf.cast(tf.where(is_shown)[:, 0], tf.int32)
            scores = tf.gather(scores, class_ids, axis=2)
            if boxes.shape.rank == 4:
                boxes = tf.gather(tf.gather(boxes, candidates.indices, axis=2, batch_dims=1), class_ids, axis=1)
            else:
                boxes = tf.gather(boxes, candidates.indices, batch_dims=1)
        with tf.device("/CPU:0"):
            result = tf.raw_ops.CombinedNonMaxSuppression(
                boxes=tf.transpose(boxes, [0, 2, 1, 3]) if boxes.shape.rank == 4 else boxes[:, :, tf.newaxis],
                scores=scores,
                max_output_size_per_class=max_per_class,
                max_total_size=2 * self.max_total,
                iou_threshold=self.iou_threshold,
                score_threshold=score_threshold,
                clip_boxes=False,
            )
        is_detection = tf.sequence_mask(result.valid_detections, 2 * self.max_total)
        clipped = box_ops.clip_to_window(result.nmsed_boxes, clip_windows)
        is_inside = is_detection & (box_ops.area(clipped) > 0.0) & (result.nmsed_scores >= 0.0)
        by_class = tf.argsort(result.nmsed_classes, stable=True)
        kept = tf.gather(tf.where(is_inside, result.nmsed_scores, -1.0), by_class, batch_dims=1)
        kept, positions = tf.math.top_k(kept, self.max_total)
        positions = tf.gather(by_class, positions, batch_dims=1)
        lowest = tf.reduce_min(kept, axis=1)

        # Boxes outside are not kept, but they have suppressed others: their scores have to be unique, too.
        is_needed = is_detection & (result.nmsed_scores >= lowest[:, tf.newaxis])
        num_needed = tf.maximum(tf.reduce_max(tf.reduce_sum(tf.cast(is_needed, tf.int32), axis=1)), 1)
        classes = tf.cast(result.nmsed_classes[:, :num_needed], tf.int32)
        of_class = tf.gather(tf.transpose(scores, [0, 2, 1]), classes, batch_dims=1)  # [B, needed, A]
        is_same = tf.cast(of_class == result.nmsed_scores[:, :num_needed, tf.newaxis], tf.int32)
        is_unique = (tf.reduce_sum(is_same, axis=2) == 1) | ~is_needed[:, :num_needed]
        num_inside = tf.reduce_sum(tf.cast(is_inside, tf.int32), axis=1)
        is_cut = result.valid_detections >= 2 * self.max_total
        is_above = ~is_cut | (lowest > result.nmsed_scores[:, -1])
        is_all = is_whole & ~is_cut | (num_inside >= self.max_total) & is_above
        is_sure = tf.reduce_all(is_unique, axis=1) & is_all
        indices = tf.argmax(is_same, axis=2, output_type=tf.int32)
        # Positions after the needed ones belong to no detection.
        rows = tf.minimum(positions, num_needed - 1)
        indices, classes = tf.gather(indices, rows, batch_dims=1), tf.gather(classes, rows, batch_dims=1)
        if candidates is not None:
            indices, classes = tf.gather(candidates.indices, indices, batch_dims=1), tf.gather(class_ids, classes)
        boxes = tf.gather(result.nmsed_boxes, positions, batch_dims=1)
        return is_sure, self._take_best(boxes, indices, classes, kept, best_classes, clip_windows)

    def _take_best(self, boxes, indices, classes, scores, best_classes, clip_windows):
        """The best candidates inside the clip windows; all [B, C], of equal scores the first ones first."""
        clipped = box_ops.clip_to_window(boxes, clip_windows)
        scores = tf.where(box_ops.area(clipped) > 0.0, scores, -1.0)
        scores, positions = tf.math.top_k(scores, k=tf.minimum(self.max_total, tf.shape(scores)[1]))
        is_kept = scores >= 0.0
        selected = tf.gather(indices, positions, batch_dims=1)
        if best_classes is None:
            classes = tf.gather(classes, positions, batch_dims=1)
        else:
            classes = tf.gather(best_classes, selected, batch_dims=1)
        kept_boxes = tf.gather(clipped, positions, batch_dims=1)
        if self.change_frame:
            kept_boxes = box_ops.change_frame(kept_boxes, clip_windows)
        return Selected(
            boxes=self._pad(tf.where(is_kept[..., tf.newaxis], kept_boxes, 0.0)),
            scores=self._pad(tf.where(is_kept, scores, 0.0)),
            classes=self._pad(tf.where(is_kept, tf.cast(classes, tf.float32), 0.0)),
            indices=self._pad(tf.where(is_kept, selected, 0)),
            num=tf.reduce_sum(tf.cast(is_kept, tf.int32), axis=1),
        )

    def _pad(self, rows):
        """Pads [B, d, ...] with zeros to [B, max_total, ...]."""
        missing = self.max_total - tf.shape(rows)[1]
        padded = tf.pad(rows, [[0, 0], [0, missing]] + [[0, 0]] * (rows.shape.rank - 2))
        return tf.ensure_shape(padded, [rows.shape[0], self.max_total, *rows.shape[2:]])


def _repeat_unsure(is_sure, selected, images, select):
    """Selects again for the images that are not sure, and for no others.

    Args:
      is_sure: bool [B].
      selected: `Selected`.
      images: tensors of first dimension B; None for those that do not exist.
      select: function from rows of `images` to `Selected`.

    Returns:
      `Selected`.
    """

    def select_anew():
        rows = tf.where(~is_sure)
        some = [None if tensor is None else tf.gather(tensor, rows[:, 0]) for tensor in images]
        return [tf.tensor_scatter_nd_update(whole, rows, part) for whole, part in zip(selected, select(*some))]

    return Selected(*tf.cond(tf.reduce_all(is_sure), lambda: list(selected), select_anew))


def _find_near_the_best(scores, most, threshold):
    """`_Candidates` from scores [B, A, K]: at most `most` per image, and no more than are above the threshold.

    Suppression goes from the best score downwards, so that boxes below the bound cannot change what is kept above it.
    """
    best = tf.reduce_max(scores, axis=2)
    num_above = tf.reduce_sum(tf.cast(best > threshold, tf.int32), axis=1)
    count = tf.clip_by_value(tf.reduce_max(num_above), 1, most)
    best, indices = tf.math.top_k(best, tf.minimum(count + 1, tf.shape(best)[1]))
    is_more = tf.shape(best)[1] > count
    bounds = tf.where(is_more, tf.reduce_min(best, axis=1), -np.inf)
    # A sum detects NaN, which cannot be ordered.
    bounds = tf.where(tf.math.is_nan(tf.reduce_sum(scores, axis=[1, 2])), np.nan, bounds)
    indices = indices[:, :count]
    near = tf.gather(scores, indices, batch_dims=1)
    return _Candidates(indices, tf.where(near > bounds[:, tf.newaxis, tf.newaxis], near, -np.inf), bounds)
