"""A round of active learning: train, predict the pool, select, ask, merge; and several of them.

Each phase leaves whole files in the round's folder and is marked in round.json when it is finished, so that a start
after an interruption goes on with the first phase that is not. What a round adopts follows from its answers.jsonl,
which is written whole: no image is adopted twice, and none is lost.
"""

import collections
import gc
import itertools
import os
import time

from tfodhelper import console, errors, storage
from tfodhelper import run_folder as runs
from tfodhelper.active_learning import answers as answer_files
from tfodhelper.active_learning import round_settings as settings_of
from tfodhelper.active_learning import workspace as workspaces
from tfodhelper.active_learning.options import CONTINUE
from tfodhelper.active_learning.pool import pool_predictor, predictions
from tfodhelper.active_learning.report import report
from tfodhelper.active_learning.selection import select
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Answer, Question
from tfodhelper.annotations import images as image_files
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset import placing
from tfodhelper.dataset.options import HEADER
from tfodhelper.training import evaluation

DONE, WAITS, EMPTY = "done", "waits", "empty"  # how a call ends: finished, a person is asked, the pool is used up
_AP_50 = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/"


def run_rounds(folder, number=None, *, changes=None, oracle=None, until=None, finish_review=False, close=False):
    """Goes on with a workspace.

    Args:
      folder: of the workspace.
      number: finished rounds that the workspace shall have in the end; None for one more than now, or for the one
        that has begun.
      changes: settings that differ from the workspace's from the current round on; see `Workspace.settings`.
      oracle: an object with `name` and `ask`, instead of the one that the settings name.
      until: a phase after which to stop, or None.
      finish_review: whether images that nobody verified go back to the pool, instead of being waited for.
      close: whether the next round is begun in the end and its model trained, so that the last adopted images count.

    Returns:
      DONE, WAITS or EMPTY.

    Raises:
      TfodhelperError: with a word on what is wrong; finished phases stay.
    """
    space = workspaces.Workspace(folder)
    with storage.hold(space.folder), console.process_log(space.folder / "process.log"):
        done = sum(one.is_finished for one in space.rounds())
        target = number or done + 1
        if done >= target:
            console.say(f"{space.folder}: {done} rounds are finished already")
        outcome = DONE
        while done < target:
            outcome = _go_on(space, changes, oracle, until, finish_review)
            if outcome == EMPTY and close:
                break
            if outcome != DONE:
                return outcome
            done += 1
        if close:
            _go_on(space, changes, oracle, "train", finish_review)
    return outcome


def _go_on(space, changes, oracle, until, finish_review):
    """Finishes the current round, or begins and finishes the next one."""
    label_map = label_maps.read_label_map(space.label_map)
    one = settings_of.current_round(space, changes, label_map, has_oracle=oracle is not None)
    if not one.has("predict") and until != "train" and next(space.open_pool(before=one.number), None) is None:
        console.say("the pool is used up: every image of it was adopted")
        return EMPTY
    if not one.has("predict"):
        _check_pool(space, one)
    phases = {
        "train": lambda: _train(space, one),
        "predict": lambda: _predict(space, one),
        "select": lambda: _select(space, one),
        "ask": lambda: _ask(space, one, oracle, finish_review),
        "merge": lambda: _merge(space, one),
    }
    for name in workspaces.PHASES:
        if not one.has(name):
            with console.phase(f"round {one.number}: {name}"):
                start = time.monotonic()
                finished = phases[name]()
                seconds = one.state.get("spent", {}).pop(name, 0) + time.monotonic() - start
            if finished is False:
                one.state.setdefault("spent", {})[name] = round(seconds, 1)
                one.save()
                return WAITS
            one.finish(name, seconds)
        if name == until and not one.is_finished:
            _report(space)
            return until
    space.write_lineage()
    _report(space)
    return DONE


def _check_pool(space, one):
    """Raises DatasetError when no image is left where the pool was: a folder that is not mounted, another machine."""
    first = next(space.open_pool(before=one.number), None)
    if first is not None and not any(os.path.exists(image.path) for image in space.open_pool(before=one.number)):
        raise errors.DatasetError(
            "none of the images of the pool is there",
            expected=first.path,
            fix=f"put them back, or change the paths in {space.folder / 'pool.csv'}",
        )


def _report(space):
    """Writes the report anew and says where it is."""
    made = report.write_report(space.folder)
    console.say(made.text)
    console.say(f"the page of all rounds: {made.page}")


def _train(space, one):
    """Converts the set as it is now, trains on it and exports the model."""
    settings_of.check_place(space, one)
    names = space.training_names(one.number)
    train_list = one.folder / "train.txt"
    storage.write_text(train_list, "".join(f"{name}\n" for name in names))
    training = dict(one.settings["training"])
    overrides = training.pop("overrides", ())
    earlier = [other for other in space.rounds() if other.number < one.number]
    if earlier and one.settings["retrain"] == CONTINUE:
        training["fine_tune_checkpoint"] = str((earlier[-1].model / "checkpoint").absolute())
        overrides = (*overrides, "train_config.fine_tune_checkpoint_type=full")
    options = runs.RunOptions(
        data_dir=space.set_dir.absolute(),
        train_list=train_list.absolute(),
        val_list=space.validation_list.absolute(),
        label_map=space.label_map.absolute(),
        validate=HEADER,
        seed=one.settings["seed"] + one.number,
        overrides=tuple(overrides),
        output_dir=one.training,
        **training,
    )
    runs.run(options, is_part=True)
    _forget_graphs()
    metrics = best_metrics(one)
    console.say(f"round {one.number}: {len(names)} training images, {evaluation.summarize(metrics)}")


def _forget_graphs():
    """Frees what Keras and TensorFlow keep of a training that is over."""
    import tf_keras

    tf_keras.backend.clear_session()
    gc.collect()


def best_metrics(one):
    """{tag: value or None} of the evaluation of a round's exported model."""
    return evaluation.History(one.training / "checkpoints" / "evaluations.jsonl").best()["metrics"]


def _predict(space, one):
    options = one.settings["prediction"]
    report = pool_predictor.predict_pool(
        lambda: space.open_pool(before=one.number), one.model, one.predictions, **options
    )
    if report.num_unreadable:
        _say_unreadable(one, report.num_unreadable)


def _say_unreadable(one, count):
    first = [bad.reason.partition("\n")[0] for bad in itertools.islice(predictions.read_unreadable(one.predictions), 3)]
    more = f", ...; all of them are in {one.predictions}/part-*.unreadable.jsonl" if count > len(first) else ""
    console.warn(f"{count} images of the pool cannot be read; they stay in the pool: {', '.join(first)}{more}")


def predict_share(folder, shard):
    """Predicts a share of the current round's pool, for several processes or machines at once.

    Args:
      folder: of the workspace.
      shard: (number from 1, count).

    Raises:
      DatasetError: no round waits for predictions.
    """
    space = workspaces.Workspace(folder)
    one = next((other for other in space.rounds() if other.has("train") and not other.has("predict")), None)
    if one is None:
        raise errors.DatasetError(
            f"{space.folder}: no round waits for predictions",
            expected="a round that is trained",
            fix="`tfodhelper active round --until=train` trains the next one",
        )
    pool = space.open_pool
    pool_predictor.predict_pool(
        lambda: pool(before=one.number), one.model, one.predictions, shard=shard, **one.settings["prediction"]
    )


def _select(space, one):
    options = select.SelectOptions(seed=one.settings["seed"], **one.settings["selection"])
    counts = workspaces.count_labelled(one.training)
    metrics = best_metrics(one)
    precisions = {name: metrics.get(_AP_50 + name) for name in counts}
    num_labelled = len(space.training_names(one.number))
    features = None
    if select.needs_labelled_features(options, num_labelled):
        features = _labelled_features(space, one)
    selection = select.select(
        lambda: predictions.read_predictions(one.predictions),
        options,
        round_number=one.number,
        class_counts=counts,
        num_labelled=num_labelled,
        average_precisions=precisions,
        labelled_features=features,
        scores_path=one.folder / "scores.csv",
    )
    select.write_selection(one.folder, selection)
    console.say(f"selected {len(selection.chosen)} of {selection.num_candidates} images by {selection.rule_used}")


def _labelled_features(space, one):
    """Features of the training images, for rules that keep away from what is labelled."""
    import numpy as np

    from tfodhelper.active_learning.structures import PoolImage

    folder = one.folder / "labelled_predictions"
    images = [PoolImage(name, str(space.set_dir / name)) for name in space.training_names(one.number)]
    pool_predictor.predict_pool(images, one.model, folder, **one.settings["prediction"])
    found = [p.features for p in predictions.read_predictions(folder) if p.features is not None]
    return np.stack(found) if found else None


def _ask(space, one, oracle, finish_review):
    """Asks about the chosen images; False while a person's answers are missing."""
    settings = one.settings["oracle"]
    label_map = label_maps.read_label_map(space.label_map)
    oracle = oracle or settings_of.build_oracle(settings, label_map)
    one.state["oracle"] = oracle.name
    selection = select.read_selection(one.folder)
    answered = [_checked(answer, label_map) for answer in oracle.ask(_questions(space, one, selection), one.folder)]
    counts = collections.Counter(answer.verdict for answer in answered)
    reasons = collections.Counter(answer.reason for answer in answered if answer.verdict != ADOPTED)
    parts = [f"{counts[verdict]} {verdict}" for verdict in (ADOPTED, REFUSED, WAITING) if counts[verdict]]
    console.say(f"{oracle.name}: " + (", ".join(parts) or "nothing was asked"))
    for reason, count in reasons.most_common():
        console.say(f"  {count} x {reason}")
    if counts[WAITING] and not finish_review:
        one.state["next_steps"] = list(getattr(oracle, "next_steps", lambda folder: ())(one.folder))
        return False
    one.state.pop("next_steps", None)
    if counts[WAITING]:
        console.say(f"{counts[WAITING]} images go back to the pool; what is edited in these drafts later is not read")
    answer_files.write_answers(one.answers, answered)
    return True


def _checked(answer, label_map):
    """An answer whose classes are all in the label map; else it is refused, and says why."""
    if answer.verdict != ADOPTED:
        return answer
    unknown = sorted({box.name for box in answer.annotation.boxes} - {item.name for item in label_map})
    if not unknown:
        return answer
    reason = f"class {unknown[0]!r} is not in the label map"
    return Answer(answer.name, REFUSED, reason=reason)


def _questions(space, one, selection):
    """Yields a `Question` for each chosen image: in the order of the choice where it is short, else of the pool."""
    ranks = {chosen.name: rank for rank, chosen in enumerate(selection.chosen)}
    found = _matching(space, one, ranks)
    if one.settings["selection"].get("budget"):
        found = sorted(found, key=lambda question: ranks[question.image.name])
    yield from found


def _matching(space, one, names):
    images = space.open_pool(before=one.number)
    for prediction in predictions.read_predictions(one.predictions):
        if prediction.name in names:
            image = next(image for image in images if image.name == prediction.name)
            yield Question(image, prediction)


def _merge(space, one):
    """Puts the adopted images into the set; done again, it finds them there."""
    pool = {image.name: image for image in space.open_pool(before=one.number)}
    answered, lost = list(answer_files.read_answers(one.answers)), {}
    for answer in answered:
        if answer.verdict == ADOPTED:
            try:
                _place(space.set_dir / answer.name, pool[answer.name].path, answer.annotation)
            except errors.AnnotationError as error:
                console.warn(str(error))
                lost[answer.name] = Answer(answer.name, REFUSED, reason="the image could not be read any more")
    if lost:  # else the next round would count on them
        answer_files.write_answers(one.answers, [lost.get(answer.name, answer) for answer in answered])
    num_adopted = sum(answer.verdict == ADOPTED for answer in answered) - len(lost)
    console.say(f"round {one.number}: {num_adopted} images adopted")


def _place(target, path, annotation):
    """Links an image into the set and writes its XML; AnnotationError when it cannot be read."""
    mode = image_files.inspect_image(image_files.read_image(path), path).mode
    if not target.is_symlink():
        target.unlink(missing_ok=True)  # a copy may have been interrupted
        placing.place_image(path, target, placing.LINK)
    placing.write_annotation(target.with_suffix(".xml"), target, annotation, 1 if mode == "L" else 3)
