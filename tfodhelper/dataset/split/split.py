"""Splits images into training, validation and test, or into folds: per image, stratified by class, seeded.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data"): images with
the rarest label are assigned first, each to the side that needs most of it. Labels are the classes, and the classes
combined with the size of their boxes; images without objects form their own class. Then single images are moved as
long as that brings the classes closer to their shares. Images of one group (byte-identical, frames of one video) stay
together. Nothing depends on the order of the folder.
"""

import collections
import collections.abc
import dataclasses
import functools
import math
import operator

from tfodhelper import errors
from tfodhelper.dataset.split import stratification
from tfodhelper.outofcore import columns

TRAIN, VALIDATE, TEST = "train", "validate", "test"
SPLITS = (TRAIN, VALIDATE, TEST)
_ROUNDING = 1e-9


@dataclasses.dataclass(frozen=True, slots=True)
class SplitImage:
    """What the split needs to know about an image.

    Attributes:
      name: unique, relative name.
      sha256: digest of the file; byte-identical images stay on one side.
      classes: names of the classes in the image; empty for a negative.
      strata: (class name, box size) of all its boxes.
      group: images with the same group, other than "", stay on one side.
    """

    name: str
    sha256: str
    classes: frozenset[str]
    strata: frozenset[tuple] = frozenset()
    group: str = ""


def count_training(total, held_back):
    """How many of `total` images are for training: the share rounded down, but at least one.

    With 0.2 held back, 626 images are split into 500 and 126.

    Args:
      total: number of images.
      held_back: combined share of validation and test.
    """
    if total == 0:
        return 0
    return max(1, math.floor(total * (1 - held_back) + _ROUNDING))


def share_out(total, val_fraction, test_fraction=0.0):
    """{side: wanted number} of `total` images, with test only if it has a share."""
    train = count_training(total, val_fraction + test_fraction)
    if not test_fraction:
        return {TRAIN: train, VALIDATE: total - train}
    test = min(total - train, math.floor(total * test_fraction + _ROUNDING))
    return {TRAIN: train, VALIDATE: total - train - test, TEST: test}


def share_out_folds(total, num_folds):
    """{1-based fold: wanted number} of `total` images."""
    return {fold: total // num_folds + (fold <= total % num_folds) for fold in range(1, num_folds + 1)}


@dataclasses.dataclass(frozen=True)
class SplitInput:
    """Images to be split, identified by their index in the order of their names.

    Attributes:
      count: number of images.
      kind_at: maps an index to (classes, strata), see `SplitImage`.
      sets: lists of the indices of images that stay together; lists that share a member are merged.
      folder: for temporary files, see `columns.Column`.
    """

    count: int
    kind_at: collections.abc.Callable
    sets: collections.abc.Iterable = ()
    folder: str | None = None

    @functools.cached_property
    def leaders(self):
        """See `stratification.find_leaders`."""
        return stratification.find_leaders(self.count, self.sets, self.folder)


def split_images(images, val_fraction=0.2, seed=0, test_fraction=0.0, fixed=None):
    """Assigns images to training, validation and, if it has a share, test.

    Args:
      images: `SplitImage`s in any order.
      val_fraction, test_fraction: shares, at least 0, together below 1.
      seed: an integer; the same seed and images give the same split.
      fixed: {name: side} of images that keep their side; the other images of their groups join them.

    Returns:
      {name: TRAIN, VALIDATE or TEST}.

    Raises:
      UsageError: the fractions are out of range.
    """
    images = sorted(images, key=operator.attrgetter("name"))
    held = None
    if fixed:
        numbers = {side: number for number, side in enumerate(SPLITS)}
        held = [numbers.get(fixed.get(image.name), stratification.UNASSIGNED) for image in images]
    sides = assign_sides(_make_input(images), val_fraction, seed, test_fraction, held)
    return {image.name: SPLITS[side] for image, side in zip(images, sides)}


def split_folds(images, num_folds, seed=0):
    """Assigns images to folds of equal size, each of which is the validation set of one training.

    Args:
      images: `SplitImage`s in any order.
      num_folds: at least 2.
      seed: an integer.

    Returns:
      {name: fold from 1 to num_folds}.

    Raises:
      UsageError: fewer than two folds.
      DatasetError: there are fewer images, or groups of images, than folds.
    """
    images = sorted(images, key=operator.attrgetter("name"))
    return {image.name: fold for image, fold in zip(images, assign_folds(_make_input(images), num_folds, seed))}


def _make_input(images):
    """The `SplitInput` of a list of `SplitImage`s, sorted by name."""
    together = collections.defaultdict(list)
    for index, image in enumerate(images):
        together["sha256", image.sha256].append(index)
        if image.group:
            together["group", image.group].append(index)
    return SplitInput(len(images), lambda index: (images[index].classes, images[index].strata), together.values())


def assign_sides(split_input, val_fraction=0.2, seed=0, test_fraction=0.0, held=None):
    """Assigns images to sides; see `split_images`.

    Args:
      split_input: a `SplitInput`.
      val_fraction, seed, test_fraction: see `split_images`.
      held: for each image that keeps its side, the index of that side in SPLITS, for the others
        `stratification.UNASSIGNED`; or None.

    Returns:
      A `columns.Column` with the indices in SPLITS of the sides of all images.
    """
    check_fractions(val_fraction, test_fraction)
    groups = _make_groups(split_input, seed)
    stratifier = stratification.Stratifier(
        groups, lambda total: share_out(total, val_fraction, test_fraction), held, split_input.folder
    )
    return stratifier.assign(keep_trained=True)


def assign_folds(split_input, num_folds, seed=0):
    """Assigns images to folds, see `split_folds`; returns a `columns.Column` of 1-based folds."""
    if num_folds < 2:
        raise errors.UsageError("the number of folds is invalid", expected="at least 2", received=num_folds)
    groups = _make_groups(split_input, seed)
    if len(groups) < num_folds:
        raise errors.DatasetError(
            f"{num_folds} folds need at least {num_folds} images, or groups of images",
            received=f"{len(groups)}",
            fix="ask for fewer folds, or label more images",
        )
    folder = split_input.folder
    stratifier = stratification.Stratifier(groups, lambda total: share_out_folds(total, num_folds), None, folder)
    return columns.Column("q", (stratifier.side_names[side] for side in stratifier.assign()), folder)


def _make_groups(split_input, seed):
    return stratification.Groups(split_input.count, split_input.kind_at, split_input.leaders, seed, split_input.folder)


def check_fractions(val_fraction, test_fraction=0.0):
    """Checks the shares of a split.

    Raises:
      UsageError: nothing would be left for training, or a share is negative.
    """
    if not 0 <= val_fraction < 1:
        raise errors.UsageError(
            "--val_fraction is invalid", expected="at least 0 and less than 1", received=val_fraction
        )
    if not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise errors.UsageError(
            "--test_fraction is invalid",
            expected="at least 0, and less than 1 together with --val_fraction",
            received=test_fraction,
        )
