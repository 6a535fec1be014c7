"""Which side of a split each image of a set is on."""

import collections.abc
import functools

from tfodhelper.dataset.split import stratification
from tfodhelper.dataset.split.split import SPLITS
from tfodhelper.outofcore import columns


class Sides(collections.abc.Mapping):
    """{image name: side}, kept as one number an image; usable images may be on none.

    Args:
      images: the `usable_images.Images`.
      numbers: for each of them the place of its side among SPLITS, or `stratification.NOT_DEALT`; a `columns.Column`.
    """

    def __init__(self, images, numbers):
        self._images, self._numbers = images, numbers

    def __getitem__(self, name):
        place = self._images.find(name)
        side = self.at(place) if place >= 0 else None
        if side is None:
            raise KeyError(name)
        return side

    def __iter__(self):
        return (name for name, number in zip(self._images.names(), self._numbers) if number != stratification.NOT_DEALT)

    def __len__(self):
        return self._count

    @functools.cached_property
    def _count(self):
        return sum(number != stratification.NOT_DEALT for number in self._numbers)

    def at(self, place):
        """The side of an image by its place among the usable ones; None when it is on none."""
        number = self._numbers[place]
        return None if number == stratification.NOT_DEALT else SPLITS[number]

    def in_order(self):
        """The sides of all usable images, in order; None for one that is on none."""
        names = {stratification.NOT_DEALT: None} | dict(enumerate(SPLITS))
        return (names[number] for number in self._numbers)

    def places_of(self, side):
        """The places among the usable images of those on a side."""
        wanted = SPLITS.index(side)
        return (place for place, number in enumerate(self._numbers) if number == wanted)


def from_names(images, sides):
    """`Sides` of some images.

    Args:
      images: a `usable_images.Images`.
      sides: {image name: side}.
    """
    return Sides(images, number_sides(images, sides))


def number_sides(images, sides):
    """Each usable image's place of its side among SPLITS, or `stratification.NOT_DEALT`; a `columns.Column`.

    Args:
      images: a `usable_images.Images`.
      sides: {image name: side}.
    """
    numbers = {None: stratification.NOT_DEALT} | {side: number for number, side in enumerate(SPLITS)}
    return columns.Column("b", (numbers[sides.get(name)] for name in images.names()), images.folder)
