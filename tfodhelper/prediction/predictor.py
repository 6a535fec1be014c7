"""Runs a SavedModel on images, as users have it: any with the Object Detection API's signature; or a TFLite file.

The SavedModel is self-contained: what a signature takes is read from it, and none of the code that made it is needed.
Threads decode images while the model works; they read the stored frame and ignore any EXIF orientation.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import itertools
import os

import numpy as np
import tensorflow as tf

from tfodhelper import errors, fields, jpeg_dct
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.prediction import detections, output_check, reading, saved_models, servable

_WINDOW_BATCHES = 4  # batches within which images are sorted by size
_CALLS_AHEAD = 3  # waiting or running calls in threads, for each that can run
_WINDOW_BYTES = 1 << 28  # model inputs in memory at a time
_CALL_BYTES = 1 << 28  # padded images of one call


@dataclasses.dataclass(frozen=True)
class Outcome:
    """The result for one image.

    Attributes:
      path: as given; an array for an image in memory.
      found: its `ImageDetections`; None if it cannot be read.
      problem: why it cannot be read; None if it can.
      multiclass_scores: float32 [n, C], for each detection, the scores of all columns, including the background's
        if the model has one; None if the model does not provide them.
      features: float32 [D], or None.
      image: uint8 [height, width, 3], if images were requested.
    """

    path: object
    found: detections.ImageDetections | None = None
    problem: str | None = None
    multiclass_scores: np.ndarray | None = dataclasses.field(default=None, compare=False)
    features: np.ndarray | None = dataclasses.field(default=None, compare=False)
    image: np.ndarray | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class _Read:
    """An image that is ready for the model, or why it is not."""

    path: object
    prepared: tuple | None = None  # of `Servable.prepare`
    size: tuple | None = None  # height and width of the stored image
    image: np.ndarray | None = None
    problem: str | None = None


class StreamPredictor:
    """A model with the names of its classes, for streams of images; `api.predictor.Predictor` is built on it.

    Args:
      saved_model_dir: folder of the SavedModel, or of the export around it; or a .tflite file.
      label_map: `LabelMap`, path of one, or None for the one next to the model, or in the TFLite file. Without any,
        classes are named after their ids, as in "class_17".
      is_for_many, trust_model: see `servable.Servable`.
      dct: how JPEGs are decoded, a key of `jpeg_dct.CHOICES`; None: as the export says.

    Attributes:
      label_map: the `LabelMap` in use, or None.
      names: {id: name} of its classes.
      dct: how JPEGs are decoded.
      gives_masks: whether detections have masks.
    """

    def __init__(self, saved_model_dir, label_map=None, is_for_many=False, trust_model=False, dct=None):
        self.dct = dct or jpeg_dct.find(saved_models.find_model(saved_model_dir))
        self._servable = servable.load(saved_model_dir, is_for_many, trust_model, self.dct)
        self.gives_masks = self._servable.has_masks
        label_map_name = label_map if isinstance(label_map, (str, os.PathLike)) else "the label map"
        if label_map is None:
            label_map = self._servable.find_label_map()
        if isinstance(label_map, (str, os.PathLike)):
            label_map = label_maps.read_label_map(label_map)
        self.label_map = label_map
        self.names = {item.id: item.shown_name for item in label_map} if label_map is not None else {}
        self._check = output_check.OutputCheck(saved_model_dir, self.names, label_map_name)

    def predict(self, paths, *, batch_size=8, score_threshold=0.0, on_unreadable=None):
        """Predicts image files.

        Args:
          paths: of the images.
          batch_size: images per call, where the model takes several.
          score_threshold: detections with a lower score are left out.
          on_unreadable: called with path and reason for each image that cannot be read, which is then left out; if
            None, the first one ends the prediction.

        Yields:
          `ImageDetections`, in the order of `paths`.

        Raises:
          PredictionError: an image is unreadable and `on_unreadable` is None.
        """
        outcomes = self.stream(paths, batch_size=batch_size, score_threshold=score_threshold)
        for outcome in _readable(outcomes, on_unreadable):
            yield outcome.found

    def predict_with_images(self, paths, *, batch_size=8, score_threshold=0.0, on_unreadable=None):
        """Like `predict`, but yields pairs of `ImageDetections` and the image, uint8 [height, width, 3]."""
        outcomes = self.stream(paths, batch_size=batch_size, score_threshold=score_threshold, keep_images=True)
        for outcome in _readable(outcomes, on_unreadable):
            yield outcome.found, outcome.image

    def stream(
        self, paths, *, batch_size=8, score_threshold=0.0, max_detections=None, keep_images=False, keep_masks=True
    ):
        """Predicts images, with all that the model says about them.

        Some threads read and prepare files, others run the model, and meanwhile earlier outputs are turned into
        results; memory does not depend on the number of images.

        Args:
          paths: iterable of paths, taken as needed. An image in memory, uint8 [height, width, 3], may take the place of
            a path; the path of its result is empty.
          batch_size: images per call, where the model takes several.
          score_threshold: detections with a lower score are left out.
          max_detections: maximum number of detections per image; None: as many as the model gives.
          keep_images: whether to return the images themselves.
          keep_masks: whether to return masks, if the model has them.

        Yields:
          `Outcome`, in the order of `paths`.

        Raises:
          PredictionError: the model's outputs are not those of a detector, see `output_check.OutputCheck`.
        """
        num_calls, size = self._servable.plan_calls(batch_size)
        with concurrent.futures.ThreadPoolExecutor(num_calls) as runners:
            try:
                if self._servable.detects_in_thread:
                    answers = self._answer_in_threads(runners, paths, num_calls, size, keep_images, score_threshold)
                else:
                    items = self._read_all(paths, keep_images)
                    answers = self._answer_batches(runners, items, num_calls, size, score_threshold)
                for item, output in answers:
                    yield self._to_outcome(item, output, max_detections, score_threshold, keep_masks)
            finally:
                self._check.report()
                runners.shutdown(wait=False, cancel_futures=True)

    def detect(self, images, *, batch_size=8, score_threshold=0.0):
        """Runs the model on images in memory.

        Args:
          images: uint8 arrays [height, width, 3], of any sizes.
          batch_size: images per call, where the model takes several.
          score_threshold: detections with a lower score may be missing.

        Returns:
          For each image, a dict from keys of `fields.Detections` to arrays, as the SavedModel returns them: boxes
          normalized to the image, classes counted from 1.
        """
        prepared = [self._servable.prepare(image) for image in images]
        outputs = {}
        for batch in self._plan(prepared, self._servable.batch_size or batch_size):
            outputs.update(zip(batch, self._servable.detect([prepared[i] for i in batch], score_threshold)))
        return [outputs[index] for index in range(len(prepared))]

    def _read_all(self, paths, keep_images):
        """Reads in threads, a few images ahead; yields `_Read` in order."""
        workers = max(2, os.cpu_count() or 1)
        read = functools.partial(self._read, keep_images=keep_images)
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            paths = iter(paths)
            waiting = collections.deque(pool.submit(read, path) for path in itertools.islice(paths, 2 * workers))
            try:
                while waiting:
                    done = waiting.popleft().result()
                    waiting.extend(pool.submit(read, path) for path in itertools.islice(paths, 1))
                    yield done
            finally:
                for future in waiting:
                    future.cancel()

    def _read(self, path, keep_images):
        try:
            image = reading.read_pixels(path, self.dct)
        except errors.PredictionError as error:
            return _Read(path, problem=str(error))
        size = tuple(image.shape[:2])
        return _Read(path, self._servable.prepare(image), size, np.asarray(image) if keep_images else None)

    def _answer_in_threads(self, runners, paths, num_calls, size, keep_images, score_threshold):
        """Runs calls that read, prepare and detect; yields each `_Read` and the model's outputs for it."""
        running, most = collections.deque(), _CALLS_AHEAD * num_calls
        paths = iter(paths)
        for some in iter(lambda: tuple(itertools.islice(paths, size)), ()):
            for path in some:
                reading.ask_for(path)
            running.append(runners.submit(self._read_and_detect, some, keep_images, score_threshold))
            if len(running) >= most:
                yield from running.popleft().result()
        while running:
            yield from running.popleft().result()

    def _read_and_detect(self, paths, keep_images, score_threshold):
        """For each path, a `_Read` and the model's outputs for it, None if it cannot be read."""
        items = [self._read_in_thread(path, keep_images) for path in paths]
        prepared = [item.prepared for item in items if item.prepared is not None]
        outputs = iter(self._servable.detect_in_thread(prepared, score_threshold) if prepared else ())
        return [(item, None if item.problem is not None else next(outputs)) for item in items]

    def _read_in_thread(self, path, keep_images):
        """Like `_read`, but reads a JPEG without leaving this thread."""
        with contextlib.suppress(errors.PredictionError, tf.errors.OpError):  # the cause is determined below
            encoded = None if keep_images else reading.read_jpeg(path)
            if encoded is not None:
                size, prepared = self._servable.prepare_jpeg(encoded)
                return _Read(path, prepared, size)
        return self._read(path, keep_images)

    def _answer_batches(self, runners, items, num_calls, size, score_threshold):
        """Runs calls on the images of a window together; yields each `_Read` and the model's outputs for it."""
        num_ahead = 1 + -(-num_calls // _WINDOW_BATCHES)  # windows, so that no call waits for the next one's images
        running = collections.deque()
        for window in _windows(items, size * _WINDOW_BATCHES):
            running.append((window, self._submit(runners, window, size, score_threshold)))
            if len(running) > num_ahead:
                yield from _gather(*running.popleft())
        while running:
            yield from _gather(*running.popleft())

    def _submit(self, runners, window, batch_size, score_threshold):
        """Runs the model on the readable images of a window; returns a list of (indices among them, future)."""
        prepared = [item.prepared for item in window if item.prepared is not None]
        return [
            (batch, runners.submit(self._servable.detect, [prepared[i] for i in batch], score_threshold))
            for batch in self._plan(prepared, batch_size)
        ]

    def _plan(self, prepared, batch_size):
        """Indices of the images in each call."""
        return plan_batches([tuple(item[0].shape[:2]) for item in prepared], batch_size, self._servable.mixes_sizes)

    def _to_outcome(self, item, output, max_detections, score_threshold, keep_masks):
        """The `Outcome` of an image, boxes in pixels of its stored frame; `output` is None if it cannot be read."""
        if output is None:
            return Outcome(item.path, problem=item.problem)
        height, width = item.size
        name = reading.name_of(item.path)
        boxes, scores, classes = self._check.read(output, item.size, name)
        keep = np.flatnonzero(scores >= score_threshold)
        keep = keep[np.argsort(-scores[keep], kind="stable")][:max_detections]
        ids = self._check.to_ids(classes[keep], name)
        masks = self._check.read_masks(output, keep, boxes[keep], item.size, name) if keep_masks else None
        kept = detections.from_arrays(
            boxes[keep] * (height, width, height, width), ids, self.names, scores[keep], masks
        )
        multiclass = output.get(fields.Detections.MULTICLASS_SCORES)
        return Outcome(
            path=item.path,
            found=detections.ImageDetections(path=name, width=width, height=height, detections=kept),
            multiclass_scores=None if multiclass is None else multiclass[keep],
            features=output.get(fields.Prepared.FEATURES),
            image=item.image,
        )


def _gather(window, calls):
    """Yields each `_Read` of a window, and the model's outputs for it."""
    outputs = {}
    for batch, future in calls:
        outputs.update(zip(batch, future.result()))
    outputs = iter([outputs[index] for index in range(len(outputs))])
    for item in window:
        yield item, None if item.problem is not None else next(outputs)


def _readable(outcomes, on_unreadable):
    """Yields the outcomes of readable images; reports the others, or raises an error for the first one."""
    for outcome in outcomes:
        if outcome.found is not None:
            yield outcome
        elif on_unreadable is None:
            raise errors.PredictionError(outcome.problem, fix="repair the image, or leave it out")
        else:
            on_unreadable(outcome.path, outcome.problem)


def plan_batches(sizes, batch_size, mixes_sizes):
    """Groups images into calls.

    Args:
      sizes: (height, width) of each image.
      batch_size: maximum number of images per call.
      mixes_sizes: whether images of different sizes may share a call; they are then padded to the largest, and images
        of similar size are grouped so that there is little padding.

    Returns:
      List of lists of indices into `sizes`; each index occurs once.
    """
    order = sorted(range(len(sizes)), key=lambda i: (*sizes[i], i))
    batches = []
    for index in order:
        batch = batches[-1] if batches else None
        if batch and len(batch) < batch_size and _fits(sizes, batch, index, mixes_sizes):
            batch.append(index)
        else:
            batches.append([index])
    return batches


def _fits(sizes, batch, index, mixes_sizes):
    if not mixes_sizes:
        return sizes[batch[0]] == sizes[index]
    height, width = np.max([sizes[i] for i in [*batch, index]], axis=0).tolist()
    return (len(batch) + 1) * height * width * 3 <= _CALL_BYTES


def _windows(items, count):
    """Yields lists of at most `count` images and about `_WINDOW_BYTES`."""
    window, num_bytes = [], 0
    for item in items:
        window.append(item)
        num_bytes += _bytes_of(item)
        if len(window) >= count or num_bytes >= _WINDOW_BYTES:
            yield window
            window, num_bytes = [], 0
    if window:
        yield window


def _bytes_of(item):
    """How much memory an image occupies."""
    held = [array for array in (item.prepared and item.prepared[0], item.image) if array is not None]
    return sum(int(np.prod(array.shape)) * array.dtype.size if tf.is_tensor(array) else array.nbytes for array in held)
