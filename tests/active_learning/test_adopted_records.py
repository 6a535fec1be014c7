"""The share of a batch that images with unseen boxes get: which images go where, and what the run is told."""

import pathlib

import pytest
import tensorflow as tf

from tests.active_learning import rounds_on_disk as disk
from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors, protos, sheets
from tfodhelper.active_learning import adopted_records, round_settings, round_training, workspace
from tfodhelper.active_learning.structures import Edits
from tfodhelper.annotations.structures import Box
from tfodhelper.config import overrides
from tfodhelper.fields import Record

LABELLED, UNSEEN, SEEN = ["one.jpg", "two.jpg"], ["a.jpg", "b.jpg"], ["c.jpg"]
BOX = Box("cat", 4, 5, 30, 40)
SHARE = {"adopted_share": 0.25}


@pytest.fixture
def space(tmp_path):
    """A finished round that adopted two unseen images and one that a person has seen."""
    pool = [(name, f"/photos/{name}") for name in (*UNSEEN, *SEEN)]
    space = disk.start(tmp_path / "a workspace", ["cat"], pool)
    for seed, name in enumerate([*LABELLED, *UNSEEN, *SEEN, "val.jpg"]):
        box = BOX if name not in UNSEEN else Box("cat", 4, 5, 30, 40, weight=0.5)
        save_pair(space.set_dir, name.removesuffix(".jpg"), [box], seed=seed)
    (space.folder / "validation.txt").write_text("val.jpg\n")
    rows = [(name, f"/photos/{name}") for name in LABELLED]
    sheets.write_csv(space.folder / "labelled.csv", workspace.LABELLED_HEADER, rows)
    first = space.begin_round(1, disk.SETTINGS)
    adopted = [disk.adopted(name, ["cat"], scores=[0.9]) for name in UNSEEN]
    disk.add_answers(first, [*adopted, *(disk.adopted(name, ["cat"], Edits(kept=1), [0.9]) for name in SEEN)])
    disk.finish(first, train=1.0, predict=1.0, select=1.0, ask=1.0, merge=1.0)
    return space


def share(space, training, names=None):
    """(names, training, changes) for round 2."""
    round_ = next((each for each in space.rounds() if each.number == 2), None) or space.begin_round(2, disk.SETTINGS)
    names = space.training_names(2) if names is None else names
    return adopted_records.share_batches(space, round_, names, round_.training_dir, training)


def test_unseen_images_get_records_of_their_own(space):
    training = SHARE | {"ramp_steps": 7, "num_steps": 9}
    names, training, changes = share(space, training)
    assert names == [*LABELLED, *SEEN] and training == {"ramp_steps": 7, "num_steps": 9}
    pipeline = protos.message("TrainEvalPipelineConfig")()
    pipeline.train_input_reader.tf_record_input_reader.input_path.append("own")
    reader = overrides.apply_overrides(pipeline, changes).train_input_reader
    assert list(reader.sample_from_datasets_weights) == [0.75, 0.25]
    own, pattern = reader.tf_record_input_reader.input_path
    assert own == "own" and pathlib.Path(pattern).is_absolute() and "a workspace" in pattern
    examples = [
        tf.train.Example.FromString(record.numpy()).features.feature
        for record in tf.data.TFRecordDataset(tf.io.gfile.glob(pattern))
    ]
    assert sorted(each[Record.FILENAME].bytes_list.value[0].decode() for each in examples) == UNSEEN
    assert all(list(each[Record.WEIGHT].float_list.value) == [0.5] for each in examples)
    assert share(space, SHARE)[2] == changes  # a second time, as after an interruption


def test_without_a_share_all_are_read_alike(space):
    names = space.training_names(2)
    assert share(space, {"num_steps": 9}) == (names, {"num_steps": 9}, ())
    even = [*LABELLED, *UNSEEN]
    assert share(space, {"num_steps": 9}, even) == (even, {"num_steps": 9}, ())
    assert not (space.folder / "rounds" / "002" / "training_adopted").exists()


def test_without_a_share_what_nobody_has_seen_is_half_at_most(space):
    names, training, changes = share(space, {"num_steps": 9}, [LABELLED[0], *UNSEEN])
    assert (names, training) == ([LABELLED[0]], {"num_steps": 9})
    assert changes[1].endswith("sample_from_datasets_weights=[0.5, 0.5]")
    assert share(space, {"adopted_share": 0.9}, [LABELLED[0], *UNSEEN])[2][1].endswith("weights=[0.1, 0.9]")


def test_a_round_without_unseen_images_has_nothing_to_share(space):
    off = {"strong_augmentation": False, "ramp_steps": 0}
    given = SHARE | {"strong_augmentation": True, "ramp_steps": 7}
    assert share(space, given, LABELLED) == (LABELLED, off, ())
    assert share(space, given, UNSEEN) == (UNSEEN, off, ())


def test_flags_that_would_concern_nothing_are_refused(space, tmp_path):
    for flag, value in (("strong_augmentation", True), ("ramp_steps", 7)):
        with pytest.raises(errors.UsageError, match=f"--{flag}(.|\n)*--adopted_share"):
            share(space, {flag: value})
        oracle = {"name": "simulated", "truth_dir": str(tmp_path)}
        settings = {"oracle": oracle, "selection": {"budget": 0}, "prediction": {}, "retrain": "scratch", "seed": 0}
        with pytest.raises(errors.UsageError, match="--adopted_share"):
            round_settings.complete_new(settings | {"training": {"model": "ssd_mobilenet_v1", flag: value}})


def test_the_run_gets_the_rest_and_the_changes(space, monkeypatch):
    given = []
    monkeypatch.setattr(round_training.run_folder, "run", lambda options, is_part: given.append(options))
    monkeypatch.setattr(round_training, "_forget_graphs", lambda: None)
    settings = disk.SETTINGS | {"training": SHARE | {"overrides": ["train_config.batch_size=3"]}, "retrain": "scratch"}
    round_ = space.begin_round(2, settings)
    names = space.training_names(2)
    round_training._train_on(space, round_, names, round_.training_dir, round_.folder / "train.txt")
    (options,) = given
    assert pathlib.Path(options.train_list).read_text().split() == [*LABELLED, *SEEN]
    assert (round_.folder / "train.txt").read_text().split() == names
    assert options.overrides[0] == "train_config.batch_size=3" and len(options.overrides) == 3
    assert not hasattr(options, "adopted_share")
