"""Every detector family that exists against all reference numbers of the OD API next to the checkout.

The numbers of training with moving batch norm follow from the last bits, and these from how TensorFlow sums: the OD API
itself, run again where that differs, gives other ones.
"""

import os
import subprocess
import sys

import numpy as np
import pytest

from tests.models import parity, shared_case
from tests.shared_data import REPOSITORY, shared
from tfodhelper.checkpoints import restore
from tfodhelper.models import build

pytestmark = pytest.mark.slow

EXISTING = [
    "faster_rcnn_inception_resnet_v2_640x640_coco17__hand__reduced256",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8__reduced256",
    "faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8",
    "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8__reduced256",
    "ssd_mobilenet_v1_300x300_coco__hand",
    "ssd_mobilenet_v2_320x320_coco17_tpu-8",
    "ssd_mobilenet_v2_coco__slim",
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    "ssdlite_mobilenet_v2_320x320_coco__hand",
    "ssdlite_mobilenet_v2_coco__slim",
]
# (whether oneDNN is in use, number of threads) where the numbers were made. With these, they come out bit by bit on
# another processor too.
KERAS_SUMS, SLIM_SUMS = ("1", "2"), ("0", "1")
# What may differ where they do not, by architecture: batch statistics of maps of a few pixels amplify the last bit, and
# then hard mining and the samplers choose otherwise.
OF_THE_PROCESSOR = {
    "ssd": {"predictions", "gradients"},
    "faster_rcnn": {"predictions", "losses", "gradients", "statistics"},
}


def folders():
    """Names of the folders whose family exists; the required ones are listed even if none exists."""
    try:
        root = shared("odapi_parity")
    except pytest.skip.Exception:
        return EXISTING
    return sorted(
        folder.name for folder in root.iterdir() if (folder / "golden.npz").exists() and shared_case.has_family(folder)
    )


def test_all_existing_families_are_compared():
    assert set(EXISTING) <= set(folders())


@pytest.fixture(scope="module", params=folders())
def case(request):
    return shared_case.Case(shared(f"odapi_parity/{request.param}"))


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


def test_training_step(case, tmp_path):
    moves = len(case.golden.arrays["train/moving_index"]) > 0
    step = step_of_worker(case, tmp_path / "step.npz") if moves else case.take_step()
    failures = failed_checks(case, step)
    if failures and moves:
        failures_here = failed_checks(case, case.take_step())
        failures = {name: failure for name, failure in failures.items() if name in failures_here}
    may_differ = OF_THE_PROCESSOR[case.model.WhichOneof("model")] if moves else set()
    for name in failures.keys() - may_differ:
        raise failures[name]
    if failures:
        pytest.skip(f"only references of other processors: {', '.join(f'{n}: {f}' for n, f in failures.items())}")


def failed_checks(case, step):
    """{what differs from all references: what the check says}."""
    checks = {
        "predictions": step.check_predictions,
        "losses": step.check_losses,
        "gradients": step.check_gradients,
        "statistics": step.check_statistics,
    }
    failures = {name: failure_with_all(check, case.goldens) for name, check in checks.items()}
    return {name: failure for name, failure in failures.items() if failure is not None}


def failure_with_all(check, goldens):
    """None where a check passes with one of the references, else what it says of the first."""
    failures = []
    for golden in goldens:
        try:
            return check(golden)
        except AssertionError as failure:
            failures.append(failure)
    return failures[0]


def step_of_worker(case, path):
    """The `parity.TrainingStep` of a process that sums as the one did in which the numbers were made."""
    uses_onednn, threads = SLIM_SUMS if case.is_slim else KERAS_SUMS
    process = subprocess.run(
        [sys.executable, "-m", "tests.models.training_worker", str(case.folder), str(path), threads],
        cwd=REPOSITORY,
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": uses_onednn},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-2000:]
    return parity.load_step(path)


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
