"""The assignment of images to the sides of a split."""

import collections.abc
import functools

from tfodhelper.dataset.split import stratification
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.outofcore import columns


class Sides(collections.abc.Mapping):
    """{image name: side}, stored as one number per image; usable images may be unassigned.

    Args:
      images: the `usable_images.Images`.
      numbers: for each image the index of its side in SPLITS, or `stratification.UNASSIGNED`; a `columns.Column`.
    """

    def __init__(self, images, numbers):
        self._images, self._numbers = images, numbers

    def __getitem__(self, name):
        index = self._images.find(name)
        side = self.at(index) if index >= 0 else None
        if side is None:
            raise KeyError(name)
        return side

    def __iter__(self):
        named = zip(self._images.names(), self._numbers)
        return (name for name, number in named if number != stratification.UNASSIGNED)

    def __len__(self):
        return self._count

    @functools.cached_property
    def _count(self):
        return sum(number != stratification.UNASSIGNED for number in self._numbers)

    def at(self, index):
        """The side of an image by its index among the usable images; None if it is unassigned."""
        number = self._numbers[index]
        return None if number == stratification.UNASSIGNED else SPLITS[number]

    def in_order(self):
        """The sides of all usable images, in order; None for unassigned images."""
        names = {stratification.UNASSIGNED: None} | dict(enumerate(SPLITS))
        return (names[number] for number in self._numbers)

    def indices_of(self, side):
        """The indices, among the usable images, of those on a side."""
        wanted = SPLITS.index(side)
        return (index for index, number in enumerate(self._numbers) if number == wanted)


def from_names(images, sides):
    """Makes `Sides` from names.

    Args:
      images: a `usable_images.Images`.
      sides: {image name: side}.
    """
    return Sides(images, number_sides(images, sides))


def number_sides(images, sides):
    """The index of each usable image's side in SPLITS, or `stratification.UNASSIGNED`; a `columns.Column`.

    Args:
      images: a `usable_images.Images`.
      sides: {image name: side}.
    """
    numbers = {None: stratification.UNASSIGNED} | {side: number for number, side in enumerate(SPLITS)}
    return columns.Column("b", (numbers[sides.get(name)] for name in images.names()), images.folder)
