"""A person with LabelImg as the oracle: drafts to correct, of which the verified ones are adopted.

When asked for the first time, it writes a draft for each image to the review folder and waits. When asked again, it
adopts what is marked `verified="yes"`, counts the changes, and waits for the rest. Nothing in the review folder is
overwritten or removed.
"""

import contextlib
import dataclasses
import os
import pathlib
import shlex

from tfodhelper import console, errors, spelling, storage
from tfodhelper.active_learning.oracles import drafts, reviewed
from tfodhelper.active_learning.structures import REFUSED, WAITING, Answer
from tfodhelper.annotations import findings, labelimg
from tfodhelper.annotations.structures import UnusableFile

REVIEW = "review"

VERIFIED = reviewed.VERIFIED
NOT_VERIFIED = "not verified yet"
OTHER_FORMAT = "saved in a format other than PascalVOC"
NO_XML = "its XML was removed from the review folder"
NO_IMAGE = "its image was removed from the review folder"
LOST_IMAGE = "the image of the pool no longer exists"
BAD_XML = "its XML cannot be read"
BAD_CLASS = "its XML contains a class that is not in the label map"
BAD_SIZE = "its XML states another image size"
BAD_BOX = "its XML contains an invalid box"
_BAD = {"class-unknown": BAD_CLASS, "size-undecided": BAD_SIZE}

_SHOWN = 20  # notes
_INSTRUCTIONS = """\
Draft labels; the most important images come first.

  {command}

For each image: delete wrong boxes, correct the others, add missing ones, and press the space bar, which marks the image
as verified (green) and saves it. If an image shows no objects, delete all boxes and press the space bar.
Where predictions overlap by more than {max_overlap:g} (intersection over union), whatever their classes, the draft
contains only the best one: look for a second object where objects cover each other.
If an image should not be labelled at all, delete it here (Ctrl+Shift+D); this removes only the link or the copy.
The format must be PascalVOC (the button below Save). Class names: {classes}.
LabelImg 1.8.6 needs Python 3.9 or older; it crashes on later versions.
Then run the same round again: it adopts what is verified and waits for the rest.
"""


class LabelImgOracle:
    """Waits for a person.

    Args:
      options: `options.LabelImgOptions`.
      label_map: the classes that a box may have, or None for all.
    """

    name = "labelimg"
    _save_again = "save {image} again in LabelImg"
    _correct = "correct it in LabelImg and save again"

    def __init__(self, options, label_map=None):
        self._options, self._label_map = options, label_map

    def ask(self, questions, folder):
        """Yields an `Answer` for each question; prints what a person should correct.

        Args:
          questions: iterable of `structures.Question`s; the first one becomes the first draft.
          folder: of the round.

        Raises:
          UsageError: the review folder is among the images, or contains other files.
          StorageError: the review folder is missing or cannot be written.
        """
        questions = list(questions)
        review, known = self._write_drafts(questions, pathlib.Path(folder))
        notes = []
        for question in questions:
            yield self._take(known[question.image.name], review, notes)
        for note in notes[:_SHOWN]:
            console.warn(note)
        if len(notes) > _SHOWN:
            console.warn(f"{spelling.count(len(notes) - _SHOWN, 'more draft')} to be corrected in {review}")

    def next_steps(self, folder):
        """The command with which a person works on the drafts of a round."""
        return (_command(self._find_review(pathlib.Path(folder), drafts.read_memory(folder)[0])),)

    def _find_review(self, folder, remembered):
        """Where the drafts of a round are, or will be. A round may be moved with the drafts inside it."""
        return folder / (remembered or self._name_review(folder))

    def _name_review(self, folder):
        own = self._options.review_dir
        return str(pathlib.Path(own).absolute() / folder.name) if own else REVIEW

    def _write_drafts(self, questions, folder):
        """Returns (review folder, {image name: `Draft`}) with a draft for each question."""
        remembered, known = drafts.read_memory(folder)
        review = self._find_review(folder, remembered)
        new = [question for question in questions if question.image.name not in known]
        if not known:
            self._check_review(review, questions)
            remembered = self._name_review(folder)
        elif not review.is_dir() and any(draft.is_written for draft in known.values()):
            raise errors.StorageError(
                f"{review}: the drafts of this round are missing",
                expected="the folder that was written for them",
                fix=f"put it back, or remove {folder / drafts.MEMORY} to write the drafts again",
            )
        digits = max(4, len(str(len(questions))))
        with console.Progress("drafts planned", len(new)) if new else contextlib.nullcontext() as progress:
            for rank, question in enumerate(new, start=len(known) + 1):
                known[question.image.name] = drafts.plan_draft(question, rank, digits, self._options, self._label_map)
                progress.advance()
        if not all(draft.is_written for draft in known.values()):
            drafts.write_memory(folder, remembered, known.values())
            self._write_files(review, known)
            drafts.write_memory(folder, remembered, known.values())
        return review, known

    def _write_files(self, review, known):
        """Writes the drafts that are not written yet, and marks them as written."""
        storage.make_folder(review)
        for name, draft in known.items():
            if not draft.is_written and not draft.refused:
                drafts.write_draft(review, draft, self._options.review_images)
            known[name] = dataclasses.replace(draft, is_written=True)
        names = self._class_names(known)
        drafts.write_guides(review, names, self._instruct(review, names))

    def _instruct(self, review, class_names):
        """What the person who finds the review folder should do."""
        return _INSTRUCTIONS.format(
            command=_command(review), classes=", ".join(class_names), max_overlap=self._options.max_overlap
        )

    def _check_review(self, review, questions):
        """Refuses a review folder that is not empty or is among the images."""
        if review.is_dir() and any(review.iterdir()):
            raise errors.UsageError(
                f"{review}: this folder is not empty, and drafts never overwrite anything",
                fix="remove it, or choose another folder with --review_dir",
            )
        parents = {os.path.realpath(os.path.dirname(question.image.path)) for question in questions}
        real = pathlib.Path(os.path.realpath(review))
        inside = [folder for folder in (real, *real.parents) if str(folder) in parents]
        if inside and self._options.review_dir:
            raise errors.UsageError(
                f"{review}: is inside a folder of pool images",
                expected=f"a folder outside {inside[0]}",
                fix="choose another folder with --review_dir",
            )

    def _class_names(self, known):
        if self._label_map is not None:
            return [item.name for item in self._label_map]
        return sorted({box.name for draft in known.values() for box in draft.boxes})

    def _take(self, draft, review, notes):
        """The `Answer` that the review folder gives for a draft; adds to `notes` what a person should know."""
        if draft.refused:
            return Answer(draft.name, REFUSED, reason=draft.refused)
        if not os.path.lexists(review / draft.image):
            return Answer(draft.name, REFUSED, reason=NO_IMAGE)
        if not (review / draft.image).exists():
            notes.append(f"{draft.path}: no longer exists, and {draft.image} is a link to it; put it back")
            return Answer(draft.name, WAITING, reason=LOST_IMAGE)
        xml = review / draft.xml
        others = [xml.with_suffix(ending) for ending in (".txt", ".json")]
        saved_elsewhere = [path for path in others if path.exists()]
        if not xml.exists() and not saved_elsewhere:
            fix = self._save_again.format(image=draft.image)
            notes.append(f"{xml}: is missing; {fix}, or remove the image as well")
            return Answer(draft.name, WAITING, reason=NO_XML)
        try:
            read = labelimg.read_labelimg(xml) if xml.exists() else None
        except UnusableFile as error:
            notes.append(findings.from_unusable(error, str(xml)).message)
            return Answer(draft.name, WAITING, reason=BAD_XML)
        if read is not None and read.verified:
            return self._adopt(draft, read, xml, notes)
        if saved_elsewhere:
            notes.append(f"{saved_elsewhere[0]}: LabelImg is set to another format; switch it to PascalVOC and save")
            return Answer(draft.name, WAITING, reason=OTHER_FORMAT)
        return Answer(draft.name, WAITING, reason=NOT_VERIFIED)

    def _adopt(self, draft, read, xml, notes):
        answer, problems = reviewed.to_answer(draft, read, draft.shown_boxes(), str(xml), self._label_map)
        notes += [f"{problem}; {self._correct}" for problem in problems]
        if answer.verdict == WAITING:
            return dataclasses.replace(answer, reason=_BAD.get(answer.reason, BAD_BOX))
        return answer


def _command(review):
    """LabelImg for a folder; without the last argument, it saves where it was last used."""
    folder = shlex.quote(str(review))
    return f"labelImg {folder} {shlex.quote(str(review / drafts.CLASSES))} {folder}"
