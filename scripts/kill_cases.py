"""The commands that kill_verbs.py kills, and the inputs that they need."""

import dataclasses
import json
import re
import shutil

SMALL = [
    *("--fine_tune_checkpoint=none", "--batch_size=2", "--strategy=cpu", "--eval_every=2"),
    *(f"--set=model.ssd.image_resizer.fixed_shape_resizer.{side}=96" for side in ("height", "width")),
    *("--set=model.ssd.feature_extractor.depth_multiplier=0.25", "--set=model.ssd.feature_extractor.min_depth=8"),
]
SMALL_CONFIG = ["--model=ssd_mobilenet_v1", *(flag for flag in SMALL if not re.match("--(strategy|eval_every)", flag))]


@dataclasses.dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
      argv: its arguments; {in} stands for the folder of inputs, and `out` is in the folder where it runs.
      before: commands that are run once, where the command will run, before it is killed.
      by_name: whether files like those of `BY_NAME` are compared by name only; the others always byte for byte.
      originals: folder with the annotation files of the page that the command shows, on which `label_client` works
        until it ends the page; None: it ends by itself.
    """

    argv: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    by_name: bool = False
    originals: str | None = None


OUT = "--output_dir=out"
SETS = {
    "coco": ("--input={in}/coco/instances_train.json", "--val_input={in}/coco/instances_validate.json"),
    "yolo": ("--input={in}/yolo/data.yaml",),
    "csv": ("--input={in}/csv/train.csv", "--val_input={in}/csv/validate.csv"),
    "labelstudio": (
        *("--input={in}/labelstudio/tasks_train.json", "--val_input={in}/labelstudio/tasks_validate.json"),
    ),
    "cvat": ("--input={in}/cvat/annotations_train.xml", "--val_input={in}/cvat/annotations_validate.xml"),
}
MASKS = ("--image_dir={in}/masked", "--images=copy", OUT)
ACTIVE_INIT = (
    *("active", "init", "--data_dir={in}/few", "--pool_dir={in}/pool", "--workspace=out"),
    *("--val_fraction=0.3", "--model=ssd_mobilenet_v1", "--num_steps=4", *SMALL, "--budget=4"),
    *("--oracle=image_label", "--image_labels={in}/classes.csv"),
)
ADOPT_ALL = ("--several_boxes=best", "--score_threshold=0", "--min_box_worth=0")  # whatever an image label confirms
CASES = {
    **{
        f"import-{name}": Case(("import", f"--from={name}", *flags, "--image_dir={in}/images", "--images=copy", OUT))
        for name, flags in SETS.items()
        if name != "yolo"
    },
    "import-yolo": Case(("import", "--from=yolo", *SETS["yolo"], OUT)),
    "import-records": Case(("import", "--from=records", "--input={in}/data/train.record-*", OUT)),
    **{
        f"export-annotations-{name}": Case(
            ("export-annotations", f"--to={name}", "--data_dir={in}/images", "--images=copy", OUT)
        )
        for name in SETS
    },
    "import-coco-masks": Case(("import", "--from=coco", *MASKS, "--input={in}/coco_masks/instances_train.json")),
    "import-labelme": Case(("import", "--from=labelme", *MASKS, "--input={in}/labelme")),
    "import-voc-masks": Case(
        ("import", "--from=voc-masks", *MASKS, "--input={in}/voc_masks", "--classes={in}/voc_masks/class_names.txt")
    ),
    "import-records-masks": Case(("import", "--from=records", "--input={in}/data_masks/train.record-*", OUT)),
    "export-annotations-masks": Case(
        ("export-annotations", "--to=coco", "--data_dir={in}/masked", "--images=copy", OUT)
    ),
    "check-fix-masks": Case(("check", "--data_dir={in}/masked", "--fix", "--nonear_duplicates", OUT)),
    "convert-masks": Case(("convert", "--data_dir={in}/masked", OUT)),
    "convert-boxes-as-masks": Case(("convert", "--data_dir={in}/images", "--boxes_as_masks", OUT)),
    "check-fix": Case(("check", "--data_dir={in}/images", "--fix", "--nonear_duplicates", OUT)),
    "convert": Case(("convert", "--data_dir={in}/images", OUT)),
    "convert-update": Case(
        ("convert", "--data_dir=images", "--update", OUT),
        (
            ("!copy", "{in}/few", "images"),
            ("convert", "--data_dir=images", OUT),
            ("!copy", "{in}/images", "images"),
        ),
    ),
    "convert-shard": Case(
        ("convert", "--data_dir={in}/images", "--shard=2/2", OUT),
        (("convert", "--data_dir={in}/images", "--shard=1/2", OUT),) * 1,
    ),
    "split": Case(("split", "--data_dir={in}/images", OUT)),
    "split-folds": Case(("split", "--data_dir={in}/images", "--num_folds=3", OUT)),
    "stats": Case(("stats", "--data_dir={in}/images", OUT)),
    "config": Case(("config", *SMALL_CONFIG, "--data_dir={in}/data", OUT)),
    "active-init": Case(
        (
            *("active", "init", "--data_dir={in}/few", "--pool_dir={in}/pool", "--workspace=out", "--val_fraction=0.3"),
            *("--model=ssd_mobilenet_v1", "--oracle=labelimg"),
        )
    ),
    "predict": Case(
        ("predict", "--saved_model_dir={in}/run", OUT, "--draw", "--write_xml", "--score_threshold=0", "{in}/images")
    ),
    "check-model": Case(
        ("check", "--data_dir={in}/few", "--model={in}/run/export/best", "--fix", "--score_threshold=0.05", OUT)
    ),
    "export": Case(("export", "--trained_checkpoint_dir={in}/run", "--output_directory=out"), by_name=True),
    "export-tflite": Case(
        (
            *("export", "--trained_checkpoint_dir={in}/run", "--output_directory=out", "--format=tflite"),
            "--num_check_images=2",
        ),
        by_name=True,
    ),
    "train": Case(
        (
            *("train", "--pipeline_config_path={in}/run/pipeline.config", "--model_dir=out", "--num_steps=4"),
            *("--strategy=cpu", "--eval_every=2"),
        ),
        by_name=True,
    ),
    "run": Case(("run", "--data_dir={in}/few", "--model=ssd_mobilenet_v1", "--num_steps=4", *SMALL, OUT), by_name=True),
    "active-round": Case(
        ("active", "round", "--workspace=out"),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-report": Case(
        ("active", "report", "--workspace=out"),
        (("!copy", "{in}/workspace", "out"),),
        by_name=True,
    ),
    "eval": Case(
        ("eval", "--pipeline_config_path={in}/run/pipeline.config", "--model_dir=out/checkpoints"),
        (("!copy", "{in}/run", "out"),),
        by_name=True,
    ),
    "eval-export": Case(("eval", "--saved_model_dir={in}/run", "--data_dir={in}/few", OUT)),
    "explain": Case(
        (
            *("explain", "--trained_checkpoint_dir={in}/run", "--score_threshold=0", "--max_detections=2", OUT),
            *("--image_dir={in}/pool", "--max_channels=4", "--seed=3"),
        )
    ),
    "label": Case(
        ("label", "--data_dir=photos"),
        (("!copy", "{in}/few", "photos"), ("!copy", "{in}/pool", "photos/more")),
        originals="{in}/few",
    ),
    "report": Case(("report", "out"), (("!copy", "{in}/run", "out"),)),
    "compare": Case(
        ("compare", "first", "second", OUT), (("!copy", "{in}/run", "first"), ("!copy", "{in}/run", "second"))
    ),
    "benchmark": Case(
        ("benchmark", "{in}/run", "--data_dir={in}/few", "--num_images=2", OUT),
        by_name=True,
    ),
    "active-run": Case(
        ("active", "run", "--workspace=out", "--rounds=2"),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-run-trial": Case(  # whatever is confirmed is adopted, and tried in the second round
        ("active", "run", "--workspace=out", "--rounds=2", *ADOPT_ALL),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-run-relabel": Case(  # the second round also relabels what the first one adopted; the third one learns it
        ("active", "run", "--workspace=out", "--rounds=2", *ADOPT_ALL, "--relabel"),
        (ACTIVE_INIT,),
        by_name=True,
    ),
    "active-predict": Case(
        ("active", "predict", "--workspace=out", "--shard=1/1"),
        (ACTIVE_INIT, ("active", "round", "--workspace=out", "--until=train")),
        by_name=True,
    ),
}
NEEDS_MODEL = {"predict", "check-model", "export", "export-tflite", "train", "eval"}
NEEDS_MODEL |= {"eval-export", "explain", "report", "compare", "benchmark"}
HEAVY = NEEDS_MODEL | {
    "run",
    "active-round",
    "active-run",
    "active-run-trial",
    "active-run-relabel",
    "active-predict",
    "active-report",
}


def make_inputs(runner, names):
    """Draws the pictures and converts them to what the verbs read."""
    from tfodhelper.dataset import shapes

    inputs = runner.inputs
    if not (inputs / "images").is_dir():
        shapes.draw_dataset(inputs / "images", 30, seed=1)
        shapes.draw_dataset(inputs / "few", 16, seed=1)
        shapes.draw_dataset(inputs / "pool", 12, seed=2)
        lines = [f"{path.name},circle\n" for path in sorted((inputs / "pool").glob("shapes*")) if path.suffix != ".xml"]
        (inputs / "classes.csv").write_text("image,class\n" + "".join(lines), encoding="utf-8")
        for path in (inputs / "pool").glob("*.xml"):
            path.unlink()
    if not (inputs / "masked").is_dir():
        _draw_masked(inputs)
    runner.clear()
    for name in SETS:
        if not (inputs / name).is_dir():
            how = "copy" if name == "yolo" else "none"
            flags = ("--data_dir={in}/images", f"--to={name}", f"--images={how}", f"--output_dir={inputs / name}")
            _must(runner, ("export-annotations", *flags))
    for folder, images in (("data", "images"), ("data_masks", "masked")):
        if not (inputs / folder).is_dir():
            _must(runner, ("convert", f"--data_dir={inputs / images}", f"--output_dir={inputs / folder}"))
    if not (inputs / "coco_masks").is_dir():
        flags = ("--to=coco", "--images=none", f"--output_dir={inputs / 'coco_masks'}")
        _must(runner, ("export-annotations", "--data_dir={in}/masked", *flags))
    if NEEDS_MODEL & set(names) and not (inputs / "run" / "export").is_dir():
        flags = ("--model=ssd_mobilenet_v1", "--num_steps=2", *SMALL, f"--output_dir={inputs / 'run'}")
        _must(runner, ("run", "--data_dir={in}/few", *flags))
    if "active-report" in names and not (inputs / "workspace").is_dir():
        for words in (*CASES["active-round"].before, CASES["active-round"].argv):
            _must(runner, words)
        shutil.copytree(runner.folder / "out", inputs / "workspace", symlinks=True)


def _draw_masked(inputs):
    """Draws images with masks, next to their XML, as labelme has them, and as pictures of objects."""
    import numpy as np
    from PIL import Image

    from tfodhelper.annotations import labelimg, mask_files
    from tfodhelper.dataset import shapes

    labelme, voc = inputs / "labelme", inputs / "voc_masks"
    folders = [voc / name for name in ("SegmentationObject", "SegmentationClass")]
    for folder in (labelme, *folders):
        folder.mkdir(parents=True, exist_ok=True)
    drawn = [path.with_suffix(".xml") for path in shapes.draw_dataset(inputs / "masked", 30, seed=3, with_masks=True)]
    read = {path: mask_files.attach_to(labelimg.read_labelimg(path), path) for path in drawn}
    names = sorted({box.name for annotation in read.values() for box in annotation.boxes})
    (voc / "class_names.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    for path, annotation in read.items():
        height, width = annotation.height, annotation.width
        numbers = [np.zeros([height, width], np.uint8) for _ in folders]
        outlines = []
        for number, box in enumerate(annotation.boxes, start=1):
            inside = box.mask.to_array(height, width) > 0
            for picture, value in zip(numbers, (number, names.index(box.name) + 1)):
                picture[inside] = value
            polygons = [list(zip(polygon[::2], polygon[1::2])) for polygon in box.mask.polygons]
            outlines += [{"label": box.name, "shape_type": "polygon", "points": points} for points in polygons]
        for folder, picture in zip(folders, numbers):
            Image.fromarray(picture).save(folder / f"{path.stem}.png")
        value = {"imagePath": annotation.filename, "imageHeight": height, "imageWidth": width, "shapes": outlines}
        (labelme / f"{path.stem}.json").write_text(json.dumps({"version": "5.0", **value}), encoding="utf-8")


def _must(runner, words):
    status, said = runner.run(words)
    if status:
        raise SystemExit(f"{' '.join(words)}: {said}")
