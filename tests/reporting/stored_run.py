"""A finished run as its files: real conversion and configuration, invented detections."""

import json

import numpy as np

from tfodhelper import run_layout, run_options, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.cli import main
from tfodhelper.dataset import shapes
from tfodhelper.formats import tfrecord_reader
from tfodhelper.metrics import collector, detection_file, overlaps

MODEL = "ssd_mobilenet_v1"


def make_run(folder, seed=0, steps=20, images=12):
    """Writes a run folder, without weights and exports.

    Args:
      folder: pathlib.Path; its parent receives the images.
      seed: of the invented detections.
      steps: of the training.
      images: how many are drawn, unless the parent has them.

    Returns:
      The folder.
    """
    pictures = folder.parent / "images"
    if not pictures.exists():
        shapes.draw_dataset(pictures, images, seed=1)
    data = ["--data_dir", str(pictures), "--output_dir", str(folder / "data"), "--val_fraction=0.5"]
    assert main.main(["convert", *data]) == 0
    flags = ["--model", MODEL, "--fine_tune_checkpoint=none", f"--num_steps={steps}", f"--batch_size={2 + seed}"]
    assert main.main(["config", f"--data_dir={folder / 'data'}", f"--output_dir={folder}", *flags]) == 0
    record = add_evaluation(folder, seed, steps)
    numbers = {name: record["metrics"][f"DetectionBoxes_Precision/{name}"] for name in ("mAP", "mAP@.50IOU")}
    options = run_options.RunOptions(
        data_dir=str(pictures),
        val_fraction=0.5,
        model=MODEL,
        fine_tune_checkpoint="none",
        num_steps=steps,
        batch_size=2 + seed,
        overrides=["train_config.batch_size=2", "eval_config.min_score_threshold=0.2"],
    )
    result = {name: {"step": steps, **numbers} for name in ("best", "last")}
    state = {
        "settings": run_options.settings_of(options),
        "phases": {name: {"seconds": 1.5} for name in ("convert", "config", "train", "export")},
        "finished": True,
        "environment": {"Python": "3"},
        "result": result | {"seconds_per_step": 0.25, "ended": "num_steps", "reason": f"all {steps} steps are done"},
    }
    storage.write_json(folder / run_layout.STATE, state)
    return folder


def add_evaluation(folder, seed, steps):
    """Writes what an evaluation found, the analysis of it, and evaluations.jsonl; returns the last record."""
    detected = invent(folder, seed)
    evaluation = run_layout.evaluation_of(folder / "checkpoints", "best")
    storage.make_folder(evaluation)
    figures = {"DetectionBoxes_Precision/mAP": 0.4 + seed / 10, "DetectionBoxes_Precision/mAP@.50IOU": 0.6}
    detection_file.write_evaluation(evaluation, overlaps.SetOverlaps(detected), figures, steps, "model", "data")
    lines = [
        {
            "step": step,
            "train": {"Loss/total_loss": 2.0},
            "seconds": 3.0,
            "metrics": {"Loss/total_loss": 1.0 + 1 / step, **figures},
        }
        for step in (steps // 2, steps)
    ]
    path = run_layout.checkpoints_of(folder) / "evaluations.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return lines[-1]


def invent(folder, seed):
    """An `ImageSet` of the validation images: labelled boxes moved a little, some left out, and some of noise."""
    names = {item.id: item.name for item in label_maps.read_label_map(folder / "data" / "label_map.pbtxt")}
    ids = {name: number for number, name in names.items()}
    random, images = np.random.RandomState(seed), collector.Collector(names)
    pattern = str(folder / "data" / "validate.record-?????-of-?????")
    for number, record in enumerate(tfrecord_reader.read_records(tfrecord_reader.list_filled(pattern))):
        boxes = np.array(
            [(b.ymin, b.xmin, b.ymax, b.xmax) for b in record.listed.annotation.boxes], np.float64
        ).reshape(-1, 4)
        classes = np.array([ids[b.name] for b in record.listed.annotation.boxes], np.int64)
        kept = random.rand(len(boxes)) < 0.8
        low = random.rand(3, 2) * 80
        noise = np.concatenate([low, low + 10 + random.rand(3, 2) * 40], axis=1)
        groundtruth = {"boxes": boxes, "classes": classes}
        detections = {
            "boxes": np.concatenate([boxes[kept] + random.uniform(-6, 6, [kept.sum(), 4]), noise]),
            "classes": np.concatenate([classes[kept], random.randint(1, len(names) + 1, 3)]),
            "scores": np.concatenate([0.4 + 0.6 * random.rand(kept.sum()), 0.7 * random.rand(3)]),
        }
        size = (record.facts.height, record.facts.width)
        images.add(str(number), groundtruth, detections, name=record.listed.name, size=size)
    return images.finish()
