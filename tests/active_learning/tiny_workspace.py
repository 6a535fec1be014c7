"""A very small workspace: drawn images, a quarter of a MobileNet at 96 pixels, a few steps per round."""

import shutil

from tests.training import tiny
from tfodhelper.active_learning import create_workspace
from tfodhelper.active_learning.options import InitOptions
from tfodhelper.annotations import labelimg
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset import shapes

NUM_LABELLED, NUM_POOL, NUM_VALIDATION = 12, 24, 6


def make_exercise(folder):
    """Draws labelled/, pool/, truth/ and validation/ into a folder, and writes tiny.config."""
    shapes.draw_dataset(folder / "labelled", NUM_LABELLED, seed=5)
    shapes.draw_dataset(folder / "validation", NUM_VALIDATION, seed=6)
    shapes.draw_dataset(folder / "pool", NUM_POOL, seed=7)
    (folder / "truth").mkdir()
    for path in sorted((folder / "pool").glob("*.xml")):
        shutil.move(path, folder / "truth" / path.name)
    template = tiny.make_pipeline(tiny.make_data(folder / "other", 12))
    pipelines.write_pipeline(folder / "tiny.config", template)
    return folder


def settings(exercise, **oracle):
    """Settings of rounds that take a few seconds."""
    return {
        "training": {
            "pipeline_config_path": str(exercise / "tiny.config"),
            "num_steps": 4,
            "batch_size": 4,
            "eval_every": 4,
            "fine_tune_checkpoint": "none",
            "strategy": "cpu",
        },
        "retrain": "continue",
        "prediction": {"batch_size": 4, "score_threshold": 0.0},
        "selection": {"rule": "stratified-diverse", "budget": 5},
        "oracle": oracle or {"name": "simulated", "truth_dir": str(exercise / "truth")},
        "seed": 3,
    }


def init(exercise, workspace, **oracle):
    """Makes a workspace; returns its path."""
    return _init(exercise, workspace, settings(exercise, **oracle))


def init_confirmed(exercise, workspace, **law):
    """Makes a workspace whose pool has image labels, and an oracle that adopts whatever their classes confirm."""
    truth = {path.stem: labelimg.read_labelimg(path) for path in sorted((exercise / "truth").glob("*.xml"))}
    lines = [f"{stem},{'|'.join(sorted({box.name for box in each.boxes}))}\n" for stem, each in truth.items()]
    labels = exercise / "classes.csv"
    labels.write_text("image,classes\n" + "".join(lines), encoding="utf-8")
    oracle = {"name": "image_label", "several_boxes": "best", "score_threshold": 0.0, "several_classes": "found"}
    return _init(exercise, workspace, settings(exercise, **oracle) | law, image_labels=labels)


def _init(exercise, workspace, chosen, **more):
    create_workspace.init(
        InitOptions(
            workspace=workspace,
            data_dir=exercise / "labelled",
            val_dir=exercise / "validation",
            pool_dir=exercise / "pool",
            settings=chosen,
            **more,
        )
    )
    return workspace
