"""Masks of SavedModels: grids relative to boxes and pictures of the whole image, in values, files and pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.prediction.foreign_models import save_constant
from tests.prediction.test_output_check import SIZE, new_check, outputs
from tfodhelper import Predictor, errors
from tfodhelper.annotations import labelimg
from tfodhelper.cli import main
from tfodhelper.prediction import detections

HEIGHT, WIDTH = 60, 80
BOXES = [[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]]
GRIDS = np.zeros([3, 15, 15], np.float32)
GRIDS[0] = 1.0
GRIDS[1] = np.tril(np.full([15, 15], 0.9))
WHOLE = np.zeros([3, HEIGHT, WIDTH], np.uint8)
WHOLE[0, :30, :40] = 1
WHOLE[1, 15:, 20:] = np.arange(45)[:, None] * 60 / 45 >= np.arange(60)


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    Image.fromarray(np.full([HEIGHT, WIDTH, 3], 120, np.uint8)).save(path)
    return path


@pytest.mark.parametrize("masks", [GRIDS, WHOLE, WHOLE.astype(np.float32)])
def test_grids_and_whole_pictures_are_told_apart(tmp_path, image, masks):
    folder = save_constant(tmp_path / "model", BOXES, [0.9, 0.8, 0.1], [1, 2, 1], num=2, masks=masks)
    prediction = Predictor(folder).predict(image)
    first, second = (detection.mask.to_array() for detection in prediction)
    assert first.shape == (HEIGHT, WIDTH) and first.dtype == np.uint8
    # A grid's points lie on the sides of the box: a pixel at the border may be on either side.
    assert np.abs(first.astype(int) - WHOLE[0]).sum() <= 2 * (HEIGHT + WIDTH) // 2
    assert (second != WHOLE[1]).mean() < 0.03
    assert second[50, 25] == 1 and second[20, 70] == 0


def test_they_are_written_and_drawn(tmp_path, image):
    folder = save_constant(tmp_path / "model", BOXES, [0.9, 0.8, 0.1], [1, 2, 1], num=2, masks=GRIDS)
    arguments = [f"--saved_model_dir={folder}", f"--output_dir={tmp_path / 'out'}", str(image.parent)]
    assert main.main(["predict", *arguments, "--write_xml", "--draw"]) == 0
    (line,) = (tmp_path / "out" / "detections.jsonl").read_text().splitlines()
    value = json.loads(line)["detections"][1]["mask"]
    assert value["size"] == [HEIGHT, WIDTH] and isinstance(value["counts"], str)
    (read,) = detections.read_json_lines(tmp_path / "out" / "detections.jsonl")
    assert (read.detections[1].mask.to_array() != WHOLE[1]).mean() < 0.03
    (xml,) = (tmp_path / "out").rglob("*.xml")
    boxes = labelimg.read_labelimg(xml).boxes
    assert [box.mask for box in boxes] == [detection.mask for detection in read.detections]
    (picture,) = (tmp_path / "out" / "pictures").iterdir()
    drawn = np.asarray(Image.open(picture)).astype(int)
    scale = drawn.shape[0] // HEIGHT
    inside, outside = drawn[55 * scale, 25 * scale], drawn[25 * scale, 75 * scale]
    assert np.abs(inside - 120).max() > 20 and np.abs(outside - 120).max() < 10


def test_tiles_leave_masks_out_and_say_so(tmp_path, image, capsys):
    folder = save_constant(tmp_path / "model", BOXES, [0.9, 0.8, 0.1], [1, 2, 1], num=2, masks=GRIDS)
    arguments = [f"--saved_model_dir={folder}", f"--output_dir={tmp_path / 'out'}", str(image.parent)]
    assert main.main(["predict", *arguments, "--tiles=64"]) == 0
    assert "masks of tiles" in capsys.readouterr().err
    assert '"mask":' not in (tmp_path / "out" / "detections.jsonl").read_text()


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.zeros([2, 15]), "do not fit its boxes"),
        (np.zeros([3, 15, 15], np.float32), "do not fit its boxes"),
        (np.full([2, 15, 15], -3.0, np.float32), "not shares of a pixel"),
        (np.full([2, 15, 15], np.nan, np.float32), "not shares of a pixel"),
    ],
)
def test_other_outputs_are_refused(masks, words):
    output = outputs(detection_masks=masks)
    with pytest.raises(errors.PredictionError, match=words):
        new_check().read_masks(output, np.arange(2), output["detection_boxes"], SIZE, "a.jpg")
