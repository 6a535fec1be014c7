"""`eval --tiles` measures what `predict --tiles` finds."""

import contextlib
import io
import json
import pathlib

import numpy as np
import pytest

import tfodhelper
from tests.exporting import test_tflite as small
from tests.training import tiny
from tfodhelper import tile_evaluation
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.cli import main as cli
from tfodhelper.config import pipeline as pipelines
from tfodhelper.metrics import build as metrics_build
from tfodhelper.metrics import coco
from tfodhelper.records import convert
from tfodhelper.training import evaluation
from tfodhelper.training.evaluation import Evaluation

pytestmark = pytest.mark.slow

TILES = ("--tiles=100", "--overlap=0.3")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiles")


@pytest.fixture(scope="module")
def checkpoint(folder):
    """Of a detector that was not trained, but whose boxes and scores depend on the image.

    The objects in the validation images are some of those that it finds in tiles, so that there is something to
    measure; some are larger than they are found.
    """
    drawn = tiny.make_data(folder)
    checkpoint = small.write_checkpoint(small.make_config(drawn), folder / "model")
    flags = [f"--trained_checkpoint_dir={checkpoint}", f"--output_directory={folder / 'export'}"]
    assert cli.main(["export", *flags]) == 0
    flags = [f"--saved_model_dir={folder / 'export'}", f"--output_dir={folder / 'out'}", "--score_threshold=0"]
    assert cli.main(["predict", *flags, *TILES, str(folder / "images")]) == 0
    for line in read_lines(folder).values():
        path = pathlib.Path(line["path"])
        of_class = [[each for each in line["detections"] if each["class"] == name] for name in drawn.label_map.names]
        some = [detection for detections in of_class for detection in detections[:2]]
        boxes = [to_truth(number, detection, line) for number, detection in enumerate(some)]
        annotation = tfodhelper.Annotation(path.name, line["width"], line["height"], tuple(boxes))
        tfodhelper.write_annotation(path.with_suffix(".xml"), annotation)
    options = convert.ConvertOptions(
        data_dir=folder / "images", output_dir=folder / "judged", seed=1, label_map=drawn.label_map_path
    )
    pipelines.write_pipeline(checkpoint / "pipeline.config", small.make_config(convert.convert(options)))
    return checkpoint


def to_truth(number, detection, line):
    """A detection as an object; odd ones are larger by a fifth of the image."""
    box = detection["box"]
    xmax = min(box["xmax"] + (line["width"] / 5 if number % 2 else 0), line["width"])
    return tfodhelper.Box(detection["class"], box["xmin"], box["ymin"], xmax, box["ymax"])


def read_lines(folder):
    """{name of the image: what `predict` has found in it}."""
    read = [json.loads(line) for line in (folder / "out/detections.jsonl").read_text().splitlines()]
    return {pathlib.Path(line["path"]).name: line for line in read}


def evaluate(checkpoint, *flags):
    return cli.main(["eval", f"--model_dir={checkpoint}", *flags])


@pytest.fixture(scope="module")
def measured(checkpoint):
    """What the verb prints, and {name of the image: what the evaluation is told about it}."""
    batches = {}
    add = Evaluation.add_batch

    def remember(self, batch):
        batches[pathlib.Path(batch["filename"][0].decode()).name] = dict(batch)
        add(self, batch)

    printed = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(Evaluation, "add_batch", remember)
        assert evaluate(checkpoint, *TILES) == 0
    return printed.getvalue(), batches


def test_it_is_told_what_predict_finds(measured, folder):
    _, judged = measured
    assert len(judged) == 4
    for name, batch in judged.items():
        line = read_lines(folder)[name]
        expected = line["detections"]
        assert len(expected) > 10  # more than the model gives for one image
        assert batch["detection_classes"][0].tolist() == [each["id"] - 1 for each in expected]
        np.testing.assert_allclose(batch["detection_scores"][0], [each["score"] for each in expected], atol=1e-5)
        boxes = batch["detection_boxes"][0] * ([line["height"], line["width"]] * 2)
        corners = ("ymin", "xmin", "ymax", "xmax")
        np.testing.assert_allclose(boxes, [[each["box"][side] for side in corners] for each in expected], atol=0.01)


def test_it_says_how_and_leaves_out_losses(measured):
    printed, _ = measured
    assert "tiles: 100 x 100 pixels, 30% of which overlap, and the whole picture" in printed
    assert "DetectionBoxes_Precision/mAP" in printed and "Loss" not in printed


def test_its_figures_are_those_of_the_detections_of_predict(measured, checkpoint, folder):
    printed, judged = measured
    figures = dict(line.rsplit(maxsplit=1) for line in printed.splitlines() if line.startswith(("Detection", "Pascal")))
    figures = {tag.strip(): value for tag, value in figures.items()}
    label_map = label_maps.read_label_map(folder / "judged/label_map.pbtxt")
    ids = {item.name: item.id for item in label_map}
    config = pipelines.read_pipeline(checkpoint / "pipeline.config").eval_config
    metrics = metrics_build.build_metrics(config, {id: name for name, id in ids.items()})
    sides = ("ymin", "xmin", "ymax", "xmax")
    for name in judged:
        line = read_lines(folder)[name]
        truth = tfodhelper.read_annotation(pathlib.Path(line["path"]).with_suffix(".xml")).boxes
        groundtruth = {
            "boxes": np.array([[getattr(box, side) for side in sides] for box in truth], np.float64).reshape(-1, 4),
            "classes": np.array([ids[box.name] for box in truth], np.int64),
        }
        detections = {
            "boxes": np.array([[each["box"][side] for side in sides] for each in line["detections"]]),
            "scores": np.array([each["score"] for each in line["detections"]]),
            "classes": np.array([each["id"] for each in line["detections"]]),
        }
        metrics.update(name, groundtruth, detections)
    expected = coco.unmeasured_as_nan(metrics.result())
    assert 0.2 < expected["DetectionBoxes_Precision/mAP"] < expected["DetectionBoxes_Precision/mAP@.50IOU"]
    assert figures == {tag: evaluation.format_figure(value) for tag, value in expected.items()}


def test_tiles_that_are_larger_than_all_images_change_nothing(checkpoint):
    plain = tfodhelper.evaluate(model_dir=checkpoint).metrics
    tiled = tfodhelper.evaluate(model_dir=checkpoint, tiles=1000).metrics
    assert tiled == pytest.approx({tag: value for tag, value in plain.items() if "Loss" not in tag}, abs=1e-4)


def test_its_curves_are_in_a_folder_of_their_own(measured, checkpoint):
    del measured
    assert list((checkpoint / tile_evaluation.SUMMARIES).glob("events.out.tfevents.*"))


def test_what_has_no_effect_beside_tiles_is_refused(checkpoint, capsys):
    assert evaluate(checkpoint, "--tiles=100", "--strategy=cpu") == 2
    assert "--strategy has no effect with --tiles" in capsys.readouterr().err
