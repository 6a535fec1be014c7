"""Every detector family that exists against all reference numbers of the OD API next to the checkout.

The numbers of training with moving batch norm follow from the last bits, and these from how TensorFlow sums: the OD API
itself, run again where that differs, gives other ones.
"""

import functools
import pathlib
import tempfile
import warnings

import numpy as np
import pytest

from tests.models import parity, shared_case, training_step, training_worker
from tests.shared_data import shared

pytestmark = pytest.mark.slow

EXISTING = [
    "faster_rcnn_inception_resnet_v2_640x640_coco17__hand__reduced256",
    "faster_rcnn_inception_v2_coco__slim",
    "faster_rcnn_nas_coco__slim",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8",
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8__reduced256",
    "faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8",
    "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8__reduced256",
    "mask_rcnn_inception_v2_coco__slim",
    "mask_rcnn_resnet50_atrous_coco__slim",
    "mask_rcnn_resnet50_v1_256x256__hand",
    "rfcn_resnet101_coco__hand__reduced256",
    "rfcn_resnet101_coco__slim",
    "ssd_mobilenet_v1_300x300_coco__hand",
    "ssd_mobilenet_v2_320x320_coco17_tpu-8",
    "ssd_mobilenet_v2_coco__slim",
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    "ssdlite_mobilenet_v2_320x320_coco__hand",
    "ssdlite_mobilenet_v2_coco__slim",
]
KINDS = ("inputs", "predictions", "losses", "gradients", "statistics")  # of the numbers of a step
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
def prefix(case):
    """Of a checkpoint of the published shape, which all detectors of a case are restored from."""
    with tempfile.TemporaryDirectory() as folder:
        yield case.write_checkpoint(pathlib.Path(folder))


@pytest.fixture(scope="module")
def restored(case, prefix):
    """The detector without training, and the report of what was restored."""
    return case.restore(prefix, is_training=False)


@pytest.fixture(scope="module")
def detector(restored):
    return restored[0]


def test_stored_numbers_are_of_known_kinds(case):
    of_training = ("true_image_shapes", "groundtruth/", "predict/", "loss/", "grad_norm", "grad_index", "moving_")
    kinds = ("img0/", "img1/", "regularization_loss_sum", *(f"train/{kind}" for kind in of_training))
    assert [name for name in case.golden.names_under("") if not name.startswith(kinds)] == []


def test_variables(case, detector):
    variables = case.named(detector)
    assert set(variables) <= set(case.variables)
    assert set(case.variables) - set(variables) <= case.without_influence()
    for name, variable in variables.items():
        assert list(variable.shape) == case.variables[name]["shape"], name
        assert variable.trainable == case.variables[name]["trainable"], name


def test_checkpoint_of_the_published_shape_loads(case, restored):
    detector, report = restored
    variables = case.named(detector)
    assert len(report.restored) == len(variables) == len(detector.variables) and not report.initialized
    assert set(report.unused) == set(case.variables) - set(variables)
    for name, variable in variables.items():
        assert case.formula.crc(variable.numpy()) == case.variables[name]["crc32"], name


@pytest.mark.parametrize("name", ["img0", "img1"])
def test_image(case, detector, name):
    predictions = parity.check_image(case.golden, name, detector, case.formula.image(*case.formula.IMAGES[name]))
    if name == "img0":
        losses = detector.losses(predictions, case.groundtruth([0], detector.num_classes))
        parity.check_losses(case.golden, "img0/loss_eval/", losses)
    stored = {f"{name}/{rest}" for rest in case.golden.names_under(f"{name}/")}
    assert stored <= case.golden.compared
    report_parts(case.golden, stored)


def report_parts(golden, names):
    """Shows which tensors were not compared whole among the warnings of the run."""
    for name in sorted(names & golden.in_part.keys()):
        warnings.warn(f"compared in part: {name}: {golden.in_part[name]}", stacklevel=2)


def test_regularization(case, detector):
    terms = [float(term) for term in detector.regularization_losses()]
    if case.is_slim:  # which makes no term of a weight of 0, but terms of the kernels without influence
        terms = [term for term in terms if term] + missing_terms(case, detector)
    assert len(terms) == case.num_regularization_losses
    np.testing.assert_allclose(sum(terms), case.golden.arrays["regularization_loss_sum"], rtol=1e-4)


def missing_terms(case, detector):
    """Regularization losses of kernels that the detector does without; those of SSD alone have a weight."""
    if not case.model.HasField("ssd"):
        return []
    weight = case.model.ssd.feature_extractor.conv_hyperparams.regularizer.l2_regularizer.weight
    names = [name for name in set(case.variables) - set(case.named(detector)) if name.endswith("weights")]
    values = [case.formula.weight(name, case.variables[name]["shape"]) for name in names]
    return [weight * float(np.sum(np.square(value, dtype=np.float64))) / 2 for value in values]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """Function from (whether oneDNN is in use, number of threads) to a `training_worker.Worker`."""
    started = {}

    def worker_of(settings):
        if settings not in started:
            started[settings] = training_worker.Worker(*settings, log=tmp_path_factory.mktemp("worker") / "log")
        return started[settings]

    yield worker_of
    for worker in started.values():
        worker.close()


@pytest.fixture(scope="module")
def steps(case, prefix, workers):
    """Steps of training that may equal a reference, as functions.

    The first one is of a process that sums as the one did in which the numbers were made, the second one of a process
    with the sums of the other generation; with moving batch norm, a third one is of this process, and with frozen batch
    norm of the first process with the reference's order of convolution and batch norm. Their memory is given back at
    the end of this module: a step at the published size takes 10 GB.
    """

    def take_elsewhere(sums, is_norm_after=False):
        path = pathlib.Path(prefix).parent / "step.npz"
        workers(sums).take_step(case.folder, prefix, path, is_norm_after)
        return training_step.load_step(path)

    sums = (SLIM_SUMS, KERAS_SUMS) if case.is_slim else (KERAS_SUMS, SLIM_SUMS)
    steps = [functools.cache(functools.partial(take_elsewhere, each)) for each in sums]
    if case.moves():
        return [*steps, functools.cache(lambda: case.take_step(prefix))]
    return [*steps, functools.cache(functools.partial(take_elsewhere, sums[0], is_norm_after=True))]


@pytest.mark.parametrize("kind", KINDS)
def test_training_step(case, steps, kind):
    if kind == "gradients" and not case.golden.has("train/grad_norm"):
        pytest.skip("the folder has no gradients: the batch was too large for the memory")
    failures = []
    checks = [lambda golden, step=step: getattr(step(), f"check_{kind}")(golden) for step in steps]
    for check in checks:
        for golden in case.goldens:
            try:
                check(golden)
            except AssertionError as failure:
                failures.append(failure)
            else:
                report_parts(golden, {name for name in golden.compared if name.startswith("train/")})
                return
    if not (case.moves() and kind in OF_THE_PROCESSOR[case.model.WhichOneof("model")]):
        raise failures[0]
    pytest.skip(f"only references of other processors: {failures[0]}")
