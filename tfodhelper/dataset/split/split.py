"""The split into training, validation and test, or into folds: by image, over the classes, seeded.

Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, "On the stratification of multi-label data"): the rarest
label is dealt first, each image to the side that wants most of it. Labels are the classes, and the classes by the size
of their boxes; images without objects are a class of their own here. Then single images are moved as long as that
brings the classes nearer to their shares. Images of one group (byte-identical, frames of one video) stay together.
Nothing depends on the order of the folder.
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
    """What the split needs to know of an image.

    Attributes:
      name: unique, relative name.
      sha256: digest of the file: byte-identical images stay on one side.
      classes: names of the classes that it shows; empty for a negative.
      strata: (class name, size of a box) of all its boxes.
      group: images with the same group, other than "", stay on one side.
    """

    name: str
    sha256: str
    classes: frozenset[str]
    strata: frozenset[tuple] = frozenset()
    group: str = ""


def count_training(total, held_back):
    """How many of `total` images go into training: the whole part of the share, and at least one.

    626 images at 0.2 are split 500 to 126.

    Args:
      total: number of images.
      held_back: share of validation and test together.
    """
    if total == 0:
        return 0
    return max(1, math.floor(total * (1 - held_back) + _ROUNDING))


def share_out(total, val_fraction, test_fraction=0.0):
    """{side: wanted number} of `total` images; test is there only when it has a share."""
    train = count_training(total, val_fraction + test_fraction)
    if not test_fraction:
        return {TRAIN: train, VALIDATE: total - train}
    test = min(total - train, math.floor(total * test_fraction + _ROUNDING))
    return {TRAIN: train, VALIDATE: total - train - test, TEST: test}


def share_out_folds(total, num_folds):
    """{fold, from 1: wanted number} of `total` images."""
    return {fold: total // num_folds + (fold <= total % num_folds) for fold in range(1, num_folds + 1)}


@dataclasses.dataclass(frozen=True)
class Deck:
    """Images to be dealt, known by their places in the order of their names.

    Attributes:
      count: number of images.
      kind_at: function from a place to (classes, strata), see `SplitImage`.
      sets: lists of the places of images that stay together; those that share a member are joined.
      folder: for files with what is known of the images, see `columns.Column`.
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
    """Deals images to training, validation and, where it has a share, test.

    Args:
      images: `SplitImage`s in any order.
      val_fraction, test_fraction: shares, at least 0, together below 1.
      seed: whole number; the same seed and images give the same split.
      fixed: {name: side} of images that were dealt before and stay where they are; images of their groups follow.

    Returns:
      {name: TRAIN, VALIDATE or TEST}.

    Raises:
      UsageError: fractions outside of that range.
    """
    images = sorted(images, key=operator.attrgetter("name"))
    held = None
    if fixed:
        numbers = {side: number for number, side in enumerate(SPLITS)}
        held = [numbers.get(fixed.get(image.name), stratification.NOT_DEALT) for image in images]
    sides = deal(_make_deck(images), val_fraction, seed, test_fraction, held)
    return {image.name: SPLITS[side] for image, side in zip(images, sides)}


def split_folds(images, num_folds, seed=0):
    """Deals images to folds of equal share; each is the validation of one training.

    Args:
      images: `SplitImage`s in any order.
      num_folds: at least 2.
      seed: whole number.

    Returns:
      {name: fold, from 1 to num_folds}.

    Raises:
      UsageError: fewer than two folds.
      DatasetError: fewer images, or groups of them, than folds.
    """
    images = sorted(images, key=operator.attrgetter("name"))
    return {image.name: fold for image, fold in zip(images, deal_folds(_make_deck(images), num_folds, seed))}


def _make_deck(images):
    """The `Deck` of a list of `SplitImage`s, sorted by name."""
    together = collections.defaultdict(list)
    for place, image in enumerate(images):
        together["sha256", image.sha256].append(place)
        if image.group:
            together["group", image.group].append(place)
    return Deck(len(images), lambda place: (images[place].classes, images[place].strata), together.values())


def deal(deck, val_fraction=0.2, seed=0, test_fraction=0.0, held=None):
    """As `split_images`, of a `Deck`.

    Args:
      deck: a `Deck`.
      val_fraction, seed, test_fraction: see `split_images`.
      held: the places among SPLITS of the sides of images that stay there, by the places of the images, else
        `stratification.NOT_DEALT`; or None.

    Returns:
      `columns.Column` of the places among SPLITS of the sides of all images.
    """
    check_fractions(val_fraction, test_fraction)
    groups = stratification.Groups(deck.count, deck.kind_at, deck.leaders, seed, deck.folder)
    dealer = stratification.Dealer(
        groups, lambda total: share_out(total, val_fraction, test_fraction), held, deck.folder
    )
    return dealer.deal(keep_trained=True)


def deal_folds(deck, num_folds, seed=0):
    """As `split_folds`, of a `Deck`; returns a `columns.Column` of folds, from 1 on."""
    if num_folds < 2:
        raise errors.UsageError("that number of folds cannot be meant", expected="at least 2", received=num_folds)
    groups = stratification.Groups(deck.count, deck.kind_at, deck.leaders, seed, deck.folder)
    if len(groups) < num_folds:
        raise errors.DatasetError(
            f"{num_folds} folds need at least as many images (or groups of them)",
            received=f"{len(groups)}",
            fix="ask for fewer folds, or label more images",
        )
    dealer = stratification.Dealer(groups, lambda total: share_out_folds(total, num_folds), None, deck.folder)
    return columns.Column("q", (dealer.side_names[side] for side in dealer.deal()), deck.folder)


def check_fractions(val_fraction, test_fraction=0.0):
    """Checks the shares of a split.

    Raises:
      UsageError: when nothing would be left to train on, or a share is negative.
    """
    if not 0 <= val_fraction < 1:
        raise errors.UsageError(
            "--val_fraction cannot be that", expected="at least 0 and less than 1", received=val_fraction
        )
    if not 0 <= test_fraction < 1 or val_fraction + test_fraction >= 1:
        raise errors.UsageError(
            "--test_fraction cannot be that",
            expected="at least 0, and with --val_fraction less than 1",
            received=test_fraction,
        )
