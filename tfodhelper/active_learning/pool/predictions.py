"""What a model says of a pool, as files: parts that are complete or not there.

```
FOLDER/
  plan.json                     which pool and which model, and into how many parts
  part-00000.jsonl              one line an image, in the order of the pool
  part-00000.npz                their features, where the model has them
  part-00000.unreadable.jsonl   images that cannot be read, and why
  .shards/1-of-2/               which process predicts which share of the parts
```
The lines of a part are written last: a part whose `.jsonl` is there is complete. A line has the form of
`prediction.detections` with the image's name, and a margin and an entropy for each detection.
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

from tfodhelper import errors, storage
from tfodhelper.active_learning.structures import Prediction
from tfodhelper.prediction import detections as results

PLAN = "plan.json"
_SHARDS = ".shards"
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode
_ROW = '{"class": %s, "id": %d, "score": %.6f, "box": {"xmin": %.3f, "ymin": %.3f, "xmax": %.3f, "ymax": %.3f}}'
_FIX = "remove the files of this part; its images are then predicted again"
_TEMPORARY = re.compile(r"\.part-(\d{5,})(\.unreadable)?\.(jsonl|npz)\.\d+\.tmp")  # as storage.open_whole names them


@dataclasses.dataclass(frozen=True)
class Plan:
    """Which pool is predicted with which model.

    Attributes:
      num_images: of the pool.
      part_size: images of a part; the last one may have fewer.
      images_sha256: digest of the images' names, in order.
      model_sha256: digest of the SavedModel and its label map.
      score_threshold: detections of a lower score are left out.
      max_detections: most detections of an image.
    """

    num_images: int
    part_size: int
    images_sha256: str
    model_sha256: str
    score_threshold: float
    max_detections: int

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
    """Writes the plan of a folder, or checks that it is the one that is there.

    Raises:
      PredictionError: when the folder holds predictions of another pool, of another model or with other settings.
      StorageError: when it cannot be written.
    """
    folder = storage.make_folder(folder)
    if not (folder / PLAN).exists():
        storage.write_json(folder / PLAN, dataclasses.asdict(plan))
    there = read_plan(folder)  # of another process, where two started at once
    if there != plan:
        different = [
            field.name for field in dataclasses.fields(plan) if getattr(plan, field.name) != getattr(there, field.name)
        ]
        raise errors.PredictionError(
            f"{folder}: holds predictions of another pool or another model",
            expected=", ".join(f"{name} {getattr(there, name)}" for name in different),
            received=", ".join(f"{name} {getattr(plan, name)}" for name in different),
            fix="go on with the pool, the model and the settings that it was begun with, or choose another folder",
        )


def read_plan(folder):
    """The `Plan` of a folder.

    Raises:
      StorageError: when there is none, or it cannot be read.
    """
    path = pathlib.Path(folder) / PLAN
    value = storage.read_json(path)
    try:
        return Plan(**value)
    except TypeError as error:
        raise errors.StorageError(f"{path}: is no plan of predictions ({error})") from error


@contextlib.contextmanager
def hold_shard(folder, shard):
    """Keeps a second process away from a shard, and removes what killed processes left of its parts.

    Args:
      folder: of the predictions.
      shard: (number from 1, count): part k belongs to the shard whose number is k modulo count, plus 1.

    Raises:
      StorageError: when another process holds it, or the folder cannot be written.
    """
    number, count = shard
    place = storage.make_folder(pathlib.Path(folder) / _SHARDS / f"{number}-of-{count}")
    with storage.hold(place):
        _remove_leftovers(pathlib.Path(folder), number, count)
        yield


def _remove_leftovers(folder, number, count):
    """Removes files of a shard's parts that never got their names; the shard is held.

    A process with another count may write the same parts: while one runs, all is left as it is. The files are listed
    first, so that those of a process that starts later are not among them.
    """
    names = [match for path in folder.iterdir() if (match := _TEMPORARY.fullmatch(path.name))]
    own = [folder / match[0] for match in names if int(match[1]) % count == number - 1]
    if own and not _is_divided_otherwise(folder, count):
        for path in own:
            with contextlib.suppress(OSError):
                path.unlink()


def _is_divided_otherwise(folder, count):
    """Whether a process predicts a shard of another count."""
    for place in (folder / _SHARDS).iterdir():
        if not place.name.endswith(f"-of-{count}"):
            try:
                with storage.hold(place):
                    pass
            except (errors.StorageError, OSError):
                return True
    return False


def missing_parts(folder):
    """Numbers of the parts that are not there yet, from 0.

    Raises:
      StorageError: when the folder has no plan.
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
    """Writes a part, whole or not at all.

    Args:
      folder: of the predictions.
      number: of the part, from 0.
      predictions: `Prediction`s or their `Row`s, in the order of the pool; all with features of one length, or all
        without.
      unreadable: `Unreadable` images of the part.

    Raises:
      StorageError: when it cannot be written.
    """
    rows = [one if isinstance(one, Row) else to_row(one) for one in predictions]
    features = [row.features for row in rows if row.features is not None]
    if features:
        if len(features) != len(rows):
            raise ValueError(f"expected features of all {len(rows)} images or of none, received {len(features)}")
        content = io.BytesIO()
        np.savez(content, features=np.stack(features).astype(np.float16))
        with storage.open_whole(_path(folder, number, ".npz"), "wb") as file:
            file.write(content.getbuffer())
    else:
        _path(folder, number, ".npz").unlink(missing_ok=True)
    if unreadable:
        lines = (json.dumps(dataclasses.asdict(one), ensure_ascii=False) + "\n" for one in unreadable)
        storage.write_text(_path(folder, number, ".unreadable.jsonl"), "".join(lines))
    else:
        _path(folder, number, ".unreadable.jsonl").unlink(missing_ok=True)
    storage.write_text(_path(folder, number, ".jsonl"), "".join(row.line for row in rows))


def to_line(prediction):
    """`Prediction` -> a line of a part, without its features.

    The detections have the form of `prediction.detections.to_json`. Numbers are set by formats, in a fraction of the
    time: a pool has many detections of low scores.
    """
    found = prediction.found
    head = {"name": prediction.name, "path": found.path, "width": found.width, "height": found.height}
    names = {name: _ENCODE(name) for name in {one.name for one in found.detections}}
    values = []
    for one in found.detections:
        values += (names[one.name], one.id, one.score, one.xmin, one.ymin, one.xmax, one.ymax)
    rows = ", ".join([_ROW] * len(found.detections)) % tuple(values)
    margins, entropies = (
        ", ".join(["%.6f"] * len(values)) % tuple(values) for values in (prediction.margins, prediction.entropies)
    )
    return f'{_ENCODE(head)[:-1]}, "detections": [{rows}], "margins": [{margins}], "entropies": [{entropies}]}}\n'


def read_predictions(folder):
    """Reads the predictions of a whole pool, one by one.

    Yields:
      `Prediction`, in the order of the pool, without the images that could not be read.

    Raises:
      PredictionError: when parts are missing, or a file is not what was written.
    """
    missing = missing_parts(folder)
    if missing:
        raise errors.PredictionError(
            f"{folder}: {len(missing)} parts of the predictions are missing, the first one is {missing[0]}",
            fix="predict the rest of the pool first; what is there is kept",
        )
    for number in range(read_plan(folder).num_parts):
        yield from _read_part(folder, number)


def find_predictions(folder, names):
    """Reads the predictions of some images of a pool; the lines of all others are passed over.

    Args:
      folder: of the predictions; only parts that are there are read.
      names: of the images.

    Yields:
      `Prediction` without features, in the order of the pool.

    Raises:
      PredictionError: when a file is not what was written.
      StorageError: when the folder has no plan.
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
    """The name of a line without reading the rest of it."""
    start = '{"name": '
    return decoder.raw_decode(line, len(start))[0] if line.startswith(start) else json.loads(line)["name"]


def _to_prediction(value):
    return Prediction(
        name=value["name"],
        found=results.from_json(value),
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
    """Yields the `Unreadable` images of all parts that are there, in the order of the pool."""
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
        raise _damaged(path, f"{rows} lines or more, and features of {len(features)} images")


def _read_features(path):
    """float32 [n, D], or None where there is no such file."""
    try:
        with np.load(path) as file:
            return file["features"].astype(np.float32)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from error


def _damaged(path, reason):
    return errors.PredictionError(
        f"{path}: is not what was written ({reason})",
        fix=_FIX,
    )


def _path(folder, number, ending):
    return pathlib.Path(folder) / f"part-{number:05d}{ending}"
