"""EfficientNet's widths and depths, and the nodes of a bidirectional pyramid, by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfodhelper.models import layers, normalization
from tfodhelper.models.backbones import efficientnet
from tfodhelper.models.necks import bifpn, resampling

HYPERPARAMS = layers.ConvHyperparams(
    initializer="ones", activation=None, norm=normalization.NormHyperparams(), force_use_bias=True
)
# Trainable parameters of the classification networks, as torchvision's documentation gives them (`num_params`).
NUM_PARAMETERS = {
    "b0": 5288548,
    "b1": 7794184,
    "b2": 9109994,
    "b3": 12233232,
    "b4": 19341616,  # b5 to b7 take seconds: 30389784, 43040704 and 66347960
}


@pytest.mark.parametrize(
    ("width", "of_b0", "wanted"),
    [
        (1.0, 32, 32),
        (1.1, 32, 32),  # 35.2 is nearer to 32 than to 40, and 32 is not less than 90 % of it
        (1.1, 24, 24),  # 26.4: 24 is 91 %
        (1.1, 40, 48),  # 44: a tie goes up
        (1.2, 16, 24),  # 19.2: 16 is 83 %, and so it is rounded up
        (1.4, 16, 24),  # 22.4
        (1.8, 24, 40),  # 43.2: 40 is 93 %
        (0.1, 16, 8),  # at least 8
    ],
)
def test_channels_are_multiples_of_8(width, of_b0, wanted):
    assert efficientnet.Scaling(width=width).num_channels(of_b0) == wanted


@pytest.mark.parametrize(("version", "wanted"), [("b0", 16), ("b1", 23), ("b4", 32), ("b6", 45), ("b7", 55)])
def test_blocks_of_all_stages(version, wanted):
    scaling = efficientnet.SCALINGS[version]
    assert sum(scaling.num_blocks(stage.num_blocks) for stage in efficientnet.STAGES) == wanted


@pytest.mark.slow
@pytest.mark.parametrize("version", NUM_PARAMETERS)
def test_parameters_of_the_published_networks(version):
    network = efficientnet.EfficientNet(efficientnet.SCALINGS[version], frozen=True)
    assert sum(variable.shape.num_elements() for variable in network.trainable_variables) == NUM_PARAMETERS[version]


def test_drop_connect_drops_whole_images_and_keeps_the_mean():
    tf.random.set_seed(1)
    dropped = efficientnet.drop_connect(tf.ones([4000, 1, 2, 3]), 0.2).numpy().reshape(4000, -1)
    assert np.all(dropped == dropped[:, :1])
    np.testing.assert_allclose(np.unique(dropped), [0.0, 1.25])
    assert dropped.mean() == pytest.approx(1.0, abs=0.03)


def test_drop_connect_works_in_training_alone():
    stage = efficientnet.Stage(8, 1, 3, 1, 1)
    block = efficientnet.InvertedBottleneck(8, 8, stage, 1, efficientnet.make_hyperparams(), True)
    inputs = tf.random.stateless_normal([64, 4, 4, 8], seed=[1, 2])
    residuals = (block(inputs, training=True, drop_rate=0.5) - inputs).numpy()
    is_dropped = np.all(residuals == 0, axis=(1, 2, 3))
    assert 10 < is_dropped.sum() < 54
    whole = (block(inputs) - inputs).numpy()
    np.testing.assert_allclose(residuals[~is_dropped], 2 * whole[~is_dropped], rtol=1e-3, atol=1e-5)


def test_nodes_of_one_iteration():
    """Maps 0 to 2 are those of levels 3 to 5 of the backbone."""
    assert bifpn.make_nodes([3, 4, 5], 6, 1) == [
        (6, (2,)),  # 3: level 6 comes from level 5
        (5, (2, 3)),  # 4: down
        (4, (1, 4)),  # 5
        (3, (0, 5)),  # 6
        (4, (1, 5, 6)),  # 7: up, with the same level from before the iteration and from the way down
        (5, (2, 4, 7)),  # 8
        (6, (3, 8)),  # 9
    ]


def test_the_next_iteration_takes_the_results_of_the_one_before():
    assert bifpn.make_nodes([5], 6, 2)[1:] == [(5, (0, 1)), (6, (1, 2)), (5, (2, 3)), (6, (3, 4))]


def test_resampling():
    fine = tf.reshape(tf.range(1.0, 7.0), [1, 2, 3, 1])
    # Padded behind (3 x 3 at the corner; of the three columns the windows begin before the first and at the second).
    np.testing.assert_array_equal(resampling.shrink(fine, 1)[0, ..., 0], [[5.0, 6.0]])
    coarse = tf.constant([[[[1.0], [2.0]]]])
    np.testing.assert_array_equal(resampling.enlarge(coarse, 1, like=fine)[0, ..., 0], [[1.0, 1.0, 2.0]] * 2)


@pytest.mark.parametrize(
    ("method", "weights", "wanted"),
    [
        ("sum", None, 111.0),
        ("weighted_sum", (2.0, -1.0, 0.5), 2 - 10 + 50),
        ("fast_attention", (2.0, -1.0, 0.5), (2 * 1 + 0.5 * 100) / 2.5001),
        ("attention", (2.0, -1.0, 0.5), 111.0),  # see COMBINE_METHODS
    ],
)
def test_combinations(method, weights, wanted):
    combination = bifpn.Combination(3, method)
    if weights is not None:
        combination.weight.assign(np.reshape(weights, [3, 1]))
    maps = [tf.fill([1, 2, 2, 4], value) for value in (1.0, 10.0, 100.0)]
    np.testing.assert_allclose(combination(maps), tf.fill([1, 2, 2, 4], wanted), rtol=1e-5)
    assert len(combination.checkpoint_keys()) == len(combination.variables) == (method != "sum")


def test_a_map_of_the_backbone_has_a_projection_even_if_its_depth_is_right():
    neck = bifpn.BiFPN([8, 8], 4, 6, 1, 8, "sum", HYPERPARAMS, True)
    assert [[block is not None for block in node.lateral] for node in neck.nodes] == [
        [True],  # level 6 from level 5
        [True, False],
        [True, False],
        [True, False, False],
        [False, False],
    ]
    maps = neck([tf.ones([1, 6, 10, 8]), tf.ones([1, 3, 5, 8])])
    assert [level.shape.as_list() for level in maps] == [[1, 6, 10, 8], [1, 3, 5, 8], [1, 2, 3, 8]]
