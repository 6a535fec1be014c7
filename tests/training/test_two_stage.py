"""Faster R-CNN through the same training, evaluation and export as SSD, on a few small drawn images of many sizes."""

import numpy as np
import pytest
import tensorflow as tf

from tests.checkpoints import two_stage_keys
from tfodhelper import protos
from tfodhelper.checkpoints import restore
from tfodhelper.config import generate
from tfodhelper.dataset import shapes
from tfodhelper.exporting import saved_model
from tfodhelper.fields import Groundtruth
from tfodhelper.models import build
from tfodhelper.models.faster_rcnn import detector as faster_rcnn
from tfodhelper.records import convert
from tfodhelper.training import jobs
from tfodhelper.training.options import TrainOptions

pytestmark = pytest.mark.slow

MODEL = "model.faster_rcnn"
SMALL = (
    f"{MODEL}.image_resizer.keep_aspect_ratio_resizer={{min_dimension: 64 max_dimension: 96}}",
    f"{MODEL}.first_stage_max_proposals=24",
    f"{MODEL}.second_stage_batch_size=8",
    f"{MODEL}.initial_crop_size=4",
    "eval_config.batch_size=2",
)


def make_pipeline(data, num_steps):
    """A complete configuration of ResNet-50 at a small size, from scratch."""
    base = generate.find_base("faster_rcnn_resnet50")
    options = {"num_steps": num_steps, "batch_size": 2, "learning_rate": 0.001, "overrides": SMALL}
    return generate.generate_pipeline(base, data, **options)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(configuration, model folder, result, the traces of the training step) of four steps."""
    folder = tmp_path_factory.mktemp("two_stage")
    scene = shapes.Scene(sizes=((120, 90), (90, 120), (100, 100), (130, 80)))
    shapes.draw_dataset(folder / "images", 12, seed=3, scene=scene)
    data = convert.convert(convert.ConvertOptions(data_dir=folder / "images", output_dir=folder / "data", seed=1))
    pipeline = make_pipeline(data, 4)
    traces, drawn = [], faster_rcnn.FasterRCNNDetector.predict_raw

    def count(self, inputs, *arguments, training=False, groundtruth=None):
        traces.append((training, groundtruth is not None and groundtruth[Groundtruth.BOXES].shape))
        return drawn(self, inputs, *arguments, training=training, groundtruth=groundtruth)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(faster_rcnn.FasterRCNNDetector, "predict_raw", count)
        result = jobs.train_model(pipeline, folder / "model", TrainOptions(eval_every=4, log_every=1))
    return pipeline, folder / "model", result, [trace for trace in traces if trace[0]]


def test_images_of_many_sizes_are_one_trace(trained):
    # The first call makes the optimizer's variables, and is traced once more without making any.
    assert len(trained[3]) <= 2


def test_evaluation_tells_losses_and_proposals(trained):
    metrics = trained[2].history.records[-1]["metrics"]
    assert {"Loss/RPNLoss/objectness_loss", "Loss/BoxClassifierLoss/classification_loss"} <= set(metrics)
    assert 0.0 <= metrics["ProposalBoxes_Recall/AR@10"] <= metrics["ProposalBoxes_Recall/AR@100"] <= 1.0
    assert metrics["ProposalBoxes_Recall/AR@300"] == metrics["ProposalBoxes_Recall/AR@500"]
    tags = {
        value.tag
        for path in (trained[1] / "eval").glob("events.out.tfevents.*")
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    }
    assert {"ProposalBoxes_Recall/Recall@.50IOU@300 (small)", "Loss/RPNLoss/localization_loss"} <= tags


def test_the_checkpoint_is_one_of_the_published_kind_and_an_export_of_one_stage_serves_proposals(trained, tmp_path):
    config, _, result, _ = trained
    pipeline = type(config)()
    pipeline.CopyFrom(config)
    pipeline.model.faster_rcnn.number_of_stages = 1
    folder = saved_model.export_trained(pipeline, result.last_checkpoint, tmp_path / "rpn")
    serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    detections = serve(tf.zeros([1, 70, 110, 3], tf.uint8))
    boxes, count = detections["detection_boxes"].numpy()[0], int(detections["num_detections"][0])
    assert boxes.shape == (24, 4) and 0 < count <= 24
    assert boxes.min() >= 0.0 and boxes.max() <= 1.0
    np.testing.assert_array_equal(detections["detection_classes"], np.ones([1, 24]))
    scores = detections["detection_scores"].numpy()[0]
    assert (np.diff(scores) <= 0.0).all()


@pytest.mark.parametrize(
    ("model", "backbone"),
    [
        ("faster_rcnn_resnet50_coco", "resnet_v1_50"),
        ("faster_rcnn_resnet101_coco", "resnet_v1_101"),
        ("faster_rcnn_resnet152_v1_640x640", "resnet_v1_152"),
        ("faster_rcnn_inception_resnet_v2_atrous_coco", "inception_resnet_v2"),
    ],
)
def test_first_generation_checkpoint_fills_the_real_network(tmp_path, model, backbone):
    """Each variable gets the value of its own name, and the filled network sees a small image."""
    message = protos.message("DetectionModel")()
    message.CopyFrom(generate.find_base(model).pipeline.model)
    message.faster_rcnn.first_stage_max_proposals = 4
    resizer = message.faster_rcnn.image_resizer.keep_aspect_ratio_resizer
    resizer.min_dimension = resizer.max_dimension = 64
    detector = build.build_detector(message, is_training=False)
    one_box = message.faster_rcnn.second_stage_box_predictor.mask_rcnn_box_predictor.share_box_across_classes
    keys = two_stage_keys.Keys(backbone, num_classes=90, boxes=1 if one_box else None)
    own, names = detector.checkpoint_keys(), keys.slim_names
    assert set(own) == set(names)
    values = {}
    for number, (key, variable) in enumerate(own.items()):
        values[names[key]] = tf.fill(variable.shape, number * 1e-6)
    report = restore.restore_for_fine_tuning(
        detector, two_stage_keys.write(values, str(tmp_path / "model.ckpt")), "full"
    )
    assert len(report.restored) == len(own) and not report.unused and not report.initialized
    for number, variable in enumerate(own.values()):
        assert float(tf.reduce_max(variable)) == float(tf.reduce_min(variable)) == np.float32(number * 1e-6)
    inputs, shapes = detector.preprocess(np.full([1, 50, 64, 3], 100, np.uint8))
    postprocessed = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
    assert np.all(np.isfinite(postprocessed["detection_boxes"]))
