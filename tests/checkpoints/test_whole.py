"""A damaged checkpoint is noticed, and the last whole one takes its place."""

import pathlib
import random

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.checkpoints import save as weights
from tfodhelper.checkpoints import whole


def save(folder, step):
    values = tf.Variable(np.arange(2000, dtype=np.float32) + step)
    checkpoint = tf.train.Checkpoint(step=tf.Variable(step, dtype=tf.int64), value=values)
    return tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=9).save(checkpoint_number=step)


def data_of(prefix):
    return pathlib.Path(f"{prefix}.data-00000-of-00001")


def index_of(prefix):
    return pathlib.Path(f"{prefix}.index")


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 4
    path.write_bytes(bytes(content))


DAMAGE = {
    "data cut": lambda prefix: cut(data_of(prefix)),
    "data empty": lambda prefix: data_of(prefix).write_bytes(b""),
    "data missing": lambda prefix: data_of(prefix).unlink(),
    "a bit of the data": lambda prefix: flip(data_of(prefix)),
    "index cut": lambda prefix: cut(index_of(prefix)),
    "index empty": lambda prefix: index_of(prefix).write_bytes(b""),
    "index missing": lambda prefix: index_of(prefix).unlink(),
    "a bit of the index": lambda prefix: flip(index_of(prefix)),
}
EACH_DAMAGE = pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)


@EACH_DAMAGE
@pytest.mark.parametrize("find", [whole.find_whole, whole.find_to_resume])
def test_a_folder_goes_back_to_the_last_whole_one_and_says_so(find, damage, tmp_path, capsys):
    _, older, newest = (save(tmp_path, step) for step in (3, 7, 10))
    assert find(tmp_path) == newest and capsys.readouterr().err == ""
    damage(newest)
    assert find(tmp_path) == older
    said = " ".join(capsys.readouterr().err.split())
    assert f"{newest}: this checkpoint is damaged" in said and f"going back to {older}" in said


@EACH_DAMAGE
def test_a_prefix_is_not_replaced_by_another(damage, tmp_path):
    older, newest = save(tmp_path, 3), save(tmp_path, 10)
    damage(newest)
    with pytest.raises(errors.CheckpointError) as caught:
        whole.find_whole(newest)
    if pathlib.Path(f"{newest}.index").exists():
        assert "is damaged" in caught.value.what and older in caught.value.fix


@EACH_DAMAGE
def test_the_best_weights_are_those_of_the_same_step(damage, tmp_path, capsys):
    same, _ = save(tmp_path, 7), save(tmp_path, 10)
    best = weights.copy_weights(same, tmp_path / "best")
    damage(best)
    if pathlib.Path(f"{best}.index").exists():
        assert whole.find_whole(tmp_path / "best") == same
        assert f"going back to {same}" in " ".join(capsys.readouterr().err.split())


def test_a_training_falls_back_on_the_weights_of_its_evaluations(tmp_path):
    newest = save(tmp_path, 10)
    last = weights.copy_weights(newest, tmp_path / "last")
    cut(data_of(newest))
    assert whole.find_whole(tmp_path) == last
    with pytest.raises(errors.CheckpointError, match="is damaged"):
        whole.find_to_resume(tmp_path)


def test_none_whole_is_an_error_that_names_the_newest(tmp_path):
    for step in (3, 10):
        cut(data_of(save(tmp_path, step)))
    for find in (whole.find_whole, whole.find_to_resume):
        with pytest.raises(errors.CheckpointError, match="ckpt-10: this checkpoint is damaged"):
            find(tmp_path)


def test_what_a_kill_left_of_the_first_checkpoint_is_no_training(tmp_path):
    cut(index_of(save(tmp_path, 3)))
    (tmp_path / "checkpoint").unlink()
    assert whole.find_to_resume(tmp_path) is None


@pytest.mark.parametrize("seed", range(20))
def test_any_changed_bit_of_the_data_is_noticed(seed, tmp_path):
    """Random places of the data; in the index, some bytes say nothing."""
    prefix, chance = save(tmp_path, 3), random.Random(seed)
    content = bytearray(data_of(prefix).read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    data_of(prefix).write_bytes(bytes(content))
    assert whole.describe_damage(prefix) is not None
