"""Detections as values, JSON lines and annotations."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.annotations import labelimg, structures
from tfodhelper.prediction import detections

DOG = detections.Detection("dog", 2, 0.9, ymin=10.25, xmin=20.5, ymax=30.75, xmax=40.0)
CAT = detections.Detection("cat", 1, 0.25, ymin=0.0, xmin=0.0, ymax=5.0, xmax=6.0)
FOUND = detections.ImageDetections("photos/käfer.jpg", 100, 50, (DOG, CAT))


def test_a_line_says_everything():
    line = detections.to_line(FOUND)
    assert line.endswith("}\n") and line.count("\n") == 1 and "käfer" in line
    assert json.loads(line) == {
        "path": "photos/käfer.jpg",
        "width": 100,
        "height": 50,
        "detections": [
            {"class": "dog", "id": 2, "score": 0.9, "box": {"xmin": 20.5, "ymin": 10.25, "xmax": 40.0, "ymax": 30.75}},
            {"class": "cat", "id": 1, "score": 0.25, "box": {"xmin": 0.0, "ymin": 0.0, "xmax": 6.0, "ymax": 5.0}},
        ],
    }


def test_round_trip_through_a_file(tmp_path):
    empty = detections.ImageDetections("empty.jpg", 3, 4, ())
    path = tmp_path / "detections.jsonl"
    assert detections.write_json_lines(path, iter([FOUND, empty])) == 2
    assert list(detections.read_json_lines(path)) == [FOUND, empty]
    assert [entry.name for entry in tmp_path.iterdir()] == ["detections.jsonl"]


@given(
    sides=st.lists(st.floats(-10, 5000, width=32), min_size=4, max_size=4),
    score=st.none() | st.floats(0, 1),
    name=st.text(max_size=10),
)
def test_round_trip_is_close(sides, score, name):
    detection = detections.Detection(name, 3, score, *sides)
    (back,) = detections.from_json(
        json.loads(detections.to_line(detections.ImageDetections("a", 1, 1, (detection,))))
    ).detections
    assert (back.name, back.id) == (name, 3)
    assert [back.ymin, back.xmin, back.ymax, back.xmax] == pytest.approx(sides, abs=6e-4)
    assert back.score is None if score is None else back.score == pytest.approx(score, abs=6e-7)


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"path": "a"}', '{"path": "a", "width": 1, "height": 1, "detections": [{}]}']
)
def test_a_broken_line_is_named(tmp_path, line):
    path = tmp_path / "detections.jsonl"
    path.write_text(detections.to_line(FOUND) + "\n" + line + "\n", encoding="utf-8")
    with pytest.raises(errors.PredictionError, match=r"detections\.jsonl, line 3"):
        list(detections.read_json_lines(path))


def test_a_missing_or_binary_file(tmp_path):
    with pytest.raises(errors.PredictionError, match="cannot be read"):
        list(detections.read_json_lines(tmp_path / "none.jsonl"))
    (tmp_path / "x").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(errors.PredictionError, match="UTF-8"):
        list(detections.read_json_lines(tmp_path / "x"))


def test_no_number_is_never_written():
    broken = detections.ImageDetections("a", 1, 1, (detections.Detection("dog", 1, float("nan"), 0, 0, 1, 1),))
    with pytest.raises(ValueError):
        detections.to_line(broken)


def test_from_arrays():
    boxes = np.array([[10.25, 20.5, 30.75, 40.0], [0, 0, 5, 6]], np.float32)
    received = detections.from_arrays(boxes, np.array([2.0, 7.0]), {2: "dog"}, scores=np.array([0.5, 0.25], np.float32))
    assert received[0] == detections.Detection("dog", 2, 0.5, 10.25, 20.5, 30.75, 40.0)
    assert (received[1].name, received[1].id) == ("class_7", 7)
    assert detections.from_arrays(boxes, [1, 1], {})[0].score is None
    assert detections.from_arrays([], [], {}, []) == ()
    with pytest.raises(ValueError):
        detections.from_arrays(boxes, [1], {})


def test_above():
    assert detections.above(FOUND, 0.9).detections == (DOG,)
    assert detections.above(FOUND, 0.91).detections == ()


def test_annotation_by_hand():
    boxes = [
        detections.Detection("in", 1, 0.9, 10.4, 20.5, 30.6, 40.0),  # rounded
        detections.Detection("over", 1, 0.8, -3.0, 90.0, 70.0, 140.0),  # clipped to 50 x 100
        detections.Detection("outside", 1, 0.7, 10.0, 101.0, 20.0, 130.0),
        detections.Detection("thin", 1, 0.6, 10.1, 10.0, 10.4, 20.0),
        detections.Detection("weak", 1, 0.1, 0.0, 0.0, 9.0, 9.0),
    ]
    annotation = detections.to_annotation(detections.ImageDetections("photos/a.jpg", 100, 50, tuple(boxes)), 0.5)
    assert (annotation.filename, annotation.width, annotation.height, annotation.verified) == ("a.jpg", 100, 50, False)
    assert annotation.boxes == (
        structures.Box("in", 21.0, 10.0, 40.0, 31.0),
        structures.Box("over", 90.0, 0.0, 100.0, 50.0),
    )


def test_annotation_survives_labelimg(tmp_path):
    annotation = detections.to_annotation(FOUND)
    labelimg.write_labelimg(tmp_path / "a.xml", annotation)
    assert labelimg.read_labelimg(tmp_path / "a.xml") == annotation
