"""What TensorBoard needs besides the scalars that the training loop writes: pictures, and curves without a fold."""

import glob
import os
import time

import numpy as np
import tensorflow as tf

_PICTURES = "eval_side_by_side"  # as the Object Detection API calls them


def drop_after(folder, step):
    """Makes TensorBoard forget points behind `step`, which a process that was killed had written ahead.

    A small event file is added that marks a restart at the next step; nothing is deleted.

    Args:
      folder: a folder of event files; without any nothing is done.
      step: the last step that the restored checkpoint holds.
    """
    files = sorted(glob.glob(os.path.join(glob.escape(str(folder)), "events.out.tfevents.*")))
    if not files:
        return
    version = tf.compat.v1.Event(wall_time=time.time(), file_version="brain.Event:2")
    restart = tf.compat.v1.Event(
        wall_time=time.time(),
        step=step + 1,
        session_log=tf.compat.v1.SessionLog(status=tf.compat.v1.SessionLog.START),
    )
    # TensorBoard reads the files of a folder in the order of their names: behind the newest, before the next.
    with tf.io.TFRecordWriter(files[-1] + ".restart") as writer:
        writer.write(version.SerializeToString())
        # TensorBoard takes the first mark for a start and only the next one for a restart.
        writer.write(restart.SerializeToString())
        writer.write(restart.SerializeToString())


def write_images(pictures, step):
    """Writes pictures with the summary writer that is the default now, all on one card of TensorBoard's overview.

    Args:
      pictures: name of the image -> uint8 [height, width, 3].
      step: the step they belong to.
    """
    for name, picture in pictures.items():
        tf.summary.image(f"{_PICTURES}/{name}", np.asarray(picture)[None], step=step)
