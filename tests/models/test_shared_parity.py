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
# What batch statistics of two images make depend on the processor that ran the OD API, by architecture: those of maps
# of one or two pixels amplify the last bit, hard mining and proposals make another choice.
OF_THE_PROCESSOR = {
    "ssd": {"predictions", "gradients", "statistics"},
    "faster_rcnn": {"predictions", "losses", "gradients", "statistics"},
}


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
        self.golden = parity.Golden(read_arrays(folder / "golden.npz"), noise)
        elsewhere = sorted(folder.glob("golden_*.npz"))  # the same numbers, computed on other processors
        self.goldens = [self.golden, *(parity.Golden(read_arrays(file), noise) for file in elsewhere)]

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
        if hasattr(detector.backbone, "drop_connect_rate"):
            detector.backbone.drop_connect_rate = 0.0  # the reference numbers were made without
        return detector

    def groundtruth(self, variants, num_classes):
        def of_variant(variant, classes):
            values = self.formula.groundtruth(variant, classes, 300, 300)
            return values["boxes"], values["classes"].argmax(axis=1).astype(np.int32), values["weights"]

        return parity.make_groundtruth(variants, num_classes, of_variant)

    def of_the_processor(self):
        """Which numbers of training depend on the processor; none where no statistics move."""
        moves = len(self.golden.arrays["train/moving_index"]) > 0
        return OF_THE_PROCESSOR[self.model.WhichOneof("model")] if moves else set()


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
    detector = case.build(is_training=True)
    named = case.named(detector)
    images = [case.formula.image(*arguments) for arguments in case.formula.TRAIN_IMAGES]
    groundtruth = case.groundtruth([0, 1], detector.num_classes)
    step = parity.TrainingStep(detector, images, groundtruth, [named.get(name) for name in sorted(case.variables)])
    checks = {
        "predictions": step.check_predictions,
        "losses": step.check_losses,
        "gradients": step.check_gradients,
        "statistics": step.check_statistics,
    }
    if case.model.HasField("ssd"):
        step.check_statistics(case.golden, least_share=0.9)
    failures = {name: failure_with_all(check, case.goldens) for name, check in checks.items()}
    failures = {name: failure for name, failure in failures.items() if failure is not None}
    for name in failures.keys() - case.of_the_processor():
        raise failures[name]
    if failures:
        pytest.skip(f"only references of other processors: {', '.join(f'{n}: {f}' for n, f in failures.items())}")


def failure_with_all(check, goldens):
    """None where a check passes with one of the references, else what it says of the first."""
    failures = []
    for golden in goldens:
        try:
            return check(golden)
        except AssertionError as failure:
            failures.append(failure)
    return failures[0]


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
