"""Resizers of pipeline.config."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from tfodhelper import errors, protos, resizers


def resizer(text):
    return resizers.build_resizer(text_format.Parse(text, protos.message("ImageResizer")()))


def resize(text, height, width):
    image = tf.random.stateless_uniform([height, width, 3], [1, 2], maxval=255.0)
    built = resizer(text)
    result, shape = built(tf.cast(image, tf.uint8))
    assert result.dtype == tf.float32
    assert [built.height or result.shape[0], built.width or result.shape[1]] == result.shape[:2]
    return result.numpy(), list(shape.numpy())


@pytest.mark.parametrize(
    ("text", "size", "result", "true_shape"),
    [
        ("fixed_shape_resizer { height: 30 width: 20 }", (50, 70), (30, 20), [30, 20, 3]),
        ("keep_aspect_ratio_resizer { min_dimension: 30 max_dimension: 60 }", (50, 100), (30, 60), [30, 60, 3]),
        ("keep_aspect_ratio_resizer { min_dimension: 30 max_dimension: 40 }", (50, 100), (20, 40), [20, 40, 3]),
        (
            "keep_aspect_ratio_resizer { min_dimension: 30 max_dimension: 40 pad_to_max_dimension: true }",
            (50, 100),
            (40, 40),
            [20, 40, 3],
        ),
        ("identity_resizer {}", (5, 7), (5, 7), [5, 7, 3]),
        ("conditional_shape_resizer { size_threshold: 30 }", (50, 100), (15, 30), [15, 30, 3]),
        ("conditional_shape_resizer { size_threshold: 30 }", (10, 20), (10, 20), [10, 20, 3]),
        ("conditional_shape_resizer { condition: SMALLER size_threshold: 30 }", (10, 20), (30, 60), [30, 60, 3]),
        ("pad_to_multiple_resizer { multiple: 32 }", (33, 64), (64, 64), [33, 64, 3]),
    ],
)
def test_sizes(text, size, result, true_shape):
    image, shape = resize(text, *size)
    assert image.shape == (*result, 3)
    assert shape == true_shape
    assert not np.any(image[true_shape[0] :])


def test_padding_value():
    text = (
        "keep_aspect_ratio_resizer { min_dimension: 30 max_dimension: 40 pad_to_max_dimension: true "
        "per_channel_pad_value: [1, 2, 3] }"
    )
    image, _ = resize(text, 50, 100)
    np.testing.assert_array_equal(image[-1, -1], [1, 2, 3])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "fixed_shape_resizer { convert_to_grayscale: true }",
        "fixed_shape_resizer { height: 0 }",
        "keep_aspect_ratio_resizer { min_dimension: 50 max_dimension: 40 }",
        "keep_aspect_ratio_resizer { per_channel_pad_value: 1 }",
        "conditional_shape_resizer { condition: INVALID }",
        "pad_to_multiple_resizer { multiple: 0 }",
    ],
)
def test_what_cannot_be(text):
    with pytest.raises(errors.ConfigError):
        resizer(text)
