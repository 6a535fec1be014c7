"""The views in which a model sees an image, and how its boxes get back to the image.

A view is a window of the image, as it is or mirrored; a model that resizes what it sees finds the objects of a larger
window smaller. Windows have whole pixels, so nothing is resampled and boxes return exactly. Beyond the image, a window
is filled with the image's mean colour, as the Object Detection API pads in training. The fused prediction has these:

* plain and mirrored: the image;
* smaller: a window of 1.25 times the sides around the image, which is seen at 0.8 of its size;
* larger: a window of 0.8 times the sides in each corner, seen at 1.25 times its size. Together the four cover the
  image, and each object of up to 0.6 of the sides is whole in at least one of them.

Boxes are [ymin, xmin, ymax, xmax] in pixels of the image. Shape letters: N boxes, V views.
"""

import dataclasses

import numpy as np

from tfodhelper.tiling import merging

_SMALLER, _LARGER = 0.8, 1.25  # how large objects are seen


@dataclasses.dataclass(frozen=True)
class View:
    """A window of an image.

    Attributes:
      window: ymin, xmin, ymax, xmax in whole pixels of the image; it may reach beyond the image.
      is_mirrored: whether left and right are exchanged.
    """

    window: tuple[int, int, int, int]
    is_mirrored: bool = False

    def render(self, image, fill):
        """What the model sees.

        Args:
          image: uint8 [height, width, 3].
          fill: uint8 [3], the colour beyond the image.

        Returns:
          uint8 [height of the window, width of the window, 3]; of pixels of the image alone, without a copy.
        """
        ymin, xmin, ymax, xmax = self.window
        height, width = image.shape[:2]
        top, left, bottom, right = max(ymin, 0), max(xmin, 0), min(ymax, height), min(xmax, width)
        seen = image[top:bottom, left:right]
        if self.is_mirrored:
            seen = seen[:, ::-1]
            left, right = xmin + xmax - right, xmin + xmax - left
        if seen.shape[:2] == (ymax - ymin, xmax - xmin):
            return seen
        canvas = np.empty((ymax - ymin, xmax - xmin, 3), np.uint8)
        canvas[:] = fill
        canvas[top - ymin : bottom - ymin, left - xmin : right - xmin] = seen
        return canvas

    def to_image(self, boxes):
        """Boxes in pixels of the view, [N, 4], as boxes in pixels of the image; the inverse of `to_view`."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        return self._mirror(boxes) + self._origin

    def to_view(self, boxes):
        """Boxes in pixels of the image, [N, 4], as boxes in pixels of the view."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        return self._mirror(boxes - self._origin)

    @property
    def _origin(self):
        return np.array(self.window[:2] * 2, np.float64)

    def _mirror(self, boxes):
        if not self.is_mirrored:
            return boxes
        width = self.window[3] - self.window[1]
        return np.stack([boxes[:, 0], width - boxes[:, 3], boxes[:, 2], width - boxes[:, 1]], axis=1)


def make_views(height, width):
    """The views of an image of this size that are fused, the plain one first.

    Returns:
      tuple of `View`, without those that are the same in a very small image.
    """
    rows, columns = (round(side * (1 / _SMALLER - 1) / 2) for side in (height, width))
    cut_height, cut_width = (max(1, round(side / _LARGER)) for side in (height, width))
    corners = [(top, left) for top in (0, height - cut_height) for left in (0, width - cut_width)]
    whole = (0, 0, height, width)
    return tuple(
        dict.fromkeys(
            [
                View(whole),
                View(whole, is_mirrored=True),
                View((-rows, -columns, height + rows, width + columns)),
                *(View((top, left, top + cut_height, left + cut_width)) for top, left in corners),
            ]
        )
    )


def mean_colour(image):
    """uint8 [3], of an image [height, width, 3]."""
    return np.rint(np.mean(image, axis=(0, 1), dtype=np.float64)).astype(np.uint8)


def find_whole(boxes, views, size):
    """Which views see which boxes whole.

    A box that ends at a border of the window inside the image is not seen whole: the object may continue beyond it.

    Args:
      boxes: [N, 4].
      views: V `View`s.
      size: (height, width) of the image.

    Returns:
      bool [N, V].
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    windows = [np.broadcast_to(np.array(view.window), boxes.shape) for view in views]
    return np.stack([~merging.find_cut(boxes, window, size) for window in windows], axis=1)


def clip(boxes, size):
    """Boxes inside an image, and which of them show an object of the image.

    Args:
      boxes: [N, 4].
      size: (height, width) of the image.

    Returns:
      ([N, 4] the part of each box that is inside, bool [N] whether it has an area, and the middle of the box is inside
      the image rather than in what was added around it).
    """
    inside = np.clip(boxes, 0.0, [*size, *size])
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    is_inside = ((middle >= 0) & (middle <= size)).all(axis=1)
    return inside, is_inside & (inside[:, 2:] > inside[:, :2]).all(axis=1)
