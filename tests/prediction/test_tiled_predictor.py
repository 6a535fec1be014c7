"""Tiles through the predictor and the verb, with a detector whose answers can be computed by hand."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfodhelper
from tests.exporting import fake_detector
from tfodhelper import errors, fields
from tfodhelper.cli import main as cli
from tfodhelper.exporting import serving
from tfodhelper.prediction import predictor, tiled_predictor
from tfodhelper.tiling.windows import Tiling


class SpotDetector(fake_detector.FreeSizeDetector):
    """Finds the box around all pixels that are red, as large as they are; the score is `gain` times the brightest."""

    def predict_raw(self, inputs, true_image_shapes, training):
        return {"inputs": inputs}

    def extract_features(self, inputs, training=False):
        return None

    def postprocess(self, predictions, true_image_shapes, score_threshold=None):
        red = predictions["inputs"][..., 0]
        height, width = tf.shape(red)[1], tf.shape(red)[2]
        rows, columns = tf.reduce_max(red, axis=2) > 0, tf.reduce_max(red, axis=1) > 0
        sides = []
        for is_red, length in ((rows, height), (columns, width)):
            size = tf.cast(length, tf.float32)
            low = tf.cast(tf.argmax(tf.cast(is_red, tf.int32), axis=1), tf.float32)
            high = size - tf.cast(tf.argmax(tf.cast(is_red[:, ::-1], tf.int32), axis=1), tf.float32)
            sides.append((low / size, high / size))
        (top, bottom), (left, right) = sides
        score = self.gain * tf.reduce_max(red, axis=[1, 2])
        return {
            fields.Detections.BOXES: tf.stack([top, left, bottom, right], axis=1)[:, tf.newaxis],
            fields.Detections.SCORES: score[:, tf.newaxis],
            fields.Detections.CLASSES: tf.zeros_like(score)[:, tf.newaxis],
            fields.Detections.NUM: tf.cast(score > 0, tf.float32),
            fields.Detections.RAW_SCORES: score[:, tf.newaxis, tf.newaxis],
            fields.Detections.ANCHOR_INDICES: tf.zeros([tf.shape(red)[0], 1], tf.int32),
        }


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory):
    folder = fake_detector.save_model(tmp_path_factory.mktemp("spots"), SpotDetector(gain=1.0))
    (folder / "label_map.pbtxt").write_text('item { id: 1 name: "spot" }')
    return folder


def picture(*spots, height=120, width=200):
    """An image with red spots (ymin, xmin, ymax, xmax, red)."""
    image = np.zeros([height, width, 3], np.uint8)
    for ymin, xmin, ymax, xmax, red in spots:
        image[ymin:ymax, xmin:xmax, 0] = red
    return image


def sides(image_detections):
    return [(each.ymin, each.xmin, each.ymax, each.xmax, round(each.score, 3)) for each in image_detections.detections]


def near(*rows):
    return [pytest.approx(row, abs=1e-3) for row in rows]


TILING = Tiling(64, 0.25, with_whole=False)  # x: 0, 48, 96, 136; y: 0, 48, 56
SPOTS = ((10, 10, 20, 24, 255), (5, 100, 20, 110, 204), (90, 150, 118, 198, 153))


def test_spots_of_tiles_are_in_pixels_of_the_picture(model_dir):
    model = tiled_predictor.TiledPredictor(model_dir, tiling=TILING)
    (found,) = model.predict([picture(*SPOTS)])
    assert (found.width, found.height) == (200, 120)
    assert sides(found) == near(*(spot[:4] + (spot[4] / 255,) for spot in SPOTS))


def test_the_model_alone_sees_one_large_spot(model_dir):
    (found,) = predictor.StreamPredictor(model_dir).predict([picture(*SPOTS)])
    assert sides(found) == near((5, 10, 118, 198, 1))


def test_pictures_of_many_sizes_stay_in_order_and_full_of_gaps(model_dir, tmp_path):
    rng = np.random.RandomState(0)
    images, expected = [], []
    for number in range(9):
        height, width = rng.randint(20, 200, 2)
        top, left = rng.randint(0, height - 8), rng.randint(0, width - 8)
        images.append(picture((top, left, top + 8, left + 8, 102), height=height, width=width))
        expected.append((top, left, top + 8, left + 8, 0.4))
        if number % 3 == 0:
            images.append(tmp_path / f"missing{number}.png")
            expected.append(None)
    for batch_size in (1, 5):
        model = tiled_predictor.TiledPredictor(model_dir, tiling=TILING)
        outcomes = list(model.stream(images, batch_size=batch_size, keep_images=True))
        assert [outcome.problem is not None for outcome in outcomes] == [row is None for row in expected]
        for image, outcome, row in zip(images, outcomes, expected):
            if row is not None:
                assert sides(outcome.found) == near(row)
                assert outcome.image is image


def test_the_best_detections_are_kept_and_those_below_the_threshold_are_not(model_dir):
    model = tiled_predictor.TiledPredictor(model_dir, tiling=TILING)
    (outcome,) = model.stream([picture(*SPOTS)], max_detections=1)
    assert [each.score for each in outcome.found.detections] == [1.0]
    (found,) = model.predict([picture(*SPOTS)], score_threshold=0.7)
    assert [round(each.score, 1) for each in found.detections] == [1.0, 0.8]


def test_a_picture_is_decoded_ahead_but_no_more_than_two(model_dir, tmp_path):
    """Memory does not depend on the number of pictures."""
    Image.fromarray(picture(*SPOTS)).save(tmp_path / "a.png")
    taken = []

    def paths():
        for number in range(60):
            taken.append(number)
            yield tmp_path / "a.png"

    model = tiled_predictor.TiledPredictor(model_dir, tiling=TILING)
    stream = model.stream(paths(), batch_size=1)
    for done in range(1, 41):
        next(stream)
        assert len(taken) <= done + 8
    stream.close()


def predict(model_dir, target, *arguments):
    assert cli.main(["predict", f"--saved_model_dir={model_dir}", f"--output_dir={target}", *map(str, arguments)]) == 0
    return [json.loads(line) for line in (target / "detections.jsonl").read_text().splitlines()]


def test_the_verb_with_xml_and_pictures(model_dir, tmp_path, capsys):
    Image.fromarray(picture(*SPOTS)).save(tmp_path / "a.png")
    flags = ("--tiles=64", "--overlap=0.25", "--tiles_only", "--write_xml", "--draw")
    (line,) = predict(model_dir, tmp_path / "out", *flags, tmp_path / "a.png")
    corners = ("ymin", "xmin", "ymax", "xmax")
    boxes = [tuple(round(each["box"][corner]) for corner in corners) for each in line["detections"]]
    assert boxes == [spot[:4] for spot in SPOTS]
    annotation = tfodhelper.read_annotation(tmp_path / "out/annotations/a.xml")
    assert [(box.ymin, box.xmin, box.ymax, box.xmax) for box in annotation.boxes] == boxes
    assert (tmp_path / "out/pictures/a.jpg").is_file()
    assert "tiles: 64 x 64 pixels, 25% of which overlap\n" in capsys.readouterr().out


def test_the_whole_picture_is_seen_unless_a_flag_says_no(model_dir, tmp_path, capsys):
    large = picture((10, 10, 100, 190, 255))
    Image.fromarray(large).save(tmp_path / "a.png")
    (line,) = predict(model_dir, tmp_path / "out", "--tiles=64", tmp_path / "a.png")
    assert [round(each["box"]["xmax"]) for each in line["detections"]] == [190]
    assert "and the whole picture" in capsys.readouterr().out
    (line,) = predict(model_dir, tmp_path / "tiles", "--tiles=64", "--tiles_only", tmp_path / "a.png")
    assert [round(each["box"]["xmax"]) for each in line["detections"]] == [190]  # made of pieces
    (line,) = predict(model_dir, tmp_path / "cut", "--tiles=64", "--tiles_only", "--overlap=0", tmp_path / "a.png")
    assert len(line["detections"]) > 1


def test_an_exif_orientation_changes_nothing(model_dir, tmp_path):
    """Boxes are in pixels of the stored image, as without tiles."""
    image = Image.fromarray(picture(*SPOTS))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    image.save(tmp_path / "plain.png")
    image.save(tmp_path / "turned.png", exif=exif)
    flags = ("--tiles=64", "--overlap=0.25", tmp_path / "plain.png", tmp_path / "turned.png")
    plain, turned = predict(model_dir, tmp_path / "out", *flags)
    assert (plain["width"], plain["height"]) == (turned["width"], turned["height"]) == (200, 120)
    assert plain["detections"] == turned["detections"] and len(plain["detections"]) >= 3


def test_flags_without_tiles_are_refused(model_dir, tmp_path, capsys):
    for flag in ("--overlap=0.3", "--tiles_only"):
        arguments = [f"--saved_model_dir={model_dir}", f"--output_dir={tmp_path / 'out'}", flag, str(tmp_path)]
        assert cli.main(["predict", *arguments]) == 2
        assert "has no effect without --tiles" in capsys.readouterr().err


def test_the_public_predictor(model_dir, tmp_path):
    detector = tfodhelper.Predictor(model_dir, tiles=64, overlap=0.25, tiles_only=True, score_threshold=0.1)
    prediction = detector.predict(picture(*SPOTS))
    assert sides(prediction) == near(*(spot[:4] + (spot[4] / 255,) for spot in SPOTS))
    assert prediction.image.shape == (120, 200, 3)
    Image.fromarray(picture(*SPOTS)).save(tmp_path / "a.png")
    (other,) = detector.predict_folder(tmp_path)
    assert other.detections == prediction.detections
    assert pathlib.Path(other.path).name == "a.png"
    with pytest.raises(errors.UsageError, match="tiles"):
        tfodhelper.Predictor(model_dir, tiles=5)


def test_every_input_type_takes_tiles(tmp_path):
    for input_type in serving.INPUT_TYPES:
        fake_detector.save_model(tmp_path / input_type, SpotDetector(gain=1.0), input_type, 1)
        model = tiled_predictor.TiledPredictor(tmp_path / input_type, tiling=TILING)
        (found,) = model.predict([picture(*SPOTS)])
        assert sides(found) == near(*(spot[:4] + (spot[4] / 255,) for spot in SPOTS))
