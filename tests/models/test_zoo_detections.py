"""Real checkpoints: their detections on photographs are those of the OD API's own export."""

import functools
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
# archive: (file with its detections, number of its variables)
ARCHIVES = {
    NAME: ("reference_detections.json", 199),
    "ssd_mobilenet_v2_fpnlite_320x320_drowsiness": ("reference_detections_fpnlite.json", 384),
}


@pytest.fixture(scope="module")
def unpack(tmp_path_factory):
    """name -> folder of an archive."""
    return functools.cache(lambda name: unpack_shared(f"zoo/{name}.tar.gz", tmp_path_factory.mktemp("zoo")))


@pytest.fixture(scope="module")
def archive(unpack):
    return unpack(NAME)


def read_model(archive):
    text = (archive / "pipeline.config").read_text()
    return text_format.Parse(text, protos.message("TrainEvalPipelineConfig")()).model


@pytest.mark.parametrize("name", ARCHIVES)
def test_reference_detections(unpack, name):
    file, num_variables = ARCHIVES[name]
    detector = build.build_detector(read_model(unpack(name)), is_training=False)
    report = restore.restore_trained(detector, unpack(name))
    assert len(report.restored) == num_variables and not report.unused and not report.initialized
    for photo, wanted in json.loads(shared(f"zoo/{file}").read_text()).items():
        image = np.asarray(Image.open(shared(f"zoo/photos/{photo}")).convert("RGB"))
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
