"""How good detections are: COCO and PASCAL VOC figures, one image at a time, in bounded memory. Needs no TensorFlow.

Every metric has three verbs: `reset()`, `update(image_id, groundtruth, detections)` and `result() -> {tag: float}`.

Shape letters of this layer: N ground truth boxes of an image, D detections of an image, A area ranges, T overlap
thresholds, R recall levels, K classes.
"""
