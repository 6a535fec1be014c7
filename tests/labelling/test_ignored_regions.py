"""Boxes that count less than others, or not at all: what the page makes of the weights next to a file."""

import dataclasses
import json
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.files import list_files
from tests.labelling.pages import CAT, DOG, Browser, ignored, make_items, make_session, new_box
from tfodhelper.annotations import labelimg, weight_files
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.labelling import stored

LIKELY = dataclasses.replace(CAT, weight=0.8)
PLACE = dataclasses.replace(DOG, weight=0.7, location_weight=0.0)
UNSURE = Box("cow", 30, 5, 90, 50, weight=0.0)


def read(folder):
    return labelimg.read_labelimg(folder / "a.xml")


def weights_of(folder):
    return [(box.weight, box.location_weight) for box in read(folder).boxes]


def start(folder, boxes=(LIKELY, PLACE, UNSURE), verified=False):
    items = make_items(folder, {"a": None})
    if boxes is not None:
        content = Annotation("a.jpg", 200, 100, tuple(boxes), verified)
        labelimg.write_labelimg(folder / "a.xml", content, folder / "a.jpg")
    return Browser(make_session(items, classes=("cat", "dog", "cow")))


def save(page, doc, boxes=..., **more):
    response = page.save(doc, boxes, **more)
    assert response.status_code == 200, response.get_data()
    doc["version"] = json.loads(response.get_data())["version"]


def test_a_box_that_nobody_is_sure_of_is_an_ignored_region_and_the_xml_is_as_always(tmp_path):
    page = start(tmp_path, [CAT, DOG])
    doc = page.get("images/0")
    assert [box["ignored"] for box in doc["boxes"]] == [False, False]
    save(page, doc, [doc["boxes"][0], ignored(doc["boxes"][1])], verified=True)
    labelimg.write_labelimg(tmp_path / "b.xml", Annotation("a.jpg", 200, 100, (CAT, DOG), True), tmp_path / "a.jpg")
    assert (tmp_path / "a.xml").read_bytes() == (tmp_path / "b.xml").read_bytes()
    assert read(tmp_path).verified and weights_of(tmp_path) == [(1, 1), (0, 1)]
    stored_weights = json.loads((tmp_path / "a.weights.json").read_text())
    assert stored_weights["verified"] and stored_weights["objects"] == [
        {"name": "dog", "bndbox": [100, 10, 160, 90], "weight": 0}
    ]
    again = Browser(make_session(make_items(tmp_path, {"a": None})))
    assert [box["ignored"] for box in again.get("images/0")["boxes"]] == [False, True]


def test_undo_of_an_ignored_region_removes_the_file_of_weights(tmp_path):
    page = start(tmp_path, [CAT])
    before = (tmp_path / "a.xml").read_bytes()
    doc = page.get("images/0")
    save(page, doc, [ignored(doc["boxes"][0])])
    assert weights_of(tmp_path) == [(0, 1)]
    save(page, doc, doc["boxes"])
    assert list_files(tmp_path) == ["a.jpg", "a.xml"] and (tmp_path / "a.xml").read_bytes() == before


def test_undo_of_the_first_change_removes_both_files(tmp_path):
    page = start(tmp_path, None)
    doc = page.get("images/0")
    save(page, doc, [ignored(new_box("cat", 1, 2, 30, 40))])
    assert list_files(tmp_path) == ["a.jpg", "a.weights.json", "a.xml"]
    save(page, doc, None)
    assert list_files(tmp_path) == ["a.jpg"]


def test_weights_that_were_there_survive_until_a_person_speaks(tmp_path):
    page = start(tmp_path)
    before = (tmp_path / "a.weights.json").read_bytes()
    doc = page.get("images/0")
    cat, dog, cow = doc["boxes"]
    assert [box["ignored"] for box in doc["boxes"]] == [False, False, True]
    assert [box["weights"] for box in doc["boxes"]] == [
        {"weight": 0.8},
        {"weight": 0.7, "location_weight": 0},
        {"weight": 0},
    ]
    save(page, doc, [cat, dog, cow, new_box("cat", 150, 50, 190, 90)])
    assert weights_of(tmp_path) == [(0.8, 1), (0.7, 0), (0, 1), (1, 1)]
    assert (tmp_path / "a.weights.json").read_bytes() == before
    save(page, doc, [cat | {"confirmed": True}, dog | {"corners": [100, 10, 170, 90], "confirmed": True}, cow])
    assert weights_of(tmp_path) == [(1, 1), (1, 1), (0, 1)]
    save(page, doc, [cat, dog, cow])  # undone
    assert weights_of(tmp_path) == [(0.8, 1), (0.7, 0), (0, 1)]
    save(page, doc, [cat, dog | {"class": "cow", "confirmed": True}, cow])
    assert weights_of(tmp_path) == [(0.8, 1), (1, 1), (0, 1)]


def test_accepting_an_image_confirms_its_objects_and_keeps_its_ignored_regions(tmp_path):
    page = start(tmp_path)
    doc = page.get("images/0")
    save(page, doc, verified=True)
    assert weights_of(tmp_path) == [(1, 1), (1, 1), (0, 1)] and not read(tmp_path).skipped
    save(page, doc, verified=False)  # undone
    assert weights_of(tmp_path) == [(0.8, 1), (0.7, 0), (0, 1)]


def test_an_ignored_region_is_moved_renamed_deleted_and_becomes_an_object(tmp_path):
    page = start(tmp_path)
    doc = page.get("images/0")
    cat, dog, cow = doc["boxes"]
    moved = cow | {"corners": [60, 20, 120, 65], "class": "cat", "confirmed": True}
    save(page, doc, [cat, dog, moved])
    assert read(tmp_path).boxes[2] == Box("cat", 60, 20, 120, 65, weight=0.0) and not read(tmp_path).skipped
    save(page, doc, [cat, dog])
    assert weights_of(tmp_path) == [(0.8, 1), (0.7, 0)]
    save(page, doc, [cat, dog, cow | {"ignored": False, "confirmed": True}])
    assert weights_of(tmp_path) == [(0.8, 1), (0.7, 0), (1, 1)]


def test_weights_of_an_image_that_was_accepted_with_them_hold(tmp_path):
    page = start(tmp_path, verified=True)
    doc = page.get("images/0")
    cat, dog, cow = doc["boxes"]
    assert doc["verified"] and not doc["notes"]
    save(page, doc, [cat, dog | {"confirmed": True}, cow], verified=True)
    assert weights_of(tmp_path) == [(0.8, 1), (1, 1), (0, 1)]


def test_weights_that_belong_to_no_box_are_said_and_removed_with_the_first_change(tmp_path):
    page = start(tmp_path)
    weights = (tmp_path / "a.weights.json").read_bytes()
    content = Annotation("a.jpg", 200, 100, (CAT, UNSURE))
    labelimg.write_labelimg(tmp_path / "a.xml", content, tmp_path / "a.jpg")
    (tmp_path / "a.weights.json").write_bytes(weights)
    doc = page.get("images/0")
    (note,) = doc["notes"]
    assert "weight 2 (dog)" in note and "removed with the first change" in note
    save(page, doc)
    assert weights_of(tmp_path) == [(0.8, 1), (0, 1)] and not read(tmp_path).skipped


def test_weights_that_another_program_changed_are_not_overwritten(tmp_path):
    page = start(tmp_path)
    doc = page.get("images/0")
    other = weight_files.format_weights(tmp_path / "a.xml", [dataclasses.replace(LIKELY, weight=0.1)], False)
    (tmp_path / "a.weights.json").write_text(other)
    response = page.save(doc, verified=True)
    assert response.status_code == 409 and (tmp_path / "a.weights.json").read_text() == other
    save(page, page.get("images/0"))
    assert weights_of(tmp_path)[0] == (0.1, 1)


def test_weights_that_cannot_be_read_are_said_and_left_alone(tmp_path):
    page = start(tmp_path)
    (tmp_path / "a.weights.json").write_text("{")
    doc = page.get("images/0")
    assert "a.weights.json" in doc["problem"]
    edit = {"version": "", "base": "", "verified": True, "seconds": 0.0, "boxes": []}
    assert page.request("images/0", edit).status_code == 409
    assert (tmp_path / "a.weights.json").read_text() == "{"


def test_weights_without_xml_do_not_come_to_life(tmp_path):
    page = start(tmp_path)
    weights = (tmp_path / "a.weights.json").read_bytes()
    (tmp_path / "a.xml").unlink()
    doc = page.get("images/0")
    save(page, doc, [new_box("cat", 5, 20, 60, 80)])
    assert weights_of(tmp_path) == [(1, 1)] and not (tmp_path / "a.weights.json").exists()
    save(page, doc, None)
    assert (tmp_path / "a.weights.json").read_bytes() == weights and not (tmp_path / "a.xml").exists()


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_what_is_not_an_answer_is_refused(tmp_path, value):
    page = start(tmp_path)
    before = (tmp_path / "a.weights.json").read_bytes()
    assert page.save(page.get("images/0"), [new_box("cat", 1, 2, 30, 40, ignored=value)]).status_code == 422
    assert (tmp_path / "a.weights.json").read_bytes() == before


def test_images_that_exif_turns_keep_the_weights_of_their_boxes(tmp_path):
    items = make_items(tmp_path, {"a": None}, orientation=6)
    content = Annotation("a.jpg", 200, 100, (LIKELY, UNSURE))
    labelimg.write_labelimg(tmp_path / "a.xml", content, tmp_path / "a.jpg")
    page = Browser(make_session(items, classes=("cat", "cow")))
    doc = page.get("images/0")
    save(page, doc, [ignored(doc["boxes"][0]), doc["boxes"][1]])
    assert weights_of(tmp_path) == [(0, 1), (0, 1)]
    assert [(box.xmin, box.ymin) for box in read(tmp_path).boxes] == [(5, 20), (30, 5)]


class _Killed(BaseException):
    """Stands for the end of the process."""


boxes = st.lists(
    st.builds(
        lambda name, x, y, weight: Box(name, float(x), float(y), float(x + 20), float(y + 20), weight=weight),
        *(st.sampled_from(["cat", "dog"]), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0])),
    ),
    max_size=4,
    unique_by=lambda box: (box.name, box.xmin // 2, box.ymin // 2),
)


@given(boxes, boxes, st.booleans(), st.booleans(), st.integers(1, 4))
def test_killed_at_any_step_an_ignored_region_stays_one(first, second, was_verified, is_verified, at):
    """Whichever of the two files was changed: a region that is ignored before and after is no object in between."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.xml")
        labelimg.write_labelimg(path, Annotation("a.jpg", 200, 100, tuple(first), was_verified))
        text = labelimg.format_labelimg(path, Annotation("a.jpg", 200, 100, tuple(second), is_verified))
        count = 0

        def stop(function):
            def call(*values, **more):
                nonlocal count
                count += 1
                if count == at:
                    raise _Killed
                return function(*values, **more)

            return call

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "replace", stop(os.replace))
            patch.setattr(os, "unlink", stop(os.unlink))
            try:
                after = stored.write(path, stored.read(path), text, second, is_verified)
                assert stored.read(path) == after
            except _Killed:
                pass
        found = labelimg.read_labelimg(path)
        places = [(box.name, box.xmin, box.ymin) for box in found.boxes]
        weights = {place: box.weight for place, box in zip(places, found.boxes)}
        if places == [(box.name, box.xmin, box.ymin) for box in second]:
            assert all(weights[box.name, box.xmin, box.ymin] == 0 for box in second if not box.weight)
        else:
            assert places == [(box.name, box.xmin, box.ymin) for box in first]
            same = {(box.name, box.xmin, box.ymin): box.weight for box in second}
            for box in first:
                place = (box.name, box.xmin, box.ymin)
                if not box.weight and not same.get(place, 0.0):
                    assert weights[place] == 0
