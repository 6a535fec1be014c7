"""Splits that are given by folders: train, valid and test, as many datasets are published."""

import collections
import re

from tfodhelper import errors, spelling
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE

_WORDS = {TRAIN: "train|training", VALIDATE: "val|valid|validate|validation|dev|eval|evaluation", TEST: "test|testing"}
_AROUND = "images?|imgs?|set|data|dataset|split|part|[0-9]{4}"
_NAMES = {
    side: re.compile(rf"(?:(?:{_AROUND})[ _-]?)?(?:{words})(?:[ _-]?(?:{_AROUND}))?", re.IGNORECASE)
    for side, words in _WORDS.items()
}
_SHOWN = 6


class FolderSides:
    """The sides of images by the names of their folders; of nested ones the innermost counts.

    Args:
      names: relative names of all images.

    Attributes:
      counts: {folder that is named like a side: number of images in it}.
    """

    def __init__(self, names):
        self.counts, self._known = collections.Counter(), (None, None)
        for name in names:
            folder = self._find(name)[0]
            if folder is not None:
                self.counts[folder] += 1
        self._side_of = {folder: side_of_name(folder.rpartition("/")[2]) for folder in self.counts}
        sides = set(self._side_of.values())
        self.is_split = TRAIN in sides and len(sides) > 1
        if VALIDATE not in sides:  # two folders: what training does not see is for validation
            self._side_of = {folder: VALIDATE if side == TEST else side for folder, side in self._side_of.items()}

    def _find(self, name):
        """(folder of an image that is named like a side, that side), or (None, None)."""
        folder = name.rpartition("/")[0]
        if self._known[0] != folder:  # names are sorted, so most follow one of the same folder
            self._known = folder, _find_side(folder)
        return self._known[1]

    def side_of(self, name):
        """The side of an image, or None if it is in no such folder."""
        return self._side_of.get(self._find(name)[0])

    def describe(self):
        """The folders with their numbers of images."""
        texts = [f"{folder} ({spelling.count(count, 'image')})" for folder, count in sorted(self.counts.items())]
        return ", ".join(texts[:_SHOWN]) + (", ..." if len(texts) > _SHOWN else "")

    def describe_use(self):
        """Which folder is which side, for people."""
        folders = {side: sorted(f for f, other in self._side_of.items() if other == side) for side in SPLITS}
        parts = [f"{side}: {', '.join(names[:_SHOWN])}" for side, names in folders.items() if names]
        return "; ".join(parts) + ("" if folders[TEST] else " (there is no separate test set)")


def _find_side(folder):
    """(path of the innermost folder that is named like a side, that side), or (None, None)."""
    parts = folder.split("/")
    for number in range(len(parts), 0, -1):
        side = side_of_name(parts[number - 1])
        if side is not None:
            return "/".join(parts[:number]), side
    return None, None


def side_of_name(name):
    """The side that a folder of this name stands for, or None."""
    return next((side for side, pattern in _NAMES.items() if pattern.fullmatch(name)), None)


def find_unused(names):
    """One finding if folders look like a split that is not used.

    Args:
      names: relative names of all images.
    """
    folders = FolderSides(names)
    if not folders.is_split:
        return []
    first = min(folders.counts)
    problem = f"the folders look like a split, but the images are split again across them: {folders.describe()}"
    fix = "--split_by_folder uses them as the split: training sees the images of the training folder only"
    return [Finding("split-folders", first, problem, fix=fix)]


def split_by_folder(names):
    """The split that is given by folders.

    Args:
      names: relative names of all images.

    Returns:
      (`FolderSides`, list of findings).

    Raises:
      DatasetError: there is no folder of training images, or no other.
    """
    names = list(names)
    folders = FolderSides(names)
    if not folders.is_split:
        raise errors.DatasetError(
            "--split_by_folder: the images are not in folders that are named like the sides of a split",
            expected="a folder named train, and one named valid or test",
            received=folders.describe()
            or ", ".join(sorted({name.rpartition("/")[0] or "." for name in names})[:_SHOWN]),
            fix="rename the folders, or use --train_list and --val_list",
        )
    problem = "is in no folder of the split: " + ", ".join(sorted(folders.counts)[:_SHOWN])
    return folders, [Finding("not-listed", name, problem) for name in names if folders.side_of(name) is None]
