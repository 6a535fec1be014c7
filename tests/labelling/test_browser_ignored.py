"""Ignored regions in a real Chromium: one key, undone like everything else, and there again after a kill."""

import pathlib

import pytest
from PIL import Image

from tests.labelling.chromium import Hands
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box

pytestmark = pytest.mark.slow

SIZE = (320, 240)
CAT, DOG = Box("cat", 20, 30, 120, 130, weight=0.8), Box("dog", 150, 60, 280, 200)


@pytest.fixture
def folder(tmp_path):
    for stem in "ab":
        path = tmp_path / f"{stem}.jpg"
        Image.new("RGB", SIZE, "seagreen").save(path)
        labelimg.write_labelimg(tmp_path / f"{stem}.xml", Annotation(path.name, *SIZE, (CAT, DOG)), path)
    return tmp_path


def weights_of(folder, stem):
    return [box.weight for box in labelimg.read_labelimg(folder / f"{stem}.xml").boxes]


def test_one_key_makes_an_ignored_region(driver, folder, start):
    from selenium.webdriver.common.keys import Keys

    server, hands = start(folder), Hands(driver)
    seen = hands.open(server.address)
    stem = pathlib.PurePath(seen["name"]).stem
    before = [(folder / f"{stem}{ending}").read_bytes() for ending in (".xml", ".weights.json")]
    assert [box["selected"] for box in seen["boxes"]] == [True, False] and "counts 0.8" in seen["boxes"][0]["detail"]
    hands.press("i")
    seen = hands.wait(lambda seen: seen["boxes"][0]["ignored"] and seen["saved"] == "saved")
    assert "ignored" in seen["boxes"][0]["detail"] and seen["boxes"][0]["confirmed"]
    assert [box["selected"] for box in seen["boxes"]] == [False, True]  # the next doubtful one
    assert weights_of(folder, stem) == [0, 1]
    hands.press("u")
    hands.wait(lambda seen: not seen["boxes"][0]["ignored"] and seen["saved"] == "saved")
    assert [(folder / f"{stem}{ending}").read_bytes() for ending in (".xml", ".weights.json")] == before
    hands.press("y")
    hands.wait(lambda seen: seen["boxes"][0]["ignored"] and seen["saved"] == "saved")
    server.kill()
    assert weights_of(folder, stem) == [0, 1]
    server = start(folder)
    seen = hands.open(server.address)
    assert pathlib.PurePath(seen["name"]).stem == stem
    assert [(box["ignored"], box["selected"]) for box in seen["boxes"]] == [(True, False), (False, True)]
    hands.press("i")
    seen = hands.wait(lambda seen: seen["boxes"][1]["ignored"] and seen["saved"] == "saved")
    assert "All boxes are confirmed" in seen["message"]
    hands.press(Keys.TAB, Keys.TAB, "i")  # an object again
    hands.wait(lambda seen: not seen["boxes"][1]["ignored"] and seen["saved"] == "saved")
    hands.press(Keys.ARROW_RIGHT)
    hands.press(Keys.TAB, Keys.ARROW_DOWN)  # the ignored region is moved, and stays one
    hands.wait(lambda seen: seen["boxes"][0]["corners"] == [20, 31, 120, 131] and seen["saved"] == "saved")
    hands.accept()
    written = labelimg.read_labelimg(folder / f"{stem}.xml")
    assert written.verified and not written.skipped
    assert written.boxes == (Box("cat", 20, 31, 120, 131, weight=0.0), Box("dog", 151, 60, 281, 200))
    assert hands.accept()["index"] == "none"
    assert weights_of(folder, "a") == [0, 1] and weights_of(folder, "b") == [1, 1]
    assert not (folder / "b.weights.json").exists()
    assert [entry for entry in driver.get_log("browser") if "CONNECTION_REFUSED" not in entry["message"]] == []
