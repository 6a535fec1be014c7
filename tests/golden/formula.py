"""Weights, images and ground truth that follow from formulas, so that reference numbers need no weight files.

A weight follows from its checkpoint key and its shape: the key's crc32 seeds standard normal numbers, which are then
scaled by rules that keep the activations of a network of many layers near 1. The reference numbers in this folder were
computed by the OD API with the same formulas.
"""

import zlib

import numpy as np

SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"
IMAGES = {"img0": (240, 320, 0), "img1": (400, 250, 1)}  # height, width, variant
TRAIN_IMAGES = ((240, 320, 0), (240, 320, 1))
_RECTANGLES = (  # ymin, xmin, ymax, xmax as fractions of the image, colour
    ((0.10, 0.15, 0.45, 0.40), (220, 40, 30)),
    ((0.30, 0.55, 0.80, 0.90), (20, 180, 60)),
    ((0.60, 0.10, 0.90, 0.35), (40, 60, 230)),
    ((0.05, 0.70, 0.20, 0.95), (250, 240, 20)),
)


def weight(key, shape):
    """Value of a variable of SSD MobileNet V1, SSD MobileNet V2 FPNLite or Faster R-CNN ResNet V1, float32."""
    shape = tuple(int(size) for size in shape)
    random = np.random.RandomState(zlib.crc32(key.encode()))
    x = random.standard_normal(shape).astype(np.float32)
    path = key.removesuffix(SUFFIX)
    leaf = path.split("/")[-1]
    if leaf == "depthwise_kernel":
        gain = 1.0 if "/_box_predictor/" in path else 2.0
        return x * np.float32(np.sqrt(gain / (shape[0] * shape[1])))
    if leaf in ("kernel", "pointwise_kernel"):
        if shape[-2] != 3:  # all but the stem: the weights of each output sum to zero
            mean = x.mean(axis=tuple(range(len(shape) - 1)), keepdims=True, dtype=np.float64)
            x = x - (np.rint(mean * 2.0**24) / 2.0**24).astype(np.float32)
        return x * np.float32(np.sqrt(_gain(path, shape) / np.prod(shape[:-1])))
    scale, offset = {
        "gamma": (0.1, 1.0),
        "beta": (0.1, 0.0),
        "bias": (0.01, 0.0),
        "moving_mean": (0.1, 0.0),
        "moving_variance": (0.1, 1.0),
    }[leaf]
    x = np.abs(x) if leaf == "moving_variance" else x
    return np.float32(offset) + np.float32(scale) * x


def _gain(path, shape):
    """Variance of an output of a kernel, in units of that of its inputs."""
    if "_class_predictor_layers" in path and len(shape) == 2:
        return 16.0
    if "_class_predictor_layers" in path or "_box_encoder_layers" in path:
        return 1.0
    if path.endswith("/pointwise_kernel"):
        return 1.0
    if shape[2] == 3:
        return 1.0 / 8192.0 if shape[0] == 7 else 2.0  # ResNet's inputs lie around -128..128
    if shape[:2] == (1, 1) and shape[3] == 4 * shape[2]:  # the last convolution of a residual unit
        return 1.0 if shape[2] == 64 else 0.08
    if shape[:2] == (1, 1) and shape[2] == 6 * shape[3]:  # an inverted residual with a shortcut
        return 0.25
    is_quarter = shape[2] == 4 * shape[3] and shape[3] in (64, 128, 256, 512)
    if shape[:2] == (1, 1) and shape[2] >= 2 * shape[3] and not is_quarter:
        return 1.0
    return 3.0


def image(height, width, variant):
    """uint8 RGB: sinusoids with four rectangles, mirrored in odd variants."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    y, x, k = y / height, x / width, 1 + variant
    channels = (
        np.sin(2 * np.pi * (k * x + 0.5 * y)),
        np.cos(2 * np.pi * (0.7 * x - 1.3 * k * y)),
        np.sin(2 * np.pi * (3 * x * y + 0.2 * k)),
    )
    pixels = 127.5 + 100 * np.stack(channels, axis=-1)
    for (ymin, xmin, ymax, xmax), colour in _RECTANGLES:
        if variant % 2:
            xmin, xmax = 1 - xmax, 1 - xmin
        pixels[int(ymin * height) : int(ymax * height), int(xmin * width) : int(xmax * width)] = colour
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def groundtruth(variant, num_classes):
    """Boxes [3, 4] normalized, classes [3] 0-based, weights [3]."""
    boxes = np.array([box for box, _ in _RECTANGLES[:3]], np.float32)
    classes = [0, 16, 43]
    if variant % 2:
        boxes = np.stack([boxes[:, 0], 1 - boxes[:, 3], boxes[:, 2], 1 - boxes[:, 1]], axis=1).astype(np.float32)
        classes = [2, 0, 61]
    return boxes, np.array(classes, np.int32) % num_classes, np.ones(3, np.float32)


def masks(variant, height, width):
    """uint8 [3, height, width] of an image and its padding: ellipses that fill the boxes of `groundtruth`."""
    boxes = groundtruth(variant, 90)[0].astype(np.float64)
    y, x = np.mgrid[0:height, 0:width]
    inside = []
    for ymin, xmin, ymax, xmax in boxes:
        down = ((y + 0.5) / height - (ymin + ymax) / 2) / ((ymax - ymin) / 2)
        right = ((x + 0.5) / width - (xmin + xmax) / 2) / ((xmax - xmin) / 2)
        inside.append(down**2 + right**2 <= 1)
    return np.stack(inside).astype(np.uint8)
