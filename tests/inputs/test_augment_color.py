"""Color operations by hand-computed values; what is random is compared in test_distributions.py."""

import numpy as np
import pytest

from tests.inputs import examples
from tfodhelper.inputs import augment, pixels
from tfodhelper.inputs import sample as samples

IMAGE = np.array([[[10, 20, 30], [200, 100, 0]], [[0, 0, 0], [255, 255, 255]]], np.uint8)


def apply(text, image=IMAGE, index=0):
    sample = augment.build_step(examples.step_message(text))(examples.make_sample(image), samples.Draws(3, index))
    assert sample.boxes.shape == (1, 4)
    return pixels.read_pixels(sample.picture).numpy()


def test_normalize_and_subtract():
    image = apply("normalize_image { original_maxval: 255 target_minval: -1 }")
    np.testing.assert_allclose(image[0, 0], np.array([10, 20, 30]) * 2 / 255 - 1, atol=1e-6)
    np.testing.assert_allclose(apply("subtract_channel_mean { means: [1, 2, 3] }")[0, 0], [9, 18, 27])


def test_gray_has_the_weights_of_luma():
    image = apply("random_rgb_to_gray { probability: 1.0 }")
    np.testing.assert_allclose(image[0, 1], [0.2989 * 200 + 0.587 * 100] * 3, rtol=1e-5)
    np.testing.assert_array_equal(apply("random_rgb_to_gray { probability: 0.0 }"), IMAGE)


def test_brightness_adds_the_same_to_all_and_clips():
    changed = apply("random_adjust_brightness { max_delta: 0.3 }")
    delta = changed[0, 0, 1] - 20
    assert abs(delta) <= 0.3 * 255
    np.testing.assert_allclose(changed, np.clip(IMAGE + delta, 0, 255), atol=1e-3)


def test_contrast_keeps_the_mean_of_each_channel():
    image = np.array([[[100, 50, 10], [120, 60, 30]]], np.uint8)
    changed = apply("random_adjust_contrast { min_delta: 1.5 max_delta: 1.5 }", image)
    np.testing.assert_allclose(changed, [[[95, 47.5, 5], [125, 62.5, 35]]], rtol=1e-5)


def test_saturation_zero_is_gray_of_the_greatest_channel():
    changed = apply("random_adjust_saturation { min_delta: 0 max_delta: 0 }")
    np.testing.assert_allclose(changed, IMAGE.max(axis=-1, keepdims=True).repeat(3, axis=-1), atol=1e-3)


def test_hue_keeps_the_greatest_and_the_least_channel():
    changed = apply("random_adjust_hue { max_delta: 0.4 }")
    np.testing.assert_allclose(changed.max(axis=-1), IMAGE.max(axis=-1), atol=0.05)
    np.testing.assert_allclose(changed.min(axis=-1), IMAGE.min(axis=-1), atol=0.05)


def test_gamma():
    changed = apply("adjust_gamma { gamma: 2.0 gain: 0.5 }")
    np.testing.assert_allclose(changed[0, 1], 0.5 * 255 * (np.array([200, 100, 0]) / 255) ** 2, rtol=1e-4)


def test_pixel_values_are_scaled_one_by_one():
    image = np.full((30, 30, 3), 100, np.uint8)
    changed = apply("random_pixel_value_scale { minval: 0.5 maxval: 1.5 }", image)
    assert 50 <= changed.min() < 52
    assert 148 < changed.max() <= 150
    assert len(np.unique(changed)) > 2500


def test_black_patches_are_squares_of_the_size_asked():
    image = np.full((40, 50, 3), 9, np.uint8)
    options = "probability: 1.0 size_to_image_ratio: 0.25"
    changed = apply(f"random_black_patches {{ max_black_patches: 1 {options} }}", image)
    rows, columns = np.nonzero(changed[..., 0] == 0)
    assert len(rows) == 100
    assert rows.max() - rows.min() == columns.max() - columns.min() == 9
    np.testing.assert_array_equal(apply("random_black_patches { probability: 0 }", image), image)


def test_noise_stays_inside_of_one_square():
    image = np.full((40, 40, 3), 100, np.uint8)
    text = "random_patch_gaussian { min_patch_size: 10 max_patch_size: 11 min_gaussian_stddev: 0.2 }"
    for index in range(5):
        rows, columns = np.nonzero(np.any(apply(text, image, index) != 100, axis=-1))
        assert rows.max() - rows.min() <= 9
        assert columns.max() - columns.min() <= 9


@pytest.mark.parametrize("quality", [5, 90])
def test_jpeg_quality(quality):
    image = (np.mgrid[0:32, 0:32].sum(axis=0)[..., np.newaxis] * [4, 2, 1]).astype(np.uint8)
    text = f"random_jpeg_quality {{ min_jpeg_quality: {quality} max_jpeg_quality: {quality + 1} }}"
    error = np.abs(apply(text, image) - image).mean()
    assert (error > 5) == (quality == 5)
    np.testing.assert_array_equal(apply("random_jpeg_quality { random_coef: 1.0 }", image), image)


def test_downscale_leaves_small_images_alone():
    np.testing.assert_array_equal(apply("random_downscale_to_target_pixels {}"), IMAGE)
    image = np.zeros((100, 200, 3), np.uint8)
    text = "random_downscale_to_target_pixels { min_target_pixels: 5000 max_target_pixels: 5001 }"
    assert apply(text, image).shape == (50, 100, 3)


def test_downscale_goes_up_to_800000_pixels_when_nothing_is_set():
    image = np.zeros((1000, 1000, 3), np.uint8)
    sizes = [apply("random_downscale_to_target_pixels {}", image, index).shape[0] for index in range(12)]
    assert max(sizes) > 750


def test_image_scale_keeps_corner_pixels():
    image = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    changed = apply("random_image_scale { min_scale_ratio: 2 max_scale_ratio: 2 }", image)
    assert changed.shape == (12, 18, 3)
    np.testing.assert_allclose(changed[[0, 0, -1, -1], [0, -1, 0, -1]], image[[0, 0, -1, -1], [0, -1, 0, -1]])


def test_resize_to_one_size():
    image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1).repeat(3, axis=2)
    changed = apply("resize_image { new_height: 4 new_width: 2 method: NEAREST_NEIGHBOR }", image)
    np.testing.assert_array_equal(changed[..., 0], [[0, 1], [0, 1], [2, 3], [2, 3]])
    assert apply("random_resize_method { target_height: 5 target_width: 7 }", image).shape == (5, 7, 3)
