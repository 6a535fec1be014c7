"""Means of the losses survive an interruption."""

import pytest

from tfodhelper import errors
from tfodhelper.training import loss_log

LOSSES = {3: 0.1, 6: 0.7, 9: 1.3, 12: 0.30000000000000004}


def fill(folder, start=0, until=12):
    log = loss_log.LossLog(folder, start)
    for step, value in LOSSES.items():
        if start < step <= until:
            log.add(step, {"Loss/total_loss": value, "Loss/other": 2 * value})
    return log


def test_the_mean_is_over_the_stretches_since_the_last_evaluation(tmp_path):
    log = fill(tmp_path)
    assert log.mean(6, 12) == {"Loss/total_loss": pytest.approx(0.8), "Loss/other": pytest.approx(1.6)}
    assert log.mean(0, 3) == {"Loss/total_loss": 0.1, "Loss/other": 0.2}
    assert log.mean(12, 15) == {}


@pytest.mark.parametrize("checkpoint", [3, 6, 9])
@pytest.mark.parametrize("written", [9, 12])
def test_a_resumed_log_has_the_means_of_an_undisturbed_one(checkpoint, written, tmp_path):
    (tmp_path / "a").mkdir()
    fill(tmp_path / "a")
    (tmp_path / "b").mkdir()
    fill(tmp_path / "b", until=written)  # stopped after this step; its last checkpoint is from before
    log = fill(tmp_path / "b", start=checkpoint)
    assert log.mean(0, 12) == fill(tmp_path / "a", start=12).mean(0, 12)
    assert (tmp_path / "b" / loss_log.NAME).read_bytes() == (tmp_path / "a" / loss_log.NAME).read_bytes()


def test_a_line_that_is_cut_off_is_left_out(tmp_path):
    fill(tmp_path)
    path = tmp_path / loss_log.NAME
    path.write_bytes(path.read_bytes()[:-20])
    assert loss_log.LossLog(tmp_path, 12).mean(0, 12).keys() == {"Loss/total_loss", "Loss/other"}
    assert path.read_bytes().endswith(b"}\n")
    assert loss_log.LossLog(tmp_path, 12).mean(9, 12) == {}


def test_a_worker_without_a_folder_keeps_nothing(tmp_path):
    assert loss_log.LossLog(None, 0).mean(0, 1) == {}
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_read_or_written_through_a_link(tmp_path):
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    log = loss_log.LossLog(tmp_path, 0)
    (tmp_path / loss_log.NAME).symlink_to(mine)
    with pytest.raises(errors.StorageError):
        log.add(1, {"Loss/total_loss": 1.0})
    assert mine.read_text() == "mine"
    loss_log.LossLog(tmp_path, 0).add(1, {"Loss/total_loss": 1.0})
    assert mine.read_text() == "mine"
