"""Runs a model on several views of each image, and fuses what it finds there."""

import collections
import itertools

import numpy as np

from tfodhelper.active_learning.pool import box_fusion, views
from tfodhelper.prediction import detections, predictor, reading


class ViewPredictor(predictor.StreamPredictor):
    """A `StreamPredictor` that sees each image in the views of `views.make_views`.

    The views of all images go through the model as one stream, so that batches are full; a few decoded images are in
    memory at a time. Masks are left out. The features of an image are those of its plain view. The scores of all
    columns are means over the views, in which one that did not find the object has none: where the columns are one
    distribution, what is missing to 1 belongs to the background.
    """

    def stream(
        self, paths, *, batch_size=8, score_threshold=0.0, max_detections=None, keep_images=False, keep_masks=False
    ):
        """See `StreamPredictor.stream`; detections have a `doubt` where views agree, and neither images nor masks.

        The score threshold and the number of detections apply to each view, and again to what was fused.
        """
        if keep_images or keep_masks:
            raise ValueError("expected neither images nor masks to be kept: several views of an image have none")
        waiting = collections.deque()  # images whose views are on their way: (path, size, views), or an `Outcome`
        outcomes = super().stream(
            self._render(paths, waiting),
            batch_size=batch_size,
            score_threshold=score_threshold,
            max_detections=max_detections,
            keep_masks=False,
        )
        for first in outcomes:
            yield from _pop_unreadable(waiting)
            path, size, seen = waiting.popleft()
            of_views = [first, *itertools.islice(outcomes, len(seen) - 1)]
            yield self._fuse(path, size, seen, of_views, score_threshold, max_detections)
        yield from _pop_unreadable(waiting)

    def _render(self, paths, waiting):
        """Yields the views of images as they are needed, and lists the images in `waiting`."""
        for path, image, problem in reading.read_ahead(paths, self.dct):
            if problem is not None:
                waiting.append(predictor.Outcome(path, problem=problem))
                continue
            seen, fill = views.make_views(*image.shape[:2]), views.mean_colour(image)
            waiting.append((path, image.shape[:2], seen))
            for view in seen:
                yield view.render(image, fill)

    def _fuse(self, path, size, seen, outcomes, score_threshold, max_detections):
        """The `Outcome` of an image from those of its views."""
        boxes, numbers, chosen = [], [], []
        for number, (view, outcome) in enumerate(zip(seen, outcomes)):
            own = view.to_image([(each.ymin, each.xmin, each.ymax, each.xmax) for each in outcome.found.detections])
            own, is_inside = views.clip(own, size)
            boxes.append(own[is_inside])
            chosen += [(outcome, row) for row in np.flatnonzero(is_inside).tolist()]
            numbers += [number] * int(is_inside.sum())
        raw = [outcome.found.detections[row] for outcome, row in chosen]
        detected = box_fusion.Found(
            np.concatenate(boxes),
            np.array([each.score for each in raw], np.float64),
            np.array([each.id for each in raw], np.int64),
            np.array(numbers, np.int64),
        )
        fused = [each for each in box_fusion.fuse(detected, seen, size) if each.score >= score_threshold]
        fused = fused[:max_detections]
        kept = tuple(_to_detection(raw[each.rows[0]], each) for each in fused)
        return predictor.Outcome(
            path,
            detections.ImageDetections(reading.name_of(path), size[1], size[0], kept),
            multiclass_scores=_mean_columns(fused, chosen, outcomes[0].multiclass_scores),
            features=outcomes[0].features,
        )


def _to_detection(best, fused):
    ymin, xmin, ymax, xmax = fused.box.tolist()
    return best._replace(score=fused.score, ymin=ymin, xmin=xmin, ymax=ymax, xmax=xmax, doubt=fused.doubt)


def _mean_columns(fused, chosen, plain):
    """float32 [F, C]: the scores of all columns, means over the views that could see each object.

    Those of the plain view, [n, C], or None say whether the model gives any.
    """
    if plain is None:
        return None
    rows = []
    for each in fused:
        columns = [chosen[index][0].multiclass_scores[chosen[index][1]] for index in each.rows]
        rows.append(np.sum(columns, axis=0) / each.num_views)
    return np.array(rows, np.float32).reshape(len(fused), plain.shape[1])


def _pop_unreadable(waiting):
    """Yields the outcomes of the unreadable images that come next."""
    while waiting and isinstance(waiting[0], predictor.Outcome):
        yield waiting.popleft()
