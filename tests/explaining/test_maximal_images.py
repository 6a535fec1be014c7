"""Images to which channels respond most."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import variants
from tfodhelper import errors
from tfodhelper.explaining import layer_outputs, maximal_images

LAYER = "backbone.blocks.2"


@pytest.fixture(scope="module")
def detector():
    return variants.build_variant("plain", is_training=False)


def respond(detector, image, channel):
    """Mean activation of a channel for an image, with the detector as it is."""
    named = layer_outputs.choose(layer_outputs.find_layers(detector), LAYER)
    with layer_outputs.recorded(named) as outputs:
        inputs, shapes = detector.resizer(tf.constant(image[None], tf.float32))
        detector.predict_raw(detector.normalize(inputs, shapes), shapes)
    return float(tf.reduce_mean(outputs[LAYER][0][..., channel]))


def test_the_image_raises_the_channel_above_noise_and_flat_colours(detector):
    found = maximal_images.find_maximal_image(detector, LAYER, 1, steps=25)
    assert found.image.dtype == np.uint8 and found.image.shape == (64, 64, 3) and found.channel == 1
    assert found.response == pytest.approx(respond(detector, found.image, 1), rel=1e-4)
    random = np.random.RandomState(0)
    others = [random.randint(0, 256, [64, 64, 3]).astype(np.uint8) for _ in range(5)]
    others += [np.full([64, 64, 3], level, np.uint8) for level in (0, 128, 255)]
    assert found.response > 1.1 * max(respond(detector, image, 1) for image in others)
    assert found.response > found.first_response


def test_the_same_seed_gives_the_same_image(detector):
    first, second = (maximal_images.find_maximal_image(detector, LAYER, 0, steps=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.image, second.image)


def test_the_search_finds_the_colour_that_a_channel_is():
    found = maximal_images.find_maximal_image(GreenDetector(), "backbone", 0, steps=100)
    red, green, blue = found.image.reshape(-1, 3).mean(axis=0)
    assert green > 240 and red < 15 and blue < 15


class GreenDetector(tf_keras.Model):
    """Its only layer is the green channel less the two others."""

    def __init__(self):
        super().__init__()
        self.backbone = Green()

    def resizer(self, images):
        return tf.image.resize(images, [32, 32]), tf.constant([[32, 32, 3]])

    def normalize(self, images, shapes):
        return images / 255.0

    def predict_raw(self, inputs, shapes):
        return self.backbone(inputs)


class Green(tf_keras.layers.Layer):
    def call(self, inputs):
        return inputs[..., 1:2] - inputs[..., 0:1] - inputs[..., 2:3]


def test_a_channel_that_does_not_exist_is_refused(detector):
    with pytest.raises(errors.UsageError) as caught:
        maximal_images.find_maximal_image(detector, LAYER, 99)
    assert caught.value.expected == "a number from 0 to 15"
