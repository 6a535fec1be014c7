"""NASNet-A: its cells by hand; its numbers are compared in `test_shared_parity`."""

import numpy as np
import tensorflow as tf
import tf_keras

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import nasnet

OWN = nasnet.make_hyperparams()


def of_ones():
    """Convolutions that sum their input, and batch norm without effect."""
    norm = normalization.NormHyperparams(epsilon=0.0)
    return layers.ConvHyperparams(initializer=tf_keras.initializers.Ones(), activation=None, norm=norm)


def test_a_reduction_sees_every_second_cell_and_its_diagonal_neighbour():
    reduction = nasnet.FactorizedReduction(1, 2, of_ones(), frozen=True)
    inputs = np.arange(15, dtype=np.float32).reshape(1, 3, 5, 1)
    outputs = reduction(inputs).numpy()
    assert outputs.shape == (1, 2, 3, 2)
    np.testing.assert_array_equal(outputs[0, ..., 0], [[0, 2, 4], [10, 12, 14]])
    np.testing.assert_array_equal(outputs[0, ..., 1], [[6, 8, 0], [0, 0, 0]])


def test_states_of_a_normal_cell():
    """On a map of one cell with one channel, operations give what comes in, if that is above 0."""
    cell = nasnet.Cell(1, (1, False), 1, nasnet.NORMAL, of_ones(), frozen=True)
    last, previous = np.full([1, 1, 1, 1], 2.0, np.float32), np.full([1, 1, 1, 1], 5.0, np.float32)
    np.testing.assert_array_equal(cell(last, previous)[0, 0, 0], [5, 2 + 5, 5 + 5, 2 + 5, 5 + 5, 2 + 2])


def test_states_of_a_reducing_cell():
    cell = nasnet.Cell(1, (1, False), 1, nasnet.REDUCTION, of_ones(), frozen=True)
    last, previous = np.full([1, 1, 1, 1], 2.0, np.float32), np.full([1, 1, 1, 1], 5.0, np.float32)
    second, third = 2 + 5, 2 + 5
    wanted = [third, 2 + 5, third + second, second + 2]
    np.testing.assert_array_equal(cell(last, previous)[0, 0, 0], wanted)


def test_both_halves():
    first, second = (
        build(OWN, frozen=True, filters=4, cells=2) for build in (nasnet.build_first_half, nasnet.build_second_half)
    )
    (features,) = first(tf.zeros([1, 65, 97, 3]))
    assert first.depths == [2 * 6 * 8] and features.shape == [1, 4, 6, 96]
    (crops,) = second(tf.zeros([3, 17, 17, 96]))
    assert second.depths == [6 * 16] and crops.shape == [3, 9, 9, 96]


def test_names_in_checkpoints_of_a_detector_and_of_the_network():
    first = nasnet.build_first_half(OWN, frozen=True, filters=4, cells=2)
    names = first.slim_names("FirstStageFeatureExtractor").values()
    for name in (
        "conv0/weights",
        "conv0_bn/gamma",
        "cell_stem_1/path2_conv/weights",
        "cell_0/final_path_bn/moving_mean",
        "reduction_cell_0/comb_iter_2/right/separable_5x5_2/pointwise_weights",
        "reduction_cell_0/comb_iter_2/right/bn_sep_5x5_2/beta",
        "cell_3/prev_1x1/weights",
    ):
        assert (f"FirstStageFeatureExtractor/{name}", f"{name}/ExponentialMovingAverage", name) in names
    assert len(names) == len(first.variables)
