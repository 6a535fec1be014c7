"""Rounds of active learning: train, predict the pool, select, ask, merge.

Each phase writes complete files to the round's folder and is then marked as finished in round.json, so that a restart
after an interruption resumes with the first unfinished phase. What a round adopts follows from its answers.jsonl, and
what it relabels from its relabelled.jsonl, which are written atomically: no image is adopted twice, and none is lost.
"""

import collections
import itertools
import os
import time

from tfodhelper import console, errors, events, own_files, spelling, storage
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning import growing_set, relabelling, round_settings, round_training
from tfodhelper.active_learning import workspace as workspaces
from tfodhelper.active_learning.adoption import class_worth, law
from tfodhelper.active_learning.pool import pool_predictor, predictions, view_choices
from tfodhelper.active_learning.report import report, reporting
from tfodhelper.active_learning.selection import select
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Answer, PoolImage, Question
from tfodhelper.annotations import label_map as label_maps

DONE, WAITS, EMPTY = "done", "waits", "empty"  # how a call ends: finished, a person is asked, the pool is used up
_AP_50 = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/"


def run_rounds(folder, number=None, *, notify=None, on_event=None, **how):
    """Continues a workspace, see `_run_rounds`, and tells how it is doing.

    Args:
      folder: of the workspace.
      number: number of finished rounds to reach; None finishes the round that has begun, or one more.
      notify, on_event: see `events.NotifyOptions`.
      **how: the other arguments of `_run_rounds`.

    Returns:
      DONE, WAITS or EMPTY; or the phase after which it stopped.
    """
    with events.job("active", notify, on_event):
        events.note(folder=str(folder))
        outcome = _run_rounds(folder, number, **how)
        events.emit(events.FINISHED, outcome=outcome)
        return outcome


def _run_rounds(folder, number=None, *, changes=None, oracle=None, until=None, finish_review=False, close=False):
    """Continues a workspace.

    Args:
      folder: of the workspace.
      number: number of finished rounds to reach; None finishes the round that has begun, or one more.
      changes: settings that replace the workspace's from the current round on; see `Workspace.settings`.
      oracle: an object with `name` and `ask`, instead of the one that the settings name.
      until: a phase after which to stop, or None.
      finish_review: whether images that nobody verified return to the pool; otherwise the round waits for them.
      close: whether to begin the next round at the end and train its model, so that the last adopted images count.

    Returns:
      DONE, WAITS or EMPTY.

    Raises:
      TfodhelperError: says what is wrong; finished phases are kept.
    """
    space = workspaces.Workspace(folder)
    with storage.hold(space.folder), console.process_log(space.folder / "process.log"):
        own_files.remove_dead(space.folder, is_deep=True)
        if _complete_report(space, changes) and number is None:
            return DONE
        done = sum(round_.is_finished for round_ in space.rounds())
        target = number or done + 1
        if done >= target:
            console.say(f"{space.folder}: {spelling.count(done, 'round is', 'rounds are')} already finished")
        outcome = DONE
        while done < target:
            outcome = _advance(space, changes, oracle, until, finish_review)
            if outcome == EMPTY and close:
                break
            if outcome != DONE:
                return outcome
            done += 1
        if close:
            _advance(space, changes, oracle, "train", finish_review)
    return outcome


def _complete_report(space, changes):
    """Writes the report of a round whose process was killed between its last phase and its report.

    Returns:
      Whether the command that was killed is the present one, so that it has nothing else to do.
    """
    last = next(reversed(space.rounds()), None)
    if last is None or not last.is_finished or last.is_reported:
        return False
    is_same = round_settings.changes_nothing(last, changes)
    console.say(f"round {last.number}: its phases are finished; the report was not")
    _finish_report(space, last)
    return is_same


def _finish_report(space, round_):
    space.write_lineage()
    _report(space)
    round_.set_reported()


def _advance(space, changes, oracle, until, finish_review):
    """Finishes the current round, or begins and finishes the next one; returns how that ended."""
    label_map = label_maps.read_label_map(space.label_map)
    round_ = round_settings.current_round(
        space, changes, label_map, has_oracle=oracle is not None, finish_review=finish_review
    )
    events.note(round=round_.number)
    if not round_.has("predict") and until != "train" and next(space.open_pool(before=round_.number), None) is None:
        console.say("the pool is used up: every image in it was adopted")
        return EMPTY
    if not round_.has("predict"):
        _check_pool(space, round_)
    phases = {
        "train": lambda: _train(space, round_),
        "predict": lambda: _predict(space, round_),
        "select": lambda: _select(space, round_),
        "ask": lambda: _ask(space, round_, oracle, finish_review),
        "merge": lambda: _merge(space, round_),
    }
    round_.state.setdefault("reported", False)
    for name in workspaces.PHASES:
        if not round_.has(name):
            if name != "train":  # whose own phases are announced
                events.emit(events.PHASE_STARTED, phase=name)
            with console.phase(f"round {round_.number}: {name}"):
                start = time.monotonic()
                finished = phases[name]()
                seconds = round_.state.get("spent", {}).pop(name, 0) + time.monotonic() - start
            if finished is False:
                round_.state.setdefault("spent", {})[name] = round(seconds, 1)
                round_.save()
                return WAITS
            round_.finish(name, seconds)
        if name == until and not round_.is_finished:
            _report(space)
            return until
    _finish_report(space, round_)
    return DONE


def _check_pool(space, round_):
    """Raises DatasetError when none of the pool's images exists: a folder that is not mounted, or another machine."""
    first = next(space.open_pool(before=round_.number), None)
    if first is not None and not any(os.path.exists(image.path) for image in space.open_pool(before=round_.number)):
        raise errors.DatasetError(
            "none of the images of the pool exists",
            expected=first.path,
            fix=f"put them back, or change the paths in {space.folder / 'pool.csv'}",
        )


def _report(space):
    """Rewrites the report and prints where it is."""
    made = report.write_report(space.folder)
    console.say(made.text)
    console.say(f"report on all rounds: {made.page}")


def _train(space, round_):
    round_training.train(space, round_)


def _predict(space, round_):
    _take_back(space, round_)
    pool = space.open_pool
    report = pool_predictor.predict_pool(
        lambda: pool(before=round_.number), round_.model_dir, round_.predictions_dir, **round_.pool_options
    )
    if report.num_unreadable:
        _say_unreadable(round_, report.num_unreadable)
    _predict_adopted(space, round_)


def _predict_adopted(space, round_, shard=(1, 1)):
    """Predicts the images that are relabelled, apart from the pool."""
    unseen = relabelling.find_unseen(space, round_)
    if not unseen:
        return
    report = pool_predictor.predict_pool(
        lambda: (image for image in space.pool() if image.name in unseen),
        round_.model_dir,
        round_.adopted_predictions_dir,
        shard=shard,
        **round_.pool_options,
    )
    if report.num_unreadable:
        images = spelling.count(report.num_unreadable, "adopted image cannot", "adopted images cannot")
        console.warn(f"{images} be read and will not be relabelled")


def _take_back(space, round_):
    """Removes the links and XML files of images that went back to the pool; may be repeated."""
    if round_.has_lost:
        for name in space.on_trial(round_.number) - set(space.labelled_names(round_.number)):
            growing_set.remove(space.set_dir, name)


def _say_unreadable(round_, count):
    first = [
        bad.reason.partition("\n")[0]
        for bad in itertools.islice(predictions.read_unreadable(round_.predictions_dir), 3)
    ]
    more = f", ...; all of them are in {round_.predictions_dir}/part-*.unreadable.jsonl" if count > len(first) else ""
    console.warn(
        f"{spelling.count(count, 'image')} of the pool cannot be read and will stay there: {', '.join(first)}{more}"
    )


def predict_share(folder, shard):
    """Predicts one share of the current round's pool, so that several processes or machines can work at once.

    Args:
      folder: of the workspace.
      shard: (number from 1, count).

    Raises:
      DatasetError: no round is waiting for predictions.
    """
    space = workspaces.Workspace(folder)
    round_ = next((other for other in space.rounds() if other.has("train") and not other.has("predict")), None)
    if round_ is None:
        raise errors.DatasetError(
            f"{space.folder}: no round is waiting for predictions",
            expected="a trained round",
            fix="train the next one with `tfodhelper active round --until=train`",
        )
    pool = space.open_pool
    pool_predictor.predict_pool(
        lambda: pool(before=round_.number),
        round_.model_dir,
        round_.predictions_dir,
        shard=shard,
        **round_.pool_options,
    )
    _predict_adopted(space, round_, shard)


def _select(space, round_):
    options = select.SelectOptions(seed=round_.settings["seed"], **round_.settings["selection"])
    counts = workspaces.count_labelled(round_.run_dir)
    metrics = round_training.best_record(round_.run_dir)["metrics"]
    precisions = {name: metrics.get(_AP_50 + name) for name in counts}
    num_labelled = len(space.labelled_names(round_.number))
    features = None
    if select.needs_labelled_features(options, num_labelled):
        features = _labelled_features(space, round_)
    selection = select.select(
        lambda: predictions.read_predictions(round_.predictions_dir),
        options,
        round_number=round_.number,
        class_counts=counts,
        num_labelled=num_labelled,
        average_precisions=precisions,
        labelled_features=features,
        scores_path=round_.folder / "scores.csv",
    )
    select.write_selection(round_.folder, selection)
    candidates = spelling.count(selection.num_candidates, "image")
    console.say(f"selected {len(selection.chosen)} of {candidates} by {selection.rule_used}")


def _labelled_features(space, round_):
    """Features of the training images, for rules that avoid images like the labelled ones."""
    import numpy as np

    folder = round_.folder / "labelled_predictions"
    images = [PoolImage(name, str(space.set_dir / name)) for name in space.labelled_names(round_.number)]
    options = round_.pool_options | {"views": view_choices.PLAIN}  # whose features are those of the image
    pool_predictor.predict_pool(images, round_.model_dir, folder, **options)
    features = [p.features for p in predictions.read_predictions(folder) if p.features is not None]
    return np.stack(features) if features else None


def _ask(space, round_, oracle, finish_review):
    """Asks about the chosen images; False while a person's answers are missing."""
    settings = round_.settings["oracle"]
    label_map = label_maps.read_label_map(space.label_map)
    oracle = oracle or round_settings.build_oracle(settings, label_map)
    round_.state["oracle"] = oracle.name
    if getattr(oracle, "needs_zones", False):
        seen = _see_validation(space, round_)
        for line in law.find_zones(round_.evaluation_dir, oracle, round_.settings["prediction"], seen):
            console.say(line)
    selection = select.read_selection(round_.folder)
    ask = getattr(oracle, "take_answers", oracle.ask) if finish_review else oracle.ask
    again = relabelling.find_names(space, round_, oracle.name)
    questions = itertools.chain(_questions(space, round_, selection), relabelling.questions(space, round_, again))
    everything = [_checked(answer, label_map) for answer in ask(questions, round_.folder)]
    everything, held = _apply_law(space, round_, oracle, everything, again)
    answered = [answer for answer in everything if answer.name not in again]
    counts = collections.Counter(answer.verdict for answer in answered)
    reasons = collections.Counter(answer.reason for answer in answered if answer.verdict != ADOPTED)
    parts = [f"{counts[verdict]} {verdict}" for verdict in (ADOPTED, REFUSED, WAITING) if counts[verdict]]
    console.say(f"{oracle.name}: " + (", ".join(parts) or "no questions"))
    for reason, count in reasons.most_common():
        console.say(f"  {count} x {reason}")
    if any(answer.verdict == WAITING for answer in everything) and not finish_review:
        round_.state["next_steps"] = list(getattr(oracle, "next_steps", lambda folder: ())(round_.folder))
        return False
    round_.state.pop("next_steps", None)
    if counts[WAITING]:
        waiting = spelling.count(counts[WAITING], "image returns", "images return")
        console.say(f"{waiting} to the pool; later edits of their drafts are ignored")
    relabelling.keep_answers(space, round_, again, [answer for answer in everything if answer.name in again], held)
    answer_files.write_answers(round_.answers_path, answered)
    return True


def _see_validation(space, round_):
    """Predicts the validation images as the pool; None if it has one view, in which the evaluation has seen them."""
    options = round_.pool_options
    if options["views"] == view_choices.PLAIN:
        return None
    images = [PoolImage(name, str(space.set_dir / name)) for name in space.validation()]
    pool_predictor.predict_pool(images, round_.model_dir, round_.validation_predictions_dir, **options)
    return round_.validation_predictions_dir


def _apply_law(space, round_, oracle, answered, again):
    """Refuses answers whose boxes nobody has seen and are not worth adopting; says what boxes are worth.

    Returns:
      (answers, names of the images of such answers): also of those in `again`, which are not in the pool.
    """
    unseen = collections.Counter(name for answer in answered for name in {n for n, _ in law.scored_boxes(answer)})
    for key in ("worth", "held_back"):
        round_.state.pop(key, None)  # of an earlier attempt, with other settings
    if not unseen:
        return answered, set()
    least = round_.options.min_box_worth
    seen = _see_validation(space, round_)
    worths = law.measure(round_.evaluation_dir, oracle, answered, round_.settings["prediction"], seen)
    labelled = workspaces.count_labelled(round_.run_dir)
    answered, held = law.hold_back(answered, worths, least, labelled, getattr(oracle, "needs_zones", False))
    in_pool = [each for each in held if each.name not in again]
    law.write_confirmed(round_.folder, in_pool, {image.name: image.path for image in space.pool()} if in_pool else {})
    round_.state.update({"worth": class_worth.to_facts(worths, least), "held_back": len(in_pool)})
    for line in reporting.describe_worth(round_.state, unseen):
        console.say(line)
    return answered, {each.name for each in held}


def _checked(answer, label_map):
    """The answer, or a refusal with its reason where a class is not in the label map."""
    if answer.verdict != ADOPTED:
        return answer
    unknown = sorted({box.name for box in answer.annotation.boxes} - {item.name for item in label_map})
    if not unknown:
        return answer
    reason = f"class {unknown[0]!r} is not in the label map"
    return Answer(answer.name, REFUSED, reason=reason)


def _questions(space, round_, selection):
    """Yields a `Question` for each chosen image: in the order of choice under a budget, otherwise in the pool's."""
    ranks = {chosen.name: rank for rank, chosen in enumerate(selection.chosen)}
    questions = _match_questions(space, round_, ranks)
    if round_.settings["selection"].get("budget"):
        questions = sorted(questions, key=lambda question: ranks[question.image.name])
    yield from questions


def _match_questions(space, round_, names):
    images = space.open_pool(before=round_.number)
    for prediction in predictions.read_predictions(round_.predictions_dir):
        if prediction.name in names:
            image = next(image for image in images if image.name == prediction.name)
            yield Question(image, prediction)


def _merge(space, round_):
    """Adds the adopted images to the set; may be repeated."""
    pool = {image.name: image for image in space.open_pool(before=round_.number)}
    answered, lost = list(answer_files.read_answers(round_.answers_path)), {}
    for answer in answered:
        if answer.verdict == ADOPTED:
            try:
                growing_set.add(space.set_dir, answer.name, pool[answer.name].path, answer.annotation)
            except errors.AnnotationError as error:
                console.warn(str(error))
                lost[answer.name] = Answer(answer.name, REFUSED, reason="the image can no longer be read")
    if lost:  # otherwise the next round would rely on them
        answer_files.write_answers(round_.answers_path, [lost.get(answer.name, answer) for answer in answered])
    num_adopted = sum(answer.verdict == ADOPTED for answer in answered) - len(lost)
    num_relabelled, num_returned = relabelling.merge(space, round_)
    parts = [f"{spelling.count(num_adopted, 'image')} adopted"]
    parts += [f"{num_relabelled} relabelled"] if num_relabelled else []
    parts += [f"{num_returned} back in the pool"] if num_returned else []
    console.say(f"round {round_.number}: {', '.join(parts)}")
