"""The training of a round, and its trial against a training without the boxes that nobody has seen."""

import gc
import os

from tfodhelper import console, run_folder, run_layout, run_options, spelling, storage
from tfodhelper.active_learning import adopted_records, growing_set, round_settings
from tfodhelper.active_learning.adoption import trial as trials
from tfodhelper.active_learning.options import CONTINUE, LAST, OFF
from tfodhelper.dataset.options import HEADER
from tfodhelper.training import best, evaluation


def train(space, round_):
    """Converts the set as it is now, trains on it and exports the model; then holds the model against another one.

    Whatever was finished before an interruption is not done again.
    """
    round_settings.check_not_moved(space, round_)
    names, relabelled = space.training_names(round_.number), space.relabelled(round_.number)
    growing_set.lay_out(space, relabelled, space.standing_in_training(round_.number))
    _train_on(space, round_, names, round_.training_dir, round_.folder / "train.txt")
    metrics = best_record(round_.training_dir)["metrics"]
    console.say(
        f"round {round_.number}: {spelling.count(len(names), 'training image')}, {evaluation.summarize(metrics)}"
    )
    for key in ("trial", "continues_with"):
        round_.state.pop(key, None)
    on_trial = space.on_trial(round_.number) & set(names)
    if (on_trial or relabelled) and round_.options.trial != OFF:
        _try(space, round_, on_trial, relabelled)


def _train_on(space, round_, names, folder, train_list, is_control=False):
    """Trains on images of the set, in a run folder."""
    storage.write_text(train_list, "".join(f"{name}\n" for name in names))
    own_names, training, shares = adopted_records.share_batches(
        space, round_, names, folder, round_.settings["training"], is_control
    )
    if own_names != names:
        train_list = train_list.with_name(f"{train_list.stem}_own.txt")
        storage.write_text(train_list, "".join(f"{name}\n" for name in own_names))
    overrides = (*training.pop("overrides", ()), *shares)
    earlier = _before(space, round_)
    if earlier is not None and round_.options.retrain == CONTINUE:
        training["fine_tune_checkpoint"] = str((earlier.model_dir / "checkpoint").absolute())
        overrides = (*overrides, "train_config.fine_tune_checkpoint_type=full")
    options = run_options.RunOptions(
        data_dir=space.set_dir.absolute(),
        train_list=train_list.absolute(),
        val_list=space.validation_list.absolute(),
        label_map=space.label_map.absolute(),
        validate=HEADER,
        seed=round_.settings["seed"] + round_.number,
        overrides=tuple(overrides),
        output_dir=folder,
        **training,
    )
    run_folder.run(options, is_part=True)
    _forget_graphs()


def _before(space, round_):
    """The last round before this one, or None."""
    return next((other for other in reversed(space.rounds()) if other.number < round_.number), None)


def _try(space, round_, on_trial, relabelled):
    """Compares the round with a model without the images on trial, and continues with the better one.

    The set then shows the boxes of the relabelled images with which it continues.
    """
    earlier, standing = _before(space, round_), space.standing_in_control(round_.number)
    without = space.names_with(standing)
    is_known = standing == space.standing_in_training(earlier.number)
    if round_.options.trial == LAST or (is_known and _is_same_training(round_, earlier, without)):
        against, other = trials.LAST, earlier.run_dir
    else:
        against, other = trials.CONTROL, round_.control_dir
        console.say(f"round {round_.number}: the same training without {_describe(on_trial, relabelled)}")
        growing_set.lay_out(space, relabelled, standing)
        _train_on(space, round_, without, other, round_.folder / "control.txt", is_control=True)
    trial = _hold(round_, other, against, len(on_trial), len(relabelled))
    growing_set.lay_out(space, relabelled, standing if trial.lost else space.standing_in_training(round_.number))
    round_.state["trial"] = trials.to_facts(trial)
    if trial.lost:
        round_.state["continues_with"] = os.path.relpath(other, space.folder)
    console.say(trial.to_words(round_.number))


def _describe(on_trial, relabelled):
    """What the second training does without."""
    kinds = ["the images that nobody has looked at"] if on_trial else []
    return " and ".join([*kinds, *(["the new boxes of relabelled images"] if relabelled else [])])


def _is_same_training(round_, earlier, names):
    """Whether the last round's model was trained from the same start, on these images alone, in the same way."""
    if round_.options.retrain == CONTINUE or earlier.has_lost:
        return False
    settings = ("training", "retrain")
    before = (earlier.folder / "train.txt").read_text(encoding="utf-8").splitlines()
    return before == names and all(round_.settings[part] == earlier.settings[part] for part in settings)


def _hold(round_, other, against, num_images, num_relabelled):
    """The `trial.Trial` of a round against another run folder.

    The figure is that of --best_metric; one of the training set counts as mAP, since the training sets differ.
    """
    metric = best.build_best_metric(round_settings.training_options(round_)).metric
    by = best.BestMetric(metric if metric.startswith(best.EVALUATED) else best.MAP)
    record, least = (best_record(folder) for folder in (round_.training_dir, other))
    values, tag, error = (by.value_of(record), by.value_of(least)), by.metric.removeprefix(best.EVALUATED), None
    lost = None not in values and by.improves(least, record)
    if lost:
        folders = [run_layout.evaluation_of(folder, "best") for folder in (round_.training_dir, other)]
        error = trials.error_of_difference(*folders, tag)
        lost = trials.is_lost(abs(values[0] - values[1]), error)
    return trials.Trial(against, tag, *values, lost, num_images, num_relabelled, error)


def best_record(run):
    """The evaluation of the exported model of a run folder: the best one, or the last one."""
    records = run_layout.read_evaluations(run_layout.checkpoints_of(run) / "evaluations.jsonl")
    return run_layout.best_of(records) or records[-1]


def _forget_graphs():
    """Frees what Keras and TensorFlow keep of a finished training."""
    import tf_keras

    tf_keras.backend.clear_session()
    gc.collect()
