"""One step of training, compared with numbers that the OD API computed.

Norms of gradients are held to 1e-3 of themselves, those below 1e-4 of the largest norm to 1e-5 of that.
"""

import contextlib
import dataclasses
from unittest import mock

import numpy as np
import tensorflow as tf

from tests.models import parity
from tfodhelper.fields import Groundtruth, Predictions
from tfodhelper.models import layers

LEAST_NORM = 1e-4  # of the largest norm of a gradient: smaller ones are sums of far larger terms
_GROUPS = ("inputs", "predictions", "losses")


@dataclasses.dataclass(frozen=True)
class TrainingStep:
    """What one step of training computes.

    Batch norm in training makes these numbers sensitive: a change of the input's last bit moves gradients of SSD
    MobileNet V1 by 3e-3, and the convolutions of other processors move predictions and gradients further.

    Attributes:
      inputs: {name in goldens: array}: shapes of the images, and their ground truth.
      predictions: {name in goldens: array}.
      losses: {name: number}.
      gradients: norms, in the order of the variables that indices in goldens mean; NaN for those without any.
      statistics: norms of these variables after the step; NaN for those that the detector does without.
      has_changed: bool, whether the step's forward pass changed these variables.
    """

    inputs: dict
    predictions: dict
    losses: dict
    gradients: np.ndarray
    statistics: np.ndarray
    has_changed: np.ndarray

    def check_inputs(self, golden):
        """Compares what the step was given."""
        for name, value in self.inputs.items():
            if golden.has(f"train/{name}"):
                golden.check(f"train/{name}", value)

    def check_predictions(self, golden):
        """Compares every raw prediction that is stored."""
        order = parity.find_order(golden, "train", self.predictions)
        parity.check_predictions(golden, "train/predict/", self.predictions, order)

    def check_losses(self, golden):
        """Compares losses by name."""
        parity.check_losses(golden, "train/loss/", self.losses)

    def check_gradients(self, golden, tolerance=1e-3, least=LEAST_NORM):
        """Compares norms of gradients; no other variables of the detector have one.

        Args:
          golden: a `parity.Golden` that has them.
          tolerance: relative to the norm itself.
          least: fraction of the largest norm; smaller norms are held to a tenth of it.
        """
        norms, index = golden.arrays["train/grad_norm"], golden.arrays["train/grad_index"]
        surplus = np.setdiff1d(np.flatnonzero(~np.isnan(self.gradients)), index)
        assert not surplus.size, f"variables {surplus} have a gradient; those of the reference have none"
        threshold = least * norms.max()
        limits = np.where(norms > threshold, tolerance * norms, threshold / 10)
        excess = np.abs(self.gradients[index] - norms) / limits
        assert excess.max() <= 1, f"{np.sum(excess > 1)} gradients differ, up to {excess.max():.1f} times the tolerance"
        golden.compared.update(["train/grad_norm", "train/grad_index"])

    def check_statistics(self, golden):
        """Compares norms of the moving statistics after the step; all other variables have to stay as they were."""
        index = golden.arrays["train/moving_index"]
        moved, wanted = self.statistics[index], golden.arrays["train/moving_norm_after"]
        is_known = ~np.isnan(moved)  # the detector may do without some variables
        np.testing.assert_allclose(moved[is_known], wanted[is_known], rtol=1e-4)
        np.testing.assert_array_equal(np.flatnonzero(self.has_changed), index[is_known], "variables that changed")
        golden.compared.update(["train/moving_index", "train/moving_norm_after"])

    def save(self, path):
        """Writes the numbers to a .npz file."""
        arrays = {f"{group}/{name}": value for group in _GROUPS for name, value in getattr(self, group).items()}
        of_variables = dataclasses.fields(self)[len(_GROUPS) :]
        np.savez(path, **arrays, **{field.name: getattr(self, field.name) for field in of_variables})


def load_step(path):
    """The `TrainingStep` in a file that `TrainingStep.save` wrote."""
    values = {group: {} for group in _GROUPS}
    with np.load(path) as file:
        for name, value in file.items():
            group, _, rest = name.partition("/")
            if rest:
                values[group][rest] = value
            else:
                values[name] = value
    return TrainingStep(**values)


def draw_stored_proposals(region_head, golden):
    """Lets a second stage be trained at the stored proposals, which have to be found again among those it draws."""
    draw, stored = region_head.draw, golden.arrays[f"train/predict/{Predictions.PROPOSALS_PX}"]

    def draw_and_compare(*arguments):
        proposals, count = draw(*arguments)
        parity.Order(proposals, stored)
        return tf.constant(stored), count

    region_head.draw = draw_and_compare


@contextlib.contextmanager
def batch_norm_after_convolutions():
    """Inside, batch norm with fixed statistics follows its convolution, as in the reference, and is not in the kernel.

    It is the same function. But a value near 0 may be on the other side of an activation, and where a few proposals
    train a second stage, one such value moves norms of gradients by more than 1e-3.
    """
    with mock.patch.object(layers.ConvBlock, "_is_linear", lambda block, training: False):
        yield


def take_step(detector, images, groundtruth, variables=None):
    """A `TrainingStep`.

    Args:
      detector: built for training and filled.
      images: list of uint8 [height, width, 3].
      groundtruth: of the batch of these images.
      variables: the list that indices of variables in goldens mean, None for one that the detector does not have; when
        omitted, the detector's in the order of their keys.
    """
    if variables is None:
        variables = [variable for _, variable in sorted(detector.checkpoint_keys().items())]
    before = [None if variable is None else variable.numpy() for variable in variables]
    inputs, shapes = (tf.concat(parts, axis=0) for parts in zip(*(detector.preprocess(i[np.newaxis]) for i in images)))
    trained = detector.trainable_variables
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=groundtruth)
        losses = detector.losses(predictions, groundtruth, training=True)
        total = tf.add_n(list(losses.values()))
    gradients = {id(variable): gradient for variable, gradient in zip(trained, tape.gradient(total, trained))}

    def norm(value):
        return np.nan if value is None else np.linalg.norm(value)

    return TrainingStep(
        inputs={
            "true_image_shapes": shapes.numpy(),
            "groundtruth/boxes": groundtruth[Groundtruth.BOXES].numpy(),
            "groundtruth/classes": groundtruth[Groundtruth.CLASSES].numpy(),
        },
        predictions={name: np.asarray(value) for name, value in parity.flatten(predictions).items()},
        losses={name: float(value) for name, value in losses.items()},
        gradients=np.array([norm(gradients.get(id(variable))) for variable in variables]),
        statistics=np.array([norm(variable) for variable in variables]),
        has_changed=np.array([value is not None and np.any(value != now) for value, now in zip(before, variables)]),
    )
