"""What an import has written, and the files about all of it: the label map with the source's ids, and the lists."""

import collections
import dataclasses
import pathlib

from tfodhelper import storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import IMAGE_LEFT_OUT, Finding
from tfodhelper.dataset.split.split import SPLITS, TEST, TRAIN, VALIDATE

LABEL_MAP = "label_map.pbtxt"
LISTS = {TRAIN: "train.txt", VALIDATE: "validate.txt", TEST: "test.txt"}


@dataclasses.dataclass(frozen=True)
class ImportResult:
    """The result of an import.

    Attributes:
      output_dir: the folder.
      num_images, num_boxes, num_negatives: how many were written.
      num_masks: how many of the boxes have a mask.
      num_weighted: how many of the boxes do not count 1 in training.
      num_predicted: how many images have predictions, which are in `suggestions.DETECTIONS`.
      counts: {class name: number of boxes}.
      unlisted: names of images without an entry in the input; they are not imported.
      lists: {side: name of the list of its images}; empty if the source does not distinguish sides.
      label_map: name of the label map with the ids of the source, or None if the source has no ids to keep.
      findings: what could not be imported unchanged.
    """

    output_dir: pathlib.Path
    num_images: int
    num_boxes: int
    num_negatives: int
    num_masks: int
    num_weighted: int
    counts: dict[str, int]
    unlisted: tuple[str, ...]
    lists: dict[str, str]
    label_map: str | None
    findings: tuple[Finding, ...]
    num_predicted: int = 0

    @property
    def num_left_out(self) -> int:
        """How many images the source lists that were not imported."""
        return sum(finding.action == IMAGE_LEFT_OUT for finding in self.findings)


class Tally:
    """Counts what an import writes, one image after the other."""

    def __init__(self):
        self._counts, self._sides, self._findings = collections.Counter(), {}, []
        self._num_images = self._num_negatives = self._num_masks = self._num_weighted = 0

    def report(self, findings):
        """Adds findings."""
        self._findings += findings

    def add(self, name, annotation, sides=()):
        """Counts an image that was written.

        Args:
          name: as lists name it.
          annotation: its `Annotation`.
          sides: the sides that the source gives it. Of several, the last one in the order of training, validation and
            test counts, so that no model is evaluated with an image that it was trained with.
        """
        self._counts.update(box.name for box in annotation.boxes)
        self._num_images += 1
        self._num_masks += sum(box.mask is not None for box in annotation.boxes)
        self._num_weighted += sum(box.is_weighted for box in annotation.boxes)
        self._num_negatives += not annotation.boxes
        if sides:
            self._sides[name] = max(sides, key=SPLITS.index)
        if len(sides) > 1:
            shown = " and ".join(sorted(sides, key=SPLITS.index))
            problem = f"the input has it for {shown}; it is used for {self._sides[name]} only"
            self._findings.append(Finding("split-leak", name, problem))

    def finish(self, output_dir, class_ids, unlisted=(), num_predicted=0):
        """Writes the label map and the lists; returns the `ImportResult`.

        Args:
          output_dir: the folder.
          class_ids: a `class_ids.ClassIds`.
          unlisted, num_predicted: see `ImportResult`.
        """
        counts = dict(sorted(self._counts.items()))
        label_map, findings = class_ids.make_label_map(counts)
        if label_map is not None:
            label_maps.write_label_map(output_dir / LABEL_MAP, label_map)
        return ImportResult(
            output_dir=output_dir,
            num_images=self._num_images,
            num_boxes=sum(counts.values()),
            num_negatives=self._num_negatives,
            num_masks=self._num_masks,
            num_weighted=self._num_weighted,
            counts=counts,
            unlisted=tuple(unlisted),
            lists=self._write_lists(output_dir),
            label_map=None if label_map is None else LABEL_MAP,
            findings=(*self._findings, *findings),
            num_predicted=num_predicted,
        )

    def _write_lists(self, output_dir):
        names_of = {side: sorted(name for name, own in self._sides.items() if own == side) for side in SPLITS}
        names_of = {side: names for side, names in names_of.items() if names}
        if len(names_of) < 2:
            return {}
        for side, names in names_of.items():
            storage.write_text(output_dir / LISTS[side], "".join(name + "\n" for name in names))
        return {side: LISTS[side] for side in names_of}
