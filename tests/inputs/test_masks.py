"""Masks move with their boxes: the tight box of a mask is the box, whatever happens to the image."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.inputs import examples
from tfodhelper import errors, resizers
from tfodhelper.inputs import augment, autoaugment, decoder, diagnose, masks, parser, pixels
from tfodhelper.inputs import sample as samples
from tfodhelper.protos import message
from tfodhelper.records import mask_png

HEIGHT, WIDTH = 80, 120
# ymin, xmin, ymax, xmax in pixels; one on the border, two that overlap.
BOXES_PX = np.array([[20, 30, 40, 90], [0, 0, 10, 12], [60, 60, 80, 120], [30, 50, 65, 75]])
BOXES = (BOXES_PX / [HEIGHT, WIDTH, HEIGHT, WIDTH]).astype(np.float32)
STEPS = [
    *("random_horizontal_flip {}", "random_vertical_flip {}", "random_rotation90 {}"),
    "random_crop_image {}",
    "random_crop_image { min_object_covered: 0.3 overlap_thresh: 0.2 random_coef: 0.2 }",
    *("ssd_random_crop {}", "ssd_random_crop_pad {}", "ssd_random_crop_fixed_aspect_ratio {}"),
    *("ssd_random_crop_pad_fixed_aspect_ratio {}", "random_crop_pad_image {}"),
    "random_crop_to_aspect_ratio { aspect_ratio: 0.8 }",
    "random_square_crop_by_scale { max_border: 32 }",
    *("random_pad_image {}", "random_absolute_pad_image { max_height_padding: 30 max_width_padding: 20 }"),
    "random_image_scale { min_scale_ratio: 0.5 max_scale_ratio: 1.0 }",
    "resize_image { new_height: 51 new_width: 133 }",
    "random_resize_method { target_height: 67 target_width: 90 }",
    "random_downscale_to_target_pixels { min_target_pixels: 2000 max_target_pixels: 9000 }",
    "random_scale_crop_and_pad_to_square { output_size: 100 scale_min: 0.4 scale_max: 1.6 }",
    "random_self_concat_image { concat_vertical_probability: 0.5 concat_horizontal_probability: 0.5 }",
    "drop_label_probabilistically { label: 2 drop_probability: 0.5 }",
]


def make_sample(boxes_px=BOXES_PX, height=HEIGHT, width=WIDTH):
    """A sample whose masks are its boxes, and whose image has one channel per object for the first three."""
    arrays = np.zeros([len(boxes_px), height, width], np.uint8)
    for array, (ymin, xmin, ymax, xmax) in zip(arrays, boxes_px):
        array[ymin:ymax, xmin:xmax] = 1
    encoded = tf.constant([mask_png.encode(array) for array in arrays])
    image = np.zeros([height, width, 3], np.uint8)
    for channel in range(min(3, len(arrays))):
        image[..., channel] = arrays[channel] * 255
    boxes = np.array(boxes_px) / [height, width, height, width]
    return dataclasses.replace(
        examples.make_sample(image, boxes), masks=masks.Masks(encoded, tf.constant([height, width]))
    )


def run(step, count, seed=0, make=make_sample):
    """Yields (image, boxes, rows, masks) of samples after a step."""

    def compute(index):
        result = step(make(), samples.Draws(seed, index))
        image = pixels.read_pixels(result.picture)
        shape = tf.shape(image)
        pictures, has_pixels = masks.read(result.masks, result.rows, shape, shape[0], shape[1])
        return image, result.boxes, result.rows, pictures, has_pixels

    yield from tf.data.Dataset.range(count).map(compute, num_parallel_calls=2).as_numpy_iterator()


def tight_box(mask):
    """ymin, xmin, ymax, xmax in pixels; None without a pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return None if not len(rows) else np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


def check(image, boxes, pictures, tolerance=1.0):
    height, width = image.shape[:2]
    assert pictures.shape == (len(boxes), height, width) and pictures.dtype == np.uint8
    for box, picture in zip(np.clip(boxes, 0, 1) * [height, width, height, width], pictures):
        tight = tight_box(picture)
        if tight is None:
            assert min(box[2:] - box[:2]) <= 2 * tolerance
        else:
            np.testing.assert_array_less(np.abs(tight - box), tolerance + 1e-3)


@pytest.mark.parametrize("text", STEPS)
def test_the_tight_box_of_a_mask_is_the_box(text):
    step = augment.build_step(examples.step_message(text))
    shapes = set()
    for image, boxes, _, pictures, has_pixels in run(step, 20):
        check(image, boxes, pictures)
        assert has_pixels.all()
        shapes.add((image.shape, boxes.tobytes()))
    assert len(shapes) > (0 if text.startswith(("resize_image", "random_resize")) else 1)


@pytest.mark.parametrize("text", [text for text in STEPS if "size" not in text and "scale" not in text])
def test_masks_show_the_same_pixels_as_the_image(text):
    """Each of the first three objects is white in a channel of its own."""
    step = augment.build_step(examples.step_message(text))
    for image, _, rows, pictures, _ in run(step, 10, seed=7):
        for channel in range(3):
            own = pictures[rows == channel]
            if len(own) and text.partition(" ")[0] not in ("ssd_random_crop_pad", "random_crop_pad_image"):
                np.testing.assert_array_equal(
                    own.max(axis=0) * 255 > 127, (image[..., channel] > 254) & (own.max(0) > 0)
                )


@pytest.mark.slow
@settings(max_examples=15)
@given(st.lists(st.sampled_from(STEPS), min_size=2, max_size=4), st.integers(0, 1 << 20))
def test_several_steps_are_one_transform(texts, seed):
    texts = [text for text in texts if "scale" not in text and "size" not in text]  # each of these rounds anew
    step = augment.build_augmentation([examples.step_message(text) for text in texts])
    for image, boxes, _, pictures, _ in run(step, 2, seed):
        check(image, boxes, pictures)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["v0", "v1", "v2", "v3"])
def test_autoaugment_moves_masks(policy):
    """Turned boxes are the boxes around turned corners: the masks are inside. Boxes that overlap would move parts of
    each other.
    """
    step = augment.build_step(examples.step_message(f'autoaugment_image {{ policy_name: "{policy}" }}'))
    moved = 0
    for image, boxes, rows, pictures, _ in run(step, 30, make=lambda: make_sample(BOXES_PX[:3])):
        height, width = image.shape[:2]
        for box, row, picture in zip(boxes * [height, width, height, width], rows, pictures):
            tight = tight_box(picture)
            if tight is None:
                continue
            assert (tight[:2] >= box[:2] - 1.01).all() and (tight[2:] <= box[2:] + 1.01).all()
            moved += not np.array_equal(picture, masks_of_boxes()[row])
    assert moved


def test_autoaugment_turns_masks():
    """The masks of turned boxes stay inside the boxes around them."""
    policy = ((("Rotate_BBox", 1.0, 8), ("Cutout", 1.0, 2)),)
    originals, moved = masks_of_boxes(), 0
    for image, boxes, rows, pictures, _ in run(
        functools.partial(autoaugment.autoaugment_image, policy=policy), 4, make=lambda: make_sample(BOXES_PX[:3])
    ):
        height, width = image.shape[:2]
        for box, row, picture in zip(boxes * [height, width, height, width], rows, pictures):
            tight = tight_box(picture)
            assert tight is None or (tight[:2] >= box[:2] - 1.01).all() and (tight[2:] <= box[2:] + 1.01).all()
            moved += not np.array_equal(picture, originals[row])
    assert moved


def masks_of_boxes():
    arrays = np.zeros([len(BOXES_PX), HEIGHT, WIDTH], np.uint8)
    for array, (ymin, xmin, ymax, xmax) in zip(arrays, BOXES_PX):
        array[ymin:ymax, xmin:xmax] = 1
    return arrays


def test_autoaugment_moves_masks_inside_boxes():
    """Flipping the content of a box flips the mask in it, and leaves other masks alone."""
    triangle = np.tril(np.ones([40, 40], np.uint8))
    array = np.zeros([HEIGHT, WIDTH], np.uint8)
    array[20:60, 10:50] = triangle
    other = np.zeros_like(array)
    other[5:15, 100:110] = np.tril(np.ones([10, 10], np.uint8))

    def make():
        boxes = np.array([[20, 10, 60, 50], [5, 100, 15, 110]]) / [HEIGHT, WIDTH, HEIGHT, WIDTH]
        image = np.stack([array * 255, other * 255, array * 0], axis=-1)
        encoded = tf.constant([mask_png.encode(array), mask_png.encode(other)])
        return dataclasses.replace(
            examples.make_sample(image, boxes), masks=masks.Masks(encoded, tf.constant([HEIGHT, WIDTH]))
        )

    policy = ((("Flip_Only_BBoxes", 3.0, 1),),)  # times a third: always
    step = functools.partial(autoaugment.autoaugment_image, policy=policy)
    (image, _, _, pictures, _), *_ = run(step, 1, make=make)
    # The pixel in which a box ends belongs to it.
    np.testing.assert_array_equal(pictures[0][20:60, 10:51], array[20:60, 10:51][:, ::-1])
    np.testing.assert_array_equal(pictures * 255, image[..., :2].transpose(2, 0, 1))


LABEL_ROWS = [(0.25, 0.25, 0.5, 0.75), (0.0, 0.0, 0.125, 0.1), (0.5, 0.5, 0.75, 0.75)]


def encode_record(mask_type=decoder.PNG, filename="a.png", **features):
    pictures = masks_of_boxes()[:3].copy()
    pictures[1] = 0
    if mask_type == decoder.PNG:
        stored = [mask_png.encode(picture) for picture in pictures]
    else:
        stored = pictures.astype(float).ravel().tolist()
    image = np.zeros([HEIGHT, WIDTH, 3], np.uint8)
    features = {"mask": stored} | features
    return examples.make_example(
        examples.encode(image, "PNG"), LABEL_ROWS, [1, 2, 1], filename=filename, **features
    ), pictures


RESIZERS = [
    "fixed_shape_resizer { height: 40 width: 60 }",
    "keep_aspect_ratio_resizer { min_dimension: 40 max_dimension: 64 pad_to_max_dimension: true }",
    "keep_aspect_ratio_resizer { min_dimension: 40 max_dimension: 64 }",
    "identity_resizer {}",
    "pad_to_multiple_resizer { multiple: 64 }",
]


@pytest.mark.parametrize("text", RESIZERS)
@pytest.mark.parametrize("mask_type", [decoder.PNG, decoder.NUMERICAL])
def test_labels_are_masks_in_the_frame_of_the_model_input(text, mask_type):
    from google.protobuf import text_format

    resizer = resizers.build_resizer(text_format.Parse(text, message("ImageResizer")()))
    serialized, pictures = encode_record(mask_type)
    parse = parser.Parser(decoder.Decoder(mask_type=mask_type), resizer, max_boxes=5, evaluates=True).parse
    features, labels = parse(tf.constant(0, tf.int64), tf.constant(serialized))
    height, width = features["image"].shape[:2]
    made = labels["groundtruth_masks"].numpy()
    assert made.shape == (5, height, width) and made.dtype == np.uint8
    assert labels["groundtruth_mask_weights"].numpy().tolist() == [1, 0, 1, 0, 0]
    true_height, true_width, _ = features["true_image_shape"].numpy()
    scale = [true_height, true_width] * 2
    for row in (0, 2):
        np.testing.assert_array_less(np.abs(tight_box(made[row]) - BOXES_PX[row] / [80, 120, 80, 120] * scale), 1.001)
    assert not made[[1, 3, 4]].any()
    stored = features["stored_masks"].numpy()
    assert stored[1] == stored[3] == b""
    np.testing.assert_array_equal(tf.io.decode_png(stored[0])[..., 0].numpy() > 0, pictures[0] > 0)


def test_weights_of_records_count_and_records_without_masks_are_read():
    parse = parser.Parser(
        decoder.Decoder(mask_type=decoder.PNG), lambda image: (tf.cast(image, tf.float32), tf.shape(image)), max_boxes=4
    ).parse
    serialized, _ = encode_record(mask_weight=[0.0, 1.0, 1.0])
    _, labels = parse(tf.constant(0, tf.int64), tf.constant(serialized))
    assert labels["groundtruth_mask_weights"].numpy().tolist() == [0, 0, 1, 0]
    assert not labels["groundtruth_masks"][0].numpy().any()
    for more in ({"mask": []},):
        serialized, _ = encode_record(**more)
        _, labels = parse(tf.constant(0, tf.int64), tf.constant(serialized))
        assert not labels["groundtruth_masks"].numpy().any() and not labels["groundtruth_mask_weights"].numpy().any()
    empty = examples.make_example(examples.encode(np.zeros([8, 9, 3], np.uint8), "PNG"))
    _, labels = parse(tf.constant(0, tf.int64), tf.constant(empty))
    assert labels["groundtruth_masks"].shape == (4, 8, 9)


def test_masks_that_do_not_fit_are_errors():
    small = mask_png.encode(np.ones([8, 8]))
    read = decoder.Decoder(mask_type=decoder.PNG)
    parse = parser.Parser(read, lambda image: (tf.cast(image, tf.float32), tf.shape(image)), max_boxes=4).parse
    for stored in ([small] * 3, [small]):
        serialized, _ = encode_record(mask=stored)
        with pytest.raises(tf.errors.InvalidArgumentError, match="image/object/mask"):
            list(tf.data.Dataset.from_tensors(serialized).map(lambda s: parse(tf.constant(0, tf.int64), s)))


@pytest.mark.parametrize("mask_type", [decoder.PNG, decoder.NUMERICAL])
def test_a_record_with_masks_that_do_not_fit_is_named(tmp_path, mask_type):
    good, _ = encode_record(mask_type)
    wrong = [mask_png.encode(np.ones([8, 8]))] * 3 if mask_type == decoder.PNG else [1.0, 0.0]
    bad, _ = encode_record(mask=wrong, filename="bad.png")
    path = examples.write_records(tmp_path / "a.record", [good, good, bad])
    parse = parser.Parser(
        decoder.Decoder(mask_type=mask_type), lambda image: (tf.cast(image, tf.float32), tf.shape(image)), max_boxes=4
    ).parse
    dataset = tf.data.TFRecordDataset(path).enumerate().map(parse)
    with pytest.raises(errors.DatasetError, match=r"record 2 \(from 0\), bad.png") as caught:
        list(diagnose.iterate(dataset, [path]))
    assert "image/object/mask" in str(caught.value)
