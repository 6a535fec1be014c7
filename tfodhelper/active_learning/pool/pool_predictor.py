"""Predicts a pool of images: in batches, in parts that survive a kill, by any number of processes.

A pool is divided into parts in the order of its images. A part is written when all its images are predicted, and an
existing part is never predicted again. Shard i of n predicts every n-th part, so that processes and machines that see
the same folder share the work without communicating.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import gc
import hashlib
import time

import numpy as np

from tfodhelper import console, errors, storage
from tfodhelper.active_learning.pool import predictions, view_choices, view_predictor
from tfodhelper.active_learning.structures import Prediction
from tfodhelper.fields import Detections
from tfodhelper.prediction import predictor, saved_models

_MANY = 1000  # images; preparing for them takes some three seconds and saves three milliseconds per image
_SUM_TOLERANCE = 2e-5  # for a float32 softmax over many columns


@dataclasses.dataclass(frozen=True)
class PoolReport:
    """What a call of `predict_pool` did.

    Attributes:
      num_images: of the whole pool.
      num_predicted: images that this call predicted or found to be unreadable.
      num_unreadable: images in all finished parts that cannot be read.
      num_missing_parts: parts that other shards have not finished yet.
      seconds: duration of this call, without loading the model.
    """

    num_images: int
    num_predicted: int
    num_unreadable: int
    num_missing_parts: int
    seconds: float


@dataclasses.dataclass(frozen=True)
class ScoreLayout:
    """The meaning of the columns of a model's `detection_multiclass_scores`.

    Attributes:
      is_softmax: whether a row is one distribution over all columns; otherwise each column is a separate probability.
      num_background_columns: columns before the first class.
    """

    is_softmax: bool
    num_background_columns: int

    def complete(self, multiclass_scores):
        """Scores of all columns that are means over views, in which some found nothing: float [n, C], or None.

        Where a row is a distribution, what is missing to 1 is the background's.
        """
        if multiclass_scores is None or not self.is_softmax:
            return multiclass_scores
        values = np.array(multiclass_scores, np.float64)
        values[:, 0] += 1.0 - values.sum(axis=1)
        return values

    def measure(self, scores, multiclass_scores):
        """Measures how uncertain a model is about its detections.

        Args:
          scores: [n], of the detections.
          multiclass_scores: [n, C], or None if the model does not provide them.

        Returns:
          margins [n], the best score of a column minus the second best. Where columns are not a distribution, "none of
            the classes" counts with 1 minus the best score, so that a faint detection is not mistaken for a hesitation
            between two classes; with one class, the margin is |2s - 1|.
          entropies [n], in nats: of the distribution over all columns, or the sum over the classes.
        """
        values = np.array(scores if multiclass_scores is None else multiclass_scores, np.float64)
        if multiclass_scores is None:
            return np.abs(2.0 * values - 1.0), _entropy(values) + _entropy(1.0 - values)
        if self.is_softmax:
            best = np.partition(values, -2, axis=1)[:, -2:]
            return best[:, 1] - best[:, 0], _entropy(values).sum(axis=1)
        values = values[:, self.num_background_columns :]
        entropies = (_entropy(values) + _entropy(1.0 - values)).sum(axis=1)
        best = np.arange(len(values)), values.argmax(axis=1)
        highest = values[best]
        values[best] = 1.0 - highest  # "none of the classes" instead of the best one
        return np.abs(highest - values.max(axis=1)), entropies


class PoolModel:
    """A SavedModel that predicts what a selection needs to know about images.

    Args:
      saved_model_dir: folder of the SavedModel, or of the export around it.
      batch_size: images per call, where the model takes several.
      score_threshold: detections with a lower score are left out.
      max_detections: maximum number of detections per image.
      is_for_many: whether there will be so many images that a few more seconds of preparation pay off.
      trust_model: as for `prediction.servable.Servable`.
      views: how it sees each image, `view_choices.PLAIN` or `FUSED`.
    """

    def __init__(
        self,
        saved_model_dir,
        *,
        batch_size=8,
        score_threshold=0.05,
        max_detections=100,
        is_for_many=False,
        trust_model=False,
        views=view_choices.PLAIN,
    ):
        self._is_fused = views == view_choices.FUSED
        kind = view_predictor.ViewPredictor if self._is_fused else predictor.StreamPredictor
        self._predictor = kind(saved_model_dir, is_for_many=is_for_many, trust_model=trust_model)
        self._layout = find_layout(self._predictor)
        self._options = {
            "batch_size": batch_size,
            "score_threshold": score_threshold,
            "max_detections": max_detections,
        }

    def predict(self, images):
        """Predicts images, which are taken as needed.

        Args:
          images: iterable of `PoolImage`.

        Yields:
          `Prediction` or `predictions.Unreadable`, in the order of the images.
        """
        waiting = collections.deque()

        def paths():
            for image in images:
                waiting.append(image)
                yield image.path

        for outcome in self._predictor.stream(paths(), keep_masks=False, **self._options):
            image = waiting.popleft()
            if outcome.found is None:
                yield predictions.Unreadable(image.name, str(image.path), outcome.problem)
            else:
                yield self._to_prediction(image.name, outcome)

    def _to_prediction(self, name, outcome):
        scores = [detection.score for detection in outcome.found.detections]
        columns = self._layout.complete(outcome.multiclass_scores) if self._is_fused else outcome.multiclass_scores
        margins, entropies = self._layout.measure(scores, columns)
        return Prediction(
            name=name,
            found=outcome.found,
            margins=tuple(margins.tolist()),
            entropies=tuple(entropies.tolist()),
            features=outcome.features,
        )


def predict_pool(
    images,
    saved_model_dir,
    folder,
    *,
    batch_size=8,
    score_threshold=0.05,
    shard=(1, 1),
    part_size=256,
    max_detections=100,
    views=view_choices.PLAIN,
):
    """Predicts the missing parts of a pool, or of one of its shards.

    Args:
      images: sequence of `PoolImage`, or a function without arguments that returns a fresh iterator over them, always
        in the same order; they are taken one by one.
      saved_model_dir: folder of the SavedModel, or of the export around it.
      folder: of the predictions, see `predictions`.
      batch_size: images per call, where the model takes several.
      score_threshold: detections with a lower score are left out.
      shard: (number from 1, count): part k is predicted by the shard whose number is k modulo count, plus 1.
      part_size: images per part.
      max_detections: maximum number of detections per image.
      views: how the model sees each image, `view_choices.PLAIN` or `FUSED`.

    Returns:
      `PoolReport`.

    Raises:
      PredictionError: the folder contains predictions of another pool or model, or the model cannot be run.
      StorageError: the folder cannot be written, or another process is predicting the same shard.
    """
    number, count = shard
    if not 1 <= number <= count:
        raise errors.UsageError("no such shard", expected="1/n to n/n", received=f"{number}/{count}")
    open_images = images if callable(images) else lambda: images
    num_images, images_sha256 = predictions.digest_names(open_images())
    plan = predictions.Plan(
        num_images, part_size, images_sha256, _digest_model(saved_model_dir), score_threshold, max_detections, views
    )
    predictions.keep_plan(folder, plan)
    with _hold_shard(folder, shard):
        own = [part for part in predictions.missing_parts(folder) if part % count == number - 1]
        num_predicted, seconds = 0, 0.0
        if own:
            model = PoolModel(
                saved_model_dir,
                batch_size=batch_size,
                score_threshold=score_threshold,
                max_detections=max_detections,
                views=views,
                is_for_many=sum(_size_parts(plan, own).values()) >= _MANY,
            )
            start = time.monotonic()
            with _garbage_is_new():
                num_predicted = _predict_parts(model, open_images, folder, plan, own)
            seconds = time.monotonic() - start
    return PoolReport(
        num_images=num_images,
        num_predicted=num_predicted,
        num_unreadable=sum(1 for _ in predictions.read_unreadable(folder)),
        num_missing_parts=len(predictions.missing_parts(folder)),
        seconds=seconds,
    )


def find_layout(model):
    """Determines the layout of a model's scores of all classes from an image of noise.

    Args:
      model: a `prediction.predictor.StreamPredictor`.

    Returns:
      `ScoreLayout`.
    """
    noise = np.random.RandomState(0).randint(0, 256, [96, 128, 3], dtype=np.uint8)
    (output,) = model.detect([noise])
    num = int(output.get(Detections.NUM, len(output[Detections.SCORES])))
    multiclass = output.get(Detections.MULTICLASS_SCORES)
    if multiclass is None or not num:
        return ScoreLayout(is_softmax=False, num_background_columns=1)
    rows = np.asarray(multiclass[:num], np.float64)
    if np.all(np.abs(rows.sum(axis=1) - 1.0) <= _SUM_TOLERANCE):
        return ScoreLayout(is_softmax=True, num_background_columns=1)
    first, score = float(output[Detections.CLASSES][0]), float(output[Detections.SCORES][0])
    if not 1 <= first <= rows.shape[1]:
        return ScoreLayout(is_softmax=False, num_background_columns=1)
    id_ = int(round(first))
    with_background = abs(rows[0, id_] - score) if id_ < rows.shape[1] else np.inf
    return ScoreLayout(is_softmax=False, num_background_columns=int(with_background <= abs(rows[0, id_ - 1] - score)))


def _size_parts(plan, parts):
    """{number of a part: how many images it has}."""
    return {part: min(plan.part_size, plan.num_images - part * plan.part_size) for part in parts}


def _predict_parts(model, open_images, folder, plan, own):
    """Predicts parts and writes each one when it is complete; returns the number of images."""
    sizes = _size_parts(plan, own)
    begun = collections.deque()

    def wanted():
        for index, image in enumerate(open_images()):
            part = index // plan.part_size
            if part not in sizes:
                continue
            if index % plan.part_size == 0:
                begun.append(part)
            yield image

    done, total = [], sum(sizes.values())
    with console.Progress("images predicted", total) as progress, concurrent.futures.ThreadPoolExecutor(1) as writer:
        writing = None
        for answer in model.predict(wanted()):
            done.append(answer if isinstance(answer, predictions.Unreadable) else predictions.to_row(answer))
            progress.advance()
            if len(done) == sizes[begun[0]]:
                if writing is not None:
                    writing.result()
                writing = writer.submit(_write, folder, begun.popleft(), done)
                done = []
        if writing is not None:
            writing.result()
    return total


@contextlib.contextmanager
def _garbage_is_new():
    """Keeps the garbage collector away from existing objects: TensorFlow's million, which it would inspect every time.

    Detections are objects, too, and every few hundred new ones start the collector.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _write(folder, part, answers):
    unreadable = [answer for answer in answers if isinstance(answer, predictions.Unreadable)]
    predictions.write_part(
        folder, part, [answer for answer in answers if isinstance(answer, predictions.Row)], unreadable
    )


def _hold_shard(folder, shard):
    """Keeps a second process away from the same shard, and removes what killed processes left of its parts."""
    return predictions.hold_shard(folder, shard)


def _digest_model(saved_model_dir):
    """Digest of the files of a model and of its label map."""
    model = saved_models.find_model(saved_model_dir)
    paths = [model] if saved_models.is_tflite(model) else sorted(model.rglob("*"))
    paths = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    label_map = saved_models.find_label_map(model)
    digest = hashlib.sha256()
    for path in paths + ([label_map] if label_map else []):
        digest.update(f"{path.name}\n{storage.sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _entropy(values):
    """-p ln p; 0 for 0."""
    values = np.clip(values, 0.0, 1.0)
    return -values * np.log(np.maximum(values, np.finfo(np.float64).tiny))
