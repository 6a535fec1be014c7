"""Whether a heat map is right: hiding the hottest tenth of an image must cost more than hiding any tenth.

The deletion test of Petsiuk et al. 2018 (arXiv 1806.07421), with one step.
"""

import dataclasses

import numpy as np

SHARE = 0.1  # of the image that is hidden
_GRID = 20  # squares in a row and in a column, of which the random tenth is made


@dataclasses.dataclass(frozen=True)
class Deletion:
    """Scores of a detection, see `explainer.Explainer.score_of`.

    Attributes:
      whole: in the image as it is.
      hottest: with the hottest tenth hidden.
      random: with a random tenth hidden.
    """

    whole: float
    hottest: float
    random: float


def measure(explainer, image, explanation, random):
    """Measures what is lost with the hottest and with a random tenth of an image.

    Args:
      explainer: an `Explainer`.
      image: uint8 [height, width, 3].
      explanation: of a detection in it.
      random: a numpy Generator.

    Returns:
      A `Deletion`.
    """
    masks = (None, hottest(explanation.heat.values), random_squares(image.shape[:2], random))
    return Deletion(*(explainer.score_of(hide(image, mask), explanation.detection) for mask in masks))


def hide(image, mask):
    """The image with the mean colour where bool [height, width] is true; None hides nothing."""
    if mask is None:
        return image
    hidden = image.copy()
    hidden[mask] = np.rint(image.mean(axis=(0, 1)))
    return hidden


def hottest(heat):
    """bool [height, width] of the tenth of the positions with the highest values, the first ones among equals."""
    mask = np.zeros(heat.size, bool)
    mask[np.argsort(-heat, axis=None, kind="stable")[: round(heat.size * SHARE)]] = True
    return mask.reshape(heat.shape)


def random_squares(size, random):
    """bool [height, width] of a tenth of the image: random cells of a grid, as large as what a detector looks at."""
    cells = np.zeros(_GRID * _GRID, bool)
    cells[random.permutation(cells.size)[: round(cells.size * SHARE)]] = True
    rows, columns = (np.arange(side) * _GRID // side for side in size)
    return cells.reshape(_GRID, _GRID)[rows[:, None], columns[None]]
