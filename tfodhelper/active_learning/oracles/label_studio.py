"""A person with Label Studio as the oracle: drafts are put into a project, and what was submitted there is adopted.

When asked for the first time, it sends the images with the predicted boxes to the server and waits. When asked again,
it adopts what somebody submitted, counts the changes and the time, refuses what was skipped or deleted, and waits for
the rest. The round's folder remembers what was predicted, and under which name the drafts are in the project.
"""

import dataclasses
import hashlib
import math
import os
import pathlib
import re
import secrets

from tfodhelper import console, errors, spelling, state_files, storage
from tfodhelper.active_learning.oracles import drafts, reviewed
from tfodhelper.active_learning.oracles.studio_project import KEY, NewTask, StudioProject
from tfodhelper.active_learning.oracles.studio_server import StudioServer, read_token
from tfodhelper.active_learning.structures import REFUSED, WAITING, Answer
from tfodhelper.annotations import images
from tfodhelper.annotations.structures import Annotation
from tfodhelper.formats import label_studio
from tfodhelper.formats.collection import PredictedImage

MEMORY = "label_studio.json"

NOT_SUBMITTED = "not submitted in Label Studio yet"
SKIPPED = "skipped in Label Studio"
DELETED = "its task was deleted in Label Studio"
CONTRADICTORY = "annotations in Label Studio contradict each other"
BAD_REGION = "an object in Label Studio cannot be used"
BAD_CLASS = "a class in Label Studio is not in the label map"
BAD_SIZE = "the size in Label Studio is that of another image"
_BAD = {"class-unknown": BAD_CLASS, "size-undecided": BAD_SIZE}

_SHOWN = 20  # notes
_FORM = state_files.StateForm(
    content="where the drafts of a round are in Label Studio",
    keys={"project": int, "batch": str, "aliases": dict},
    fix="restore it; without it, answers in Label Studio cannot be found again",
    format=1,
)
_BROWSER_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")


class LabelStudioOracle:
    """Waits for a person.

    Args:
      options: `options.LabelStudioOptions`.
      label_map: the classes that a box may have, or None for those that are predicted.

    Raises:
      UsageError: the address or the project is missing.
    """

    name = "label_studio"

    def __init__(self, options, label_map=None):
        for flag in ("studio_url", "studio_project"):
            if getattr(options, flag) is None:
                raise errors.UsageError(f"the oracle label_studio needs --{flag}", fix=f"add --{flag}")
        self._options, self._label_map = options, label_map

    def ask(self, questions, folder):
        """Yields an `Answer` for each question; says what a person should correct.

        Args:
          questions: iterable of `structures.Question`s.
          folder: of the round.

        Raises:
          UsageError: the token, the project or its labels do not fit.
          ServerError: the server does not answer, or refuses; the same call continues.
        """
        folder, questions = pathlib.Path(folder), list(questions)
        server = StudioServer(self._options.studio_url, read_token(self._options.studio_token_file))
        project, memory = StudioProject(server, self._options.studio_project), self._remember(folder)
        known, is_new = self._send(project, memory, questions, folder)
        names = [question.image.name for question in questions]
        keys = {name: _key(memory["batch"], name) for name in names if not known[name].refused}
        tasks_of, present = ({}, set(keys.values())) if is_new else project.read_answers(keys.values())
        notes = []
        for name in names:
            key = keys.get(name)
            yield self._take(known[name], tasks_of.get(key, ()), key in present, memory["aliases"], notes)
        for note in notes[:_SHOWN]:
            console.warn(note)
        if len(notes) > _SHOWN:
            console.warn(f"{spelling.count(len(notes) - _SHOWN, 'more draft')} to be corrected in Label Studio")

    def next_steps(self, folder):
        """Where a person works on the drafts."""
        return (f"open {self._options.studio_url.rstrip('/')}/projects/{self._options.studio_project}/data",)

    def _remember(self, folder):
        """What is remembered of the round: the project, the name of its drafts there, made at the first time, and
        {label of the project in results: class} where they differ.

        Raises:
          UsageError: the drafts are in another project.
        """
        path, own = folder / MEMORY, self._options.studio_project
        if not path.exists():
            storage.write_json(path, {"format": 1, "project": own, "batch": secrets.token_hex(8), "aliases": {}})
        memory = state_files.read_state(path, _FORM)
        if memory["project"] != own:
            raise errors.UsageError(
                "the drafts of this round are in another project of Label Studio",
                expected=f"--studio_project={memory['project']}",
                received=f"--studio_project={own}",
            )
        return memory

    def _send(self, project, memory, questions, folder):
        """Puts the drafts into the project, unless that is done; returns ({image name: `Draft`}, whether it did)."""
        _, known = drafts.read_memory(folder)
        new = [question for question in questions if question.image.name not in known]
        digits = max(4, len(str(len(questions))))
        for rank, question in enumerate(new, start=len(known) + 1):
            draft = drafts.plan_draft(question, rank, digits, self._options, self._label_map)
            if draft.format and not _is_readable(draft):
                draft = drafts.Draft(draft.name, draft.path, refused=drafts.UNREADABLE)
            known[question.image.name] = draft
        if all(draft.is_written for draft in known.values()):
            return known, False
        drafts.write_memory(folder, memory["batch"], known.values())
        waiting = [draft for draft in known.values() if not draft.is_written and not draft.refused]
        names = [item.name for item in self._label_map or ()]
        names = names or sorted({box.name for draft in known.values() for box in draft.boxes})
        labels = project.prepare(names)
        memory["aliases"] = {label: name for name, label in labels.classes.items() if label != name}
        storage.write_json(folder / MEMORY, memory)
        project.put([_to_task(memory["batch"], draft, labels) for draft in waiting])
        known = {name: dataclasses.replace(draft, is_written=True) for name, draft in known.items()}
        drafts.write_memory(folder, memory["batch"], known.values())
        return known, True

    def _take(self, draft, tasks, is_there, aliases, notes):
        """The `Answer` that the server gives for a draft; adds to `notes` what a person should know."""
        if draft.refused:
            return Answer(draft.name, REFUSED, reason=draft.refused)
        if not is_there:
            return Answer(draft.name, REFUSED, reason=DELETED)
        given = [each for task in tasks for each in task.get("annotations") or () if isinstance(each, dict)]
        seconds = _seconds_of(given)
        if given and all(each.get("was_cancelled") for each in given):
            return Answer(draft.name, REFUSED, reason=SKIPPED, seconds=seconds)
        where = f"task {tasks[0].get('id')}" if tasks else ""
        regions, _, problems = label_studio.choose_annotation({"annotations": given}, draft.name, where)
        if problems:
            notes += [problem.message for problem in problems]
            return Answer(draft.name, WAITING, reason=CONTRADICTORY)
        if regions is None:
            return Answer(draft.name, WAITING, reason=NOT_SUBMITTED)
        if regions.lost:
            notes += [f"{draft.name}: {where}, {problem.where}: {problem.what}" for problem in regions.lost]
            return Answer(draft.name, WAITING, reason=BAD_REGION)
        size = (regions.width, regions.height) if regions.width else draft.shown_size
        boxes = [dataclasses.replace(box, name=aliases.get(box.name, box.name)) for box in regions.boxes]
        read = Annotation(draft.image, *size, tuple(boxes), verified=True)
        shown = tuple(draft.to_shown(box) for box in draft.boxes)
        answer, problems = reviewed.to_answer(draft, read, shown, f"{draft.name}: {where}", self._label_map)
        notes += [f"{problem}; correct it in Label Studio and submit again" for problem in problems]
        if answer.verdict == WAITING:
            return dataclasses.replace(answer, reason=_BAD.get(answer.reason, BAD_REGION))
        return dataclasses.replace(answer, seconds=seconds)


def _is_readable(draft):
    return os.access(draft.path, os.R_OK)


def _key(batch, name):
    return f"{batch}/{name}"


def _to_task(batch, draft, labels):
    """The `NewTask` of a draft."""
    key = _key(batch, draft.name)
    stem, ending = os.path.splitext(draft.image)
    if draft.format not in _BROWSER_FORMATS:
        ending = ".png" if draft.format not in images.LOSSY_FORMATS else ".jpg"
    plain = re.sub("[^A-Za-z0-9]", "_", stem)[:60]
    file_name = f"{hashlib.sha256(key.encode()).hexdigest()[:16]}_{plain}{ending.lower()}"

    def make(address):
        boxes = tuple(
            dataclasses.replace(shown, name=labels.classes[shown.name]) for shown in map(draft.to_shown, draft.boxes)
        )
        suggestion = PredictedImage(draft.name, *draft.shown_size, boxes, draft.scores)
        made = label_studio.make_task(draft.name, address, draft.shown_size, None, suggestion, labels.names)
        made["data"] = {labels.image_key: address, label_studio.NAME_KEY: draft.name, KEY: key}
        return made

    return NewTask(key, file_name, lambda: _read_image(draft), make)


def _read_image(draft):
    """The bytes of the image as a browser shows it: upright, and in a format that browsers know."""
    data = images.read_image(draft.path)
    if draft.orientation == 1 and draft.format in _BROWSER_FORMATS:
        return data
    return images.encode_for_record(data, images.inspect_image(data, draft.path), True)[0]


def _seconds_of(annotations):
    """The time that people spent on a task, as Label Studio measured it, or None."""
    times = [each.get("lead_time") for each in annotations]
    times = [time for time in times if isinstance(time, (int, float)) and math.isfinite(time) and time >= 0]
    return float(sum(times)) if times else None
