"""Asks again about images that were adopted without anybody looking at their boxes: later models draw better ones.

The round's model predicts them apart from the pool, so that they take nothing of the budget of new images. The oracle
that answered before is asked again, about all of them. What it adopts now replaces the former boxes, what it refuses
goes back to the pool. An image keeps its boxes where there is no new answer: another oracle is asked in this round, the
boxes of a class are not worth adopting now, a person has not answered yet, or the image can no longer be read.
"""

import collections

from tfodhelper import console, errors, spelling
from tfodhelper.active_learning import answers, growing_set, standing
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Question


def find_unseen(space, round_):
    """The images to be predicted: those with boxes that nobody has looked at, if the round relabels.

    Args:
      space: the `Workspace`.
      round_: the `Round`, trained.

    Returns:
      {name: `standing.Standing`}.
    """
    if not round_.options.relabel:
        return {}
    return {name: image for name, image in space.standing(round_.number).items() if image.is_unseen}


def find_names(space, round_, oracle_name):
    """Names of the images about which an oracle is asked again; says how many keep the boxes of another one.

    Args:
      space: the `Workspace`.
      round_: the `Round`, whose predictions are complete.
      oracle_name: of the one that the round asks.

    Returns:
      Set of names.
    """
    unseen = find_unseen(space, round_)
    oracle_of = {each.number: each.state.get("oracle") for each in space.rounds() if each.has("merge")}
    names = {name for name, image in unseen.items() if oracle_of[image.boxes] == oracle_name}
    if len(names) < len(unseen):
        kept = spelling.count(len(unseen) - len(names), "adopted image keeps its", "adopted images keep their")
        console.say(f"{kept} boxes: they are not those of the oracle {oracle_name}")
    return names


def questions(space, round_, names):
    """Yields a `Question` for each image that is relabelled, in the order of the pool."""
    if not names:
        return
    images = (image for image in space.pool() if image.name in names)
    for prediction in predictions.find_predictions(round_.adopted_predictions_dir, names):
        yield Question(next(image for image in images if image.name == prediction.name), prediction)


def keep_answers(space, round_, names, answered, held):
    """Writes the answers that change something to relabelled.jsonl, and says what they are.

    Args:
      space: the `Workspace`.
      round_: the `Round`.
      names: of the images that were asked about again.
      answered: their `Answer`s, in the form in which they are adopted.
      held: names of the images whose boxes are not worth adopting.
    """
    if not names:
        round_.relabelled_path.unlink(missing_ok=True)  # of an earlier attempt, with other settings
        return
    decided = [each for each in answered if each.verdict in (ADOPTED, REFUSED) and each.name not in held]
    unchanged = _find_unchanged(space, round_, decided)
    changes = [each for each in decided if each.name not in unchanged]
    counts = answers.write_answers(round_.relabelled_path, changes)
    parts = [f"{spelling.count(counts[ADOPTED], 'adopted image gets', 'adopted images get')} new boxes"]
    kept = len(names) - len(changes)
    for count, words in (
        (counts[REFUSED], ("goes back to the pool", "go back to the pool")),
        (kept, ("keeps its former boxes", "keep their former boxes")),
    ):
        parts += [spelling.count(count, *words)] if count else []
    console.say("relabelled: " + ", ".join(parts))
    reasons = collections.Counter(each.reason for each in changes if each.verdict == REFUSED)
    for reason, count in reasons.most_common():
        console.say(f"  {count} x {reason}")


def _find_unchanged(space, round_, decided):
    """Names of the images that got the boxes again that they have, unseen: there is nothing to try out."""
    by_name = {each.name: each for each in decided if each.is_unseen}
    former = {name: image for name, image in space.standing(round_.number).items() if name in by_name}
    return {
        answer.name
        for answer, _ in standing.read(space.rounds(), former)
        if answer.annotation.boxes == by_name[answer.name].annotation.boxes
    }


def merge(space, round_):
    """Exchanges the boxes in the set by the new answers; may be repeated.

    Returns:
      (number of images with new boxes, number of images that went back to the pool).
    """
    changes = list(standing.read_relabelled(round_))
    names = {answer.name for answer in changes}
    paths = {image.name: image.path for image in space.pool() if image.name in names} if names else {}
    lost = set()
    for answer in changes:
        if answer.verdict != ADOPTED:
            growing_set.remove(space.set_dir, answer.name)
            continue
        try:
            growing_set.add(space.set_dir, answer.name, paths[answer.name], answer.annotation)
        except errors.AnnotationError as error:
            console.warn(f"{error}; it keeps its former boxes")
            lost.add(answer.name)
    if lost:
        changes = [answer for answer in changes if answer.name not in lost]
        answers.write_answers(round_.relabelled_path, changes)
    num_adopted = sum(answer.verdict == ADOPTED for answer in changes)
    return num_adopted, len(changes) - num_adopted
