"""Every detector family that exists against all reference numbers of the OD API next to the checkout."""

import importlib.util
import json

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.models import parity
from tests.shared_data import shared
from tfodhelper import protos
from tfodhelper.checkpoints import restore
from tfodhelper.config import supported
from tfodhelper.models import build

pytestmark = pytest.mark.slow

EXISTING = [
    "faster_rcnn_inception_resnet_v2_640x640_coco17__hand__reduced256",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8__reduced256",
    "faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8",
    "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8__reduced256",
    "ssd_mobilenet_v1_300x300_coco__hand",
]


def folders():
    """Names of the folders whose family exists; the required ones are listed even if none exists."""
    try:
        root = shared("odapi_parity")
    except pytest.skip.Exception:
        return EXISTING
    return sorted(folder.name for folder in root.iterdir() if (folder / "golden.npz").exists() and has_family(folder))


def has_family(folder):
    """Whether the network of a folder is supported."""
    pipeline = protos.message("TrainEvalPipelineConfig")(model=read_model(folder))
    return all(field.status != supported.UNSUPPORTED for field in supported.classify(pipeline))


def read_model(folder):
    message = protos.message("TrainEvalPipelineConfig")()
    return text_format.Parse((folder / "pipeline.config").read_text(), message).model


def test_all_existing_families_are_compared():
    assert set(EXISTING) <= set(folders())


class Case:
    """One folder: configuration, weights, images and numbers."""

    def __init__(self, folder):
        self.folder = folder
        spec = importlib.util.spec_from_file_location("golden_weights", folder.parent / "golden_weights.py")
        self.formula = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.formula)
        self.model = read_model(folder)
        self.variables = json.loads((folder / "variables.json").read_text())
        meta = json.loads((folder / "meta.json").read_text())
        noise = {key: moved for key, (moved, _) in meta["noise_1e-6"]["max_abs_diff_and_max_abs"].items()}
        self.regularization = meta["regularization"]
        with np.load(folder / "golden.npz") as file:
            self.golden = parity.Golden(dict(file), noise)

    def build(self, is_training):
        detector = build.build_detector(self.model, is_training)
        parity.fill(detector, self.formula.weight)
        if self.model.HasField("faster_rcnn"):
            is_static = is_training and self.model.faster_rcnn.use_static_balanced_label_sampler
            detector.sample_order = parity.highest_first if is_static else parity.lowest_first
        return detector

    def groundtruth(self, variants, num_classes):
        def of_variant(variant, classes):
            values = self.formula.groundtruth(variant, classes, 300, 300)
            return values["boxes"], values["classes"].argmax(axis=1).astype(np.int32), values["weights"]

        return parity.make_groundtruth(variants, num_classes, of_variant)


@pytest.fixture(scope="module", params=folders())
def case(request):
    return Case(shared(f"odapi_parity/{request.param}"))


@pytest.fixture(scope="module")
def detector(case):
    return case.build(is_training=False)


def test_variables(case, detector):
    keys = detector.checkpoint_keys()
    assert set(keys) == set(case.variables)
    for key, variable in keys.items():
        assert list(variable.shape) == case.variables[key]["shape"], key
        assert variable.trainable == case.variables[key]["trainable"], key


def test_images(case, detector):
    for name, arguments in case.formula.IMAGES.items():
        predictions = parity.check_image(case.golden, name, detector, case.formula.image(*arguments))
        if name == "img0":
            losses = detector.losses(predictions, case.groundtruth([0], detector.num_classes))
            parity.check_losses(case.golden, "img0/loss_eval/", losses)


def test_regularization(case, detector):
    terms = detector.regularization_losses()
    assert len(terms) == case.regularization["count"]
    np.testing.assert_allclose(float(tf.add_n(terms)), case.regularization["sum"], rtol=1e-4)


def test_training_step(case):
    detector = case.build(is_training=True)
    images = [case.formula.image(*arguments) for arguments in case.formula.TRAIN_IMAGES]
    parity.check_training(case.golden, detector, images, case.groundtruth([0, 1], detector.num_classes))


def test_checkpoint_of_the_published_shape_loads(case, tmp_path):
    spec = importlib.util.spec_from_file_location("check_example", case.folder.parent / "check_example.py")
    writer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(writer)
    prefix = writer.build_checkpoint(str(case.folder), str(tmp_path / "ckpt-0"))
    detector = build.build_detector(case.model, False)
    report = restore.restore_trained(detector, prefix)
    assert len(report.restored) == len(case.variables) and not report.unused
    for key, variable in detector.checkpoint_keys().items():
        np.testing.assert_array_equal(variable, case.formula.weight(key, tuple(variable.shape)))
