"""From pixels to what a backbone takes."""

import dataclasses

import tensorflow as tf

from tfodhelper.ops import resize


@dataclasses.dataclass(frozen=True)
class PixelScaling:
    """`pixels * scale + offset`, with a value of its own for padding.

    Attributes:
      scale: number, or three of them.
      offset: number, or three of them.
      padding: three numbers that padding has after the scaling; None: the resizer does not pad.
    """

    scale: float | tuple
    offset: float | tuple
    padding: tuple | None = None

    def scale_pixels(self, images):
        """Scales images of any real dtype, without regard to padding -> float32, same shape."""
        return tf.cast(images, tf.float32) * self.scale + self.offset

    def apply(self, images, true_image_shapes=None):
        """Scales a batch.

        Args:
          images: float32 [b, height, width, 3], RGB, 0..255.
          true_image_shapes: int32 [b, 3], needed where there is padding.

        Returns:
          float32, same shape.
        """
        scaled = self.scale_pixels(images)
        if self.padding is None:
            return scaled
        if true_image_shapes is None:
            raise ValueError("this model's images are padded: expected their true shapes, received None")
        return resize.fill_padding(scaled, true_image_shapes, self.padding)


MINUS_ONE_TO_ONE = PixelScaling(scale=2.0 / 255.0, offset=-1.0)
MINUS_MEANS = PixelScaling(scale=1.0, offset=(-123.68, -116.779, -103.939))  # of ImageNet, as VGG and ResNet take them
_MEANS, _DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's pixels, from 0 to 1


class Standardization(PixelScaling):
    """The same, in the order in which the reference computes it: batch norm in training multiplies the last bit."""

    def scale_pixels(self, images):
        """See `PixelScaling.scale_pixels`."""
        return (tf.cast(images, tf.float32) / 255.0 - _MEANS) / _DEVIATIONS


STANDARDIZED = Standardization(
    scale=tuple(1.0 / (255.0 * deviation) for deviation in _DEVIATIONS),
    offset=tuple(-mean / deviation for mean, deviation in zip(_MEANS, _DEVIATIONS)),
)


def size_of(images):
    """(height, width) of [b, height, width, c], as numbers where they are known beforehand."""
    static, dynamic = images.shape.as_list(), tf.shape(images)
    return tuple(static[i] if static[i] is not None else dynamic[i] for i in (1, 2))


def pad_to_multiple(images, multiple):
    """Pads height and width below and to the right with zeros."""
    if multiple == 1:
        return images
    height, width = size_of(images)
    return tf.pad(images, [[0, 0], [0, -height % multiple], [0, -width % multiple], [0, 0]])
