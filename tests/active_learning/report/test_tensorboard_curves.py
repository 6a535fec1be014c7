"""The rounds as TensorBoard reads them."""

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from tests.active_learning import rounds_on_disk as disk
from tfodhelper.active_learning.report import round_facts, tensorboard_curves


def read(accumulator, tag):
    accumulator.Reload()
    return [(e.step, round(float(tensor_util.make_ndarray(e.tensor_proto)), 4)) for e in accumulator.Tensors(tag)]


def write(space, folder):
    rounds = round_facts.read_rounds(space.folder)
    return tensorboard_curves.write_curves(folder, rounds, round_facts.read_class_names(space.folder)) / "rounds"


def test_tensorboard_reads_a_point_for_each_round(tmp_path):
    folder = write(disk.two_rounds(tmp_path / "w"), tmp_path / "curves")
    accumulator = EventAccumulator(str(folder))
    assert read(accumulator, "precision/mAP@.50IOU") == [(1, 0.6), (2, 0.7)]
    assert read(accumulator, "AP@.50IOU/cat") == [(1, 0.8), (2, 0.9)]
    assert read(accumulator, "AP@.50IOU/dog") == [(1, 0.4)]
    assert read(accumulator, "set/images") == [(1, 4.0), (2, 6.0)]
    assert read(accumulator, "share/dog") == [(1, 0.25), (2, 0.5)]
    assert read(accumulator, "answers/adopted") == [(1, 2.0), (2, 1.0)]
    assert read(accumulator, "label_cost/deleted") == [(1, 2.0)]
    assert read(accumulator, "seconds/predict") == [(1, 5.0), (2, 3.0)]
    plugin = accumulator.SummaryMetadata("set/images").plugin_data.plugin_name
    assert plugin == "scalars"


def test_rewritten_curves_do_not_fold_back(tmp_path):
    space = disk.two_rounds(tmp_path / "w")
    folder = write(space, tmp_path / "curves")
    watching = EventAccumulator(str(folder))
    assert read(watching, "set/images") == [(1, 4.0), (2, 6.0)]
    three = disk.add_training(space, 3, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, [(1, disk.metrics(0.8, {}))])
    disk.finish(three, train=1.0)
    for _ in range(3):
        write(space, tmp_path / "curves")
        assert len(list(folder.iterdir())) == 1
    for accumulator in (watching, EventAccumulator(str(folder))):
        assert read(accumulator, "set/images") == [(1, 4.0), (2, 6.0), (3, 1.0)]
        assert read(accumulator, "precision/mAP@.50IOU") == [(1, 0.6), (2, 0.7), (3, 0.8)]


def test_a_workspace_without_rounds_gives_curves_without_points(tmp_path):
    folder = write(disk.start(tmp_path / "w", ["cat"]), tmp_path / "curves")
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    assert accumulator.Tags()["tensors"] == []
    with pytest.raises(KeyError):
        accumulator.Tensors("set/images")
