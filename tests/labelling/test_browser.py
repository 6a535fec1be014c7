"""The page in a real Chromium: fifty drafts reviewed by keys alone, with the server killed in between."""

import pathlib
import random
import re
import threading

import pytest
from PIL import Image

from tests.active_learning.questions import draw_image, make_question
from tests.labelling.chromium import Hands
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.structures import Edits
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box

pytestmark = pytest.mark.slow

SIZE = (320, 240)
NUM_DRAFTS = 50
CLASSES = ("bee", "cat", "dog")  # keys 1 to 3
_NAME = "<b onmouseover=alert(1)>x"  # of an image, which must not become markup


def make_drafts(folder, number):
    """Images with one draft box each, of which every fifth has two: {stem: boxes}."""
    drafts, rng = {}, random.Random(4)
    for i in range(number):
        stem = f"{i:03d}" if i else f"000{_NAME}"
        path = folder / f"{stem}.jpg"
        Image.new("RGB", SIZE, tuple(rng.randrange(40, 200) for _ in range(3))).save(path)
        x, y = rng.randrange(10, 150), rng.randrange(10, 120)
        boxes = [Box(CLASSES[i % 3], x, y, x + 80, y + 60)]
        if i % 5 == 0:
            boxes.append(Box("dog", 200, 150, 260, 200))
        labelimg.write_labelimg(folder / f"{stem}.xml", Annotation(path.name, *SIZE, tuple(boxes)), path)
        drafts[stem] = boxes
    return drafts


def review_one(hands, number, before):
    """Does one of six things to the image that is shown; returns the boxes that must be in its file afterwards."""
    from selenium.webdriver.common.keys import Keys

    boxes = [(box["name"], box["corners"]) for box in before["boxes"]]
    at = next(i for i, box in enumerate(before["boxes"]) if box["selected"])
    name, (x0, y0, x1, y1) = boxes[at]
    kind = number % 6
    if kind == 1:
        hands.press("x")
        del boxes[at]
    elif kind == 2:
        hands.press("w")
        seen = hands.wait(lambda seen: len(seen["boxes"]) == len(boxes) + 1)
        drawn = seen["boxes"][-1]
        hands.press(Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
        moved = hands.wait(lambda seen: seen["boxes"][-1]["corners"] == [c + 1 for c in drawn["corners"]])["boxes"][-1]
        boxes.append((moved["name"], moved["corners"]))
    elif kind == 3:
        hands.press(Keys.ARROW_LEFT * 3)
        hands.press_with(Keys.CONTROL, Keys.ARROW_DOWN, 2)
        boxes[at] = (name, [x0 - 3, y0, x1 - 3, y1 + 2])
    elif kind == 4:
        hands.press("2")
        boxes[at] = ("cat", [x0, y0, x1, y1])
    elif kind == 5:
        hands.press("x")
        hands.wait(lambda seen: len(seen["boxes"]) == len(boxes) - 1)
        hands.wait_saved()
        hands.press("u")
        hands.wait(lambda seen: len(seen["boxes"]) == len(boxes))
    else:
        hands.press(Keys.ENTER)
        hands.wait(lambda seen: seen["boxes"][at]["confirmed"])
    hands.wait(lambda seen: [(b["name"], b["corners"]) for b in seen["boxes"]] == boxes)
    hands.wait_saved()
    return boxes


def read_boxes(folder, stem):
    written = labelimg.read_labelimg(folder / f"{stem}.xml")
    return written, [(box.name, [box.xmin, box.ymin, box.xmax, box.ymax]) for box in written.boxes]


def test_fifty_drafts_by_keys_alone_with_the_server_killed_in_between(driver, tmp_path, start):
    drafts = make_drafts(tmp_path, NUM_DRAFTS)
    stems, expected = list(drafts), {}
    server, hands, opened = start(tmp_path), Hands(driver), 0
    seen = hands.open(server.address)
    for number in range(NUM_DRAFTS):
        stem = pathlib.PurePath(seen["name"]).stem
        assert stem == stems[number]
        expected[stem] = review_one(hands, number, seen)
        if number in (17, 31):  # with an image that is changed but not accepted
            hands.wait_pictures(number - opened + 2)  # a request that is cut off would be an error in the log
            server.kill()
            opened = number
            for done in expected:
                assert read_boxes(tmp_path, done)[1] == expected[done]
            server = start(tmp_path)
            seen = hands.open(server.address)
            assert pathlib.PurePath(seen["name"]).stem == stem and f"{number} of 50 accepted" in seen["counts"]
            assert [(box["name"], box["corners"]) for box in seen["boxes"]] == expected[stem]
        seen = hands.accept()
    assert seen["index"] == "none" and "All 50 images are accepted" in seen["message"]
    for stem, boxes in expected.items():
        written, found = read_boxes(tmp_path, stem)
        assert written.verified and found == boxes
        again = tmp_path / "again.xml"  # byte for byte what the writer makes of it, which is what LabelImg writes
        labelimg.write_labelimg(again, written, tmp_path / f"{stem}.jpg", folder=tmp_path.name)
        assert again.read_bytes() == (tmp_path / f"{stem}.xml").read_bytes()
        again.unlink()
    hands.press("q")
    from selenium.webdriver.common.keys import Keys

    hands.press(Keys.ENTER)
    hands.wait(lambda seen: seen["index"] == "ended")
    assert "50 of 50 images accepted, 0 left" in server.finish()
    assert not [path.name for path in tmp_path.iterdir() if path.suffix not in (".jpg", ".xml")]
    assert [entry for entry in driver.get_log("browser") if entry["level"] == "SEVERE"] == []


def test_the_drafts_of_a_round_are_reviewed_and_their_time_is_measured(driver, tmp_path, capsys):
    from selenium.webdriver.common.keys import Keys

    rows = {"a": [("cat", 0.9, 20, 20, 60, 80), ("dog", 0.6, 120, 10, 190, 90)], "b": [("dog", 0.6, 120, 10, 190, 90)]}
    questions = [
        make_question(
            rows[stem], name=f"pool/{stem}.jpg", path=draw_image(tmp_path / f"photos/{stem}.jpg", orientation=6)
        )
        for stem in rows
    ]
    oracle, answers = build.build_oracle("browser", label_map=make_label_map(CLASSES)), []
    (tmp_path / "rounds/001").mkdir(parents=True)
    thread = threading.Thread(target=lambda: answers.extend(oracle.ask(questions, tmp_path / "rounds/001")))
    thread.start()
    text = ""
    while "Ctrl-C" not in text and thread.is_alive():
        text += capsys.readouterr().out
        thread.join(0.05)
    hands = Hands(driver)
    seen = hands.open(re.search(r"http://\S+/", text)[0])
    assert seen["name"] == "pool/a.jpg"
    assert [box["selected"] for box in seen["boxes"]] == [False, True]  # the one with the lower score
    hands.press("x")
    hands.wait(lambda seen: len(seen["boxes"]) == 1)
    hands.press(Keys.ENTER)
    hands.wait(lambda seen: seen["boxes"][0]["confirmed"] and seen["saved"] == "saved")
    assert hands.accept()["name"] == "pool/b.jpg"
    hands.press("1", Keys.ARROW_RIGHT * 4)
    hands.wait(lambda seen: seen["boxes"][0]["name"] == "bee" and seen["saved"] == "saved")
    assert hands.accept()["index"] == "none"
    hands.press("q")
    hands.press(Keys.ENTER)
    thread.join(30)
    first, second = answers
    assert (first.verdict, first.edits, first.scores) == ("adopted", Edits(kept=1, deleted=1), (0.9,))
    assert first.annotation.boxes[0].name == "cat" and (first.annotation.width, first.annotation.height) == (200, 100)
    assert (second.verdict, second.edits) == ("adopted", Edits(relabelled=1))
    assert 0 < first.seconds < 60 and 0 < second.seconds < 60


def test_undo_leads_back_over_images_and_redo_forward(driver, tmp_path, start):
    make_drafts(tmp_path, 3)
    server, hands = start(tmp_path), Hands(driver)
    try:
        first = hands.open(server.address)
        before = (tmp_path / f"{pathlib.PurePath(first['name']).stem}.xml").read_bytes()
        hands.press("x")
        hands.wait(lambda seen: len(seen["boxes"]) == len(first["boxes"]) - 1)
        hands.wait_saved()
        hands.accept()
        hands.press("u")  # the acceptance
        seen = hands.wait(lambda seen: seen["index"] == "0" and not seen["accepted"] and seen["saved"] == "saved")
        assert len(seen["boxes"]) == len(first["boxes"]) - 1
        hands.press("u")
        hands.wait(lambda seen: len(seen["boxes"]) == len(first["boxes"]))
        hands.wait_saved()
        assert (tmp_path / f"{pathlib.PurePath(first['name']).stem}.xml").read_bytes() == before
        hands.press("y")
        hands.wait(lambda seen: len(seen["boxes"]) == len(first["boxes"]) - 1)
        hands.wait_saved()
        assert len(read_boxes(tmp_path, pathlib.PurePath(first["name"]).stem)[1]) == len(first["boxes"]) - 1
    finally:
        server.kill()


def test_a_file_that_changes_meanwhile_is_said_on_the_page_and_a_dead_server_too(driver, tmp_path, start):
    make_drafts(tmp_path, 2)
    server, hands = start(tmp_path), Hands(driver)
    seen = hands.open(server.address)
    path = tmp_path / f"{pathlib.PurePath(seen['name']).stem}.xml"
    other = Annotation(seen["name"], *SIZE, (Box("dog", 9, 9, 99, 99),))
    labelimg.write_labelimg(path, other, path.with_suffix(".jpg"))
    hands.press("x")
    hands.wait(lambda seen: "another program has changed" in seen["message"] and seen["saved"] == "not saved")
    assert labelimg.read_labelimg(path).boxes == other.boxes
    hands.press("r")
    hands.wait(lambda seen: [box["corners"] for box in seen["boxes"]] == [[9, 9, 99, 99]])
    server.kill()
    hands.press("x")
    hands.wait(lambda seen: "server does not answer" in seen["message"] and seen["saved"] == "not saved")
    assert labelimg.read_labelimg(path).boxes == other.boxes


def test_a_class_is_chosen_by_typing_and_an_image_without_xml_is_drawn_on(driver, tmp_path, start):
    from selenium.webdriver.common.keys import Keys

    Image.new("RGB", (7000, 7200), "green").save(tmp_path / "large.jpg")  # 50 megapixels
    server, hands = start(tmp_path), Hands(driver)
    try:
        hands.open(server.address)
        hands.press("w")
        hands.press("zebra", Keys.ENTER)
        (drawn,) = hands.wait(lambda seen: len(seen["boxes"]) == 1)["boxes"]
        hands.wait_saved()
        assert drawn["name"] == "zebra"
        hands.press("z")  # zooms to it, so that an arrow means fewer pixels
        hands.press_with(Keys.CONTROL, Keys.ARROW_RIGHT)
        hands.press("c")
        hands.press("gnu", Keys.ENTER)
        hands.wait(lambda seen: seen["boxes"][0]["name"] == "gnu")
        hands.press("f", " ")
        hands.wait(lambda seen: seen["index"] == "none")
        written = labelimg.read_labelimg(tmp_path / "large.xml")
        (box,) = written.boxes
        assert (written.width, written.height, written.verified) == (7000, 7200, True)
        assert (box.name, box.difficult) == ("gnu", True)
        assert drawn["corners"][2] < box.xmax < drawn["corners"][2] + 20
    finally:
        server.kill()
