"""Made-up predictions, for tests of the selection."""

import numpy as np

from tfodhelper.active_learning.structures import Prediction
from tfodhelper.prediction.detections import Detection, ImageDetections


def predicted(name, *detections, features=None):
    """A prediction from (class, score), (class, score, margin) or (class, score, margin, entropy) of its detections."""
    full = [tuple(values) + (0.5, 0.5)[len(values) - 2 :] for values in detections]
    boxes = tuple(Detection(label, 1, score, 0.0, 0.0, 8.0, 8.0) for label, score, _, _ in full)
    return Prediction(
        name=name,
        found=ImageDetections(f"images/{name}", 16, 16, boxes),
        margins=tuple(values[2] for values in full),
        entropies=tuple(values[3] for values in full),
        features=None if features is None else np.asarray(features, np.float32),
    )


def random_pool(size, seed=0, shares=(0.85, 0.12, 0.03), most_boxes=4, dimensions=8):
    """A pool in which classes a, b, c are as frequent as `shares` says, and some images show nothing.

    Every image shows one class, which its features tell; scores and entropies are drawn in the same way for all.
    """
    chance = np.random.default_rng(seed)
    pool = []
    for number in range(size):
        label = chance.choice(len(shares), p=shares)
        detections = []
        for score in sorted(chance.uniform(0.2, 1.0, chance.integers(0, most_boxes + 1)), reverse=True):
            detections.append(("abc"[label], float(score), float(chance.uniform()), float(chance.uniform())))
        features = chance.normal(size=dimensions) + 3.0 * np.eye(dimensions)[label]
        pool.append(predicted(f"{number:05}.jpg", *detections, features=features))
    return pool
