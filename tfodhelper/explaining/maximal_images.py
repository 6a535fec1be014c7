"""The image to which a channel of a layer responds most: activation maximisation.

Erhan et al. 2009, "Visualizing higher-layer features of a deep network". The image is improved in the frequencies of
its Fourier transform, each scaled by its inverse, and moved a little in each step, without which it is noise: Olah et
al. 2017, "Feature Visualization" (distill.pub/2017/feature-visualization).
"""

import dataclasses

import numpy as np
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.explaining import layer_outputs

_MOST_SIDE = 320  # pixels of the image, at most those of the model input
_JITTER = 8  # pixels by which the image is moved in each step, at most
_STEP_LENGTH = 1.0  # in the space of the scaled frequencies, where 5 turns grey into a full colour
_FIRST_SPREAD = 0.01  # of the random frequencies at the start


@dataclasses.dataclass(frozen=True)
class MaximalImage:
    """The image that was found.

    Attributes:
      channel: number in the layer, from 0.
      image: uint8 [side, side, 3].
      response: mean activation of the channel for it.
      first_response: the same for the grey noise that the search started from.
    """

    channel: int
    image: np.ndarray
    response: float
    first_response: float


def find_maximal_image(detector, layer, channel, steps=128, seed=0):
    """Searches for the image with the highest mean activation of a channel.

    Args:
      detector: a `Detector` with its weights.
      layer: name of a map, see `layer_outputs.name_maps`; of several maps of one layer, the first counts.
      channel: number of the channel, from 0.
      steps: of the search.
      seed: of noise and movements.

    Returns:
      A `MaximalImage`.

    Raises:
      UsageError: there is no such layer, or no such channel.
    """
    named = layer_outputs.choose(layer_outputs.find_layers(detector), layer)
    side = _find_side(detector)
    random = np.random.default_rng(seed)
    spectrum = tf.Variable(random.normal(0.0, _FIRST_SPREAD, [2, 3, side, side // 2 + 1]).astype(np.float32))
    scale = _inverse_frequencies(side)

    def respond(images):
        with layer_outputs.recorded(named) as outputs:
            inputs, shapes = detector.resizer(images)
            detector.predict_raw(detector.normalize(inputs, shapes), shapes)
        maps = list(layer_outputs.select(layer_outputs.name_maps(outputs), layer).values())[0]
        _check_channel(layer, channel, maps.shape[-1])
        return tf.reduce_mean(maps[..., channel])

    @tf.function(autograph=False)
    def gradient_at(offsets):
        with tf.GradientTape() as tape:
            images = tf.roll(_to_pixels(spectrum, scale, side), offsets, [1, 2])
            response = respond(images)
        return tape.gradient(response, spectrum), response

    first = _to_pixels(spectrum, scale, side)
    first_response = float(respond(first))
    for _ in range(steps):
        offsets = random.integers(-_JITTER, _JITTER + 1, 2).astype(np.int32)
        gradient, _ = gradient_at(tf.constant(offsets))
        # Steps of one length: responses of channels differ by orders of magnitude.
        spectrum.assign_add(_STEP_LENGTH * gradient / tf.maximum(tf.norm(gradient), 1e-30))
    last = _to_pixels(spectrum, scale, side)
    pixels = np.rint(last[0].numpy()).astype(np.uint8)
    response = float(respond(tf.constant(pixels[None], tf.float32)))
    return MaximalImage(channel, pixels, response, first_response)


def _find_side(detector):
    """The shorter side of the model input, even and at most 320 pixels."""
    resized, _ = detector.resizer(tf.zeros([1, _MOST_SIDE, _MOST_SIDE, 3]))
    return min(_MOST_SIDE, *resized.shape[1:3]) // 2 * 2


def _inverse_frequencies(side):
    """float32 [side, side / 2 + 1]: 1 / waves in the image, as the spectra of photographs fall, and 1 for the mean."""
    vertical, horizontal = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequencies = np.sqrt(vertical**2 + horizontal**2)
    return (side * side / np.maximum(frequencies * side, 1.0)).astype(np.float32)  # the transform divides by the area


def _to_pixels(spectrum, scale, side):
    """float32 [1, side, side, 3], 0..255, of frequencies [2, 3, side, side / 2 + 1]."""
    waves = tf.signal.irfft2d(tf.complex(spectrum[0] * scale, spectrum[1] * scale), fft_length=[side, side])
    return 255.0 * tf.nn.sigmoid(tf.transpose(waves, [1, 2, 0]))[tf.newaxis]


def _check_channel(layer, channel, num_channels):
    if channel >= num_channels:
        raise errors.UsageError(
            f"--filter={channel}: the layer {layer} has no such channel",
            expected=f"a number from 0 to {num_channels - 1}",
            received=channel,
        )
