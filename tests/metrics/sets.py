"""Sets of images for tests of metrics."""

import numpy as np

from tfodhelper.metrics import collector, overlaps

CATEGORIES = {1: "cat", 2: "dog", 5: "bird"}


def collect(*images, categories=None):
    """`SetOverlaps` of (ground truth, detections) of each image."""
    images_so_far = collector.Collector(categories or CATEGORIES)
    for index, (gt, found) in enumerate(images):
        images_so_far.add(index, gt, found, name=f"{index}.jpg", size=(200, 300))
    return overlaps.SetOverlaps(images_so_far.finish())


def in_one(overlapping):
    """All images of `SetOverlaps` as `Overlaps`."""
    return overlaps.Overlaps(overlapping.images.read(0, overlapping.images.num_images))


def random_images(seed, num_images=6, ties=False):
    """Boxes of three classes, with crowds, groups and difficult ones, and detections near them and elsewhere."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(num_images):
        number = int(rng.integers(0, 7))
        corner = rng.uniform(0, 150, [number, 2])
        boxes = np.concatenate([corner, corner + rng.uniform(10, 120, [number, 2])], axis=1)
        classes = rng.choice([1, 2, 5], number)
        copies = rng.integers(0, number, int(rng.integers(0, 14))) if number else np.zeros([0], int)
        near = boxes[copies] + rng.normal(0, 9, [len(copies), 4])
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        elsewhere = np.tile(rng.uniform(0, 200, [3, 2]), 2) + np.array([0, 0, 20, 40])
        scores = rng.random(len(copies) + 3)
        labels = np.where(rng.random(len(copies)) < 0.7, classes[copies], rng.choice([1, 2, 5], len(copies)))
        flags = {name: rng.random(number) < 0.15 for name in ("is_crowd", "difficult", "group_of")}
        images.append(
            (
                {"boxes": boxes, "classes": classes, **flags},
                {
                    "boxes": np.concatenate([near, elsewhere]),
                    "scores": np.round(scores * 4) / 4 if ties else scores,
                    "classes": np.concatenate([labels, rng.choice([1, 2, 5], 3)]),
                },
            )
        )
    return images
