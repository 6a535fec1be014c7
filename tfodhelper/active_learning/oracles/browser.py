"""A person with the page in the browser as the oracle: the drafts are confirmed and corrected there, in one go.

The drafts are those of the oracle labelimg, in the same review folder, and so are the answers: a box that was confirmed
is kept, one that was deleted is missing from the answer, one of which the person was not sure is an ignored region, one
that was changed has its new corners. The seconds that the page measures are part of the label cost.
"""

import dataclasses
import os
import pathlib

from tfodhelper import spelling
from tfodhelper.active_learning.oracles import labelimg
from tfodhelper.active_learning.structures import WAITING
from tfodhelper.labelling import documents, server
from tfodhelper.labelling.session import Session, read_times

TIMES = "review_seconds.json"  # in the folder of the round
_INSTRUCTIONS = """\
Draft labels of a round of active learning, which the command of the round shows on a page in the browser, the most
important images first. Type it again: it prints the address of the page.

For each box: Enter if it is right; I if you are not sure, or do not want it to be used (an ignored region, of which
nothing is learned); X if there is nothing (background); the arrows and Ctrl+arrows, or the mouse, if it is in the wrong
place; 1 to 9 or C if its class is wrong. W draws one that is missing, U undoes, and ? shows all keys. The space bar
accepts the image with all its boxes. If an image shows no objects, delete all boxes and press the space bar.
Where predictions overlap by more than {max_overlap:g} (intersection over union), whatever their classes, the draft
contains only the best one: look for a second object where objects cover each other.
If an image should not be labelled at all, remove it from this folder; this removes only the link or the copy.
Class names: {classes}.
Q ends the page: the round adopts what was accepted, and waits for the rest.
"""


class BrowserOracle(labelimg.LabelImgOracle):
    """Shows the drafts on a page, and waits until the person ends it.

    Args:
      options: `options.BrowserOptions`.
      label_map: the classes that a box may have, or None for all.
    """

    name = "browser"
    _save_again = "accept {image} again on the page"
    _correct = "correct it on the page, which the command of the round shows again"

    def _instruct(self, review, class_names):
        return _INSTRUCTIONS.format(classes=", ".join(class_names), max_overlap=self._options.max_overlap)

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
        decided = [self._take(draft, review, []).verdict != WAITING for draft in shown]
        if not all(decided):
            doubts = range(len(items), 0, -1)  # in the order of the questions
            is_fixed, classes = self._label_map is not None, self._class_names(known)
            session = Session(items, classes, decided, doubts, is_fixed, folder / TIMES)
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
