"""What is being labelled: the images in the order in which a person sees them, and what has been done so far.

Everything that matters is in the annotation files. A session that was killed is continued by a new one, which reads
them again; in memory are only the order, and the files as they were opened, so that changes can be undone.
"""

import dataclasses
import heapq
import os
import threading

from tfodhelper import errors, json_shapes, storage
from tfodhelper.annotations import weight_files
from tfodhelper.annotations.labelimg_update import EditedBox
from tfodhelper.annotations.structures import Box, UnusableFile
from tfodhelper.labelling import documents, stored
from tfodhelper.labelling.stored import NO_FILE
from tfodhelper.render import palette

_EDIT = {
    "version": str,
    "base": str,
    "verified": bool,
    "seconds": float,
    "boxes": (
        None,
        [
            {
                "source": (None, int),
                "class": str,
                "difficult": bool,
                "confirmed": bool,
                "corners": [float],
                "ignored?": bool,
                "score?": (None, float),  # these two are for the page alone
                "weights?": {str: float},
            }
        ],
    ),
}
_MOST_BOXES = 20_000
_MOST_SECONDS = 3600.0  # that one change can have taken


@dataclasses.dataclass
class _Progress:
    """What is known about one image.

    Attributes:
      is_verified: whether a person has accepted it.
      doubt: how doubtful it is, the largest first; None while the detector has not seen it.
      is_left: whether the person has left it without accepting it.
      seconds: that a person spent on it in this session.
      is_changed: whether its file was written in this session.
    """

    is_verified: bool
    doubt: float | None
    is_left: bool = False
    seconds: float = 0.0
    is_changed: bool = False


@dataclasses.dataclass(frozen=True)
class _Opened:
    """An annotation file as the page last saw it.

    Attributes:
      document: the `documents.Document`, as it was when it was first opened.
      version: of the file as it was last read or written.
      boxes: plain values of its boxes, whose sources are objects of the document.
      is_verified: whether a person has accepted the image.
    """

    document: documents.Document
    version: str
    boxes: list
    is_verified: bool


@dataclasses.dataclass(frozen=True)
class Counts:
    """Where a session stands: numbers of images.

    Attributes:
      total: all.
      verified: accepted by a person, in this session or before.
      pending: not seen by the detector yet.
      changed: whose files were written in this session.
      seconds: that a person spent on them in this session.
      num_seen: images that a person spent time on in this session.
    """

    total: int
    verified: int
    pending: int
    changed: int
    seconds: float
    num_seen: int


class Session:
    """The images of one page.

    All methods may be called from several threads.

    Args:
      items: list of `documents.Item`; without doubts, the first one comes first.
      classes: names of the known classes, in the order of their colours.
      verified: for each item, whether a person has accepted it.
      doubts: for each item, how doubtful it is (the most doubtful comes first), or None: `suggest` will say it.
      is_fixed: whether no other classes are allowed.
      times_path: JSON file that keeps the seconds that a person spends on each image, under its name; None: no file.
    """

    def __init__(self, items, classes, verified, doubts, is_fixed=False, times_path=None):
        self._items, self._classes, self._is_fixed = list(items), list(dict.fromkeys(classes)), is_fixed
        self._progress = [_Progress(*pair) for pair in zip(verified, doubts, strict=True)]
        self._opened, self._times_path, self._is_closed = {}, times_path, False
        self._lock = threading.RLock()

    def __len__(self):
        return len(self._items)

    def item(self, index):
        """The `Item` with an index; IndexError if there is none."""
        if not 0 <= index < len(self._items):
            raise IndexError(index)
        return self._items[index]

    def suggest(self, index, suggestions, doubt):
        """Takes what a detector found in an image.

        Args:
          index: of the image.
          suggestions: see `documents.Item`.
          doubt: see `Session`.
        """
        with self._lock:
            self._items[index] = dataclasses.replace(self._items[index], suggestions=tuple(suggestions))
            self._progress[index].doubt = doubt
            self._add_classes(box.name for box, _ in suggestions)

    def _add_classes(self, names):
        known = set(self._classes)
        self._classes += [name for name in dict.fromkeys(names) if name not in known]

    def describe(self):
        """Plain values about the session: classes with their colours, and counts."""
        with self._lock:
            colors = [palette.color_of(number) for number in range(1, len(self._classes) + 1)]
            return {
                "classes": [{"name": name, "color": color} for name, color in zip(self._classes, colors)],
                "is_fixed": self._is_fixed,
                "counts": dataclasses.asdict(self.counts()),
            }

    def counts(self):
        """The `Counts` of now."""
        with self._lock:
            return Counts(
                total=len(self._items),
                verified=sum(each.is_verified for each in self._progress),
                pending=sum(each.doubt is None and not each.is_verified for each in self._progress),
                changed=sum(each.is_changed for each in self._progress),
                seconds=sum(each.seconds for each in self._progress),
                num_seen=sum(each.seconds > 0 for each in self._progress),
            )

    def next_indices(self, leaving=None):
        """The most doubtful image that nobody has accepted, and the one after it; of those left, only if all were.

        Args:
          leaving: index of an image that a person leaves as it is, or None.

        Returns:
          Two indices; None if all are accepted, or if the detector has not seen any of the rest yet.
        """
        with self._lock:
            if leaving is not None and 0 <= leaving < len(self._items):
                self._progress[leaving].is_left = True
            open_ = [i for i, each in enumerate(self._progress) if not each.is_verified and each.doubt is not None]
            fresh = [i for i in open_ if not self._progress[i].is_left]
            if open_ and not fresh:
                for i in open_:
                    self._progress[i].is_left = False
                fresh = [i for i in open_ if i != leaving] or open_
            first = heapq.nsmallest(2, fresh, key=lambda i: (-self._progress[i].doubt, i))
            return tuple([*first, None, None][:2])

    def open(self, index):
        """Reads the annotation file of an image again.

        As long as nobody else changes the file, its boxes are known by what they were when it was first opened, so that
        a page may undo what it did before it went to another image.

        Returns:
          Plain values: what the page shows; "problem" says why the image cannot be labelled, or is None.
        """
        with self._lock:
            item = self.item(index)
            shown = {"index": index, "name": item.name, "file": item.xml}
            try:
                opened = self._reopen(index, item)
            except UnusableFile as error:
                return shown | {"problem": str(error), "width": 0, "height": 0, "boxes": [], "notes": [], "version": ""}
            document, progress = opened.document, self._progress[index]
            self._opened[index], progress.is_verified = opened, opened.is_verified
            self._add_classes(box["class"] for box in opened.boxes)
            width, height = document.shown_size
            return shown | {
                "problem": None,
                "width": width,
                "height": height,
                "version": opened.version,
                "base": document.base.version,
                "exists": opened.version != NO_FILE,
                "verified": opened.is_verified,
                "pending": progress.doubt is None and opened.version == NO_FILE,
                "notes": list(document.notes),
                "boxes": opened.boxes,
            }

    def _reopen(self, index, item):
        former = self._opened.get(index)
        if former is not None and former.version != NO_FILE and stored.read(item.xml).version == former.version:
            return former
        document = documents.open_document(item)
        scores = {(box.name, box.xmin, box.ymin, box.xmax, box.ymax): score for box, score in document.suggested()}
        boxes = [_to_json(document, each, scores) for each in document.boxes()]
        return _Opened(document, document.base.version, boxes, document.is_verified)

    def save(self, index, edit):
        """Writes what a person has changed in an image.

        Args:
          index: of the image.
          edit: plain values from the page.

        Returns:
          Plain values: the new version of the file, whether it exists, and the counts.

        Raises:
          Conflict, AnnotationError, StorageError: see `documents.save`; nothing was written.
        """
        with self._lock:
            if self._is_closed:
                raise errors.StorageError("the page has ended", fix="type the same command again")
            _check_shape(edit)
            opened = self._opened.get(index)
            if opened is None or opened.document.base.version != edit["base"]:
                raise documents.Conflict(f"{self.item(index).xml}: was opened again elsewhere", fix="load it again")
            boxes = None if edit["boxes"] is None else [_from_json(value) for value in edit["boxes"]]
            self._check_classes(boxes or ())
            saved = documents.save(opened.document, edit["version"], boxes, edit["verified"])
            version, is_verified = saved.version, saved.exists and edit["verified"]
            self._opened[index] = _Opened(opened.document, version, edit["boxes"] or [], is_verified)
            progress = self._progress[index]
            progress.is_changed = progress.is_changed or version != edit["version"]
            progress.is_verified = is_verified
            self._add_classes(each.box.name for each in boxes or ())
            self.spend(index, edit["seconds"])
            return {"version": version, "exists": saved.exists, **self.describe()}

    def _check_classes(self, boxes):
        unknown = {each.box.name for each in boxes} - set(self._classes)
        if self._is_fixed and unknown:
            raise errors.AnnotationError(
                f"class {min(unknown)!r}: is not in the label map", expected="one of " + ", ".join(self._classes)
            )

    def spend(self, index, seconds):
        """Adds to the seconds that a person has spent on an image; at most an hour at once."""
        with self._lock:
            item = self.item(index)
            seconds = min(max(float(seconds), 0.0), _MOST_SECONDS)
            self._progress[index].seconds += seconds
            if self._times_path is not None and seconds and not self._is_closed:
                times = read_times(self._times_path)
                times[item.name] = round(times.get(item.name, 0.0) + seconds, 3)
                storage.write_json(self._times_path, times)

    def close(self):
        """Ends the session once what is being written is complete: nothing is written any more."""
        with self._lock:
            self._is_closed = True


def read_times(path):
    """{name of an image: seconds that a person spent on it}, as a session has kept them; empty if there is no file.

    Raises:
      StorageError: the file is malformed.
    """
    if not os.path.exists(path):
        return {}
    try:
        value = storage.read_json(path)
        json_shapes.check(value, {str: float})
        json_shapes.check_finite(value)
    except ValueError as error:
        raise errors.StorageError(
            f"{path}: does not hold the times of a review ({error})", fix="remove the file: the times are then unknown"
        ) from error
    return value


def _check_shape(edit):
    try:
        json_shapes.check(edit, _EDIT, "the edit")
        json_shapes.check_finite(edit, "the edit")
    except ValueError as error:
        raise errors.AnnotationError(str(error)) from error
    boxes = edit["boxes"] or []
    if len(boxes) > _MOST_BOXES or any(len(box["corners"]) != 4 for box in boxes):
        raise errors.AnnotationError("the edit has malformed boxes", expected="four corners, xmin, ymin, xmax, ymax")


def _to_json(document, edited, scores):
    box = edited.box
    shown = documents.upright_corners(document.to_shown(box))
    return {
        "source": edited.source,
        "class": box.name,
        "difficult": box.difficult,
        "confirmed": edited.is_confirmed,
        "ignored": not box.weight,
        "weights": weight_files.to_json(box),
        "score": scores.get((box.name, box.xmin, box.ymin, box.xmax, box.ymax)),
        "corners": [shown.xmin, shown.ymin, shown.xmax, shown.ymax],
    }


def _from_json(value):
    weight = 0.0 if value.get("ignored", False) else 1.0
    box = Box(value["class"].strip(), *map(float, value["corners"]), difficult=value["difficult"], weight=weight)
    return EditedBox(box, value["source"], value["confirmed"])
