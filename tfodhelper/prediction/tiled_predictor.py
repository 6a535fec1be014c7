"""Runs a model on the tiles of pictures, and merges what it finds there."""

import collections
import itertools

import numpy as np

from tfodhelper import console
from tfodhelper.prediction import detections, predictor, reading
from tfodhelper.tiling import merging


def load(saved_model_dir, label_map=None, *, tiling=None, **more):
    """A `TiledPredictor`, or a `StreamPredictor` where `tiling` is None; see there."""
    if tiling is None:
        return predictor.StreamPredictor(saved_model_dir, label_map, **more)
    return TiledPredictor(saved_model_dir, label_map, tiling=tiling, **more)


class TiledPredictor(predictor.StreamPredictor):
    """A `StreamPredictor` that sees pictures in tiles.

    The tiles of all pictures go through the model as one stream, so that batches are full; a few decoded pictures are
    in memory at a time. Outcomes have no scores of other classes and no features, which are those of a tile.

    Args:
      saved_model_dir: as the rest, see `StreamPredictor`.
      tiling: a `tiling.windows.Tiling`.
    """

    def __init__(self, saved_model_dir, label_map=None, *, tiling, **more):
        super().__init__(saved_model_dir, label_map, **more)
        self._tiling, self.gives_masks = tiling, False

    def stream(
        self, paths, *, batch_size=8, score_threshold=0.0, max_detections=None, keep_images=False, keep_masks=True
    ):
        """See `StreamPredictor.stream`; boxes are merged as `tiling.merging` says, and masks are left out."""
        if keep_masks and self._servable.has_masks:
            console.warn("--tiles: the masks of tiles cannot be merged; only the boxes are kept")
        waiting = collections.deque()  # pictures whose tiles are on their way: (`_Picture`, its windows)
        tiles = self._cut(paths, waiting)
        outcomes = super().stream(tiles, batch_size=batch_size, score_threshold=score_threshold, keep_masks=False)
        for first in outcomes:
            yield from _pop_unreadable(waiting)
            picture, windows = waiting.popleft()
            outcomes_of_tiles = [first, *itertools.islice(outcomes, len(windows) - 1)]
            yield self._merge(picture, windows, outcomes_of_tiles, max_detections, keep_images)
        yield from _pop_unreadable(waiting)

    def _cut(self, paths, waiting):
        """Yields the tiles of pictures as they are needed, and lists the pictures in `waiting`."""
        for path, image, problem in reading.read_ahead(paths, self.dct):
            if problem is not None:
                waiting.append((predictor.Outcome(path, problem=problem), ()))
                continue
            windows = self._tiling.windows(*image.shape[:2])
            waiting.append(((path, image), windows))
            for ymin, xmin, ymax, xmax in windows:
                yield image[ymin:ymax, xmin:xmax]

    def _merge(self, picture, windows, outcomes, max_detections, keep_images):
        """The `Outcome` of a picture from those of its tiles."""
        path, image = picture
        height, width = image.shape[:2]
        pairs = [(window, each) for window, outcome in enumerate(outcomes) for each in outcome.found.detections]
        boxes = np.array([(each.ymin, each.xmin, each.ymax, each.xmax) for _, each in pairs], np.float64)
        numbers = np.array([window for window, _ in pairs], np.int64)
        merged = merging.merge(
            merging.Found(
                boxes.reshape(-1, 4) + np.tile(windows[numbers, :2], 2),
                np.array([each.score for _, each in pairs], np.float64),
                np.array([each.id for _, each in pairs], np.int64),
                numbers,
            ),
            windows,
        )
        boxes, scores, ids = (part[:max_detections] for part in merged[:3])
        kept = detections.from_arrays(boxes, ids, self.names, scores)
        return predictor.Outcome(
            path,
            detections.ImageDetections(reading.name_of(path), width, height, kept),
            image=image if keep_images else None,
        )


def _pop_unreadable(waiting):
    """Yields the outcomes of the unreadable pictures that come next."""
    while waiting and not len(waiting[0][1]):
        yield waiting.popleft()[0]
