"""Every detector family that exists against all reference numbers of the OD API next to the checkout.

Folders named `NAME__slim` hold those of the first generation: their variables have the names of TF-Slim.
"""

import importlib
import json
import sys

import numpy as np
import pytest
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
SLIM = "__slim"
OTHER_PROCESSOR = "golden_amd_epyc.npz"  # the same numbers, computed on another processor


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


def load_module(folder, name):
    """A module beside the folders, which may import its neighbours."""
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


class Case:
    """One folder: configuration, weights, images and numbers."""

    def __init__(self, folder):
        self.folder, self.is_slim = folder, folder.name.endswith(SLIM)
        self.formula = load_module(folder.parent, "golden_weights_slim" if self.is_slim else "golden_weights")
        self.checkpoints = load_module(folder.parent, "check_slim_example" if self.is_slim else "check_example")
        self.model = read_model(folder)
        self.variables = json.loads((folder / "variables.json").read_text())
        meta = json.loads((folder / "meta.json").read_text())
        noise = {key: moved for key, (moved, _) in meta["noise_1e-6"]["max_abs_diff_and_max_abs"].items()}
        self.regularization = meta["regularization"]
        files = [folder / name for name in ("golden.npz", OTHER_PROCESSOR)]
        self.goldens = [parity.Golden(read_arrays(file), noise) for file in files if file.exists()]
        self.golden = self.goldens[0]

    def named(self, detector):
        """{name in variables.json: variable of the detector}."""
        if not self.is_slim:
            return detector.checkpoint_keys()
        variables = {}
        for part in detector.parts():
            for named in part.variables():
                names = [name for name in named.slim_names if name in self.variables]
                assert len(names) == 1, (named.key, named.slim_names)
                variables[names[0]] = named.variable
        return variables

    def without_influence(self):
        """Names of the first generation's variables that no loss depends on: a detector may do without them."""
        if not self.is_slim or not self.golden.has("train/grad_index"):
            return set()
        names = sorted(self.variables)
        layers_with_gradient = {layer_of(names[i]) for i in self.golden.arrays["train/grad_index"]}
        return {name for name in names if layer_of(name) not in layers_with_gradient}

    def build(self, is_training):
        detector = build.build_detector(self.model, is_training)
        for name, variable in self.named(detector).items():
            variable.assign(self.formula.weight(name, tuple(variable.shape)))
        if self.model.HasField("faster_rcnn"):
            is_static = is_training and self.model.faster_rcnn.use_static_balanced_label_sampler
            detector.sample_order = parity.highest_first if is_static else parity.lowest_first
        return detector

    def groundtruth(self, variants, num_classes):
        def of_variant(variant, classes):
            values = self.formula.groundtruth(variant, classes, 300, 300)
            return values["boxes"], values["classes"].argmax(axis=1).astype(np.int32), values["weights"]

        return parity.make_groundtruth(variants, num_classes, of_variant)

    def belongs_to_a_processor(self):
        """Whether the numbers of training depend on the processor: batch statistics decide on proposals there."""
        return self.model.HasField("faster_rcnn") and len(self.golden.arrays["train/moving_index"]) > 0


def read_arrays(path):
    with np.load(path) as file:
        return dict(file)


def layer_of(name):
    """Scope of the layer that a variable of the first generation belongs to, with or without its own batch norm."""
    return name.rpartition("/")[0].removesuffix("/BatchNorm")


@pytest.fixture(scope="module", params=folders())
def case(request):
    return Case(shared(f"odapi_parity/{request.param}"))


@pytest.fixture(scope="module")
def detector(case):
    return case.build(is_training=False)


def test_variables(case, detector):
    variables = case.named(detector)
    assert set(variables) <= set(case.variables)
    assert set(case.variables) - set(variables) <= case.without_influence()
    for name, variable in variables.items():
        assert list(variable.shape) == case.variables[name]["shape"], name
        assert variable.trainable == case.variables[name]["trainable"], name


def test_images(case, detector):
    for name, arguments in case.formula.IMAGES.items():
        predictions = parity.check_image(case.golden, name, detector, case.formula.image(*arguments))
        if name == "img0":
            losses = detector.losses(predictions, case.groundtruth([0], detector.num_classes))
            parity.check_losses(case.golden, "img0/loss_eval/", losses)


def test_regularization(case, detector):
    terms = [float(term) for term in detector.regularization_losses()]
    if case.is_slim:  # which makes no term of a weight of 0, but terms of the kernels without influence
        terms = [term for term in terms if term] + missing_terms(case, detector)
    assert len(terms) == case.regularization["count"]
    np.testing.assert_allclose(sum(terms), case.regularization["sum"], rtol=1e-4)


def missing_terms(case, detector):
    """Regularization losses of kernels that the detector does without; those of SSD alone have a weight."""
    if not case.model.HasField("ssd"):
        return []
    weight = case.model.ssd.feature_extractor.conv_hyperparams.regularizer.l2_regularizer.weight
    names = [name for name in set(case.variables) - set(case.named(detector)) if name.endswith("weights")]
    values = [case.formula.weight(name, case.variables[name]["shape"]) for name in names]
    return [weight * float(np.sum(np.square(value, dtype=np.float64))) / 2 for value in values]


def test_training_step(case):
    images = [case.formula.image(*arguments) for arguments in case.formula.TRAIN_IMAGES]
    failures = []
    for golden in case.goldens:
        detector = case.build(is_training=True)
        named = case.named(detector)
        variables = [named.get(name) for name in sorted(case.variables)]
        groundtruth = case.groundtruth([0, 1], detector.num_classes)
        try:
            return parity.check_training(golden, detector, images, groundtruth, variables=variables)
        except AssertionError as failure:
            failures.append(failure)
    if case.belongs_to_a_processor():
        pytest.skip(f"the numbers of training are those of other processors than this one: {failures[-1]}")
    raise failures[0]


def test_checkpoint_of_the_published_shape_loads(case, tmp_path):
    name = "model.ckpt" if case.is_slim else "ckpt-0"
    prefix = case.checkpoints.build_checkpoint(str(case.folder), str(tmp_path / name))
    detector = build.build_detector(case.model, False)
    report = restore.restore_trained(detector, prefix)
    variables = case.named(detector)
    assert len(report.restored) == len(variables) == len(detector.variables) and not report.initialized
    assert set(report.unused) == set(case.variables) - set(variables)
    for name, variable in variables.items():
        np.testing.assert_array_equal(variable, case.formula.weight(name, tuple(variable.shape)))
