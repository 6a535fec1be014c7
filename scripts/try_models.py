#!/usr/bin/env python3
"""Takes models through all verbs on drawn images: config, a few steps of train, eval, export, predict.

    python scripts/try_models.py [NAME ...] [--output_dir=runs/try_models] [--num_steps=5] [--batch_size=1]

The names are those that `config --model` takes; when left out, the 18 detectors of COCO that the first zoo had in 2018.
They start from random weights. Two-stage detectors get images of at most 160 x 160 pixels, and few proposals; those of
masks are given outlines. It shows that the verbs work with a model, not that it learns.

Each verb runs in a process of its own. The table has its processor seconds, the last loss, what `predict` found on one
image, with a mask or without, and the highest memory of all verbs; of a verb that failed, its last line. What is done
is noted in the folder of the model: the same command resumes there, and tries again what failed. The exit status
is 1 if something failed.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

NAMES = (
    "ssd_mobilenet_v1_coco",
    "ssd_mobilenet_v2_coco",
    "ssdlite_mobilenet_v2_coco",
    "ssd_inception_v2_coco",
    "faster_rcnn_inception_v2_coco",
    "faster_rcnn_resnet50_coco",
    "faster_rcnn_resnet50_lowproposals_coco",
    "rfcn_resnet101_coco",
    "faster_rcnn_resnet101_coco",
    "faster_rcnn_resnet101_lowproposals_coco",
    "faster_rcnn_inception_resnet_v2_atrous_coco",
    "faster_rcnn_inception_resnet_v2_atrous_lowproposals_coco",
    "faster_rcnn_nas_coco",
    "faster_rcnn_nas_lowproposals_coco",
    "mask_rcnn_inception_resnet_v2_atrous_coco",
    "mask_rcnn_inception_v2_coco",
    "mask_rcnn_resnet101_atrous_coco",
    "mask_rcnn_resnet50_atrous_coco",
)
SMALL = (
    "model.faster_rcnn.image_resizer={keep_aspect_ratio_resizer {min_dimension: 128 max_dimension: 160}}",
    "model.faster_rcnn.first_stage_max_proposals=20",
    "model.faster_rcnn.second_stage_batch_size=16",
)
VERBS = ("config", "train", "eval", "export", "predict")
NUM_IMAGES = 10
DONE = "verbs.json"


def main():
    """Tries the models in turn and prints a row for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--output_dir", type=pathlib.Path, default=ROOT / "runs" / "try_models")
    parser.add_argument("--num_steps", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=1)
    arguments = parser.parse_args()
    folder = arguments.output_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    make_data(folder)
    print(row(["model", *VERBS, "loss", "found", "masks", "peak GB"]))
    print(row(["---"] + ["---:"] * (len(VERBS) + 4)), flush=True)
    has_failed = False
    for name in arguments.names:
        verbs, made = try_model(name, folder, arguments)
        print(describe(name, verbs, made), flush=True)
        has_failed |= not made
    sys.exit(has_failed)


def make_data(folder):
    """Draws images with outlines and converts them; both verbs know what they have done."""
    for command in (
        [
            "scripts/draw_shapes.py",
            f"--output_dir={folder}/images",
            f"--num_images={NUM_IMAGES}",
            "--seed=1",
            "--masks",
        ],
        ["-m", "tfodhelper", "convert", f"--data_dir={folder}/images", f"--output_dir={folder}/data"],
    ):
        if not (folder / "data" / "manifest.json").exists() and run(command, folder / "data.log")["status"]:
            sys.exit((folder / "data.log").read_text(encoding="utf-8"))


def try_model(name, folder, arguments):
    """({verb: what `run` said}, the figures of `judge`, or None where a verb failed)."""
    own = folder / name
    own.mkdir(exist_ok=True)
    commands = list_commands(name, folder, arguments)
    done = read_done(own / DONE, commands)
    for verb, words in commands.items():
        if verb not in done:
            done[verb] = {"words": words, **run(["-m", "tfodhelper", *words], own / f"{verb}.log")}
            write_done(own / DONE, done)
        if done[verb]["status"]:
            return done, None
    return done, judge(own)


def list_commands(name, folder, arguments):
    """{verb: its words}."""
    own = folder / name
    config = [f"--model={name}", f"--data_dir={folder}/data", f"--output_dir={own}", "--fine_tune_checkpoint=none"]
    config += [f"--num_steps={arguments.num_steps}", f"--batch_size={arguments.batch_size}"]
    image = min((folder / "images").glob("*.jpg"), default="")
    return {
        "config": ["config", *config, *(f"--set={change}" for change in SMALL if has_two_stages(name))],
        "train": [
            "train",
            f"--pipeline_config_path={own}/pipeline.config",
            f"--model_dir={own}/checkpoints",
            f"--eval_every={arguments.num_steps}",
        ],
        "eval": ["eval", f"--model_dir={own}/checkpoints"],
        "export": ["export", f"--trained_checkpoint_dir={own}/checkpoints", f"--output_directory={own}/exported"],
        "predict": [
            "predict",
            f"--saved_model_dir={own}/exported",
            f"--output_dir={own}/predictions",
            "--score_threshold=0",
            str(image),
        ],
    }


def has_two_stages(name):
    """Whether the base configuration of a model is that of a two-stage detector; unknown names are left to `config`."""
    from tfodhelper import errors
    from tfodhelper.config import generate

    try:
        return generate.find_base(name).pipeline.model.WhichOneof("model") == "faster_rcnn"
    except errors.TfodhelperError:
        return False


def run(words, log):
    """Runs Python to its end, what it prints going to a file: status, cpu_s, peak_gb."""
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [sys.executable, *words],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    used = {"cpu_s": usage.ru_utime + usage.ru_stime, "peak_gb": usage.ru_maxrss / 1024**2}
    return {"status": process.returncode, **used, "last_line": last_line(log)}


def last_line(log):
    """The line with the error, or else the last one, of what a process printed."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return ([line for line in lines if line.startswith("error: ")] or lines or [""])[-1]


def read_done(path, commands):
    """The verbs that have succeeded with the same words, up to the first that has not."""
    noted = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    done = {}
    for verb, words in commands.items():
        if noted.get(verb, {}).get("words") != words or noted[verb]["status"]:
            break
        done[verb] = noted[verb]
    return done


def write_done(path, done):
    """Writes the verbs as a whole."""
    path.with_suffix(".part").write_text(json.dumps(done, indent=1), encoding="utf-8")
    path.with_suffix(".part").replace(path)


def judge(own):
    """The figures of a model that all verbs succeeded with, or None if they are not what verbs should leave.

    `loss` is the total loss of the last evaluation, `found` the number of detections, `masks` that of their masks.
    """
    last = json.loads((own / "checkpoints" / "evaluations.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    (line,) = (own / "predictions" / "detections.jsonl").read_text(encoding="utf-8").splitlines()
    detections = json.loads(line)["detections"]
    loss = last["metrics"]["Loss/total_loss"]
    if loss is None or not math.isfinite(loss):
        return None
    return {"loss": loss, "found": len(detections), "masks": sum("mask" in each for each in detections)}


def describe(name, verbs, made):
    """The row of a model."""
    cells = [name]
    for verb in VERBS:
        status = verbs.get(verb, {}).get("status")
        cells.append("-" if status is None else f"failed ({status})" if status else f"{verbs[verb]['cpu_s']:.0f} s")
    peak = max(verb["peak_gb"] for verb in verbs.values())
    if made is None:
        last = list(verbs.values())[-1]["last_line"]
        return row([*cells, "-", "-", "-", f"{peak:.1f}"]) + f"\n{name}: {last}"
    return row([*cells, f"{made['loss']:.2f}", str(made["found"]), str(made["masks"]), f"{peak:.1f}"])


def row(cells):
    """A line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
