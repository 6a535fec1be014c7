"""Feature pyramids and weight-shared heads: what is computed by hand, inputs of any size, and wrong configurations."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import variants
from tests.models.images import make_images
from tfodhelper import errors
from tfodhelper.fields import Detections, Predictions
from tfodhelper.models import layers, normalization
from tfodhelper.models.heads import weight_shared
from tfodhelper.models.necks import feature_pyramid

HYPERPARAMS = layers.ConvHyperparams(initializer=tf_keras.initializers.Zeros(), activation=None)
WITH_NORM = layers.ConvHyperparams(
    initializer=tf_keras.initializers.GlorotUniform(), norm=normalization.NormHyperparams()
)

ANCHORS = "multiscale_anchor_generator { min_level: %d max_level: %d aspect_ratios: 1 "


def make_pyramid(num_maps, **layout):
    """One channel; laterals give nothing, and smoothing doubles the values."""
    pyramid = feature_pyramid.FeaturePyramid(
        [1] * num_maps, feature_pyramid.Layout(depth=1, **layout), HYPERPARAMS, frozen=True
    )
    pyramid.top.convolution.kernel.assign([[[[1.0]]]])
    for block in pyramid.smoothing:
        block.convolution.kernel.assign(np.reshape([0, 0, 0, 0, 2, 0, 0, 0, 0], [3, 3, 1, 1]))
    return pyramid


@pytest.mark.parametrize(("is_smoothed", "factors"), [(True, [4, 2, 1]), (False, [2, 2, 1])])
def test_what_is_doubled(is_smoothed, factors):
    maps = [tf.zeros([1, side, side, 1]) for side in (4, 2)] + [tf.ones([1, 1, 1, 1])]
    levels = make_pyramid(3, num_coarse=0, doubles_smoothed=is_smoothed)(maps)
    for level, factor in zip(levels, factors):
        np.testing.assert_allclose(level, np.full(level.shape, factor))


def test_a_doubled_map_is_cut_off_where_the_finer_one_has_an_odd_side():
    coarse = tf.reshape([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1, 2, 3, 1])
    fine, same = make_pyramid(2, num_coarse=0)([tf.zeros([1, 3, 5, 1]), coarse])
    np.testing.assert_allclose(same, coarse)
    wanted = np.array([[1, 1, 2, 2, 3], [1, 1, 2, 2, 3], [4, 4, 5, 5, 6]]) * 2
    np.testing.assert_allclose(fine[0, :, :, 0], wanted)


@pytest.mark.parametrize(("is_explicit", "wanted"), [(False, [2 + 3, 4]), (True, [1 + 2, 3 + 4])])
def test_a_coarse_layer_sees_as_much_on_both_sides_with_explicit_padding(is_explicit, wanted):
    pyramid = make_pyramid(1, num_coarse=1, explicit_padding=is_explicit)
    pyramid.coarse[0].convolution.kernel.assign(np.reshape([0, 0, 0, 0, 1, 1, 0, 0, 0], [3, 3, 1, 1]))
    _, coarse = pyramid([tf.reshape([1.0, 2.0, 3.0, 4.0] * 4, [1, 4, 4, 1])])
    np.testing.assert_allclose(coarse[0, 0, :, 0], wanted)


def test_explicit_padding_counts_as_a_step():
    keys = make_pyramid(2, num_coarse=1, explicit_padding=True).checkpoint_keys()
    assert "_fpn_features_generator/conv_layers/0/1/kernel" in keys and "_coarse_feature_layers/0/1/kernel" in keys


def make_head(depths=(4, 4), hyperparams=WITH_NORM, **layout):
    layout = weight_shared.HeadLayout(**{"depth": 4, "num_layers_before": 1} | layout)
    return weight_shared.WeightSharedHead(list(depths), 2, 3, layout, hyperparams)


def test_maps_share_kernels_and_no_batch_norms():
    head = make_head()
    features = tf.random.stateless_normal([1, 3, 3, 4], [1, 2])
    codes, logits = head([features, features])
    assert codes.shape == [1, 36, 4] and logits.shape == [1, 36, 3]
    np.testing.assert_array_equal(codes[:, :18], codes[:, 18:])
    head.towers[0].blocks[1][0].norm.beta.assign_add([1.0] * 4)
    changed, same = head([features, features])
    np.testing.assert_array_equal(codes[:, :18], changed[:, :18])
    assert np.all(np.abs(codes[:, 18:] - changed[:, 18:]).max(axis=1) > 0)
    np.testing.assert_array_equal(logits, same)  # which have a tower of their own


def test_class_logits_become_scores_outside_training_where_the_configuration_says_so():
    features = [tf.random.stateless_normal([1, 3, 3, 4], [1, 2])] * 2
    head = make_head(to_scores=tf.sigmoid, hyperparams=HYPERPARAMS, class_bias=2.0)
    np.testing.assert_allclose(head(features, training=True)[1], np.full([1, 36, 3], 2.0))
    np.testing.assert_allclose(head(features)[1], np.full([1, 36, 3], 1 / (1 + np.exp(-2.0))), rtol=1e-6)


def test_box_codes_are_clipped():
    head = make_head(box_code_range=(-0.5, 0.25), hyperparams=HYPERPARAMS)
    head.box_layer.bias.assign([-1.0, -0.25, 0.0, 1.0] * 2)
    codes, _ = head([tf.zeros([1, 1, 1, 4])] * 2)
    np.testing.assert_allclose(codes, np.tile([-0.5, -0.25, 0, 0.25], [1, 4, 1]))


def test_maps_of_other_depths_are_projected_to_the_commonest():
    head = make_head(depths=(6, 4, 4))
    shapes = {key: v.shape.as_list() for key, v in head.checkpoint_keys().items() if "_projection" in key}
    assert shapes["_additional_projection_layers/0/0/kernel"] == [1, 1, 6, 4]
    assert shapes["_additional_projection_layers/2/0/kernel"] == [1, 1, 4, 4]
    assert len(shapes) == 3 * 5  # a kernel and the four variables of a batch norm
    codes, _ = head([tf.zeros([1, 2, 2, depth]) for depth in (6, 4, 4)])
    assert codes.shape == [1, 24, 4]


@pytest.mark.parametrize(("hyperparams", "has_bias"), [(WITH_NORM, False), (HYPERPARAMS, True)])
def test_a_tower_has_a_bias_where_it_has_no_norm(hyperparams, has_bias):
    for use_depthwise in (False, True):
        keys = make_head(hyperparams=hyperparams, use_depthwise=use_depthwise).checkpoint_keys()
        assert ("_head_scope_conv_layers/BoxPredictionTower/0/bias" in keys) == has_bias


@pytest.mark.slow
@pytest.mark.parametrize("name", ["FPN", "RetinaNet", "FPN, depthwise, explicit padding, one tower, odd size"])
@pytest.mark.parametrize(("height", "width"), [(33, 33), (101, 64), (130, 75)])
def test_any_size(name, height, width):
    """The sides are not multiples of the strides: every map has the input's size divided by its stride, rounded up."""
    detector = variants.build_variant(
        name, is_training=False, resizer=f"fixed_shape_resizer {{ height: {height} width: {width} }}"
    )
    inputs, shapes = detector.preprocess(make_images())
    predictions = detector.predict_raw(inputs, shapes)
    sizes = [tuple(features.shape[1:3]) for features in predictions[Predictions.FEATURE_MAPS]]
    assert sizes == [(-(-height // stride), -(-width // stride)) for stride in (8, 16, 32, 64, 128)]
    anchors = predictions[Predictions.ANCHORS].numpy()
    assert len(anchors) == predictions[Predictions.BOX_CODES].shape[1]
    centers = (anchors[:, :2] + anchors[:, 2:]) / 2
    assert centers.min() >= 0 and centers.max() < 1
    assert np.all(np.isfinite(detector.postprocess(predictions, shapes)[Detections.SCORES]))


@pytest.mark.slow
@pytest.mark.parametrize(("height", "width"), [(4, 300), (47, 40), (97, 96)])
def test_free_sizes_in_a_graph(height, width):
    """As they are exported: the graph does not know the size."""
    detector = variants.build_variant("FPN, first generation, any size", is_training=False)

    def detect(images):
        inputs, shapes = detector.preprocess(images)
        return detector.postprocess(detector.predict_raw(inputs, shapes), shapes)

    images = make_images(height, width)
    in_graph = tf.function(detect, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])(images)
    for key, value in detect(images).items():
        np.testing.assert_allclose(in_graph[key], value, atol=1e-4, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pieces", "message"),
    [
        (
            "FPN",
            {"extractor": "fpn { min_level: 6 max_level: 7 }", "anchors": ANCHORS % (6, 7) + "}"},
            "2 <= min_level <= 5",
        ),
        ("FPN", {"extractor": "fpn { min_level: 2 max_level: 6 }"}, "min_level: 2 max_level: 6"),
        ("FPN", {"anchors": "ssd_anchor_generator { aspect_ratios: 1 }"}, "number of feature maps"),
        ("FPN", {"anchors": "multiscale_anchor_generator { }"}, "aspect_ratios"),
        ("FPN", {"anchors": ANCHORS % (3, 7) + "normalize_coordinates: false }"}, "normalize_coordinates"),
        ("FPN", {"predictor": "num_layers_before_predictor: 1"}, "box_predictor.depth"),
        ("FPN", {"predictor": "use_depthwise: true kernel_size: 1"}, "kernel_size"),
        ("FPN", {"resizer": "fixed_shape_resizer { height: 32 width: 64 }"}, "at least 33 pixels"),
        ("RetinaNet", {"ssd": "feature_extractor { depth_multiplier: 0.3 }"}, "1/64"),
        ("weights shared", {"anchors": f"ssd_anchor_generator {{ {'aspect_ratios: 1 ' * 3} }}"}, "as many anchors"),
    ],
)
def test_wrong_configurations_are_said_in_words(name, pieces, message):
    with pytest.raises(errors.ConfigError, match=message):
        variants.build_variant(name, **pieces)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_the_gradient_of_doubling_is_that_of_the_operation(jit_compile):
    random = np.random.RandomState(1)
    features = tf.constant(random.randn(2, 3, 5, 4).astype(np.float32))
    upstream = random.randn(2, 5, 9, 4).astype(np.float32)  # the finer map has an odd size

    def differentiate(double):
        with tf.GradientTape() as tape:
            tape.watch(features)
            doubled = double(features)[:, :5, :9]
            total = tf.reduce_sum(doubled * upstream)
        return doubled, tape.gradient(total, features)

    wanted = differentiate(lambda maps: tf.image.resize(maps, [6, 10], "nearest"))
    compiled = tf.function(
        lambda: differentiate(lambda maps: feature_pyramid._double(maps, tf.constant(upstream))),
        jit_compile=jit_compile,
    )
    for ours, reference in zip(compiled(), wanted):
        np.testing.assert_allclose(ours, reference, atol=1e-6)
