"""A real zoo checkpoint: its detections on photographs are those of the OD API's own export."""

import json

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image

from tests.shared_data import shared, unpack_shared
from tfodhelper import protos
from tfodhelper.checkpoints import restore
from tfodhelper.fields import Detections
from tfodhelper.models import build

pytestmark = pytest.mark.slow

NAME = "ssd_mobilenet_v1_0.75_depth_300x300_coco"


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return unpack_shared(f"zoo/{NAME}.tar.gz", tmp_path_factory.mktemp("zoo"))


def read_model(archive):
    text = (archive / "pipeline.config").read_text()
    return text_format.Parse(text, protos.message("TrainEvalPipelineConfig")()).model


def test_reference_detections(archive):
    detector = build.build_detector(read_model(archive), is_training=False)
    report = restore.restore_trained(detector, archive)
    assert len(report.restored) == 199 and not report.unused and not report.initialized
    for name, wanted in json.loads(shared("zoo/reference_detections.json").read_text()).items():
        image = np.asarray(Image.open(shared(f"zoo/photos/{name}")).convert("RGB"))
        inputs, shapes = detector.preprocess(image[np.newaxis])
        detections = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
        assert int(detections[Detections.NUM][0]) == wanted["num_detections"]
        top = wanted["top40"][:20]
        assert [int(c) + 1 for c in detections[Detections.CLASSES][0, :20]] == [d["class"] for d in top]
        np.testing.assert_allclose(detections[Detections.SCORES][0, :20], [d["score"] for d in top], atol=1e-3)
        np.testing.assert_allclose(detections[Detections.BOXES][0, :20], [d["box_yxyx"] for d in top], atol=1e-3)


@pytest.mark.parametrize(
    ("checkpoint_type", "num_restored"), [("classification", 135), ("detection", 175), ("full", 187)]
)
def test_fine_tuning_with_other_classes(archive, checkpoint_type, num_restored):
    model = read_model(archive)
    model.ssd.num_classes = 3
    detector = build.build_detector(model, is_training=True)
    report = restore.restore_for_fine_tuning(detector, archive / "checkpoint", checkpoint_type)
    assert len(report.restored) == num_restored
    assert len(report.restored) + len(report.initialized) == 199
    if checkpoint_type == "full":
        assert all("class_predictions" in key for key, _ in report.initialized)
