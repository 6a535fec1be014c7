"""Images whose boxes nobody drew: how training treats the sets of a mixture after the first one.

Distorted pixels keep a detector from learning its own mistakes by heart (Sohn et al. 2020, STAC; arXiv 2005.04757), and
weights that grow keep the boxes of people in charge at first (Laine & Aila 2016, section 2.1; arXiv 1610.02242).
"""

import dataclasses

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.inputs import augment_color
from tfodhelper.inputs import sample as samples

_FIRST_DRAW = 1 << 40  # apart from the random numbers of the augmentation that all images get
_GRAY = 0.2
_NOISE_STDDEV = (0.0, 0.2)
_PATCH_FRACTION = 0.15  # of the shorter side, of a black patch
_MOST_PATCHES = 5


@dataclasses.dataclass(frozen=True)
class Treatment:
    """What is done to images of the sets after the first one.

    Attributes:
      is_strong: whether their colors and pixels are distorted.
      ramp_examples: number of the run's images, of any set, over which the weights of their boxes grow to what they
        are; 0: from the first image on.
    """

    is_strong: bool = False
    ramp_examples: int = 0

    def distort(self, sample, seed, index, number):
        """A sample with distorted pixels, if it is of a set after the first one.

        Args:
          sample: a `Sample`, as stored.
          seed, index: see `samples.Draws`.
          number: int64 scalar, of the set.
        """
        if not self.is_strong:
            return sample

        def distort():
            return samples.read_image(_distort(sample, samples.Draws(seed, index + _FIRST_DRAW)))

        return samples.replace_image(sample, tf.cond(number > 0, distort, lambda: samples.read_image(sample)))

    def weigh(self, weights, index, number):
        """Weights of boxes as they count at a position of the run, float32 [N]; arguments as in `distort`."""
        if not self.ramp_examples:
            return weights
        growth = tf.minimum(tf.cast(index + 1, tf.float32) / float(self.ramp_examples), 1.0)
        return tf.where(number > 0, weights * growth, weights)


def make_treatment(options, config, batch_size):
    """The `Treatment` of a training.

    Args:
      options: has the fields of `options.MixtureOptions`.
      config: the `InputReader` message of training.
      batch_size: images of a step, on all devices.

    Raises:
      UsageError: an option would have no effect.
    """
    given = [name for name in ("strong_augmentation", "ramp_steps") if getattr(options, name)]
    if given and len(config.sample_from_datasets_weights) < 2:
        raise errors.UsageError(
            f"--{given[0]}: there are no images that it concerns",
            expected="several sets of records, of which all but the first one are treated in this way",
            fix="name them in train_input_reader, with sample_from_datasets_weights, or leave the flag out",
        )
    return Treatment(options.strong_augmentation, options.ramp_steps * batch_size)


def _distort(sample, draws):
    sample = augment_color.random_distort_color(sample, draws)
    sample = augment_color.random_rgb_to_gray(sample, draws, _GRAY)
    side = tf.reduce_max(tf.shape(samples.read_image(sample))[:2])
    sample = augment_color.random_patch_gaussian(sample, draws, 0.0, (1, tf.maximum(side, 2)), _NOISE_STDDEV)
    return augment_color.random_black_patches(sample, draws, _MOST_PATCHES, 0.5, _PATCH_FRACTION)
