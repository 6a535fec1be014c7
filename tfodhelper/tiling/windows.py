"""Where the tiles of a picture are. Windows are [ymin, xmin, ymax, xmax] in whole pixels of the picture."""

import dataclasses
import math

import numpy as np

_ROUNDING = 1e-9  # 100 * (1 - 0.9) is a little less than 10


@dataclasses.dataclass(frozen=True)
class Tiling:
    """A grid of overlapping square tiles.

    Attributes:
      side: of a tile, pixels; where the picture is smaller, a tile is as large as the picture.
      overlap: the part of a tile that the next one sees too, at least; from 0 to 0.9.
      with_whole: whether the whole picture is a window of its own, the last one.
    """

    side: int
    overlap: float = 0.2
    with_whole: bool = True

    def windows(self, height, width):
        """The windows of a picture of this size, row by row.

        Together they cover it. The last tile of a row or a column is flush with the border and overlaps the one before
        it by more than the others. A picture that fits into one tile is one window.

        Returns:
          int64 [T, 4] ymin, xmin, ymax, xmax.
        """
        tops, lefts = self._starts(height), self._starts(width)
        size = min(self.side, height), min(self.side, width)
        windows = [(top, left, top + size[0], left + size[1]) for top in tops for left in lefts]
        if self.with_whole and len(windows) > 1:
            windows.append((0, 0, height, width))
        return np.array(windows, np.int64)

    def describe(self):
        """A line that says what is cut and how."""
        whole = ", and the whole picture" if self.with_whole else ""
        return f"tiles: {self.side} x {self.side} pixels, {self.overlap:.0%} of which overlap{whole}"

    def _starts(self, length):
        """Where the tiles begin along one side."""
        last = length - self.side
        if last <= 0:
            return [0]
        stride = max(1, math.floor(self.side * (1.0 - self.overlap) + _ROUNDING))
        return [*range(0, last, stride), last]


def make_tiling(options):
    """The `Tiling` that `TileOptions` describe, or None without tiles."""
    if options.tiles is None:
        return None
    return Tiling(options.tiles, options.overlap, not options.tiles_only)
