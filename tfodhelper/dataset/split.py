"""The split into training and validation: by image, over the classes, seeded, independent of folder order.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data"): the rarest
class is dealt first, each image to the side that wants most of that class. Byte-identical images stay together.
Images without objects are a class of their own here.
"""

import collections
import dataclasses
import math
import os
import pathlib
import posixpath
import random

from tfodhelper import errors
from tfodhelper.annotations.findings import Finding

TRAIN, VALIDATE = "train", "validate"
SPLITS = (TRAIN, VALIDATE)
_NEGATIVE = ""  # the label of an image without objects
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True)
class SplitImage:
    """What the split needs to know of an image.

    Attributes:
      name: unique, relative name.
      sha256: images with the same digest stay on one side.
      classes: names of the classes that it shows; empty for a negative.
    """

    name: str
    sha256: str
    classes: frozenset[str]


def count_training(total, val_fraction):
    """How many of `total` images go into training: the whole part of the share, and at least one.

    626 images at 0.2 are split 500 to 126.
    """
    if total == 0:
        return 0
    return max(1, math.floor(total * (1 - val_fraction) + _ROUNDING))


def split_images(images, val_fraction=0.2, seed=0):
    """Deals images to training and validation.

    Args:
      images: `SplitImage`s in any order.
      val_fraction: share of validation, 0 <= val_fraction < 1.
      seed: whole number; the same seed and images give the same split.

    Returns:
      {name: TRAIN or VALIDATE}.

    Raises:
      UsageError: a fraction outside of that range.
    """
    if not 0 <= val_fraction < 1:
        raise errors.UsageError(
            "--val_fraction cannot be that", expected="at least 0 and less than 1", received=val_fraction
        )
    groups = _group(images)
    random.Random(seed).shuffle(groups)
    dealer = _Dealer(groups, val_fraction)
    sides = dealer.deal()
    _leave_no_class_untrained(groups, sides)
    return {image.name: side for group, side in zip(groups, sides) for image in group.images}


@dataclasses.dataclass(frozen=True)
class _Group:
    """Byte-identical images: what is dealt as one."""

    images: tuple[SplitImage, ...]

    @property
    def counts(self):
        """{label: number of images that show it}."""
        return collections.Counter(label for image in self.images for label in (image.classes or {_NEGATIVE}))


def _group(images):
    """Groups by digest, sorted by the first name."""
    by_digest = collections.defaultdict(list)
    for image in sorted(images, key=lambda image: image.name):
        by_digest[image.sha256].append(image)
    return sorted((_Group(tuple(group)) for group in by_digest.values()), key=lambda group: group.images[0].name)


class _Dealer:
    """Deals groups, the rarest label first."""

    def __init__(self, groups, val_fraction):
        self._counts = [group.counts for group in groups]
        self._sizes = [len(group.images) for group in groups]
        totals = collections.Counter()
        for counts in self._counts:
            totals.update(counts)
        self._wanted = {label: _shares(total, val_fraction) for label, total in totals.items()}
        self._wanted_images = _shares(sum(self._sizes), val_fraction)
        self._waiting = collections.defaultdict(dict)  # label -> groups that are not dealt, in order
        for position, counts in enumerate(self._counts):
            for label in counts:
                self._waiting[label][position] = None

    def deal(self):
        """Returns the side of each group."""
        sides = [None] * len(self._sizes)
        while self._waiting:
            label = min(self._waiting, key=lambda label: (len(self._waiting[label]), label))
            for position in sorted(self._waiting[label], key=lambda p: -self._sizes[p]):
                sides[position] = self._choose(label)
                self._take(position, sides[position])
        return sides

    def _choose(self, label):
        """The side that wants most of the label; then the one that wants most images; then training."""
        return max(SPLITS, key=lambda side: (self._wanted[label][side], self._wanted_images[side], side == TRAIN))

    def _take(self, position, side):
        self._wanted_images[side] -= self._sizes[position]
        for label, count in self._counts[position].items():
            self._wanted[label][side] -= count
            del self._waiting[label][position]
            if not self._waiting[label]:
                del self._waiting[label]


def _shares(total, val_fraction):
    train = count_training(total, val_fraction)
    return {TRAIN: train, VALIDATE: total - train}


def _leave_no_class_untrained(groups, sides):
    """Moves one group into training for each class that other classes have drawn to validation as a whole."""
    labels = sorted(set().union(*(group.counts for group in groups))) if groups else []
    for label in labels:
        positions = [p for p, group in enumerate(groups) if label in group.counts]
        if all(sides[p] == VALIDATE for p in positions):
            sides[positions[0]] = TRAIN


def read_list(path):
    """Reads a list of images: one stem or name a line, as in VOC's ImageSets; empty lines do not count.

    Raises:
      DatasetError: when it cannot be read or is empty.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise errors.DatasetError(f"{path}: the list cannot be read ({reason})") from error
    entries = [line.strip() for line in lines if line.strip()]
    if not entries:
        raise errors.DatasetError(f"{path}: the list is empty", expected="the stem of an image on each line")
    return entries


def split_by_lists(names, train_list=None, val_list=None):
    """The split that given lists say.

    With one list, the other side gets the rest. An entry is a stem, a name, or a relative path with or without
    extension; a second column of -1, 0 or 1, as in VOC's lists of classes, is passed over.

    Args:
      names: relative names of all images.
      train_list, val_list: paths of the lists; at least one.

    Returns:
      ({name: TRAIN or VALIDATE} for the images listed, list of findings).

    Raises:
      DatasetError: an image on both sides, an entry that fits several images, or a list that fits none.
    """
    lookup = collections.defaultdict(set)
    for name in names:
        for key in {name, posixpath.basename(name)}:
            lookup[key].add(name)
            lookup[os.path.splitext(key)[0]].add(name)
    split, findings = {}, []
    for side, path in ((TRAIN, train_list), (VALIDATE, val_list)):
        if path is not None:
            listed, more = _look_up(path, lookup)
            findings += more
            _check_sides(listed, split, path)
            split |= dict.fromkeys(listed, side)
    if train_list is None or val_list is None:
        rest = TRAIN if train_list is None else VALIDATE
        split = {name: split.get(name, rest) for name in names}
    return split, findings


def _look_up(path, lookup):
    listed, findings = [], []
    for entry in read_list(path):
        found = lookup.get(entry.replace("\\", "/"))
        parts = entry.split()
        if not found and len(parts) > 1 and parts[-1] in ("-1", "0", "1"):
            found = lookup.get(" ".join(parts[:-1]))
        if not found:
            findings.append(Finding("list-entry-unknown", str(path), "no usable image of this name", entry))
        elif len(found) > 1:
            raise errors.DatasetError(
                f"{path}: {entry!r} fits several images: {', '.join(sorted(found)[:3])}",
                way_out="write the path relative to the image folder, with its extension",
            )
        else:
            listed += found
    if not listed:
        raise errors.DatasetError(
            f"{path}: none of its {len(findings)} entries is a usable image",
            expected="stems of images, for instance " + ", ".join(sorted(lookup)[:2]),
            received=findings[0].where,
        )
    return listed, findings


def _check_sides(listed, split, path):
    both = sorted(set(listed) & set(split))
    if both:
        raise errors.DatasetError(
            f"{path}: {len(both)} images are in both lists, the first is {both[0]}",
            expected="each image in one list only",
            way_out="remove them from one of the lists",
        )
