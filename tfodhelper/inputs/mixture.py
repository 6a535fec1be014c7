"""Records of several sets, mixed in the proportion of their weights: `sample_from_datasets_weights`.

The OD API draws the set of each record at random; here the sets take turns, as evenly as their weights allow, so that
with equal weights every batch of an even size consists of two halves. Each set is read in an order of its own, again
and again, however small it is. Everything follows from the position, so that training can resume anywhere.
"""

import dataclasses
import math

import tensorflow as tf

from tfodhelper import errors
from tfodhelper.inputs import reader

_PARTS = 1 << 20  # to which weights are rounded; positions times it fit into 64 bits
_FOREVER = 1 << 60


@dataclasses.dataclass(frozen=True)
class Mixture:
    """Sets of records and how often they are read.

    Attributes:
      sources: a `reader.Source` for each set.
      weights: whole numbers of the same length, not all 0.
    """

    sources: tuple
    weights: tuple[int, ...]

    def count_before(self, position):
        """How many of the first `position` records are of each set: a list of ints, or of int64 tensors."""
        counts, left, position = [], sum(self.weights), position
        for weight in self.weights:
            counts.append(position * weight // left if left else position * 0)
            left, position = left - weight, position - counts[-1]
        return counts

    def set_at(self, position):
        """The number of the set that the record at an int64 position is of, int64."""
        before, after = self.count_before(position), self.count_before(position + 1)
        return tf.argmax(tf.stack([high - low for low, high in zip(before, after)]), axis=0)


def make_mixture(config, name):
    """Finds and counts the records of an `InputReader` message with `sample_from_datasets_weights`.

    Args:
      config: the message; each of its paths is a set.
      name: of the message in the config, for errors.

    Returns:
      A `Mixture`.

    Raises:
      ConfigError: there is not one weight for each path, a weight is invalid, or there is a number of epochs.
      DatasetError: as `reader.make_source`, for each set.
    """
    field, weights = f"{name}.sample_from_datasets_weights", list(config.sample_from_datasets_weights)
    paths = list(config.tf_record_input_reader.input_path)
    if len(weights) != len(paths):
        raise errors.ConfigError(f"{field}: one weight for each input_path", expected=len(paths), received=len(weights))
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not sum(weights):
        received = ", ".join(f"{weight:g}" for weight in weights)
        raise errors.ConfigError(
            f"{field}: invalid value", expected="numbers from 0, not all of them 0", received=received
        )
    if config.num_epochs:
        problem = f"{field} cannot be combined with num_epochs: sets of different sizes end at different times"
        raise errors.ConfigError(problem, fix="remove one of them")
    sources = []
    for path in paths:
        own = type(config)()
        own.CopyFrom(config)
        own.ClearField("sample_from_datasets_weights")
        own.tf_record_input_reader.input_path[:] = [path]
        sources.append(reader.make_source(own, name))
    return Mixture(tuple(sources), tuple([round(weight / sum(weights) * _PARTS) for weight in weights]))


def read_mixture(mixture, seed, share=reader.Share(), start=0):  # noqa: B008
    """Reads the sets, each of them without end.

    Args:
      mixture: a `Mixture`.
      seed, share, start: see `reader.read_records`.

    Returns:
      A dataset of (index, serialized, number of the set): an int64 that counts the records of the whole run over all
      pipelines, a string, and an int64.

    Raises:
      DatasetError: a set has fewer records than there are pipelines.
    """
    starts = mixture.count_before(start)
    sets = [
        reader.read_records(source, seed, share, before).map(
            lambda _, serialized, number=number: (serialized, tf.constant(number, tf.int64))
        )
        for number, (source, before) in enumerate(zip(mixture.sources, starts))
    ]
    turns = tf.data.Dataset.range(start, _FOREVER).map(mixture.set_at)
    positions = tf.data.Dataset.range(start * share.count + share.index, _FOREVER, share.count)
    mixed = tf.data.Dataset.zip((positions, tf.data.Dataset.choose_from_datasets(sets, turns)))
    return mixed.map(lambda index, pair: (index, *pair))
