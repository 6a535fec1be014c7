"""What a person does on the page, as requests, and what is on disk afterwards."""

import json

import pytest

from tests.active_learning.questions import draw_image
from tests.files import list_files
from tests.labelling.pages import CAT, DOG, Browser, make_items, make_session, new_box
from tfodhelper import errors
from tfodhelper.annotations import exif_boxes, labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.labelling.documents import Item
from tfodhelper.labelling.session import read_times


def read(folder, stem="a"):
    return labelimg.read_labelimg(folder / f"{stem}.xml")


def answer_of(response):
    return json.loads(response.get_data())


def test_boxes_of_the_file_are_shown_and_changes_are_saved(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT, DOG]})))
    doc = browser.get("images/0")
    assert [(box["class"], box["corners"]) for box in doc["boxes"]] == [
        ("cat", [5, 20, 60, 80]),
        ("dog", [100, 10, 160, 90]),
    ]
    cat, dog = doc["boxes"]
    dog |= {"class": "cat", "corners": [100.4, 0, 200, 90.9], "difficult": True}
    response = browser.save(doc, [dog, new_box("dog", 1, 2, 30, 40)], verified=True)
    assert response.status_code == 200
    written = read(tmp_path)
    assert written.verified and (written.width, written.height) == (200, 100)
    assert written.boxes == (
        Box("cat", 100, 1, 200, 90, difficult=True, truncated=True),
        Box("dog", 1, 2, 30, 40, truncated=True),
    )
    assert answer_of(response)["counts"]["verified"] == 1


def test_what_is_saved_is_bytes_for_bytes_what_labelimg_writes(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": None})))
    doc = browser.get("images/0")
    assert not doc["exists"] and not (tmp_path / "a.xml").exists()
    browser.save(doc, [new_box("cat", 5, 20, 60, 80)], verified=True)
    expected = Annotation("a.jpg", 200, 100, (CAT,), verified=True)
    labelimg.write_labelimg(tmp_path / "expected.xml", expected, tmp_path / "a.jpg")
    assert (tmp_path / "a.xml").read_bytes() == (tmp_path / "expected.xml").read_bytes()


def test_an_image_without_objects_can_be_accepted(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": None})))
    browser.save(browser.get("images/0"), [], verified=True)
    assert read(tmp_path).verified and read(tmp_path).boxes == ()


def test_looking_changes_nothing(tmp_path):
    items = make_items(tmp_path, {"a": [CAT], "b": None})
    before = (tmp_path / "a.xml").read_bytes()
    browser = Browser(make_session(items))
    for index in (0, 1):
        browser.get(f"images/{index}")
        browser.post(f"images/{index}/time", {"seconds": 2.0})
    assert (tmp_path / "a.xml").read_bytes() == before
    assert list_files(tmp_path) == ["a.jpg", "a.xml", "b.jpg"]


def test_a_file_that_another_program_changed_is_not_overwritten(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    doc = browser.get("images/0")
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", 200, 100, (DOG,)), tmp_path / "a.jpg")
    changed = (tmp_path / "a.xml").read_bytes()
    response = browser.save(doc, [], verified=True)
    assert response.status_code == 409 and answer_of(response)["conflict"]
    assert "another program has changed" in answer_of(response)["error"]
    assert (tmp_path / "a.xml").read_bytes() == changed
    again = browser.get("images/0")  # R on the page
    assert [box["class"] for box in again["boxes"]] == ["dog"]
    assert browser.save(again, [], verified=True).status_code == 200


@pytest.mark.parametrize("before", [[CAT], None])
def test_a_file_that_appears_or_disappears_is_a_conflict_too(tmp_path, before):
    browser = Browser(make_session(make_items(tmp_path, {"a": before})))
    doc = browser.get("images/0")
    if before is None:
        labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", 200, 100, (DOG,)), tmp_path / "a.jpg")
    else:
        (tmp_path / "a.xml").unlink()
    assert browser.save(doc, []).status_code == 409
    assert (tmp_path / "a.xml").exists() == (before is None)


def test_two_pages_of_one_session_do_not_overwrite_each_other(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    first, second = browser.get("images/0"), browser.get("images/0")
    assert browser.save(first, [new_box("dog", 1, 2, 30, 40)]).status_code == 200
    assert browser.save(second, []).status_code == 409
    assert [box.name for box in read(tmp_path).boxes] == ["dog"]


def test_undo_brings_back_all_that_belonged_to_an_object_even_after_other_images(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT, DOG], "b": None})))
    path = tmp_path / "a.xml"
    path.write_text(path.read_text().replace("<pose>Unspecified</pose>", "<pose>Left</pose><occluded>1</occluded>", 1))
    before = path.read_bytes()
    doc = browser.get("images/0")
    original = doc["boxes"]
    browser.save(doc, [original[1]])
    assert b"occluded" not in path.read_bytes()
    browser.get("images/1")
    again = browser.get("images/0")
    assert again["base"] == doc["base"] and [box["source"] for box in again["boxes"]] == [1]
    assert browser.save(again, original).status_code == 200
    assert labelimg.parse_labelimg(before, path).boxes == read(tmp_path).boxes
    assert "<occluded>1</occluded>" in path.read_text()


def test_undo_of_the_first_change_removes_the_file_that_it_made_and_no_other(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": None, "b": [CAT]})))
    doc = browser.get("images/0")
    answer = answer_of(browser.save(doc, [new_box("cat", 1, 2, 3, 4)]))
    assert (tmp_path / "a.xml").exists() and answer["exists"]
    assert not answer_of(browser.save(doc, None, version=answer["version"]))["exists"]
    assert not (tmp_path / "a.xml").exists()
    other = browser.get("images/1")
    assert browser.save(other, None).status_code == 422 and (tmp_path / "b.xml").exists()


def test_confirmed_boxes_are_remembered_by_the_next_session(tmp_path):
    items = make_items(tmp_path, {"a": [CAT, DOG]})
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    doc["boxes"][1]["confirmed"] = True
    browser.save(doc)
    again = Browser(make_session(items)).get("images/0")
    assert [box["confirmed"] for box in again["boxes"]] == [False, True]


def test_suggestions_are_shown_with_their_scores_and_saved_only_when_something_is_done(tmp_path):
    items = make_items(tmp_path, {"a": None}, {"a": [(CAT, 0.9), (Box("dog", 0, 0, 40, 30), 0.4)]})
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    assert [(box["class"], box["score"], box["corners"]) for box in doc["boxes"]] == [
        ("cat", 0.9, [5, 20, 60, 80]),
        ("dog", 0.4, [1, 1, 40, 30]),
    ]
    assert not (tmp_path / "a.xml").exists()
    browser.save(doc)
    assert len(read(tmp_path).boxes) == 2
    again = Browser(make_session(items)).get("images/0")  # the scores are found again by class and corners
    assert [box["score"] for box in again["boxes"]] == [0.9, 0.4]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("is_new", [True, False])
def test_boxes_are_saved_where_the_person_saw_them(tmp_path, orientation, is_new):
    """A new file gets the frame that LabelImg would use; an existing one keeps its own."""
    size, box = (200, 100), Box("cat", 30, 20, 60, 80)
    path = draw_image(tmp_path / "a.jpg", size, orientation)
    if not is_new:
        labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", *size, (box,)), path)
    item = Item("a.jpg", str(path), str(tmp_path / "a.xml"), ((box, 0.5),))
    browser = Browser(make_session([item]))
    doc = browser.get("images/0")
    upright = exif_boxes.to_upright(box, *size, orientation)
    assert (doc["width"], doc["height"]) == exif_boxes.turned_size(*size, orientation)
    assert doc["boxes"][0]["corners"] == [upright.xmin, upright.ymin, upright.xmax, upright.ymax]
    assert browser.save(doc, verified=True).status_code == 200
    is_turned = is_new and orientation >= 5
    written = read(tmp_path)
    assert (written.width, written.height) == ((100, 200) if is_turned else size)
    assert written.boxes == ((upright if is_turned else box),)


def test_a_size_that_is_wrong_is_corrected_with_the_first_change(tmp_path):
    items = make_items(tmp_path, {"a": [CAT]})
    path = tmp_path / "a.xml"
    path.write_text(path.read_text().replace("<width>200</width>", "<width>0</width>"))
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    assert doc["notes"] and "size" in doc["notes"][0]
    browser.save(doc, verified=True)
    assert read(tmp_path).width == 200


@pytest.mark.parametrize("content", [b"", b"<html/>", b"<annotation><object>", b"\xff\xfe\x00"])
def test_a_file_that_cannot_be_read_is_said_and_never_overwritten(tmp_path, content):
    items = make_items(tmp_path, {"a": [CAT]})
    (tmp_path / "a.xml").write_bytes(content)
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    assert "a.xml" in doc["problem"] and doc["boxes"] == []
    edit = {"version": "", "base": "", "verified": True, "seconds": 0.0, "boxes": []}
    assert browser.request("images/0", edit).status_code in (409, 422)
    assert (tmp_path / "a.xml").read_bytes() == content


@pytest.mark.parametrize(
    "box",
    [
        new_box("cat", 10, 10, 10, 40),
        new_box("cat", 10, 10, 10.4, 40),
        new_box("cat", 10, 10, 201, 40),
        new_box("cat", -50, 10, -20, 40),
        new_box("", 1, 2, 3, 4),
        new_box("a\x00b", 1, 2, 3, 4),
        new_box("x" * 600, 1, 2, 3, 4),
        new_box("cat", 1, 2, 3),
        new_box("cat", 1, 2, 3, "4"),
        new_box("cat", 1, 2, 3, float("inf")),
        new_box("cat", 1, 2, 3, 4, source=9),
        new_box("cat", 1, 2, 3, 4, source="0"),
        new_box("cat", 1, 2, 3, 4, difficult=1),
        new_box(None, 1, 2, 3, 4),
        {"class": "cat"},
        7,
    ],
)
def test_boxes_that_no_image_can_have_are_refused_and_nothing_is_written(tmp_path, box):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    before = (tmp_path / "a.xml").read_bytes()
    response = browser.save(browser.get("images/0"), [box])
    assert response.status_code == 422 and answer_of(response)["error"]
    assert (tmp_path / "a.xml").read_bytes() == before


@pytest.mark.parametrize("edit", [{}, {"version": 1}, {"version": "", "base": "", "verified": 1, "seconds": 0}])
def test_malformed_edits_are_refused(tmp_path, edit):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    browser.get("images/0")
    assert browser.request("images/0", edit).status_code == 422


def test_a_disk_that_refuses_is_said(tmp_path, monkeypatch):
    from tfodhelper import storage

    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    doc = browser.get("images/0")

    def refuse(path, text):
        raise storage.explain_os_error(OSError(28, "No space left on device"), path)

    monkeypatch.setattr(storage, "write_text", refuse)
    response = browser.save(doc, [])
    assert response.status_code == 507 and "disk is full" in answer_of(response)["error"]


def test_classes_outside_of_a_label_map_are_refused(tmp_path):
    items = make_items(tmp_path, {"a": [CAT]})
    fixed = Browser(make_session(items, is_fixed=True))
    response = fixed.save(fixed.get("images/0"), [new_box("cow", 1, 2, 3, 4)])
    assert response.status_code == 422 and "cow" in answer_of(response)["error"]
    free = Browser(make_session(items))
    answer = answer_of(free.save(free.get("images/0"), [new_box("cow", 1, 2, 3, 4)]))
    assert [each["name"] for each in answer["classes"]] == ["cat", "dog", "cow"]
    assert len({each["color"] for each in answer["classes"]}) == 3


def test_the_most_doubtful_image_comes_first_and_those_left_come_last(tmp_path):
    items = make_items(tmp_path, dict.fromkeys("abcd"))
    browser = Browser(make_session(items, doubts=[0.1, 0.9, 0.5, 0.7]))
    order, leaving = [], None
    for _ in range(5):
        leaving = browser.post("next", {"leaving": leaving})["index"]
        order.append(leaving)
    assert order == [1, 3, 2, 0, 1]
    doc = browser.get("images/1")
    browser.save(doc, [], verified=True)
    assert browser.post("next", {"leaving": None})["index"] == 3
    assert browser.post("next", {})["following"] == 2


def test_nothing_is_next_when_all_are_accepted(tmp_path):
    browser = Browser(make_session(make_items(tmp_path, {"a": [CAT]})))
    browser.save(browser.get("images/0"), verified=True)
    answer = browser.post("next", {"leaving": None})
    assert answer["index"] is None and answer["counts"]["verified"] == 1 and answer["counts"]["pending"] == 0


def test_images_that_the_detector_has_not_seen_wait_for_it(tmp_path):
    session = make_session(make_items(tmp_path, {"a": None, "b": None}), doubts=[None, None])
    browser = Browser(session)
    answer = browser.post("next", {"leaving": None})
    assert answer["index"] is None and answer["counts"]["pending"] == 2
    assert browser.get("images/0")["pending"]
    session.suggest(1, [(CAT, 0.6)], 0.8)
    assert browser.post("next", {"leaving": None})["index"] == 1
    assert [box["score"] for box in browser.get("images/1")["boxes"]] == [0.6]


def test_seconds_are_kept_for_each_image(tmp_path):
    times = tmp_path / "seconds.json"
    items = make_items(tmp_path, {"a": None, "b": None})
    browser = Browser(make_session(items, times_path=times))
    browser.save(browser.get("images/0"), [], verified=True, seconds=3.5)
    browser.post("images/0/time", {"seconds": 1.2})
    browser.post("images/1/time", {"seconds": 1e9})
    assert read_times(times) == {"a.jpg": 4.7, "b.jpg": 3600.0}
    again = Browser(make_session(items, times_path=times))
    again.post("images/0/time", {"seconds": 1})
    assert read_times(times)["a.jpg"] == 5.7
    for _ in range(20):
        again.post("images/0/time", {"seconds": 0.004})
    assert read_times(times)["a.jpg"] == 5.78  # a row of quick keys is time too


@pytest.mark.parametrize("content", ["", "[]", '{"a.jpg": "soon"}', '{"a.jpg": 1e999}'])
def test_a_damaged_file_of_times_is_said(tmp_path, content):
    (tmp_path / "seconds.json").write_text(content)
    with pytest.raises(errors.StorageError, match="seconds.json"):
        read_times(tmp_path / "seconds.json")


def test_masks_beside_the_file_are_left_alone_and_mentioned(tmp_path):
    items = make_items(tmp_path, {"a": None})
    masks = (((5.0, 20.0, 60.0, 20.0, 60.0, 80.0),),)
    box = Box("cat", 5, 20, 60, 80, mask=masks[0])
    labelimg.write_labelimg(tmp_path / "a.xml", Annotation("a.jpg", 200, 100, (box,)), tmp_path / "a.jpg")
    before = (tmp_path / "a.masks.json").read_bytes()
    browser = Browser(make_session(items))
    doc = browser.get("images/0")
    assert any("masks" in note for note in doc["notes"])
    doc["boxes"][0]["class"] = "dog"
    browser.save(doc)
    assert (tmp_path / "a.masks.json").read_bytes() == before and read(tmp_path).boxes[0].mask is not None
