"""Records become pictures and ground truth."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.inputs import examples
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import structures
from tfodhelper.dataset.scan import entry
from tfodhelper.inputs import decoder, pixels
from tfodhelper.records import example

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
BOX = (0.25, 0.5, 0.75, 1.0)


def decode(*args, label_map=None, **features):
    return decoder.Decoder(label_map).decode(tf.constant(examples.make_example(*args, **features)))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP"])
def test_the_bytes_say_what_an_image_is(format):
    encoded = examples.encode(IMAGE, format)
    sample, stored = decode(encoded, format=[b"jpeg"])
    expected = Image.open(io.BytesIO(encoded)).convert("RGB")
    np.testing.assert_array_equal(pixels.read_pixels(sample.picture), np.asarray(expected))
    np.testing.assert_array_equal(stored.size, [40, 60])


def test_width_and_height_of_the_record_are_not_believed():
    _, stored = decode(examples.encode(IMAGE), height=[1], width=[7])
    np.testing.assert_array_equal(stored.size, [40, 60])


def test_gray_images_get_three_channels():
    for format in ("JPEG", "PNG"):
        sample, _ = decode(examples.encode(IMAGE[..., 0], format))
        image = pixels.read_pixels(sample.picture).numpy()
        np.testing.assert_array_equal(image[..., 0], image[..., 2])


def test_what_the_record_does_not_say_has_defaults():
    sample, stored = decode(examples.encode(IMAGE), [BOX], [3], filename="x/y.jpg", source_id="12")
    np.testing.assert_allclose(sample.boxes, [BOX])
    np.testing.assert_array_equal(sample.classes, [2])
    np.testing.assert_array_equal(stored.weights, [1.0])
    np.testing.assert_array_equal(stored.location_weights, [1.0])
    np.testing.assert_array_equal(stored.difficult, [False])
    np.testing.assert_array_equal(stored.is_crowd, [False])
    np.testing.assert_allclose(stored.area, [0.5 * 40 * 0.5 * 60])
    assert stored.filename == b"x/y.jpg"
    assert stored.source_id == b"12"


def test_what_the_record_says_is_kept():
    _, stored = decode(
        examples.encode(IMAGE),
        [BOX, BOX],
        [1, 2],
        weight=[0.5, 2.0],
        location_weight=[0.0, 1.0],
        difficult=[0, 1],
        is_crowd=[1, 0],
        area=[3.0, 4.0],
    )
    np.testing.assert_array_equal(stored.weights, [0.5, 2.0])
    np.testing.assert_array_equal(stored.location_weights, [0.0, 1.0])
    np.testing.assert_array_equal(stored.difficult, [False, True])
    np.testing.assert_array_equal(stored.is_crowd, [True, False])
    np.testing.assert_array_equal(stored.area, [3.0, 4.0])


def test_boxes_that_are_none_are_left_out_and_others_cut_off():
    nan = float("nan")
    boxes = [
        (0.1, 0.1, 0.1, 0.5),  # no height
        (nan, 0.1, 0.5, 0.5),
        (0.5, 0.5, 0.4, 0.9),  # inverted
        (-0.5, 0.9, 0.5, 1.5),  # over the border
        (1.1, 0.2, 1.3, 0.4),  # outside
        (0.2, 0.3, float("inf"), 0.4),
        (0.2, 0.3, 0.4, 0.5),
    ]
    sample, _ = decode(examples.encode(IMAGE), boxes, [1, 2, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(sample.rows, [3, 5, 6])
    np.testing.assert_array_equal(sample.classes, [3, 5, 6])
    np.testing.assert_allclose(sample.boxes, [[0, 0.9, 0.5, 1], [0.2, 0.3, 1, 0.4], [0.2, 0.3, 0.4, 0.5]])


def test_what_our_converter_writes():
    boxes = (structures.Box("dog", 30.0, 10.0, 60.0, 30.0, difficult=True), structures.Box("cat", 0.0, 0.0, 6.0, 4.0))
    packed = entry.pack_annotation(structures.Annotation("a.jpg", 60, 40, boxes))[3]
    label_map = label_maps.make_label_map(["dog", "cat"])
    record = example.make_example(packed, 60, 40, examples.encode(IMAGE), "jpeg", 7, "00", label_map, "a.jpg")
    sample, stored = decoder.Decoder(label_map).decode(tf.constant(record))
    np.testing.assert_allclose(sample.boxes, [BOX, (0, 0, 0.1, 0.1)], rtol=1e-6)
    np.testing.assert_array_equal(sample.classes, [1, 0])
    np.testing.assert_array_equal(stored.difficult, [True, False])
    np.testing.assert_allclose(stored.area, [600.0, 24.0])
    assert stored.source_id == b"7"


def test_no_box():
    sample, _ = decode(examples.encode(IMAGE))
    assert sample.boxes.shape == (0, 4)


def test_names_count_before_ids_and_unknown_ones_are_left_out():
    label_map = label_maps.LabelMap(
        (label_maps.LabelMapItem(1, "n01", "cat"), label_maps.LabelMapItem(2, "dog"), label_maps.LabelMapItem(3, "cow"))
    )
    encoded = examples.encode(IMAGE)
    sample, _ = decode(
        encoded, [BOX] * 4, [9, 9, 1, 9], class_text=[b"dog", b"bird", b"n01", b"cat"], label_map=label_map
    )
    np.testing.assert_array_equal(sample.classes, [1, 0, 0])
    np.testing.assert_array_equal(sample.rows, [0, 2, 3])
    sample, _ = decode(encoded, [BOX] * 4, [3, 4, 0, -2], label_map=label_map)
    np.testing.assert_array_equal(sample.classes, [2])


def test_a_jpeg_window_is_decoded_as_part_of_the_whole():
    for subsampling in (0, 1, 2):
        encoded = examples.encode(IMAGE, subsampling=subsampling)
        picture = pixels.make_picture_from_bytes(tf.constant(encoded))
        whole = tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE").numpy()
        for y, x, height, width in [(0, 0, 1, 1), (17, 33, 11, 9), (39, 59, 1, 1), (1, 1, 38, 58), (0, 0, 40, 60)]:
            part = pixels.read_pixels(pixels.crop(picture, y, x, height, width))
            np.testing.assert_array_equal(part, whole[y : y + height, x : x + width])


@pytest.mark.parametrize(("dct", "method"), [("accurate", "INTEGER_ACCURATE"), ("fast", "INTEGER_FAST")])
def test_jpegs_are_decoded_with_the_transform_that_is_asked_for(dct, method):
    encoded = examples.encode(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8))
    sample, _ = decoder.Decoder(dct=dct).decode(tf.constant(examples.make_example(encoded)))
    shown = pixels.read_pixels(pixels.crop(sample.picture, 3, 5, 30, 40)).numpy()
    np.testing.assert_array_equal(shown, tf.io.decode_jpeg(encoded, 3, dct_method=method)[3:33, 5:45])


def test_the_fast_transform_is_the_default_of_tensorflow():
    encoded = examples.encode(np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8))
    fast = pixels.read_pixels(pixels.make_picture_from_bytes(tf.constant(encoded), "fast")).numpy()
    np.testing.assert_array_equal(fast, tf.io.decode_image(encoded, 3))
    accurate = pixels.read_pixels(pixels.make_picture_from_bytes(tf.constant(encoded))).numpy()
    assert (fast != accurate).any()
