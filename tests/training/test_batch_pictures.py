"""The first batches as pictures."""

import io

import numpy as np
import tensorflow as tf
from official.core import config_definitions
from PIL import Image
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests.training import tiny
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.render import palette
from tfodhelper.training import batch_pictures
from tfodhelper.training import task as training_task


def test_each_box_is_drawn_on_its_image_and_padding_is_not():
    images = np.full([5, 480, 480, 3], 90.2, np.float32)
    boxes = np.zeros([5, 2, 4], np.float32)
    boxes[1, 0] = [0.25, 0.5, 0.75, 1.0]
    labels = {
        Groundtruth.BOXES: boxes,
        Groundtruth.CLASSES: np.array([[-1, -1], [1, -1], [-1, -1], [-1, -1], [-1, -1]]),
        Groundtruth.NUM_BOXES: np.array([0, 1, 0, 0, 0]),
    }
    picture = batch_pictures.draw_batch({Inputs.IMAGE: images}, labels, {2: ""})
    assert picture.shape == (2 * 480 + 6, 4 * 480 + 18, 3)
    color = np.array(palette.to_rgb(palette.color_of(2)))
    rows, columns = np.nonzero((picture == color).all(axis=-1))
    assert (rows.min(), rows.max()) == (120, 359)
    assert (columns.min(), columns.max()) == (486 + 240, 486 + 479)
    assert (picture[:480, :480] == 90).all() and (picture[486:, 486:] == 255).all()


def test_the_first_batches_are_written_for_the_folder_and_for_tensorboard(tmp_path):
    data = tiny.make_data(tmp_path)
    pipeline = tiny.make_pipeline(data)
    task = training_task.DetectionTask(config_definitions.TaskConfig(), pipeline, training_task.StartingPoint(), seed=5)
    config = config_definitions.TaskConfig(
        train_data=config_definitions.DataConfig(global_batch_size=4, is_training=True, seed=5),
        validation_data=config_definitions.DataConfig(global_batch_size=3, is_training=False, drop_remainder=False),
    )
    folder = tmp_path / "training"
    folder.mkdir()
    label_map = label_maps.read_label_map(data.label_map_path)
    batch_pictures.draw_first(task, config, label_map, folder)
    features, labels = next(iter(task.build_inputs(config.train_data.replace(global_batch_size=8))))
    first, _ = next(iter(task.build_inputs(config.train_data)))
    np.testing.assert_array_equal(features[Inputs.IMAGE][:4], first[Inputs.IMAGE])  # those of the first step
    names = {item.id: item.shown_name for item in label_map}
    expected = batch_pictures.draw_batch(features, labels, names)
    for name, summaries in (("train_batch", "train"), ("validation_batch", "eval")):
        accumulator = EventAccumulator(str(folder / summaries), tensor_size_guidance={"images": 0})
        accumulator.Reload()
        (event,) = accumulator.Tensors(name)
        assert event.step == 0
        width, height, data = tf.make_ndarray(event.tensor_proto)
        assert data == (folder / f"{name}.jpg").read_bytes()
        shown = np.asarray(Image.open(io.BytesIO(data)))
        assert shown.shape == (int(height), int(width), 3)
        if name == "train_batch":
            assert shown.shape == expected.shape and np.abs(shown.astype(int) - expected).mean() < 6
