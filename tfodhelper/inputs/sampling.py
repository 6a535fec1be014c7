"""Which records an epoch reads if not simply all of them: class imbalance is balanced at the input.

`random` draws images with replacement; `balanced` draws each class equally often and then an image that shows it; all
images of a class are drawn before the first is repeated. Images without objects are drawn as a given share of all. The
order follows from the seed and the epoch alone, so that training can resume at any position.
"""

import dataclasses
import functools
import mmap

import numpy as np

from tfodhelper import console, errors
from tfodhelper.inputs import usable
from tfodhelper.inputs.options import BASE, MODES, RANDOM
from tfodhelper.records import labels
from tfodhelper.records import reader as records_reader


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How records are drawn.

    Attributes:
      mode: BASE (as stored, each once per epoch), RANDOM or BALANCED.
      negatives: share of images without objects among the images of an epoch, 0 <= negatives < 1; None: their share in
        the records.
    """

    mode: str = BASE
    negatives: float | None = None

    def __post_init__(self):
        if self.mode not in MODES:
            raise errors.UsageError("--sampling: invalid value", expected=", ".join(MODES), received=self.mode)
        if self.negatives is not None and not 0 <= self.negatives < 1:
            raise errors.UsageError(
                "--negatives: invalid value", expected="at least 0 and less than 1", received=self.negatives
            )

    @property
    def is_plain(self):
        """Whether every record is read once per epoch."""
        return self.mode == BASE and self.negatives is None


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """The content of record files, without the images.

    Attributes:
      paths: of the files.
      files: int32 [R], the file of each record.
      offsets, lengths: int64 [R], where the content of each record is in its file.
      classes: for each record a tuple of the 0-based classes of its boxes.
    """

    paths: tuple
    files: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    classes: tuple

    def __len__(self):
        return len(self.classes)


def read_catalogue(paths, label_map=None):
    """Reads the positions and classes of all records; the encoded images are skipped.

    Args:
      paths: of record files.
      label_map: as for `decoder.Decoder`; boxes that it leaves out do not count.

    Returns:
      `Catalogue`.

    Raises:
      DatasetError: a record is damaged, or not one of annotated images; it is named.
    """
    files, offsets, lengths, classes = [], [], [], []
    for number, path in enumerate(paths):
        spans = list(records_reader.iterate_spans(path))
        if not spans:
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for position, (offset, length) in enumerate(spans):
                files.append(number)
                offsets.append(offset)
                lengths.append(length)
                classes.append(_read_classes(path, position, data, (offset, length), label_map))
    return Catalogue(
        tuple(paths),
        np.array(files, np.int32),
        np.array(offsets, np.int64),
        np.array(lengths, np.int64),
        tuple(classes),
    )


def _read_classes(path, number, data, span, label_map):
    """0-based classes of the boxes of a record that training uses."""
    try:
        return usable.usable_classes(labels.read_labels(data, span[0], sum(span)), label_map)
    except labels.UNREADABLE as error:
        raise labels.explain(path, number, data, span, error) from error


class Draw:
    """The records of each epoch, as numbers of a catalogue.

    Args:
      catalogue: a `Catalogue`.
      sampling: a `Sampling`.
      seed: whole number.
      shuffle: whether mode BASE reads in random order; the others always do.

    Raises:
      DatasetError: no image has an object, or negatives are requested and there are none.
    """

    def __init__(self, catalogue, sampling, seed, shuffle=True):
        self._sampling, self._seed, self._shuffle = sampling, seed, shuffle
        has_box = np.array([bool(classes) for classes in catalogue.classes], bool)
        self._positives, self._negatives = np.flatnonzero(has_box), np.flatnonzero(~has_box)
        if not len(self._positives):
            raise errors.DatasetError("no record has an object of a known class", fix="check the label map")
        if sampling.negatives and not len(self._negatives):
            raise errors.DatasetError(
                f"--negatives={sampling.negatives:g}: there is no image without objects",
                fix="add images with an empty annotation file, or remove --negatives",
            )
        members = {}
        for number in self._positives:
            for index in set(catalogue.classes[number]):
                members.setdefault(index, []).append(number)
        self._members = {index: np.array(members[index]) for index in sorted(members)}
        share = len(self._negatives) / len(catalogue) if sampling.negatives is None else sampling.negatives
        self._num_negatives = round(len(self._positives) * share / (1 - share))

    def __len__(self):
        """How many records an epoch has."""
        return len(self._positives) + self._num_negatives

    @functools.lru_cache(maxsize=2)  # noqa: B019 - a draw lives as long as its training
    def epoch(self, number):
        """int64 [len(self)]: the records of an epoch in the order in which they are read."""
        chance = np.random.default_rng([self._seed, number])
        drawn = np.concatenate([self._draw_positives(chance, number), self._draw_negatives(chance, number)])
        if self._shuffle or self._sampling.mode != BASE:
            return chance.permutation(drawn)
        return np.sort(drawn)

    def _draw_positives(self, chance, number):
        count = len(self._positives)
        if self._sampling.mode == BASE:
            return self._positives
        if self._sampling.mode == RANDOM:
            return chance.choice(self._positives, count)
        turns = self._turns(count, number)
        return np.concatenate(
            [self._deal(self._members[index], index, *span) for index, span in zip(self._members, turns)]
        )

    def _turns(self, count, number):
        """(first, count) of each class's turns in an epoch; over many epochs all classes have equally many."""
        num_classes = len(self._members)
        bounds = [(count * number + i) // num_classes for i in range(num_classes)]
        after = [(count * (number + 1) + i) // num_classes for i in range(num_classes)]
        return [(low, high - low) for low, high in zip(bounds, after)]

    def _deal(self, members, key, first, count):
        """`count` members, starting at a turn: each once in random order, then all again in another order."""
        parts = []
        while count > 0:
            again, within = divmod(first, len(members))
            order = np.random.default_rng([self._seed, key + 1, again]).permutation(members)
            parts.append(order[within : within + count])
            first, count = first + len(parts[-1]), count - len(parts[-1])
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def _draw_negatives(self, chance, number):
        if self._sampling.mode == RANDOM and self._num_negatives:
            return chance.choice(self._negatives, self._num_negatives)
        if not self._num_negatives:
            return np.zeros(0, np.int64)
        return self._deal(self._negatives, 1 << 30, number * self._num_negatives, self._num_negatives)


def describe(catalogue, draw, label_map=None, epochs=1):
    """The distribution of classes, as stored and as drawn, as plain values.

    Args:
      catalogue: a `Catalogue`.
      draw: a `Draw` of it.
      label_map: for the names, or None.
      epochs: how many epochs are counted.

    Returns:
      {"images": .., "negatives": .., "classes": [{"class", "stored_boxes", "drawn_boxes", "stored_share",
      "drawn_share", "drawn_images"}]}; counts are averages over the epochs.
    """
    drawn = np.concatenate([draw.epoch(number) for number in range(epochs)])
    size = 1 + max((index for classes in catalogue.classes for index in classes), default=-1)
    boxes = np.zeros((len(catalogue), size))
    for number, classes in enumerate(catalogue.classes):
        np.add.at(boxes[number], list(classes), 1)
    times = np.bincount(drawn, minlength=len(catalogue)) / epochs
    stored, taken, shown = boxes.sum(0), times @ boxes, times @ (boxes > 0)
    rows = [
        {
            "class": label_map.name_of_index(index) if label_map is not None else str(index + 1),
            "stored_boxes": int(stored[index]),
            "drawn_boxes": round(float(taken[index]), 1),
            "stored_share": round(float(stored[index] / stored.sum()), 4),
            "drawn_share": round(float(taken[index] / taken.sum()), 4),
            "drawn_images": round(float(shown[index]), 1),
        }
        for index in range(size)
        if stored[index]
    ]
    is_negative = np.array([not classes for classes in catalogue.classes])
    return {"images": len(draw), "negatives": round(float(times @ is_negative), 1), "classes": rows}


def format_distribution(sampling, facts):
    """Formats what `describe` returns as a table."""
    rows = []
    for row in facts["classes"]:
        stored = (row["stored_boxes"], f"{row['stored_share']:.1%}")
        rows.append((row["class"], *stored, row["drawn_boxes"], f"{row['drawn_share']:.1%}", row["drawn_images"]))
    negatives = "" if sampling.negatives is None else f", negatives {sampling.negatives:g}"
    head = f"sampling {sampling.mode}{negatives}: {facts['images']} images per epoch"
    head += f", {facts['negatives']:g} without objects"
    names = ("class", "boxes stored", "share", "boxes drawn", "share", "images drawn")
    return head + "\n" + console.format_table(names, rows, numbers=(1, 2, 3, 4, 5))
