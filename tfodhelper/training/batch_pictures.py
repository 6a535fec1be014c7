"""What a detector sees, as pictures: a batch of the input with its boxes.

A wrong augmentation or a wrong box is seen before the first step, not after a night.
"""

import numpy as np
import tensorflow as tf
from PIL import Image

from tfodhelper import storage
from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.render import boxes

TRAIN, VALIDATION = "train_batch", "validation_batch"  # names of the files and of the images in TensorBoard
_MOST_IMAGES = 16
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
        panels.append(boxes.draw_labelled(image, {"boxes": corners, "classes": ids}, names))
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
    """Writes the first batches of training and validation as pictures, for the folder and for TensorBoard.

    The images are those of the first steps, since augmentation follows from the seed and the position in the stream.

    Args:
      task: a `task.DetectionTask` that begins at step 0.
      config: the Model Garden's `TaskConfig`.
      label_map: a `LabelMap`.
      model_dir: pathlib.Path of the training; receives train_batch.jpg and validation_batch.jpg.
    """
    names = {item.id: item.shown_name for item in label_map}
    for name, params, summaries in ((TRAIN, config.train_data, "train"), (VALIDATION, config.validation_data, "eval")):
        params = params.replace(global_batch_size=min(params.global_batch_size, _MOST_IMAGES))
        batch = next(iter(task.build_inputs(params)), None)
        if batch is None or not len(batch[0][Inputs.IMAGE]):
            continue
        picture = draw_batch(*batch, names)
        with storage.open_whole(model_dir / f"{name}.jpg", "wb") as file:
            Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY, subsampling=0)
        writer = tf.summary.create_file_writer(str(model_dir / summaries))
        with writer.as_default():
            tf.summary.image(name, picture[None], step=0)
        writer.close()
