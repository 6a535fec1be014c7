"""TensorBoard's reading of a curve whose writer was killed ahead of its checkpoint."""

import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tfodhelper.training import summaries


def write(folder, second, points):
    """Writes a file of events as a process that started at this second names it; TensorFlow's own name ends with a
    count, which orders two files of one second wrongly from the tenth on."""
    writer = tf.summary.create_file_writer(str(folder / "new"))
    with writer.as_default():
        for step, value in points:
            tf.summary.scalar("loss", value, step=step)
    writer.close()
    (path,) = (folder / "new").iterdir()
    path.rename(folder / f"events.out.tfevents.{second}.machine.1.0.v2")
    (folder / "new").rmdir()


def read(folder):
    accumulator = EventAccumulator(str(folder), tensor_size_guidance={"scalars": 0})
    accumulator.Reload()
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in accumulator.Tensors("loss")]


def test_points_after_the_checkpoint_are_forgotten(tmp_path):
    write(tmp_path, 1700000000, [(10, 1.0), (20, 2.0), (30, 3.0), (40, 4.0)])
    summaries.drop_after(tmp_path, 20)
    write(tmp_path, 1700000009, [(30, 0.3), (40, 0.4), (50, 0.5)])
    steps, values = zip(*read(tmp_path))
    assert steps == (10, 20, 30, 40, 50)
    assert [round(v, 3) for v in values] == [1.0, 2.0, 0.3, 0.4, 0.5]


def test_a_new_folder_gets_no_file(tmp_path):
    summaries.drop_after(tmp_path, 20)
    assert list(tmp_path.iterdir()) == []
