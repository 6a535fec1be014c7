"""COCO's mask figures: as pycocotools' own evaluation, and masks in images as TensorFlow pastes them."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import coco as pycoco
from pycocotools import cocoeval
from pycocotools import mask as coco_mask

from tfodhelper import errors, mask_geometry
from tfodhelper.metrics import coco, coco_masks

CATEGORIES = {1: "cat", 2: "dog", 5: "bird"}
HEIGHT, WIDTH = 110, 130
ROWS, COLUMNS = np.mgrid[0:HEIGHT, 0:WIDTH]
TAGS = [coco_masks.PREFIX + tag for tag in coco.FIGURES]


def ellipse(rng, like=None):
    """A blob; near another one, given as (y, x, height, width)."""
    if like is None:
        like = (*(rng.uniform(0, 1, 2) * (HEIGHT, WIDTH)), *rng.uniform(3, 60, 2))
    else:
        like = tuple(np.array(like) + rng.normal(0, 1, 4) * rng.choice([0, 1.5, 6]))
    y, x, height, width = like
    return like, (((ROWS - y) / max(height, 1)) ** 2 + ((COLUMNS - x) / max(width, 1)) ** 2 < 1).astype(np.uint8)


def encode(array):
    return coco_mask.encode(np.asfortranarray(array))


def box_of(array):
    xmin, ymin, width, height = coco_mask.toBbox(encode(array))
    return [ymin, xmin, ymin + height, xmin + width]


def random_images(seed, num_images=5):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        blobs, classes, crowd, found, labels = [], [], [], [], []
        for _ in range(rng.choice([0, 1, 4, 8])):
            like, array = ellipse(rng)
            if array.any():
                blobs.append((like, array))
                classes.append(int(rng.choice(list(CATEGORIES))))
                crowd.append(bool(rng.random() < 0.2))
        for (like, _), label in zip(blobs, classes):
            for _ in range(rng.integers(0, 4)):
                found.append(ellipse(rng, like)[1])
                labels.append(label if rng.random() < 0.8 else int(rng.choice(list(CATEGORIES))))
        for _ in range(rng.integers(0, 4)):
            found.append(ellipse(rng)[1])
            labels.append(int(rng.choice(list(CATEGORIES))))
        if rng.random() < 0.2:
            found, labels = [], []
        scores = np.round(rng.random(len(found)), int(rng.choice([1, 6])))  # ties
        arrays = [array for _, array in blobs]
        gt = {
            "boxes": [box_of(array) for array in arrays],
            "classes": classes,
            "is_crowd": crowd,
            "area": [float(array.sum()) for array in arrays],
            "masks": [encode(array) for array in arrays],
        }
        detections = {"boxes": [box_of(array) for array in found], "classes": labels, "scores": scores}
        images.append((gt, detections | {"masks": [encode(array) for array in found]}))
    return images


def reference(images):
    """The twelve figures of COCOeval, in its order."""
    annotations, detections = [], []
    for image_id, (gt, found) in enumerate(images):
        for row, code in enumerate(gt["masks"]):
            entry = {"id": len(annotations) + 1, "image_id": image_id, "category_id": gt["classes"][row]}
            entry |= {"area": gt["area"][row], "iscrowd": int(gt["is_crowd"][row]), "segmentation": code}
            annotations.append(entry)
        for row, code in enumerate(found["masks"]):
            entry = {"id": len(detections) + 1, "image_id": image_id, "category_id": found["classes"][row]}
            entry |= {"area": float(coco_mask.area(code)), "segmentation": code, "score": float(found["scores"][row])}
            detections.append(entry | {"iscrowd": 0})
    sets = []
    with contextlib.redirect_stdout(io.StringIO()):
        for rows in (annotations, detections):
            sets.append(pycoco.COCO())
            sets[-1].dataset = {
                "images": [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(len(images))],
                "annotations": rows,
                "categories": [{"id": key, "name": name} for key, name in CATEGORIES.items()],
            }
            sets[-1].createIndex()
        evaluation = cocoeval.COCOeval(*sets, iouType="segm")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def result_of(images, order=None, **options):
    metrics = coco_masks.CocoMaskMetrics(CATEGORIES, **options)
    for index in range(len(images)) if order is None else order:
        metrics.update(index, *images[index])
    return metrics.result()


@pytest.mark.parametrize("block", range(10))
def test_figures_equal_those_of_pycocotools(block):
    seen = set()
    for seed in range(10 * block, 10 * block + 10):
        images = random_images(seed)
        values = result_of(images)
        np.testing.assert_allclose([values[tag] for tag in TAGS], reference(images), atol=1e-6)
        seen.add(values[TAGS[0]])
    assert len(seen) > 5


def test_the_order_of_images_and_repeated_ones_do_not_matter():
    images = random_images(3)
    assert result_of(images, [4, 2, 0, 2, 1, 3, 4]) == result_of(images)


def test_figures_by_class():
    values = result_of(random_images(1), per_category=True)
    by_class = [values[f"DetectionMasks_PerformanceByCategory/mAP/{name}"] for name in CATEGORIES.values()]
    assert np.mean([value for value in by_class if value >= 0]) == pytest.approx(values[TAGS[0]])


def test_objects_without_masks_do_not_count():
    """Detections in their boxes are neither right nor wrong."""
    _, first = ellipse(np.random.default_rng(0), (30, 30, 15, 15))
    _, second = ellipse(np.random.default_rng(0), (80, 90, 15, 15))
    gt = {"boxes": [box_of(first), box_of(second)], "classes": [1, 1], "masks": [encode(first), None]}
    found = {"boxes": gt["boxes"], "classes": [1, 1], "scores": [0.8, 0.9], "masks": [encode(first), encode(second)]}
    assert result_of([(gt, found)])[TAGS[0]] == pytest.approx(1.0)
    found["masks"] = [encode(first), encode(np.roll(second, -60, axis=1))]
    assert result_of([(gt, found)])[TAGS[0]] == pytest.approx(0.5)


def test_masks_are_needed():
    metrics = coco_masks.CocoMaskMetrics(CATEGORIES)
    gt, found = random_images(0)[0]
    for part in (gt, found):
        part = {key: value for key, value in part.items() if key != "masks"}
        with pytest.raises(errors.PredictionError, match="coco_mask_metrics needs masks"):
            metrics.update(0, part if "area" in part else gt, found if "area" in part else part)


_SIDES = st.floats(-0.25, 1.25, width=32)


@given(
    st.tuples(_SIDES, _SIDES, _SIDES, _SIDES), st.integers(1, 40), st.integers(1, 40), st.integers(0, 1 << 20),
    st.sampled_from([(1, 1), (2, 3), (15, 15), (33, 33)]),
)  # fmt: skip
def test_masks_are_pasted_as_in_the_object_detection_api(sides, height, width, seed, grid_size):
    """Its `reframe_box_masks_to_image_masks` is `crop_and_resize` with the image as the crop of the box."""
    box = np.array([min(sides[0], sides[2]), min(sides[1], sides[3]), max(sides[0], sides[2]), max(sides[1], sides[3])])
    box = box.astype(np.float32)
    if (box[2:] - box[:2]).min() < 0.02:
        return
    grid = np.random.default_rng(seed).random(grid_size).astype(np.float32)
    size = np.tile(box[2:] - box[:2], 2)
    frame = (np.array([0, 0, 1, 1], np.float32) - np.tile(box[:2], 2)) / size
    pasted = tf.image.crop_and_resize(grid[None, :, :, None], frame[None], [0], [height, width])[0, :, :, 0].numpy()
    made = mask_geometry.paste(grid, box, height, width)
    clear = np.abs(pasted - 0.5) > 1e-3
    # On the very side of the box, rounding decides.
    clear &= ~_near_a_side(box, height, width, grid_size)
    np.testing.assert_array_equal(made[clear], (pasted > 0.5)[clear])


def _near_a_side(box, height, width, grid_size):
    near = np.zeros([height, width], bool)
    for axis, (pixels, points) in enumerate(zip((height, width), grid_size)):
        low, high = box[axis], box[axis + 2]
        shares = np.linspace(0, 1, pixels) if pixels > 1 else np.array([0.5])
        places = (shares - low) / (high - low) * (points - 1)
        edge = (np.abs(places) < 1e-3) | (np.abs(places - (points - 1)) < 1e-3) if points > 1 else np.ones(pixels, bool)
        near |= np.expand_dims(edge, 1 - axis)
    return near


def test_whole_masks_are_told_apart_from_grids():
    whole = np.zeros([2, HEIGHT, WIDTH], np.uint8)
    whole[0, 3:9, 4:20] = 1
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.5, 0.5]], np.float32)
    codes = mask_geometry.encode_detections(whole, boxes, HEIGHT, WIDTH)
    np.testing.assert_array_equal(mask_geometry.decode(codes[0]), whole[0])
    grids = np.ones([2, 15, 15], np.float32)
    codes = mask_geometry.encode_detections(grids, boxes, HEIGHT, WIDTH)
    areas = mask_geometry.areas(codes)
    assert areas[0] == HEIGHT * WIDTH and areas[1] == 55 * 65
    assert not mask_geometry.are_whole_images(np.full([1, 15, 15], 0.4, np.float32), 15, 15)
    assert mask_geometry.are_whole_images(np.ones([1, 15, 15], np.float32), 15, 15)
