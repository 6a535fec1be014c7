"""How long all metrics together take, as a share of the time of pycocotools' COCOeval on the same detections.

    python scripts/benchmark_metrics.py [--images=5000] [--detections=100] [--classes=80] [--without_reference]

The set is random: objects of all sizes, detections around them and anywhere, of the right and of other classes. Both
sides begin with the same arrays of each image. Prints seconds of the processor, the ratio, the largest difference
between the twelve figures of COCO; and the highest memory use of all metrics, detections.npz and the analysis, of as
many images and of twice as many, which are made one by one: each in a process of its own.
"""

import argparse
import contextlib
import io
import multiprocessing
import resource
import tempfile
import time

import numpy as np


def make_images(num_images, num_detections, num_classes, seed=0):
    """Yields (ground truth, detections) of each image, as `MetricsGroup.update` takes them."""
    rng = np.random.default_rng(seed)
    for _ in range(num_images):
        num_boxes = int(rng.poisson(7))
        corner = rng.uniform(0, 500, [num_boxes, 2])
        sides = np.exp(rng.uniform(np.log(8), np.log(300), [num_boxes, 2]))
        boxes = np.concatenate([corner, corner + sides], axis=1)
        classes = rng.integers(1, num_classes + 1, num_boxes)
        near = rng.random(num_detections) < (0.7 if num_boxes else 0.0)
        source = rng.integers(0, max(num_boxes, 1), num_detections)
        corner = rng.uniform(0, 500, [num_detections, 2])
        predictions = np.concatenate([corner, corner + rng.uniform(8, 200, [num_detections, 2])], axis=1)
        labels = rng.integers(1, num_classes + 1, num_detections)
        if num_boxes:
            moved = boxes[source] + np.tile(sides[source], 2) * rng.normal(0, 0.12, [num_detections, 4])
            predictions[near] = moved[near]
            right = near & (rng.random(num_detections) < 0.6)
            labels[right] = classes[source][right]
        predictions = np.concatenate(
            [np.minimum(predictions[:, :2], predictions[:, 2:]), np.maximum(predictions[:, :2], predictions[:, 2:])],
            axis=1,
        )
        scores = np.sort(rng.random(num_detections) ** 2)[::-1]
        crowd = rng.random(num_boxes) < 0.02
        yield (
            {"boxes": boxes, "classes": classes, "is_crowd": crowd},
            {"boxes": predictions, "classes": labels, "scores": scores},
        )


def run_reference(images, num_classes):
    """(the twelve figures of COCOeval, seconds)."""
    from pycocotools import coco, cocoeval

    start = time.process_time()
    annotations, results = [], []
    for image_id, (gt, predictions) in enumerate(images, start=1):
        for box, class_id, crowd in zip(gt["boxes"].tolist(), gt["classes"].tolist(), gt["is_crowd"].tolist()):
            height, width = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": class_id,
                    "bbox": [box[1], box[0], width, height],
                    "area": width * height,
                    "iscrowd": int(crowd),
                }
            )
        for box, class_id, score in zip(
            predictions["boxes"].tolist(), predictions["classes"].tolist(), predictions["scores"].tolist()
        ):
            box = [box[1], box[0], box[3] - box[1], box[2] - box[0]]
            results.append({"image_id": image_id, "category_id": class_id, "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO()
        truth.dataset = {
            "images": [{"id": number} for number in range(1, len(images) + 1)],
            "annotations": annotations,
            "categories": [{"id": number, "name": str(number)} for number in range(1, num_classes + 1)],
        }
        truth.createIndex()
        evaluation = cocoeval.COCOeval(truth, truth.loadRes(results), iouType="bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats, time.process_time() - start


def run_ours(images, num_classes):
    """(all figures, seconds of all metrics and of the analysis)."""
    from tfodhelper.metrics import analysis

    start = time.process_time()
    group = _update_all(images, num_classes)
    figures = group.result()
    analysis.analyze(group.overlapping(), figures)
    return figures, time.process_time() - start


def _update_all(images, num_classes):
    from tfodhelper import protos
    from tfodhelper.metrics import build, eval_values

    categories = {number: f"class {number}" for number in range(1, num_classes + 1)}
    names = [name for name in eval_values.COMPUTED if name != eval_values.COCO_MASKS]
    group = build.build_metrics(protos.message("EvalConfig")(), categories, always=tuple(names))
    for image_id, (gt, predictions) in enumerate(images, start=1):
        group.update(image_id, gt, predictions)
    return group


def measure_memory(num_images, num_detections, num_classes):
    """MB that all metrics and the files of the evaluation need at their peak; the images are not held."""
    from tfodhelper.metrics import detection_file

    _write_evaluation(20, num_detections, num_classes, detection_file)  # what any number of images needs once
    before = _peak()
    _write_evaluation(num_images, num_detections, num_classes, detection_file)
    return _peak() - before


def _write_evaluation(num_images, num_detections, num_classes, detection_file):
    group = _update_all(make_images(num_images, num_detections, num_classes), num_classes)
    with tempfile.TemporaryDirectory() as folder:
        detection_file.write_evaluation(folder, group.overlapping(), group.result())


def main():
    """Runs both and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--without_reference", action="store_true")
    args = parser.parse_args()
    print(f"{args.images} images, {args.detections} detections each, {args.classes} classes")
    for number in (args.images, 2 * args.images):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            peak = pool.apply(measure_memory, (number, args.detections, args.classes))
        print(f"{number} images: {peak:.1f} MB more at the peak", flush=True)
    images = list(make_images(args.images, args.detections, args.classes))
    figures, ours = run_ours(images, args.classes)
    print(f"all metrics: {ours:.2f} s")
    if args.without_reference:
        return
    stats, reference = run_reference(images, args.classes)
    mine = [value for tag, value in figures.items() if tag.startswith("DetectionBoxes_")][:12]
    print(f"pycocotools: {reference:.2f} s; ratio {ours / reference:.4f}")
    print(f"largest difference of the twelve figures: {np.abs(stats - mine).max():.2e}")


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
