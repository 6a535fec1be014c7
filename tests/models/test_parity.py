"""The comparison with reference numbers notices what differs."""

import dataclasses

import numpy as np
import pytest

from tests.models import parity, training_step
from tfodhelper.fields import Detections, Predictions

VALUES = np.linspace(1.0, 2.0, 40)


def stored_in_part(name="feature_maps[0]"):
    return {
        f"{name}/indices": np.arange(0, 40, 4),
        f"{name}/values": VALUES[::4],
        f"{name}/shape": np.array([4, 10]),
        f"{name}/stats": np.array([VALUES.mean(), VALUES.std(), VALUES.min(), VALUES.max()]),
    }


def test_noise_is_limited():
    golden = parity.Golden({"codes": VALUES}, noise={"codes": 0.5})
    golden.check("codes", VALUES + 0.019)
    with pytest.raises(AssertionError, match="codes"):
        golden.check("codes", VALUES + 0.021)


def test_values_that_are_not_stored_count_in_the_statistics():
    golden = parity.Golden(stored_in_part())
    golden.check("feature_maps[0]", VALUES.reshape(4, 10))
    value = VALUES.copy()
    value[1] = 9.0
    with pytest.raises(AssertionError, match="largest"):
        golden.check("feature_maps[0]", value.reshape(4, 10))


def test_rows_without_counterpart_are_told():
    golden = parity.Golden(stored_in_part())
    value = VALUES.reshape(4, 10).copy()
    value[3] = np.nan
    golden.check("feature_maps[0]", value)
    assert golden.in_part == {"feature_maps[0]": "25.0% of the numbers have no counterpart"}
    with pytest.raises(AssertionError, match="nothing"):
        golden.check("feature_maps[0]", np.full([4, 10], np.nan))


def test_prediction_that_is_missing():
    arrays = {f"img0/predict/{name}": VALUES for name in (Predictions.BOX_CODES, Predictions.ANCHORS, "unknown")}
    predictions = dict.fromkeys((Predictions.BOX_CODES, Predictions.ANCHORS, Predictions.CLASS_LOGITS), VALUES)
    with pytest.raises(AssertionError, match="unknown"):
        parity.check_predictions(parity.Golden(arrays), "img0", predictions, order=None)


@pytest.mark.parametrize("losses", [{"a": 1.0, "b": 1.0}, {}, {"a": 1.01}])
def test_losses(losses):
    golden = parity.Golden({"loss/a": np.float32(1.0)})
    parity.check_losses(golden, "loss/", {"a": 1.0005})
    with pytest.raises(AssertionError):
        parity.check_losses(golden, "loss/", losses)


def detections(**changed):
    corners = np.arange(4.0)[:, np.newaxis] * 0.2 + np.array([0.0, 0.0, 0.1, 0.1])
    values = {
        Detections.BOXES: corners[np.newaxis].astype(np.float32),
        Detections.SCORES: np.float32([[0.9, 0.8, 0.7, 0.6]]),
        Detections.CLASSES: np.float32([[0, 1, 2, 3]]),
        Detections.ANCHOR_INDICES: np.array([[5, 6, 7, 8]]),
        Detections.MULTICLASS_SCORES: np.float32(np.eye(4)[np.newaxis]),
    }
    return values | changed


def check(found, num_stable=0, wanted=None):
    golden = parity.Golden({f"img0/{key}": value for key, value in (wanted or detections()).items()})
    parity.check_detections(golden, "img0/", found, order=None, num_stable=num_stable)


def test_detections_in_another_order():
    reversed_ones = {key: value[:, ::-1] for key, value in detections().items()}
    check(detections(), num_stable=4)
    check(reversed_ones)
    with pytest.raises(AssertionError, match="another order"):
        check(reversed_ones, num_stable=2)
    tied = np.float32([[0.9, 0.9 - 5e-6, 0.8, 0.7]])
    swapped = {key: value[:, [1, 0, 2, 3]] for key, value in detections().items()}
    scores = {Detections.SCORES: tied}
    check(swapped | scores, num_stable=4, wanted=detections(**scores))


@pytest.mark.parametrize("key", [Detections.ANCHOR_INDICES, Detections.MULTICLASS_SCORES, Detections.CLASSES])
def test_detections_that_differ(key):
    with pytest.raises(AssertionError):
        check(detections(**{key: detections()[key] + np.float32(0.01 if key == Detections.MULTICLASS_SCORES else 1)}))


STEP = training_step.TrainingStep(
    inputs={},
    predictions={},
    losses={},
    gradients=np.array([1.0, 1e-2, np.nan, np.nan]),
    statistics=np.array([3.0, 3.0, 2.0, 1.0]),
    has_changed=np.array([False, False, True, False]),
)
OF_STEP = parity.Golden(
    {
        "train/grad_index": np.array([0, 1]),
        "train/grad_norm": np.array([1.0, 1e-2]),
        "train/moving_index": np.array([2]),
        "train/moving_norm_after": np.array([2.0]),
    }
)


def test_gradients_are_held_to_their_own_norm():
    STEP.check_gradients(OF_STEP)
    with pytest.raises(AssertionError, match="1 gradients differ, up to 2.0"):
        dataclasses.replace(STEP, gradients=np.array([1.0, 1.002e-2, np.nan, np.nan])).check_gradients(OF_STEP)
    with pytest.raises(AssertionError, match="have none"):
        dataclasses.replace(STEP, gradients=np.array([1.0, 1e-2, 0.0, np.nan])).check_gradients(OF_STEP)


def test_frozen_statistics_stay():
    STEP.check_statistics(OF_STEP)
    for changed in ([False, False, True, True], [False, False, False, False]):
        with pytest.raises(AssertionError, match="variables that changed"):
            dataclasses.replace(STEP, has_changed=np.array(changed)).check_statistics(OF_STEP)


def test_step_is_read_as_written(tmp_path):
    step = dataclasses.replace(STEP, predictions={"maps[0]": VALUES}, losses={"Loss/a": 1.5})
    step.save(tmp_path / "step.npz")
    read = training_step.load_step(tmp_path / "step.npz")
    assert read.losses == {"Loss/a": 1.5}
    np.testing.assert_array_equal(read.predictions["maps[0]"], VALUES)
    np.testing.assert_array_equal(read.has_changed, STEP.has_changed)
