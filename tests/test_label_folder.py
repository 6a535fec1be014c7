"""The verb `label`: what is in a folder, what a detector suggests, and what is said at the end."""

import contextlib
import http.client
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
import urllib.request

import pytest

from tests.active_learning.questions import draw_image
from tests.labelling.pages import CAT, DOG, Browser, new_box
from tests.shared_data import REPOSITORY
from tfodhelper import errors, label_folder
from tfodhelper.annotations import label_map, labelimg
from tfodhelper.annotations.structures import Annotation
from tfodhelper.labelling.options import LabelOptions
from tfodhelper.prediction.detections import Detection, ImageDetections


def save(folder, name, boxes=None, verified=False, xml=None):
    path = draw_image(folder / name)
    if boxes is not None:
        target = folder / (xml or os.path.splitext(name)[0] + ".xml")
        labelimg.write_labelimg(target, Annotation(path.name, 200, 100, tuple(boxes), verified), path)


@pytest.fixture
def shown(monkeypatch):
    """Runs `label` with a function in place of the page; returns the counts."""

    def run(act, **options):
        def serve(session, title, port, on_ready=None):
            stop = on_ready(lambda: None) if on_ready else None
            act(Browser(session))
            session.close()
            if stop:
                stop()

        monkeypatch.setattr(label_folder.server, "serve", serve)
        return label_folder.label(LabelOptions(**options))

    return run


def test_images_with_and_without_xml_are_shown_in_the_order_of_their_names(tmp_path, shown, capsys):
    save(tmp_path, "b.jpg", [CAT], verified=True)
    save(tmp_path, "a.jpg")
    save(tmp_path, "deep/c.jpg", [DOG, DOG, CAT])

    def act(page):
        docs = [page.get(f"images/{index}") for index in range(3)]
        assert [(doc["name"], doc["exists"], doc["verified"]) for doc in docs] == [
            ("a.jpg", False, False),
            ("b.jpg", True, True),
            ("deep/c.jpg", True, False),
        ]
        assert [each["name"] for each in page.get("session")["classes"]] == ["cat", "dog"]
        page.save(docs[0], [], verified=True, seconds=5.0)

    counts = shown(act, data_dir=tmp_path)
    assert (counts.total, counts.verified, counts.changed) == (3, 2, 1)
    text = capsys.readouterr().out
    assert "3 images, 1 accepted before" in text
    assert "2 of 3 images accepted, 1 left; 1 XML file written" in text
    assert "5.0 s of work on 1 image" in text
    assert f"label --data_dir={tmp_path}" in text and f"check --data_dir={tmp_path}" in text


def test_a_folder_without_any_xml_can_be_labelled(tmp_path, shown):
    save(tmp_path, "a.jpg")
    shown(lambda page: page.save(page.get("images/0"), [], verified=True), data_dir=tmp_path)
    assert labelimg.read_labelimg(tmp_path / "a.xml").verified


def test_xml_files_may_have_a_folder_of_their_own(tmp_path, shown):
    save(tmp_path / "images", "deep/a.jpg")
    (tmp_path / "xml").mkdir()
    shown(
        lambda page: page.save(page.get("images/0"), []), image_dir=tmp_path / "images", annotation_dir=tmp_path / "xml"
    )
    assert (tmp_path / "xml/deep/a.xml").is_file()


def test_images_with_the_same_stem_get_files_of_their_own(tmp_path, shown):
    save(tmp_path, "a.jpg")
    draw_image(tmp_path / "a.png", format="PNG")

    def act(page):
        for index in (0, 1):
            page.save(page.get(f"images/{index}"), [], verified=True)

    shown(act, data_dir=tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.xml")) == ["a.jpg.xml", "a.png.xml"]
    assert shown(lambda page: None, data_dir=tmp_path).verified == 2  # they are found again


def test_images_that_several_files_claim_are_left_out(tmp_path, shown, capsys):
    save(tmp_path, "a.jpg")
    save(tmp_path, "b.jpg", [DOG])
    for folder, box in (("x", CAT), ("y", DOG)):
        (tmp_path / folder).mkdir()
        labelimg.write_labelimg(tmp_path / folder / "a.xml", Annotation("a.jpg", 200, 100, (box,)), tmp_path / "a.jpg")
    names = []
    counts = shown(lambda page: names.append(page.get("images/0")["name"]), data_dir=tmp_path)
    assert (names, counts.total) == (["b.jpg"], 1)
    assert "1 image is left out" in capsys.readouterr().err


def test_a_label_map_fixes_the_classes(tmp_path, shown):
    save(tmp_path, "a.jpg", [CAT])
    label_map.write_label_map(tmp_path / "label_map.pbtxt", label_map.make_label_map(["cat", "cow"]))

    def act(page):
        session = page.get("session")
        assert [each["name"] for each in session["classes"]] == ["cat", "cow"] and session["is_fixed"]

    shown(act, data_dir=tmp_path, label_map=tmp_path / "label_map.pbtxt")


class Model:
    """Finds a cat with the score that the name of the image says; cannot read those called bad."""

    names, label_map = {1: "cat", 2: "cow"}, object()

    def __init__(self):
        self.paths = []

    def stream(self, paths, batch_size, score_threshold, keep_masks):
        from tfodhelper.prediction.predictor import Outcome

        for path in paths:
            self.paths.append(os.path.basename(path))
            stem = os.path.splitext(os.path.basename(path))[0]
            if stem == "bad":
                yield Outcome(path, problem="damaged")
                continue
            score = int(stem) / 100
            found = (Detection("cat", 1, score, 20, 5, 80, 60), Detection("cow", 2, score / 3, 21, 5, 80, 60))
            yield Outcome(path, ImageDetections(path, 200, 100, found))


def test_a_detector_suggests_boxes_and_the_most_doubtful_images_come_first(tmp_path, shown, monkeypatch):
    for name in ("90.jpg", "55.jpg", "20.jpg", "bad.jpg"):
        save(tmp_path, name)
    save(tmp_path, "10.jpg", [DOG])
    model = Model()
    monkeypatch.setattr(label_folder, "_load_model", lambda options: model)
    monkeypatch.setattr(label_folder.saved_models, "find_model", lambda path: path)

    def act(page):
        while page.get("session")["counts"]["pending"]:
            time.sleep(0.01)
        order, leaving = [], None
        for _ in range(5):
            leaving = page.post("next", {"leaving": leaving})["index"]
            order.append(page.get(f"images/{leaving}"))
        assert [doc["name"] for doc in order[:3]] == ["55.jpg", "90.jpg", "20.jpg"]  # 90: the cow has 30 %
        assert [[(box["class"], box["score"]) for box in doc["boxes"]] for doc in order[:3]] == [
            [("cat", 0.55)],
            [("cat", 0.9)],
            [],
        ]
        assert {doc["name"]: len(doc["boxes"]) for doc in order[3:]} == {"10.jpg": 1, "bad.jpg": 0}
        assert [each["name"] for each in page.get("session")["classes"]] == ["cat", "cow", "dog"]

    shown(act, data_dir=tmp_path, saved_model_dir="model")
    assert "10.jpg" not in model.paths and len(model.paths) == 4
    assert sorted(path.name for path in tmp_path.glob("*.xml")) == ["10.xml"]


def test_a_detector_that_fails_ends_the_page_with_its_error(tmp_path, shown, monkeypatch):
    save(tmp_path, "a.jpg")

    class Broken(Model):
        def stream(self, paths, **_):
            raise errors.PredictionError("the model is broken")

    monkeypatch.setattr(label_folder, "_load_model", lambda options: Broken())
    monkeypatch.setattr(label_folder.saved_models, "find_model", lambda path: path)
    with pytest.raises(errors.PredictionError, match="broken"):
        shown(lambda page: None, data_dir=tmp_path, saved_model_dir="model")


def test_the_command_to_continue_has_the_flags_that_were_given(tmp_path, shown, capsys):
    save(tmp_path, "a.jpg")
    save(tmp_path, "label me.jpg")
    label_map.write_label_map(tmp_path / "m.pbtxt", label_map.make_label_map(["cat"]))
    flags = {"data_dir": str(tmp_path), "label_map": str(tmp_path / "m.pbtxt"), "port": 8765}
    shown(lambda page: None, **flags)
    last = [line for line in capsys.readouterr().out.splitlines() if " label " in line][-1]
    words = shlex.split(last)
    assert words[words.index("label") + 1 :] == [f"--{name}={value}" for name, value in flags.items()]


def test_doubt_is_largest_at_one_half():
    assert label_folder.doubt_of([]) == 0 and label_folder.doubt_of([1.0]) == 0
    assert label_folder.doubt_of([0.9, 0.5]) == 1
    assert label_folder.doubt_of([0.25]) == label_folder.doubt_of([0.75, 1.0]) == 0.5


def test_what_cannot_be_labelled_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.DatasetError, match="no images"):
        label_folder.label(LabelOptions(data_dir=tmp_path))
    with pytest.raises(errors.DatasetError, match="does not exist"):
        label_folder.label(LabelOptions(data_dir=tmp_path / "nowhere"))
    with pytest.raises(errors.UsageError, match="not given"):
        label_folder.label(LabelOptions())
    save(tmp_path, "a.jpg")
    with pytest.raises(errors.PredictionError, match="no SavedModel"):
        label_folder.label(LabelOptions(data_dir=tmp_path, saved_model_dir=tmp_path))


class Started:
    """`tfodhelper label` in a process of its own."""

    def __init__(self, folder, *flags):
        command = [sys.executable, "-u", "-m", "tfodhelper", "label", f"--data_dir={folder}", *flags]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.lines = []
        for line in self.process.stdout:
            self.lines.append(line)
            if "Ctrl-C" in line:
                break
        self.address = re.search(r"http://\S+", "".join(self.lines))[0]

    def call(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        return json.loads(urllib.request.urlopen(request, timeout=20).read())

    def end(self, number):
        self.process.send_signal(number)
        text = self.process.communicate(timeout=30)[0]
        return self.process.returncode, text


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [(signal.SIGINT, 0, "1 of 2 images accepted"), (signal.SIGTERM, 143, "stopped"), (signal.SIGKILL, -9, "")],
)
def test_however_it_ends_what_was_saved_is_on_disk(tmp_path, number, status, words):
    save(tmp_path, "a.jpg")
    save(tmp_path, "b.jpg", [CAT])
    started = Started(tmp_path)
    doc = started.call("images/0")
    edit = {"version": doc["version"], "base": doc["base"], "verified": True, "seconds": 1.0, "boxes": []}
    assert started.call("images/0", edit)["exists"]
    assert labelimg.read_labelimg(tmp_path / "a.xml").verified
    ended, text = started.end(number)
    assert ended == status and words in text and "Traceback" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jpg", "a.xml", "b.jpg", "b.xml"]


@pytest.mark.slow
def test_a_kill_at_any_moment_loses_nothing_that_was_answered(tmp_path):
    """Changes follow each other without a pause; the last one that was answered, or the next, is on disk as a whole."""
    save(tmp_path, "a.jpg", [CAT])
    rng = random.Random(6)
    for _ in range(8):
        started = Started(tmp_path)
        doc, answered, number = started.call("images/0"), None, 0
        edit = {"version": doc["version"], "base": doc["base"], "verified": False, "seconds": 0.0}
        with contextlib.suppress(OSError, http.client.HTTPException):
            while True:
                number += 1
                edit["boxes"] = [new_box("cat", 5, 20, 60 + number % 100, 80) for _ in range(200)]
                edit["version"] = started.call("images/0", edit)["version"]
                answered = number
                if number == 1:
                    threading.Timer(rng.uniform(0, 0.3), started.process.kill).start()
        started.process.wait(20)
        boxes = labelimg.read_labelimg(tmp_path / "a.xml").boxes
        assert number > 1 and answered == number - 1
        assert len(boxes) == 200 and {box.xmax for box in boxes} <= {60 + last % 100 for last in (number - 1, number)}
    shown_names = sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("."))
    assert shown_names == ["a.jpg", "a.xml"]


def test_temporary_files_of_a_killed_page_are_removed_by_the_next_one(tmp_path, shown):
    save(tmp_path, "a.jpg")
    (tmp_path / ".a.xml.12345.tmp").write_text("<annotation>")
    shown(lambda page: None, data_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.jpg"]
