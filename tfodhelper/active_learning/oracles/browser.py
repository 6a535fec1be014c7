"""A person with the page in the browser as the oracle: the drafts are confirmed and corrected there, in one go.

The drafts are those of the oracle labelimg, in the same review folder, and so are the answers: a box that was confirmed
is kept, one that was deleted is missing from the answer, one that was changed has its new corners. Whoever wants to may
still open them in LabelImg. The seconds that the page measures are part of the label cost.
"""

import dataclasses
import os
import pathlib

from tfodhelper import spelling
from tfodhelper.active_learning.oracles import labelimg
from tfodhelper.active_learning.structures import WAITING
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.labelling import documents, server
from tfodhelper.labelling.session import Session, read_times

TIMES = "review_seconds.json"  # in the folder of the round


class BrowserOracle(labelimg.LabelImgOracle):
    """Shows the drafts on a page, and waits until the person ends it.

    Args:
      options: `options.BrowserOptions`.
      label_map: the classes that a box may have, or None for all.
    """

    name = "browser"

    def ask(self, questions, folder):
        """Yields an `Answer` for each question, after the page was ended; those without a decision wait.

        Args:
          questions: iterable of `structures.Question`s; the first one is shown first.
          folder: of the round.

        Raises:
          UsageError, StorageError: see `labelimg.LabelImgOracle.ask`; a port that cannot be used.
        """
        questions, folder = list(questions), pathlib.Path(folder)
        review, known = self._write_drafts(questions, folder)
        asked = [known[question.image.name] for question in questions]
        shown = [draft for draft in asked if not draft.refused and os.path.exists(review / draft.image)]
        items = [_to_item(draft, review) for draft in shown]
        verified = [documents.is_verified(_read(item.xml), item.xml) for item in items]
        if not all(verified):
            doubts = range(len(items), 0, -1)  # in the order of the questions
            is_fixed, classes = self._label_map is not None, self._class_names(known)
            session = Session(items, classes, verified, doubts, is_fixed, folder / TIMES)
            title = f"round {folder.name.lstrip('0')}: {spelling.count(len(items), 'draft')}"
            server.serve(session, title, self._options.port)
        yield from self.take_answers(questions, folder)

    def take_answers(self, questions, folder):
        """Yields an `Answer` for each question as `ask` does, but shows no page."""
        times = read_times(pathlib.Path(folder) / TIMES)
        for answer in super().ask(questions, folder):
            seconds = None if answer.verdict == WAITING else times.get(answer.name)
            yield dataclasses.replace(answer, seconds=seconds)

    def next_steps(self, folder):
        """Nothing besides the command of the round, which shows the page again."""
        return ()


def _to_item(draft, review):
    boxes = zip(draft.boxes, draft.scores)
    suggestions = tuple((draft.to_shown(box), score) for box, score in boxes)
    return documents.Item(draft.name, str(review / draft.image), str(review / draft.xml), suggestions)


def _read(path):
    try:
        return documents.read_file(path)
    except UnusableFile:  # the page says why
        return None
