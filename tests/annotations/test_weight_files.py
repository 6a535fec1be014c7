"""Weights of boxes next to LabelImg XML: what a person changes in LabelImg counts 1, and nothing is lost in silence."""

import dataclasses
import json

import pytest

from tfodhelper.annotations import checks, labelimg
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.structures import Annotation, Box, UnusableFile

SURE = Box("cat", 10, 20, 110, 95)
LIKELY = Box("cat", 0.5, 0, 40.25, 30.75, weight=0.8)
PLACE = Box("dog", 50, 50, 90, 90, weight=0.7, location_weight=0)
IGNORED = Box("dog", 120, 50, 150, 90, weight=0)
BOXES = (SURE, LIKELY, PLACE, IGNORED)
FACTS = ImageFacts("JPEG", 200, 100, "RGB", 1, "", 0)


def write(tmp_path, boxes=BOXES, **more):
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", 200, 100, tuple(boxes), **more))


def edit(tmp_path, boxes, verified=False):
    """As LabelImg: the XML is written anew, and it knows nothing of the file next to it."""
    plain = [dataclasses.replace(box, weight=1.0, location_weight=1.0) for box in boxes]
    kept = (tmp_path / "a.weights.json").read_bytes()
    write(tmp_path, plain, verified=verified)
    assert not (tmp_path / "a.weights.json").exists()
    (tmp_path / "a.weights.json").write_bytes(kept)


def weights_of(annotation):
    return [(box.weight, box.location_weight) for box in annotation.boxes]


def test_round_trip(tmp_path):
    write(tmp_path)
    read = labelimg.read_labelimg(tmp_path / "a.xml")
    assert read.boxes == BOXES and not read.skipped
    stored = json.loads((tmp_path / "a.weights.json").read_text())
    assert [entry["bndbox"][0] for entry in stored["objects"]] == [0.5, 50, 120]  # none of a box that counts 1
    assert stored["objects"][1] == {"name": "dog", "bndbox": [50, 50, 90, 90], "weight": 0.7, "location_weight": 0}
    assert b"weight" not in (tmp_path / "a.xml").read_bytes()  # LabelImg's own layout


def test_without_weights_there_is_no_file(tmp_path):
    write(tmp_path)
    write(tmp_path, [SURE])
    assert not (tmp_path / "a.weights.json").exists()
    assert labelimg.read_labelimg(tmp_path / "a.xml").boxes == (SURE,)


def test_boxes_that_labelimg_saves_unchanged_keep_their_weights(tmp_path):
    write(tmp_path)
    saved = Box("cat", 1, 1, 40, 30)  # whole pixels, at least 1
    edit(tmp_path, [IGNORED, SURE, saved, PLACE])  # in an order of its own
    read = labelimg.read_labelimg(tmp_path / "a.xml")
    assert weights_of(read) == [(0, 1), (1, 1), (0.8, 1), (0.7, 0)] and not read.skipped


def test_what_a_person_moved_renamed_or_added_counts_one(tmp_path):
    write(tmp_path)
    moved, renamed = dataclasses.replace(LIKELY, xmax=60), dataclasses.replace(PLACE, name="cat")
    edit(tmp_path, [SURE, moved, renamed, Box("dog", 160, 10, 190, 40)])
    read = labelimg.read_labelimg(tmp_path / "a.xml")
    assert weights_of(read) == [(1, 1)] * 4
    assert [skipped.code for skipped in read.skipped] == ["weight-stale"] * 3  # the third was deleted
    found = checks.check_annotation(read, FACTS, "a.xml")
    assert len(found.annotation.boxes) == 4
    stale = [finding.message for finding in found.findings if finding.code == "weight-stale"]
    assert len(stale) == 3 and "weight 1 (cat)" in stale[0] and "a.weights.json" in stale[0]


def test_a_person_who_verifies_the_image_confirms_all_of_its_boxes(tmp_path):
    write(tmp_path)
    edit(tmp_path, BOXES, verified=True)
    read = labelimg.read_labelimg(tmp_path / "a.xml")
    assert weights_of(read) == [(1, 1)] * 4
    found = checks.check_annotation(read, FACTS, "a.xml")
    assert [finding.code for finding in found.findings] == ["weights-confirmed"]


def test_weights_that_were_written_for_a_verified_image_hold(tmp_path):
    write(tmp_path, verified=True)
    assert labelimg.read_labelimg(tmp_path / "a.xml").boxes == BOXES


def test_equal_boxes_take_weights_in_order(tmp_path):
    twice = [dataclasses.replace(IGNORED, weight=0.5), IGNORED]
    write(tmp_path, twice)
    assert weights_of(labelimg.read_labelimg(tmp_path / "a.xml")) == [(0.5, 1), (0, 1)]


def test_of_equal_boxes_the_same_one_is_ignored_again(tmp_path):
    twin = dataclasses.replace(IGNORED, weight=1.0)
    for boxes in ([twin, IGNORED], [IGNORED, twin], [twin, IGNORED, twin, LIKELY]):
        write(tmp_path, boxes)
        assert labelimg.read_labelimg(tmp_path / "a.xml").boxes == tuple(boxes)


def test_check_says_what_does_not_count_one():
    found = checks.check_annotation(Annotation("a.jpg", 200, 100, BOXES), FACTS, "a.xml")
    assert found.annotation.boxes == BOXES
    (finding,) = found.findings
    assert finding.code == "box-weights" and finding.severity == "note"
    assert "3 of 4 boxes" in finding.message and "1 is an ignored region" in finding.message
    assert not checks.check_annotation(Annotation("a.jpg", 200, 100, (SURE,)), FACTS, "a.xml").findings


def test_an_ignored_region_contradicts_no_class():
    cat = dataclasses.replace(IGNORED, name="cat", weight=1)
    codes = [
        [found.code for found in checks.check_annotation(Annotation("a.jpg", 200, 100, boxes), FACTS, "a.xml").findings]
        for boxes in ((cat, IGNORED), (cat, dataclasses.replace(IGNORED, weight=1)))
    ]
    assert codes == [["box-weights"], ["box-class-conflict"]]


def test_an_image_that_lost_its_only_object_is_no_negative(tmp_path):
    write(tmp_path, [IGNORED])
    edit(tmp_path, [dataclasses.replace(IGNORED, xmin=149.5)])  # no area
    read = labelimg.read_labelimg(tmp_path / "a.xml")
    assert checks.check_annotation(read, FACTS, "a.xml").annotation is None
    edit(tmp_path, [])  # a person deleted it
    assert checks.check_annotation(labelimg.read_labelimg(tmp_path / "a.xml"), FACTS, "a.xml").annotation.boxes == ()


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{", "JSON"),
        ('{"version": 2, "objects": []}', "version 1"),
        ('{"version": 1, "objects": {}}', "version 1"),
        ('{"version": 1, "objects": [3]}', "object 1"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3]}]}', "four numbers"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3, true]}]}', "four numbers"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3, 4], "weight": -1}]}', "weight is not a number from 0"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3, 4], "weight": NaN}]}', "weight is not a number"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3, 4], "weight": "1"}]}', "weight is not a number"),
        ('{"version": 1, "objects": [{"bndbox": [1, 2, 3, 4], "location_weight": 2}]}', "from 0 to 1"),
    ],
)
def test_damaged_files_are_named(tmp_path, text, word):
    write(tmp_path)
    (tmp_path / "a.weights.json").write_text(text)
    with pytest.raises(UnusableFile) as caught:
        labelimg.read_labelimg(tmp_path / "a.xml")
    assert word in str(caught.value) and "a.weights.json" in str(caught.value)
    assert caught.value.code == "weights-unreadable"
