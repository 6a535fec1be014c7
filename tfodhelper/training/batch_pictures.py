"""What a detector sees, as pictures: a batch of the input with its boxes.

A wrong augmentation or a wrong box is seen before the first step, not after a night.
"""

import io

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorboard.plugins.image import metadata as image_plugin

from tfodhelper import storage
from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.render import boxes

TRAIN, VALIDATION = "train_batch", "validation_batch"  # names of the files and of the images in TensorBoard
_MOST_IMAGES = 8
_PANEL_SIDE = 480  # longest side of one image, pixels
_COLUMNS = 4
_GAP = 6
_QUALITY = 90


def draw_batch(features, labels, names):
    """Draws the images of a batch with their boxes, four in a row.

    Args:
      features: `fields.Inputs.IMAGE`, float32 [B, height, width, 3], 0..255, padded.
      labels: `fields.Groundtruth`, boxes normalized to the padded image.
      names: {class id from 1: name}.

    Returns:
      uint8 [rows, columns, 3].
    """
    images = np.clip(np.rint(np.asarray(features[Inputs.IMAGE])[:_MOST_IMAGES]), 0, 255).astype(np.uint8)
    height, width = images.shape[1:3]
    panels = []
    for row, image in enumerate(images):
        num = int(labels[Groundtruth.NUM_BOXES][row])
        corners = np.asarray(labels[Groundtruth.BOXES][row])[:num] * np.tile([height, width], 2)
        ids = np.asarray(labels[Groundtruth.CLASSES][row])[:num] + 1
        panel = boxes.draw_labelled(image, {"boxes": corners, "classes": ids}, names)
        panel.thumbnail((_PANEL_SIDE, _PANEL_SIDE))
        panels.append(panel)
    return _arrange(panels)


def _arrange(panels):
    """Pictures of one size in rows, on white."""
    width, height = panels[0].size
    columns = min(_COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    whole = Image.new("RGB", (columns * (width + _GAP) - _GAP, rows * (height + _GAP) - _GAP), "white")
    for number, panel in enumerate(panels):
        whole.paste(panel, (number % columns * (width + _GAP), number // columns * (height + _GAP)))
    return np.asarray(whole)


def draw_first(task, config, label_map, model_dir):
    """Writes the first images of training and validation as pictures, for the folder and for TensorBoard.

    The images are those of the first steps, since augmentation follows from the seed and the position in the stream.

    Args:
      task: a `task.DetectionTask` that begins at step 0.
      config: the Model Garden's `TaskConfig`.
      label_map: a `LabelMap`.
      model_dir: pathlib.Path of the training; receives train_batch.jpg and validation_batch.jpg.
    """
    names = {item.id: item.shown_name for item in label_map}
    for name, params, summaries in ((TRAIN, config.train_data, "train"), (VALIDATION, config.validation_data, "eval")):
        batch = _read_batch(task, params)
        if batch is None:
            continue
        picture = Image.fromarray(draw_batch(*batch, names))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)
        with storage.open_whole(model_dir / f"{name}.jpg", "wb") as file:
            file.write(buffer.getvalue())
        writer = tf.summary.create_file_writer(str(model_dir / summaries))
        with writer.as_default():
            _write_jpeg(name, buffer.getvalue(), picture.size)
        writer.close()


def _write_jpeg(name, data, size):
    """An image as `tf.summary.image` writes it, but as JPEG, which takes a tenth of the time and space of PNG."""
    form = image_plugin.create_summary_metadata(name, "")
    tf.summary.write(name, [str(size[0]).encode(), str(size[1]).encode(), data], step=0, metadata=form)


def _read_batch(task, params):
    """The first 8 images as a batch, or as many as a step takes where there are no 8; None where there are none."""
    for size in (_MOST_IMAGES, params.global_batch_size):
        batch = next(iter(task.build_inputs(params.replace(global_batch_size=size))), None)
        if batch is not None and len(batch[0][Inputs.IMAGE]):
            return batch
    return None
