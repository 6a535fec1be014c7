"""Drafts are, byte for byte, what LabelImg's own writer makes of the same boxes."""

import dataclasses
import pathlib

import pytest

from tfodhelper.active_learning.oracles import edits
from tfodhelper.annotations import labelimg, labelimg_update
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.dataset import placing

GOLDEN = pathlib.Path(__file__).parents[2] / "golden"
DRAWN = (  # as they are on LabelImg's canvas
    Box("cat", 12.0, 30.0, 200.0, 410.0),
    Box("Käfer & Co <1>", 0.0, 0.0, 60.0, 70.0),
    Box("cat", 500.5, 100.25, 640.0, 480.0, difficult=True),
    Box("dog", 0.0, 200.0, 33.0, 333.0),
    Box("dog", 300.0, 1.0, 320.0, 20.0),
)


@pytest.mark.parametrize(
    "golden, name, boxes, verified, depth",
    [
        ("boxes", "0001_a.jpg", DRAWN, False, 3),
        ("verified", "0001_a.jpg", DRAWN, True, 3),
        ("negative", "0002_grau é.png", (), True, 1),
    ],
)
def test_bytes_are_labelimgs_own(tmp_path, golden, name, boxes, verified, depth):
    expected = (GOLDEN / f"labelimg_1.8.6_{golden}.xml").read_bytes()
    saved = tuple(labelimg_update.as_labelimg_saves(box, 640, 480) for box in boxes)
    written = tmp_path / "draft.xml"
    annotation = Annotation(name, 640, 480, saved, verified)
    placing.write_annotation(written, pathlib.Path("/photos/review", name), annotation, depth)
    assert written.read_bytes() == expected
    read = labelimg.read_labelimg(GOLDEN / f"labelimg_1.8.6_{golden}.xml")
    assert dataclasses.replace(read, path=None) == annotation
    assert edits.compare_boxes(boxes, read.boxes).edits.kept == len(boxes)
