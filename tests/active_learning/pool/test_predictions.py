"""Predictions as files: what is written comes back, and incomplete parts do not exist."""

import dataclasses
import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.active_learning import pools
from tests.shared_data import REPOSITORY
from tfodhelper import errors, storage
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.structures import Prediction
from tfodhelper.prediction import detections

PLAN = predictions.Plan(5, 2, "images", "model", 0.05, 100)
UNREADABLE = predictions.Unreadable("c.jpg", "images/c.jpg", "the image file ends too early")


def write_pool(folder):
    """Five images in three parts; one of them cannot be read."""
    pool = [
        pools.predicted("a.jpg", ("cat", 0.9, 0.8, 0.1), ("dog", 0.5, 0.1, 0.6), features=[1.0, 2.5]),
        pools.predicted("b.jpg", features=[0.0, 0.25]),
        pools.predicted("d.jpg", ("dog", 0.7, 0.6, 0.5), features=[3.0, 4.0]),
        pools.predicted("ä/e.jpg", ("dog", 0.7, 0.6, 0.5), features=[5.0, 6.0]),
    ]
    predictions.keep_plan(folder, PLAN)
    predictions.write_part(folder, 0, pool[:2])
    predictions.write_part(folder, 1, pool[2:3], [UNREADABLE])
    predictions.write_part(folder, 2, pool[3:])
    return pool


def test_what_is_written_comes_back_in_order(tmp_path):
    written = write_pool(tmp_path)
    read = list(predictions.read_predictions(tmp_path))
    assert read == written
    np.testing.assert_array_equal(
        [prediction.features for prediction in read], [[1.0, 2.5], [0.0, 0.25], [3.0, 4.0], [5.0, 6.0]]
    )
    assert list(predictions.read_unreadable(tmp_path)) == [UNREADABLE]


def test_a_line_has_the_form_of_other_predictions():
    boxes = (
        detections.Detection('a "cat"\n', 1, 0.1234567, 1.0, 2.00049, 3.5, 400.0),
        detections.Detection("ñandú", 2, 1e-9, -0.25, 0.0, 8.0, 9.0, doubt=0.01234567),
    )
    predicted = detections.ImageDetections('images/"ä".jpg', 16, 12, boxes)
    value = json.loads(predictions.to_line(Prediction("ä.jpg", predicted, (0.5, 1.0), (0.1234567, 0.0))))
    assert value.pop("name") == "ä.jpg"
    assert (value.pop("margins"), value.pop("entropies")) == ([0.5, 1.0], [0.123457, 0.0])
    assert value == detections.to_json(predicted)


def test_doubts_come_back(tmp_path):
    boxes = [detections.Detection("cat", 1, 0.5, 1, 2, 3, 4, doubt=doubt) for doubt in (0.25, None, 0.0)]
    predicted = detections.ImageDetections("a.jpg", 16, 12, tuple(boxes))
    predictions.keep_plan(tmp_path, dataclasses.replace(PLAN, num_images=1, views="fused"))
    predictions.write_part(tmp_path, 0, [Prediction("a.jpg", predicted, (0.0,) * 3, (0.0,) * 3)])
    (read,) = predictions.read_predictions(tmp_path)
    assert [each.doubt for each in read.found.detections] == [0.25, None, 0.0]
    assert "doubt" not in detections.to_json(read.found)["detections"][1]


def test_plans_of_earlier_versions_are_of_the_plain_view(tmp_path):
    write_pool(tmp_path)
    stored = json.loads((tmp_path / "plan.json").read_text())
    assert stored.pop("views") == "plain"
    (tmp_path / "plan.json").write_text(json.dumps(stored))
    assert predictions.read_plan(tmp_path) == PLAN
    predictions.keep_plan(tmp_path, PLAN)
    assert len(list(predictions.read_predictions(tmp_path))) == 4
    with pytest.raises(errors.PredictionError, match="views plain(.|\\n)*views fused"):
        predictions.keep_plan(tmp_path, dataclasses.replace(PLAN, views="fused"))


def test_a_model_without_features(tmp_path):
    predictions.keep_plan(tmp_path, dataclasses.replace(PLAN, num_images=1))
    predictions.write_part(tmp_path, 0, [pools.predicted("a.jpg", ("cat", 0.9))])
    (read,) = predictions.read_predictions(tmp_path)
    assert read.features is None


def test_a_part_in_which_nothing_can_be_read(tmp_path):
    predictions.keep_plan(tmp_path, dataclasses.replace(PLAN, num_images=1))
    predictions.write_part(tmp_path, 0, [], [UNREADABLE])
    assert predictions.missing_parts(tmp_path) == []
    assert list(predictions.read_predictions(tmp_path)) == []


def test_missing_parts_are_named(tmp_path):
    write_pool(tmp_path)
    (tmp_path / "part-00001.jsonl").unlink()
    assert predictions.missing_parts(tmp_path) == [1]
    with pytest.raises(errors.PredictionError, match="1 missing part of the predictions, first part 1"):
        list(predictions.read_predictions(tmp_path))
    assert list(predictions.read_unreadable(tmp_path)) == []


def test_what_a_killed_attempt_left_of_a_part_is_removed(tmp_path):
    write_pool(tmp_path)
    predictions.write_part(tmp_path, 1, [pools.predicted("c.jpg"), pools.predicted("d.jpg")])
    names = [prediction.name for prediction in predictions.read_predictions(tmp_path)]
    assert names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "ä/e.jpg"]
    assert list(predictions.read_unreadable(tmp_path)) == []


def test_another_pool_or_model_is_refused(tmp_path):
    predictions.keep_plan(tmp_path, PLAN)
    predictions.keep_plan(tmp_path, PLAN)
    with pytest.raises(errors.PredictionError, match="model_sha256 model(.|\n)*model_sha256 other"):
        predictions.keep_plan(tmp_path, dataclasses.replace(PLAN, model_sha256="other"))


def test_a_folder_without_plan_is_named(tmp_path):
    with pytest.raises(errors.StorageError, match="plan.json"):
        predictions.missing_parts(tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("part-00000.jsonl", b"{"),
        ("part-00000.jsonl", b'{"name": "a.jpg"}\n'),
        ("part-00000.jsonl", b""),
        ("part-00000.jsonl", b"\xff\n"),
        ("part-00000.npz", b""),
        ("part-00000.npz", b"PK\x03\x04 cut"),
        ("part-00001.unreadable.jsonl", b"{"),
    ],
)
def test_a_damaged_part_is_named(tmp_path, name, content):
    write_pool(tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.PredictionError, match=f"{name[:10]}.*(is damaged|does not hold a)"):
        list(predictions.read_predictions(tmp_path))
        list(predictions.read_unreadable(tmp_path))


def test_features_of_fewer_images_than_lines_are_damage(tmp_path):
    write_pool(tmp_path)
    (tmp_path / "part-00002.npz").replace(tmp_path / "part-00000.npz")
    with pytest.raises(errors.PredictionError, match="features of 1 image"):
        list(predictions.read_predictions(tmp_path))


def test_a_full_disk_leaves_no_part(tmp_path, monkeypatch):
    def fsync(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    predictions.keep_plan(tmp_path, PLAN)
    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(errors.StorageError, match="the disk is full"):
        predictions.write_part(tmp_path, 0, [pools.predicted("a.jpg", features=[1.0])])
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]
    assert predictions.missing_parts(tmp_path) == [0, 1, 2]


# Kills itself when the features of part 1 are written and do not have their names yet.
KILLED = """
import os, pathlib, signal, sys
from tests.active_learning import pools
from tfodhelper.active_learning.pool import predictions
os.fsync = lambda number: os.kill(os.getpid(), signal.SIGKILL)
predictions.write_part(pathlib.Path(sys.argv[1]), 1, [pools.predicted("c.jpg", features=[1.0, 2.0])])
"""
STRANGERS = (".part-00001.npz.7.tmp.bak", "part-00001.npz.7.tmp", ".part-1.npz.7.tmp", ".plan.json.7.tmp", "notes.tmp")


def leave(folder, *names):
    for name in names:
        (folder / name).touch()


def test_a_start_removes_what_a_killed_one_left(tmp_path):
    written = write_pool(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=REPOSITORY, check=False)
    assert killed.returncode == -9
    (left,) = {path.name for path in tmp_path.iterdir()} - before
    assert left.startswith(".part-00001.npz.")
    leave(tmp_path, ".part-00000.unreadable.jsonl.12.tmp", ".part-123456.jsonl.12.tmp", *STRANGERS)
    with predictions.hold_shard(tmp_path, (1, 1)):
        assert {path.name for path in tmp_path.iterdir()} == before | {".shards", *STRANGERS}
    assert list(predictions.read_predictions(tmp_path)) == written


def test_a_shard_removes_only_what_was_left_of_its_own_parts(tmp_path):
    leave(tmp_path, ".part-00002.npz.5.tmp", ".part-00003.npz.5.tmp")
    with predictions.hold_shard(tmp_path, (1, 2)):
        assert sorted(path.name for path in tmp_path.iterdir()) == [".part-00003.npz.5.tmp", ".shards"]


def test_nothing_is_removed_while_a_shard_of_another_division_may_write_it(tmp_path):
    leave(tmp_path, ".part-00000.jsonl.5.tmp")
    other = storage.make_folder(tmp_path / ".shards" / "3-of-4")
    with storage.hold(other), predictions.hold_shard(tmp_path, (1, 1)):
        assert (tmp_path / ".part-00000.jsonl.5.tmp").exists()
    with predictions.hold_shard(tmp_path, (1, 1)):
        assert not (tmp_path / ".part-00000.jsonl.5.tmp").exists()
    refused = pytest.raises(errors.StorageError, match="another process is using this folder")
    with predictions.hold_shard(tmp_path, (1, 1)), refused, predictions.hold_shard(tmp_path, (1, 1)):
        pass
