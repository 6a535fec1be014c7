"""What TensorBoard's tabs of curves, images and hyperparameters show."""

import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams_metadata
from tensorboard.plugins.hparams import plugin_data_pb2

from tests.training import tiny
from tfodhelper.metrics import analysis, collector, overlaps
from tfodhelper.training import analysis_summaries
from tfodhelper.training.options import TrainOptions


def make_analysis():
    """Two classes, the first with two objects, of which one is found with score 0.8; a wrong one has score 0.4."""
    images = collector.Collector({1: "a", 2: "b"})
    groundtruth = {"boxes": np.array([[0, 0, 10, 10], [20, 20, 60, 60]], float), "classes": np.array([1, 1])}
    detections = {
        "boxes": np.array([[0, 0, 10, 10], [80, 80, 90, 90]], float),
        "classes": np.array([1, 1]),
        "scores": np.array([0.8, 0.4]),
    }
    images.add("1", groundtruth, detections, name="x.jpg", size=(100, 100))
    return analysis.analyze(overlaps.SetOverlaps(images.finish()), {})


def read(folder):
    accumulator = EventAccumulator(str(folder), tensor_size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    accumulator.Reload()
    return accumulator


def test_curves_images_and_sizes_are_written(tmp_path):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        analysis_summaries.write_analysis(make_analysis(), 7)
    writer.close()
    events = read(tmp_path)
    tags = set(events.Tags()["tensors"])
    assert {"pr_curves/all classes", "pr_curves/a", "evaluation/confusion", "evaluation/sizes"} <= tags
    assert "pr_curves/b" not in tags  # without objects there is nothing to find
    (event,) = events.Tensors("pr_curves/a")
    rows = tf.make_ndarray(event.tensor_proto)
    assert event.step == 7 and rows.shape == (6, 101)
    # right, wrong, -, missed, precision, recall at the thresholds 0.3, 0.6 and 0.9
    np.testing.assert_allclose(rows[:, 30], [1, 1, 0, 1, 0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(rows[:, 60], [1, 0, 0, 1, 1, 0.5], atol=1e-6)
    np.testing.assert_allclose(rows[:, 90], [0, 0, 0, 2, 0, 0], atol=1e-6)
    (scalar,) = events.Tensors("sizes/found (small)")
    assert float(tf.make_ndarray(scalar.tensor_proto)) == 1.0
    assert events.SummaryMetadata("pr_curves/a").plugin_data.plugin_name == "pr_curves"


def test_the_hparams_tab_gets_the_settings(tmp_path):
    pipeline = tiny.make_pipeline(tiny.make_data(tmp_path, num_images=6))
    analysis_summaries.write_hparams(tmp_path / "eval", pipeline, TrainOptions(freeze="backbone", seed=3))
    events = read(tmp_path / "eval")
    content = events.SummaryMetadata(hparams_metadata.SESSION_START_INFO_TAG).plugin_data.content
    info = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info
    received = {name: getattr(value, value.WhichOneof("kind")) for name, value in info.hparams.items()}
    assert received["model"] == "ssd_mobilenet_v1_keras" and received["image size"] == "96 x 96"
    assert received["batch size"] == 4 and received["steps"] == 6 and received["seed"] == 3
    assert received["optimizer"] == "momentum" and abs(received["learning rate"] - 0.01) < 1e-8
    assert received["frozen"] == "backbone" and received["starts from"] == "random weights"
    assert "random_horizontal_flip" in received["augmentation"]
