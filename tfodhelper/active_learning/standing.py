"""Which answer counts for each adopted image: the newest one that stands.

A round answers about images of the pool, in answers.jsonl. With --relabel it also answers again about images that were
adopted without anybody looking at their boxes, in relabelled.jsonl: there, an adopted answer replaces their boxes, a
refused one sends them back to the pool, and an image without an answer keeps its boxes. Where the next round loses its
trial, all of this that nobody has looked at is undone, and what counted before counts again.
"""

import dataclasses
import itertools

from tfodhelper.active_learning import answers
from tfodhelper.active_learning.structures import ADOPTED


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where an adopted image and its boxes come from.

    Attributes:
      adopted: number of the round that adopted the image.
      boxes: number of the round whose answer its boxes are; a later one if it was relabelled.
      is_unseen: whether nobody has looked at these boxes; see `structures.Answer`.
    """

    adopted: int
    boxes: int
    is_unseen: bool

    @property
    def is_relabelled(self):
        """Whether its boxes are newer than its adoption."""
        return self.boxes != self.adopted


def find(rounds, before=None, tried_before=None, undone=()):
    """The images that finished rounds have adopted and that did not go back to the pool.

    Args:
      rounds: `workspace.Round`s, oldest first.
      before: number of a round; only answers of rounds before it count.
      tried_before: number of a round; only trials of rounds before it count.
      undone: numbers of rounds whose answers are undone, as far as nobody has looked at them, whatever trials say.

    Returns:
      {name: `Standing`}.
    """
    lost = {
        round_.number - 1
        for round_ in rounds
        if round_.has_lost and (tried_before is None or round_.number < tried_before)
    } | set(undone)
    standing = {}
    for round_ in rounds:
        if round_.has("merge") and (before is None or round_.number < before):
            _apply(standing, round_, is_undone=round_.number in lost)
    return standing


def _apply(standing, round_, is_undone):
    """Changes what stands by the answers of a round."""
    for answer in read_relabelled(round_):
        former = standing.get(answer.name)
        if former is None or (is_undone and is_on_trial(answer)):
            continue
        if answer.verdict == ADOPTED:
            standing[answer.name] = Standing(former.adopted, round_.number, answer.is_unseen)
        else:
            del standing[answer.name]
    for answer in answers.read_answers(round_.answers_path):
        if answer.verdict == ADOPTED and not (is_undone and answer.is_unseen):
            standing[answer.name] = Standing(round_.number, round_.number, answer.is_unseen)


def is_on_trial(answer):
    """Whether an answer about an adopted image is undone with a lost trial: unless a person gave it."""
    return answer.edits is None


def read_relabelled(round_):
    """Yields the `Answer`s of a round about images that were adopted before; none where it did not ask about them."""
    if round_.relabelled_path.is_file():
        yield from answers.read_answers(round_.relabelled_path)


def read(rounds, standing):
    """Reads the answers that count.

    Args:
      rounds: `workspace.Round`s, oldest first.
      standing: {name: `Standing`} of the images that are wanted.

    Yields:
      (`Answer`, `workspace.Round` that gave it), oldest round first.
    """
    numbers = {each.boxes for each in standing.values()}
    for round_ in rounds:
        if round_.number in numbers:
            for answer in itertools.chain(read_relabelled(round_), answers.read_answers(round_.answers_path)):
                image = standing.get(answer.name)
                if image is not None and image.boxes == round_.number and answer.verdict == ADOPTED:
                    yield answer, round_
