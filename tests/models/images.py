"""A batch of noise and its ground truth, for small detectors."""

import numpy as np
import tensorflow as tf

from tests.models.cases import BATCH
from tfodhelper.fields import Groundtruth

ROWS = 4
BOXES = [(1, 0.1, 0.1, 0.5, 0.6), (2, 0.0, 0.4, 1.0, 1.0)]


def make_images(height=60, width=90, seed=0):
    """uint8 [B, height, width, 3]."""
    return np.random.RandomState(seed).randint(0, 256, [BATCH, height, width, 3]).astype(np.uint8)


MASK_SIZE = (32, 48)


def make_groundtruth(boxes=(), rows=ROWS, with_masks=False):
    """The same boxes [(class, ymin, xmin, ymax, xmax)] in every image, padded; a mask is the left half of its box."""
    values = np.zeros([BATCH, rows, 4], np.float32)
    classes, weights = np.full([BATCH, rows], -1, np.int32), np.zeros([BATCH, rows], np.float32)
    for i, (number, *corners) in enumerate(boxes):
        values[:, i], classes[:, i], weights[:, i] = corners, number, 1
    groundtruth = {
        Groundtruth.BOXES: tf.constant(values),
        Groundtruth.CLASSES: tf.constant(classes),
        Groundtruth.WEIGHTS: tf.constant(weights),
        Groundtruth.NUM_BOXES: tf.fill([BATCH], len(boxes)),
    }
    if not with_masks:
        return groundtruth
    masks = np.zeros([BATCH, rows, *MASK_SIZE], np.uint8)
    for i, (_, *corners) in enumerate(boxes):
        ymin, xmin, ymax, xmax = np.round(corners * np.tile(MASK_SIZE, 2)).astype(int)
        masks[:, i, ymin:ymax, xmin : (xmin + xmax) // 2] = 1
    return groundtruth | {
        Groundtruth.MASKS: tf.constant(masks),
        Groundtruth.MASK_WEIGHTS: groundtruth[Groundtruth.WEIGHTS],
    }
