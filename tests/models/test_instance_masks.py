"""The layers that predict masks."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfodhelper.families import faster_rcnn_values
from tfodhelper.models import layers, normalization
from tfodhelper.models.heads import instance_masks

HYPERPARAMS = layers.ConvHyperparams(tf_keras.initializers.GlorotUniform(), activation=tf.nn.relu)


@pytest.mark.parametrize(
    ("channels", "classes", "depth"),
    # (2 log2 channels + 3 log2 classes) / 5, by hand: 7.895, 8.295, 4, 7.2 and 4.5, which rounds to the even number
    [(1024, 90, 256), (2048, 90, 256), (1024, 1, 16), (512, 64, 128), (2**9, 2**1, 16), (2**4.5, 2**4.5, 16)],
)
def test_depth_by_the_number_of_classes(channels, classes, depth):
    assert faster_rcnn_values.choose_mask_depth(channels, classes) == depth


@pytest.mark.parametrize(
    ("features", "size"), [((7, 7), (33, 33)), ((4, 5), (9, 14)), ((1, 1), (3, 4)), ((3, 3), (1, 20)), ((9, 9), (4, 4))]
)
def test_enlarging_convolution_is_interpolation_and_convolution(features, size):
    random = np.random.RandomState(0)
    layer = instance_masks.EnlargingConvolution(
        6, 5, size=size, initializer=HYPERPARAMS.initializer, use_bias=True, bias_initializer="ones"
    )
    inputs, scale = tf.constant(random.standard_normal([3, *features, 6]).astype(np.float32)), tf.range(1.0, 6.0)
    wanted_of = tf.constant(random.standard_normal([3, *size, 5]).astype(np.float32))
    results = []
    for compute in (
        lambda: layer(inputs, scale=scale, offset=-scale),
        lambda: convolve(enlarge(inputs, size), layer.kernel, layer.bias) * scale - scale,
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = compute()
            total = tf.reduce_sum(outputs * wanted_of)
        results.append([outputs, *tape.gradient(total, [inputs, layer.kernel, layer.bias])])
    for received, wanted in zip(*results):
        np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def enlarge(inputs, size):
    """Bilinear interpolation between the centers of the corners, one point after the other."""
    _, height, width, _ = inputs.shape
    lines, columns = (
        np.linspace(0, length - 1, target) if target > 1 else np.zeros(1)
        for length, target in zip((height, width), size)
    )

    def between(values, position, axis):
        low = int(np.floor(position))
        high = min(low + 1, values.shape[axis] - 1)
        share = float(position - low)
        return (1 - share) * tf.gather(values, low, axis=axis) + share * tf.gather(values, high, axis=axis)

    inputs = tf.stack([between(inputs, position, 1) for position in lines], axis=1)
    return tf.stack([between(inputs, position, 2) for position in columns], axis=2)


def convolve(inputs, kernel, bias):
    return tf.nn.conv2d(inputs, kernel, 1, "SAME") + bias


def test_the_enlarged_features_do_not_exist():
    """They would be the largest tensor of a Mask R-CNN: 1.1 GB for 128 proposals and 2048 channels."""
    layer = instance_masks.EnlargingConvolution(2048, 256, size=(33, 33), initializer="zeros")

    def run(inputs):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(layer(inputs))
        return tape.gradient(total, layer.kernel)

    graph = tf.function(run, input_signature=[tf.TensorSpec([128, 7, 7, 2048])]).get_concrete_function().graph
    sizes = [output.shape.num_elements() or 0 for op in graph.get_operations() for output in op.outputs]
    assert max(sizes) <= 128 * 33 * 33 * 256


def make_head(**changes):
    values = {"num_masks": 4, "has_mask_of_each_class": True, "size": (6, 9), "depth": 8, "num_layers": 3}
    norm = normalization.NormHyperparams(momentum=0.9, epsilon=1e-3)
    layout = instance_masks.HeadLayout(**{**values, **changes})
    return instance_masks.MaskHead(
        5, layout, layers.ConvHyperparams(**vars(HYPERPARAMS) | {"norm": norm}), frozen=False
    )


@pytest.mark.parametrize("enlarges_last", [False, True])
@pytest.mark.parametrize("num_layers", [1, 3])
def test_names_in_checkpoints(enlarges_last, num_layers):
    """A convolution, its batch norm and its activation have a number each; so has what enlarges before the last two."""
    head = make_head(enlarges_last=enlarges_last, num_layers=num_layers)
    numbers = [int(key.split("/")[1]) for key in head.checkpoint_keys() if key.endswith("/kernel")]
    hidden = list(range(0, 3 * (num_layers - 1), 3))
    first_after = 3 * (num_layers - 1)
    assert numbers == hidden + ([first_after + 1, first_after + 4] if enlarges_last else [first_after])
    of_norms = {int(key.split("/")[1]) for key in head.checkpoint_keys() if "moving" in key}
    assert of_norms == {number + 1 for number in numbers[:-1]}
    names = head.slim_names("Second")
    scopes = ["Second/Conv", *(f"Second/Conv_{number}" for number in range(1, len(numbers)))]
    assert [names[f"_mask_predictor_layers/{number}/kernel"] for number in numbers] == [
        (f"{scope}/weights",) for scope in scopes
    ]
    assert names[f"_mask_predictor_layers/{numbers[-1]}/bias"] == (f"{scopes[-1]}/biases",)


def test_repeated_features():
    head = make_head(enlarges_last=True)
    logits = head(tf.random.stateless_normal([2, 3, 3, 5], [0, 0]))
    assert logits.shape == [2, 4, 6, 9] and logits.dtype == tf.float32
    repeated = instance_masks._repeat(tf.constant([[[[1.0], [2.0]]]]), (2, 4))
    np.testing.assert_array_equal(repeated[0, ..., 0], [[1, 1, 2, 2]] * 2)


def test_what_depends_on_the_classes():
    assert {key.rpartition("/")[2] for key in make_head().class_columns()} == {"kernel", "bias"}
    assert make_head(num_masks=1, has_mask_of_each_class=False).class_columns() == {}
    assert make_head().sized_by_classes() == make_head(num_layers=1, follows_classes=True).sized_by_classes() == set()
    assert make_head(follows_classes=True).sized_by_classes() == set(make_head().checkpoint_keys())
