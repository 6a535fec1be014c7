"""Suggests anchors: the sizes and aspect ratios that suit the boxes of a dataset, by k-means on their shapes.

The distance of two shapes is 1 - IoU of boxes with a common corner (Redmon and Farhadi 2017, "YOLO9000", section 2).
"""

import dataclasses

import numpy as np

MAX_ANCHORS = 15
_MAX_BOXES = 20_000  # more would not change the clusters
_ROUNDS = 100
_NEAR_FACTOR = 1.2  # anchor sizes and ratios that are closer than this are merged


@dataclasses.dataclass(frozen=True)
class Anchors:
    """The result for one number of anchors.

    Attributes:
      shapes: float64 [k, 2], width and height as fractions of the image, sorted by area.
      mean_iou: mean over the boxes of the IoU with the best anchor.
    """

    shapes: np.ndarray
    mean_iou: float


def iou_of_shapes(shapes, anchors):
    """[N, k] intersection over union of boxes that share a corner.

    Args:
      shapes: [N, 2], widths and heights above 0.
      anchors: [k, 2], likewise.
    """
    inside = np.minimum(shapes[:, None], anchors[None]).prod(-1)
    return inside / (shapes.prod(-1)[:, None] + anchors.prod(-1)[None] - inside)


def cluster(shapes, k, seed=0):
    """k anchors for boxes, by k-means with 1 - IoU.

    Args:
      shapes: float [N, 2], widths and heights above 0.
      k: number of anchors, at least 1; fewer are returned if there are fewer distinct shapes.
      seed: of the initial anchors.

    Returns:
      `Anchors`.
    """
    shapes = np.asarray(shapes, np.float64)
    anchors = _begin(shapes, min(k, len(np.unique(shapes, axis=0))), np.random.default_rng(seed))
    best, before = None, None
    for _ in range(_ROUNDS):
        overlaps = iou_of_shapes(shapes, anchors)
        nearest, mean_iou = overlaps.argmax(1), float(overlaps.max(1).mean())
        if best is None or mean_iou > best.mean_iou:
            best = Anchors(anchors, mean_iou)
        if before is not None and np.array_equal(nearest, before):
            break
        before = nearest
        members = (shapes[nearest == i] for i in range(len(anchors)))
        anchors = np.array([np.median(own, axis=0) if len(own) else old for own, old in zip(members, anchors)])
    return Anchors(best.shapes[np.argsort(best.shapes.prod(-1))], best.mean_iou)


def _begin(shapes, k, chance):
    """Initial anchors: each is drawn from the boxes, preferring those that the previous ones fit badly (k-means++)."""
    chosen = [shapes[chance.integers(len(shapes))]]
    while len(chosen) < k:
        distance = 1 - iou_of_shapes(shapes, np.array(chosen)).max(1)
        chosen.append(shapes[chance.choice(len(shapes), p=distance / distance.sum())])
    return np.array(chosen)


def advise(shapes, seed=0):
    """{k: `Anchors`} for k = 1 .. 15; empty if there are no boxes.

    Args:
      shapes: float [N, 2], widths and heights of boxes as fractions of the image.
      seed: of the clusters, and of the sample of boxes if there are very many.
    """
    shapes = np.asarray(shapes, np.float64).reshape(-1, 2)
    shapes = shapes[(shapes > 0).all(1)]
    if not len(shapes):
        return {}
    if len(shapes) > _MAX_BOXES:
        shapes = shapes[np.random.default_rng(seed).choice(len(shapes), _MAX_BOXES, replace=False)]
    anchors = {}
    for k in range(1, MAX_ANCHORS + 1):
        anchors[k] = cluster(shapes, k, seed)
        if k > 1 and anchors[k - 1].mean_iou > anchors[k].mean_iou:
            anchors[k] = anchors[k - 1]  # an additional anchor cannot be worse: keep these and add any other
    return anchors


def to_ssd_config(shapes, scales=6):
    """Configuration text for an ssd_anchor_generator with the size range and the aspect ratios of some anchors.

    Args:
      shapes: [k, 2], width and height of anchors as fractions of a square input.
      scales: number of layers.
    """
    sizes = np.sqrt(shapes.prod(-1))
    low, high = float(sizes.min()), float(min(0.95, sizes.max()))
    ratios = "".join(f"\n      aspect_ratios: {ratio:g}" for ratio in round_ratios(shapes))
    limits = f"\n      min_scale: {low:.3f}\n      max_scale: {max(high, low + 0.05):.3f}"
    body = f"\n      num_layers: {scales}{limits}{ratios}"
    return "anchor_generator {\n    ssd_anchor_generator {" + body + "\n    }\n}"


def to_grid_config(shapes, base_px=256, input_px=600):
    """Configuration text for a grid_anchor_generator: scales of a 256-pixel anchor, and aspect ratios.

    Args:
      shapes: [k, 2], width and height of anchors as fractions of the image.
      base_px: the side of an anchor of scale 1.
      input_px: the side of the model's input.
    """
    scales = [round(size, 2) or 0.01 for size in _keep_apart(np.sqrt(shapes.prod(-1)) * input_px / base_px)]
    lines = [f"scales: {scale:g}" for scale in scales] + [f"aspect_ratios: {ratio:g}" for ratio in round_ratios(shapes)]
    lines += ["height_stride: 16", "width_stride: 16"]
    body = "".join(f"\n        {line}" for line in lines)
    return "first_stage_anchor_generator {\n    grid_anchor_generator {" + body + "\n    }\n}"


def round_ratios(shapes):
    """The distinct aspect ratios (width / height) of anchors, to two decimal places; close ones are merged."""
    return [round(ratio, 2) or 0.01 for ratio in _keep_apart(shapes[:, 0] / shapes[:, 1])]


def _keep_apart(values):
    """The sorted values, without those that are less than a fifth above one that is kept."""
    kept = []
    for value in np.sort(values):
        if not kept or value / kept[-1] > _NEAR_FACTOR:
            kept.append(float(value))
    return kept
