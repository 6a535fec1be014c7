"""A model's predictions for a pool, as files: each part is complete or does not exist.

```
FOLDER/
  plan.json                     which pool, which model and how many parts
  part-00000.jsonl              one line per image, in the order of the pool
  part-00000.npz                their features, if the model has any
  part-00000.unreadable.jsonl   images that cannot be read, and why
  .shards/1-of-2/               which process predicts which share of the parts
```
The lines of a part are written last: a part whose `.jsonl` exists is complete. A line has the form of
`prediction.detections`, with the image's name, and a margin and an entropy for each detection. Plans of earlier
versions do not name the views; there was the plain one.
"""

import contextlib
import dataclasses
import hashlib
import io
import json
import pathlib
import re
import zipfile
from typing import NamedTuple

import numpy as np

from tfodhelper import errors, limits, spelling, state_files, storage
from tfodhelper.active_learning.pool import view_choices
from tfodhelper.active_learning.structures import Prediction
from tfodhelper.prediction import detections

PLAN = "plan.json"
_MAX_PARTS = 100_000  # each of which is looked for; of a hundred images, ten million images
_SHARDS = ".shards"
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_ROW = '{"class": %s, "id": %d, "score": %.6f, "box": {"xmin": %.3f, "ymin": %.3f, "xmax": %.3f, "ymax": %.3f}%s}'
_FIX = "remove the files of this part and predict the pool again; only this part is repeated"
_PLAN_FORM = state_files.StateForm(
    content="a plan of predictions",
    keys={"num_images": int, "part_size": int, "images_sha256": str, "model_sha256": str, "max_detections": int},
    fix="remove this folder of predictions; the pool is then predicted again",
)
_TEMPORARY = re.compile(r"\.part-(\d{5,})(\.unreadable)?\.(jsonl|npz)\.\d+\.tmp")  # as storage.open_whole names them


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which pool is predicted with which model.

    Attributes:
      num_images: of the pool.
      part_size: images per part; the last one may have fewer.
      images_sha256: digest of the images' names, in order.
      model_sha256: digest of the SavedModel and its label map.
      score_threshold: detections with a lower score are left out.
      max_detections: maximum number of detections per image.
      views: how the model sees each image, `view_choices.PLAIN` or `FUSED`.
    """

    num_images: int
    part_size: int
    images_sha256: str
    model_sha256: str
    score_threshold: float
    max_detections: int
    views: str = view_choices.PLAIN

    @property
    def num_parts(self):
        return -(-self.num_images // self.part_size)


@dataclasses.dataclass(frozen=True)
class Unreadable:
    """An image that could not be read.

    Attributes:
      name: of the `PoolImage`.
      path: of its file.
      reason: what is wrong with it.
    """

    name: str
    path: str
    reason: str


def digest_names(images):
    """(count, digest) of the names of `PoolImage`s, in order."""
    digest, count = hashlib.sha256(), 0
    for image in images:
        digest.update(image.name.encode() + b"\n")
        count += 1
    return count, digest.hexdigest()


def keep_plan(folder, plan):
    """Writes the plan of a folder, or checks that an existing one is the same.

    Raises:
      PredictionError: the folder contains predictions of another pool, by another model or with other settings.
      StorageError: the folder cannot be written.
    """
    folder = storage.make_folder(folder)
    if not (folder / PLAN).exists():
        storage.write_json(folder / PLAN, dataclasses.asdict(plan))
    existing = read_plan(folder)  # possibly another process's, if two started at once
    if existing != plan:
        different = [
            field.name
            for field in dataclasses.fields(plan)
            if getattr(plan, field.name) != getattr(existing, field.name)
        ]
        raise errors.PredictionError(
            f"{folder}: contains predictions of another pool, model or setting",
            expected=", ".join(f"{name} {getattr(existing, name)}" for name in different),
            received=", ".join(f"{name} {getattr(plan, name)}" for name in different),
            fix="use the same pool, model and settings as before, or choose another folder",
        )


def read_plan(folder):
    """The `Plan` of a folder.

    Raises:
      StorageError: there is none, or it cannot be read.
    """
    path = pathlib.Path(folder) / PLAN
    value = state_files.read_state(path, _PLAN_FORM)
    if value["part_size"] < 1 or value["num_images"] < 0:
        raise errors.StorageError(f"{path}: is damaged: part_size {value['part_size']}", fix=_PLAN_FORM.fix)
    try:
        plan = Plan(**value)
    except TypeError as error:
        raise errors.StorageError(f"{path}: is not a plan of predictions ({error})", fix=_PLAN_FORM.fix) from error
    if plan.num_parts > _MAX_PARTS:
        raise errors.StorageError(
            f"{path}: is damaged",
            expected=f"at most {_MAX_PARTS} parts",
            received=f"{plan.num_images} images, {plan.part_size} in each part",
            fix=_PLAN_FORM.fix,
        )
    return plan


@contextlib.contextmanager
def hold_shard(folder, shard):
    """Keeps a second process away from a shard, and removes what killed processes left of its parts.

    Args:
      folder: of the predictions.
      shard: (number from 1, count): part k belongs to the shard whose number is k modulo count, plus 1.

    Raises:
      StorageError: another process holds it, or the folder cannot be written.
    """
    number, count = shard
    storage.check_no_link(pathlib.Path(folder) / _SHARDS)
    shard_dir = storage.make_own_folder(pathlib.Path(folder) / _SHARDS / f"{number}-of-{count}")
    with storage.hold(shard_dir):
        _remove_leftovers(pathlib.Path(folder), number, count)
        yield


def _remove_leftovers(folder, number, count):
    """Removes temporary files of a shard's parts; the shard is held.

    A process with another count may be writing the same parts: while one runs, nothing is removed. The files are listed
    first, so that those of a process that starts later are not among them.
    """
    names = [match for path in folder.iterdir() if (match := _TEMPORARY.fullmatch(path.name))]
    own = [folder / match[0] for match in names if int(match[1]) % count == number - 1]
    if own and not _is_divided_otherwise(folder, count):
        for path in own:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_divided_otherwise(folder, count):
    """Whether a process is predicting a shard of another count."""
    for shard_dir in (folder / _SHARDS).iterdir():
        if not shard_dir.name.endswith(f"-of-{count}"):
            try:
                with storage.hold(shard_dir):
                    pass
            except (errors.StorageError, OSError):
                return True
    return False


def missing_parts(folder):
    """Numbers, from 0, of the parts that do not exist yet.

    Raises:
      StorageError: the folder has no plan.
    """
    return [number for number in range(read_plan(folder).num_parts) if not has_part(folder, number)]


def has_part(folder, number):
    """Whether a part is complete."""
    return _path(folder, number, ".jsonl").exists()


class Row(NamedTuple):
    """A `Prediction` as it is written."""

    line: str
    features: np.ndarray | None


def to_row(prediction):
    """`Prediction` -> `Row`."""
    return Row(to_line(prediction), prediction.features)


def write_part(folder, number, predictions, unreadable=()):
    """Writes a part atomically.

    Args:
      folder: of the predictions.
      number: of the part, from 0.
      predictions: `Prediction`s or their `Row`s, in the order of the pool; either all have features of the same length,
        or none has.
      unreadable: `Unreadable` images of the part.

    Raises:
      StorageError: the part cannot be written.
    """
    rows = [prediction if isinstance(prediction, Row) else to_row(prediction) for prediction in predictions]
    features = [row.features for row in rows if row.features is not None]
    if features:
        if len(features) != len(rows):
            raise ValueError(
                f"expected features of all {spelling.count(len(rows), 'image')} or of none, received {len(features)}"
            )
        content = io.BytesIO()
        np.savez(content, features=np.stack(features).astype(np.float16))
        with storage.open_whole(_path(folder, number, ".npz"), "wb") as file:
            file.write(content.getbuffer())
    else:
        _path(folder, number, ".npz").unlink(missing_ok=True)
    if unreadable:
        lines = (json.dumps(dataclasses.asdict(image), ensure_ascii=False) + "\n" for image in unreadable)
        storage.write_text(_path(folder, number, ".unreadable.jsonl"), "".join(lines))
    else:
        _path(folder, number, ".unreadable.jsonl").unlink(missing_ok=True)
    storage.write_text(_path(folder, number, ".jsonl"), "".join(row.line for row in rows))


def to_line(prediction):
    """`Prediction` -> a line of a part, without its features.

    The detections have the form of `prediction.detections.to_json`. Format strings write the numbers in a fraction of
    the time: a pool has many detections with low scores.
    """
    predicted = prediction.found
    head = {"name": prediction.name, "path": predicted.path, "width": predicted.width, "height": predicted.height}
    names = {name: _ENCODE(name) for name in {detection.name for detection in predicted.detections}}
    values = []
    for detection in predicted.detections:
        values += (
            names[detection.name],
            detection.id,
            detection.score,
            detection.xmin,
            detection.ymin,
            detection.xmax,
            detection.ymax,
            "" if detection.doubt is None else f', "doubt": {detection.doubt:.6f}',
        )
    rows = ", ".join([_ROW] * len(predicted.detections)) % tuple(values)
    margins, entropies = (
        ", ".join(["%.6f"] * len(values)) % tuple(values) for values in (prediction.margins, prediction.entropies)
    )
    return f'{_ENCODE(head)[:-1]}, "detections": [{rows}], "margins": [{margins}], "entropies": [{entropies}]}}\n'


def read_predictions(folder):
    """Reads the predictions of a whole pool, one by one.

    Yields:
      `Prediction`, in the order of the pool, without the images that could not be read.

    Raises:
      PredictionError: parts are missing, or a file is damaged.
    """
    missing = missing_parts(folder)
    if missing:
        raise errors.PredictionError(
            f"{folder}: {spelling.count(len(missing), 'missing part')} of the predictions, first part {missing[0]}",
            fix="predict the rest of the pool first; finished parts are kept",
        )
    for number in range(read_plan(folder).num_parts):
        yield from _read_part(folder, number)


def find_predictions(folder, names):
    """Reads the predictions of some images of a pool; the lines of all others are skipped.

    Args:
      folder: of the predictions; only existing parts are read.
      names: of the images.

    Yields:
      `Prediction` without features, in the order of the pool.

    Raises:
      PredictionError: a file is damaged.
      StorageError: the folder has no plan.
    """
    wanted, decoder = set(names), json.JSONDecoder()
    for number in range(read_plan(folder).num_parts):
        path = _path(folder, number, ".jsonl")
        if not wanted:
            return
        if not path.exists():
            continue
        for prediction in storage.read_json_lines(path, _PREDICTION, lambda line: _name_of(line, decoder) in wanted):
            wanted.discard(prediction.name)
            yield prediction


def _name_of(line, decoder):
    """The name in a line, without parsing the rest of it."""
    start = '{"name": '
    return decoder.raw_decode(line, len(start))[0] if line.startswith(start) else limits.parse_json(line)["name"]


def _to_prediction(value):
    return Prediction(
        name=value["name"],
        found=detections.from_json(value),
        margins=tuple(value["margins"]),
        entropies=tuple(value["entropies"]),
    )


_PREDICTION = storage.LineForm(
    content="a prediction",
    expected='{"name", "path", "width", "height", "detections", "margins", "entropies"}',
    fix=_FIX,
    parse=_to_prediction,
    error=errors.PredictionError,
)
_UNREADABLE = storage.LineForm(
    content="an image that cannot be read",
    expected='{"name", "path", "reason"}',
    fix=_FIX,
    parse=lambda value: Unreadable(**value),
    error=errors.PredictionError,
)


def read_unreadable(folder):
    """Yields the `Unreadable` images of all existing parts, in the order of the pool."""
    for number in range(read_plan(folder).num_parts):
        path = _path(folder, number, ".unreadable.jsonl")
        if has_part(folder, number) and path.exists():
            yield from storage.read_json_lines(path, _UNREADABLE)


def _read_part(folder, number):
    path = _path(folder, number, ".jsonl")
    features = _read_features(_path(folder, number, ".npz"))
    rows = 0
    for rows, prediction in enumerate(storage.read_json_lines(path, _PREDICTION), start=1):
        if features is None:
            yield prediction
        elif rows <= len(features):
            yield dataclasses.replace(prediction, features=features[rows - 1])
        else:
            break
    if features is not None and rows != len(features):
        raise _damaged(
            path, f"at least {spelling.count(rows, 'line')}, but features of {spelling.count(len(features), 'image')}"
        )


def _read_features(path):
    """float32 [n, D], or None if the file does not exist."""
    try:
        with np.load(path) as file:
            return file["features"].astype(np.float32)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path, reason):
    return errors.PredictionError(f"{path}: is damaged ({reason})", fix=_FIX)


def _path(folder, number, ending):
    return pathlib.Path(folder) / f"part-{number:05d}{ending}"
