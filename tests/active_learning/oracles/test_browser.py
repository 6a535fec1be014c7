"""The page in the browser as the oracle: the drafts of a round, reviewed by requests instead of a person's keys."""

import re
import threading

import pytest

from tests.active_learning import rounds_on_disk as disk
from tests.active_learning.questions import draw_image, make_question
from tests.labelling.pages import Browser, ignored, new_box
from tfodhelper import errors
from tfodhelper.active_learning import answers, rounds
from tfodhelper.active_learning.oracles import browser, build
from tfodhelper.active_learning.structures import ADOPTED, WAITING, Answer, Edits
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Box
from tfodhelper.labelling import server

CLASSES = ("cat", "cow", "dog")
FOUND = {
    "a": [("cat", 0.9, 5, 20, 60, 80), ("dog", 0.6, 120, 10, 199, 90)],
    "b": [("dog", 0.6, 120, 10, 199, 90)],
    "c": [],
}


class Review:
    """A round's folder with questions, and a person who does what `act` does with the page."""

    def __init__(self, tmp_path, monkeypatch, **image):
        self.folder, self.titles, self.act = tmp_path / "rounds" / "003", [], lambda page: None
        self.folder.mkdir(parents=True)
        self.questions = [
            make_question(rows, name=f"pool/{stem}.jpg", path=draw_image(tmp_path / "photos" / f"{stem}.jpg", **image))
            for stem, rows in FOUND.items()
        ]
        monkeypatch.setattr(browser.server, "serve", self._serve)

    def _serve(self, session, title, port):
        self.titles.append((title, port))
        self.act(Browser(session))
        session.close()

    def ask(self, act=None, method="ask", **options):
        self.act = act or (lambda page: None)
        oracle = build.build_oracle("browser", label_map=make_label_map(CLASSES), **options)
        answers = list(getattr(oracle, method)(iter(self.questions), self.folder))
        return {answer.name[5]: answer for answer in answers}


@pytest.fixture
def review(tmp_path, monkeypatch):
    return Review(tmp_path, monkeypatch)


def test_yes_no_and_corrections_become_the_answer(review):
    def act(page):
        a = page.get("images/0")
        assert a["name"] == "pool/a.jpg" and [box["score"] for box in a["boxes"]] == [0.9, 0.6]
        cat, dog = a["boxes"]
        dog["corners"] = [120, 10, 180, 85]
        page.save(a, [cat, dog], verified=True, seconds=4.0)
        page.save(page.get("images/1"), [new_box("cow", 1, 2, 30, 40)], verified=True, seconds=2.5)
        page.save(page.get("images/2"), [], verified=True)

    given = review.ask(act)
    assert review.titles == [("round 3: 3 drafts", 0)]
    assert {answer.verdict for answer in given.values()} == {ADOPTED}
    assert given["a"].edits == Edits(kept=1, moved=1) and given["a"].scores == (0.9, None)
    assert given["a"].annotation.boxes[0] == Box("cat", 5, 20, 60, 80)
    assert given["b"].edits == Edits(added=1, deleted=1)
    assert [given[name].seconds for name in "abc"] == [4.0, 2.5, None]


def test_a_no_becomes_an_ignored_region_with_the_corners_of_the_prediction(review):
    def act(page):
        a = page.get("images/0")
        cat, dog = a["boxes"]
        page.save(a, [cat, ignored(dog)], verified=True)
        b = page.get("images/1")
        page.save(b, [ignored(b["boxes"][0] | {"corners": [110, 10, 190, 90]})], verified=True)
        c = page.get("images/2")
        page.save(c, [ignored(new_box("cow", 1, 2, 30, 40))], verified=True)

    given = review.ask(act)
    assert {answer.verdict for answer in given.values()} == {ADOPTED}
    assert [given[name].edits for name in "abc"] == [Edits(kept=1, ignored=1), Edits(ignored=1), Edits(added=1)]
    assert [given[name].scores for name in "abc"] == [(0.9, 0.6), (None,), (None,)]
    cat, dog = given["a"].annotation.boxes
    assert (cat.weight, dog.weight) == (1, 0) and (dog.xmin, dog.xmax) == (120, 199)
    assert [box.weight for name in "bc" for box in given[name].annotation.boxes] == [0, 0]
    for answer in given.values():
        assert answers.from_json(answers.to_json(answer)) == answer


def test_the_instructions_in_the_review_folder_are_those_of_the_page(review):
    review.ask()
    text = (review.folder / "review" / "HOW_TO.txt").read_text(encoding="utf-8")
    assert "labelimg" not in text.lower() and "page in the browser" in text
    assert "overlap by more than 0.5 (intersection over union)" in text and "cat, cow, dog" in text
    used = {key.strip() for keys, _ in server._KEYS for key in re.split("[,+]| or ", keys)}
    assert {"Enter", "I", "X", "arrows", "Ctrl", "1 to 9", "C", "W", "U", "Q", "Space"} <= used


def test_what_cannot_be_adopted_is_shown_again(review, capsys):
    review.ask(lambda page: [page.save(page.get(f"images/{index}"), verified=True) for index in range(3)])
    path = next((review.folder / "review").glob("*_a.xml"))
    path.write_text(path.read_text().replace("<name>cat</name>", "<name>bird</name>"))

    def act(page):
        assert page.post("next", {"leaving": None})["index"] == 0
        doc = page.get("images/0")
        doc["boxes"][0]["class"] = "cow"
        page.save(doc, verified=True)

    given = review.ask(lambda page: None)
    said = capsys.readouterr().err
    assert given["a"].verdict == WAITING and "bird" in said and "correct it on the page" in said
    assert "LabelImg" not in said
    assert review.ask(act)["a"].edits == Edits(kept=1, relabelled=1)


def test_the_page_begins_with_the_first_question_and_knows_the_classes(review):
    def act(page):
        assert page.post("next", {"leaving": None})["index"] == 0
        assert [each["name"] for each in page.get("session")["classes"]] == list(CLASSES)
        assert page.save(page.get("images/0"), [new_box("bird", 1, 2, 3, 4)]).status_code == 422

    assert {answer.verdict for answer in review.ask(act).values()} == {WAITING}


def test_what_was_not_decided_waits_and_is_shown_again(review):
    given = review.ask(lambda page: page.save(page.get("images/1"), verified=True, seconds=3.0))
    assert {name: answer.verdict for name, answer in given.items()} == {"a": WAITING, "b": ADOPTED, "c": WAITING}
    assert given["b"].edits == Edits(kept=1)

    def act(page):
        assert page.post("next", {"leaving": None})["index"] == 0
        assert page.get("session")["counts"]["verified"] == 1
        for index in (0, 2):
            page.save(page.get(f"images/{index}"), verified=True, seconds=1.0)

    given = review.ask(act)
    assert [given[name].seconds for name in "abc"] == [1.0, 3.0, 1.0]
    review.ask(lambda page: pytest.fail("everything is decided"))
    assert len(review.titles) == 2


def test_answers_are_taken_without_a_page_when_nobody_is_waited_for(review):
    review.ask(lambda page: page.save(page.get("images/1"), verified=True))
    given = review.ask(lambda page: pytest.fail("a page was shown"), method="take_answers")
    assert [given[name].verdict for name in "abc"] == [WAITING, ADOPTED, WAITING]


class Undecided:
    """A person who is not to be waited for."""

    name = "undecided"

    def ask(self, questions, folder):
        raise AssertionError("a person was asked")

    def take_answers(self, questions, folder):
        for question in questions:
            yield Answer(question.image.name, WAITING)


def test_a_round_that_finishes_its_review_asks_nobody(tmp_path):
    space = disk.start(tmp_path / "w", ["cat"], [("a.jpg", "/photos/a.jpg")])
    round_ = space.begin_round(1, disk.SETTINGS)
    disk.add_predictions(round_, {"a.jpg": [("cat", 0.9, (1, 1, 20, 20))]})
    disk.add_selection(round_, [disk.chosen("a.jpg")], 1)
    assert rounds._ask(space, round_, Undecided(), True)
    assert [answer.verdict for answer in answers.read_answers(round_.answers_path)] == [WAITING]
    with pytest.raises(AssertionError, match="was asked"):
        rounds._ask(space, round_, Undecided(), False)


def test_images_that_exif_turns_are_shown_upright_and_answered_as_stored(tmp_path, monkeypatch):
    review = Review(tmp_path, monkeypatch, orientation=6)

    def act(page):
        doc = page.get("images/1")
        assert (doc["width"], doc["height"]) == (100, 200)
        page.save(doc, verified=True)

    answer = review.ask(act)["b"]
    assert answer.edits == Edits(kept=1)
    assert (answer.annotation.width, answer.annotation.height) == (200, 100)
    assert answer.annotation.boxes == (Box("dog", 120, 10, 199, 90, truncated=answer.annotation.boxes[0].truncated),)


def test_an_image_that_was_removed_from_the_review_folder_is_not_shown(review):
    review.ask()
    next((review.folder / "review").glob("*_a.jpg")).unlink()
    review.ask(lambda page: page.save(page.get("images/0"), verified=True))
    assert review.titles[-1][0] == "round 3: 2 drafts"


def test_a_port_that_cannot_be_used_is_said_and_the_drafts_remain(tmp_path, monkeypatch):
    questions = Review(tmp_path, monkeypatch).questions
    monkeypatch.undo()
    import socket

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        oracle = build.build_oracle("browser", port=other.getsockname()[1])
        with pytest.raises(errors.UsageError, match="--port"):
            list(oracle.ask(questions, tmp_path / "rounds" / "003"))
    assert (tmp_path / "rounds/003/review").is_dir()


def test_a_real_page_is_served_until_the_person_finishes(tmp_path, monkeypatch, capsys):
    import urllib.request

    questions = Review(tmp_path, monkeypatch).questions
    monkeypatch.undo()
    oracle, given = build.build_oracle("browser", label_map=make_label_map(CLASSES)), []
    thread = threading.Thread(target=lambda: given.extend(oracle.ask(questions, tmp_path / "rounds" / "003")))
    thread.start()
    text = ""
    while "Ctrl-C" not in text and thread.is_alive():
        text += capsys.readouterr().out
        thread.join(0.05)
    address = re.search(r"http://\S+/", text)[0]
    request = urllib.request.Request(address + "end", b"{}", {"Content-Type": "application/json"})
    urllib.request.urlopen(request).read()
    thread.join(20)
    assert [answer.verdict for answer in given] == [WAITING] * 3
