"""Hidden annotation files as the oracle, for experiments: what a person would have answered, and at what cost."""

import collections
import dataclasses
import pathlib

from tfodhelper import console, errors, user_files
from tfodhelper.active_learning.oracles import edits, known_classes
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Answer
from tfodhelper.annotations import checks, exif_boxes, image_search, images, labelimg
from tfodhelper.annotations.structures import UnusableFile

ANSWERED = "answered from the hidden truth"
NO_TRUTH = "the image has no truth file"
SEVERAL_TRUTHS = "several truth files fit the image"
BAD_TRUTH = "the truth file cannot be used"
UNREADABLE = "the image cannot be read"


class SimulatedOracle:
    """Answers with the true boxes. The edits say what it would have cost to correct the prediction.

    A box that counts as kept has the score of its detection, although its corners are the true ones.

    Args:
      options: `options.SimulatedOptions`.
      label_map: the classes that count; true boxes of others are left out. None for all.

    Raises:
      UsageError: no truth_dir, or one without XML.
    """

    name = "simulated"

    def __init__(self, options, label_map=None):
        self._options, self._label_map = options, label_map
        self._truth = _Truth(options.truth_dir)

    def ask(self, questions, folder=None):
        """Yields an `Answer` for each question; never one that waits."""
        for question in questions:
            answer, reason = self._answer(question)
            yield answer or Answer(question.image.name, REFUSED, reason=reason)

    def next_steps(self, folder):
        """Nothing: this oracle waits for nobody."""
        return ()

    def _answer(self, question):
        """(`Answer`, "") or (None, why there is none)."""
        image = question.image
        paths = self._truth.find(image.path)
        if len(paths) != 1:
            return None, SEVERAL_TRUTHS if paths else NO_TRUTH
        try:
            facts = images.read_image_facts(image.path)
        except UnusableFile:
            return None, UNREADABLE
        truth = self._read(paths[0], facts, image.name)
        if truth is None:
            return None, BAD_TRUTH
        options = self._options
        draft = known_classes.choose_draft(question, options.score_threshold, options.max_overlap, self._label_map)
        compared = edits.compare_boxes([box for box, _ in draft], truth.boxes, options.keep_iou)
        scores = tuple(
            draft[source][1] if is_unchanged else None
            for is_unchanged, source in zip(compared.unchanged, compared.sources)
        )
        return Answer(image.name, ADOPTED, truth, ANSWERED, compared.edits, scores), ""

    def _read(self, path, facts, name):
        """The checked annotation in the frame of the stored image, or None."""
        options = checks.CheckOptions(drop_unknown_classes=True)
        try:
            read = labelimg.read_labelimg(path)
        except UnusableFile:
            return None
        checked = checks.check_annotation(read, facts, path.name, self._label_map, options)
        if checked.annotation is None:
            return None
        boxes = checked.annotation.boxes
        if checked.turn:
            boxes = tuple(exif_boxes.to_stored(box, facts.width, facts.height, facts.orientation) for box in boxes)
        return dataclasses.replace(
            checked.annotation,
            filename=pathlib.PurePosixPath(name).name,
            width=facts.width,
            height=facts.height,
            boxes=boxes,
            verified=True,
        )


class _Truth:
    """Finds the truth of an image: by its path in a folder tree of the same structure, otherwise by its stem."""

    def __init__(self, folder):
        if not folder:
            raise errors.UsageError(
                "the simulated oracle needs to know where the truth is",
                expected="a folder with annotation files",
                fix="use --truth_dir=FOLDER",
            )
        self._by_place, self._by_stem = {}, collections.defaultdict(list)
        root = pathlib.Path(folder)
        skipped = []
        files = image_search.search(root, skipped.append) if root.is_dir() else ()
        for name in sorted(name for kind, name in files if kind == image_search.XML):
            path = root / name
            self._by_place[pathlib.PurePosixPath(name).with_suffix("").as_posix()] = path
            self._by_stem[path.stem].append(path)
        for finding in skipped:
            if finding.file.lower().endswith(".xml") or finding.code == user_files.FOLDER_UNREADABLE:
                console.warn(f"{root}: {finding.message}")
        if not self._by_place:
            raise errors.UsageError(
                f"{folder}: no annotation file found",
                expected="a folder with annotation files (.xml)",
                received="no XML file" if root.is_dir() else "no such folder",
                fix="use --truth_dir=FOLDER",
            )

    def find(self, path):
        """List of the files that fit best, sorted; more than one when the match is ambiguous."""
        parts = pathlib.PurePath(path).with_suffix("").parts
        for start in range(len(parts) - 1):  # the last part alone is the stem
            tail = "/".join(parts[start:])
            if tail in self._by_place:
                return [self._by_place[tail]]
        return sorted(self._by_stem.get(parts[-1]) or self._by_stem.get(pathlib.PurePath(path).name, ()))
