"""What TensorBoard needs besides the scalars of the training loop: pictures, and curves that do not fold back."""

import glob
import os
import time

import numpy as np
import orbit
import tensorflow as tf

from tfodhelper import storage
from tfodhelper.records import framing

_PICTURES = "eval_side_by_side"  # as the Object Detection API calls them


class MeasuredSummaries(orbit.utils.SummaryManager):
    """Writes the figures of an evaluation without those that could not be measured: they are NaN, and not points."""

    def write_summaries(self, summary_dict):
        """Writes the values that are not NaN; see orbit's `SummaryManager`."""
        super().write_summaries({tag: value for tag, value in summary_dict.items() if not np.isnan(value)})


def drop_after(folder, step):
    """Makes TensorBoard forget the points after `step`, which a killed process had written ahead.

    Adds a small event file that marks a restart at the next step; nothing is deleted.

    Args:
      folder: of event files; without any, nothing is done.
      step: the last step of the restored checkpoint.
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
    # TensorBoard reads the files of a folder in the order of their names: after the newest, before the next.
    with storage.open_whole(files[-1] + ".restart", "wb") as file:
        # TensorBoard takes the first mark for a start and only the next one for a restart.
        for event in (version, restart, restart):
            file.writelines(framing.frame(event.SerializeToString()))


def write_images(pictures, step):
    """Writes pictures with the current default summary writer, all on one card of TensorBoard's overview.

    Args:
      pictures: name of the image -> uint8 [height, width, 3].
      step: the step they belong to.
    """
    for name, picture in pictures.items():
        tf.summary.image(f"{_PICTURES}/{name}", np.asarray(picture)[None], step=step)
