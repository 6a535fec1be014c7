"""Which checkpoint a training resumes from, and copies of weights."""

import tensorflow as tf

from tfodhelper.checkpoints import save as weights
from tfodhelper.checkpoints import whole


def save(folder, step):
    checkpoint = tf.train.Checkpoint(step=tf.Variable(step, dtype=tf.int64), value=tf.Variable(float(step)))
    return tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=3).save(checkpoint_number=step)


def test_the_newest_is_the_one_that_the_folder_names(tmp_path):
    save(tmp_path, 2)
    newest = save(tmp_path, 10)
    assert whole.find_to_resume(tmp_path) == newest
    assert weights.step_of(newest) == 10


def test_a_kill_before_the_folder_names_it_loses_nothing(tmp_path):
    save(tmp_path, 2)
    newest = save(tmp_path, 10)
    (tmp_path / "checkpoint").unlink()
    assert whole.find_to_resume(tmp_path) == newest


def test_a_half_written_index_is_no_checkpoint(tmp_path):
    first, second = save(tmp_path, 2), save(tmp_path, 10)
    (tmp_path / "checkpoint").unlink()
    index = tmp_path / "ckpt-10.index"
    index.write_bytes(index.read_bytes()[:40])
    assert whole.find_to_resume(tmp_path) == first != second


def test_an_empty_folder_has_none(tmp_path):
    assert whole.find_to_resume(tmp_path) is None


def test_a_copy_takes_the_place_of_the_former_one(tmp_path):
    for step in (2, 10):
        copy = weights.copy_weights(save(tmp_path / "last", step), tmp_path / "best")
        assert tf.train.latest_checkpoint(str(tmp_path / "best")) == copy
        assert weights.step_of(copy) == step
        assert float(tf.train.load_checkpoint(copy).get_tensor("value/.ATTRIBUTES/VARIABLE_VALUE")) == step
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["checkpoint", "ckpt-10.data-00000-of-00001", "ckpt-10.index"]
