"""Answers as JSON lines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.active_learning import answers
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, WAITING, Answer, Edits
from tfodhelper.annotations.structures import Annotation, Box

ADOPTED_ONE = Answer(
    "pool/a b.jpg",
    ADOPTED,
    Annotation("a b.jpg", 640, 480, (Box("Käfer", 1, 2.5, 30, 40), Box("cat", 0, 0, 9, 9, True, True, "Left")), True),
    "verified by a person",
    Edits(kept=1, added=1),
    (0.123457, None),
    12.5,
)
REFUSED_ONE = Answer("pool/b.jpg", REFUSED, reason="nothing was found")


def test_written_and_read(tmp_path):
    path = tmp_path / "answers.jsonl"
    all_ = [ADOPTED_ONE, REFUSED_ONE, Answer("pool/c.jpg", WAITING)]
    counts = answers.write_answers(path, iter(all_), add=lambda answer: {"path": f"/photos/{answer.name}"})
    assert counts == {"adopted": 1, "refused": 1, "waiting": 1}
    assert list(answers.read_answers(path)) == all_
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0])
    assert first["path"] == "/photos/pool/a b.jpg"
    assert first["annotation"]["boxes"][0] == {"class": "Käfer", "xmin": 1.0, "ymin": 2.5, "xmax": 30.0, "ymax": 40.0}


def test_seconds_are_left_out_where_nobody_measured_them():
    assert answers.to_json(ADOPTED_ONE)["seconds"] == 12.5
    assert "seconds" not in answers.to_json(REFUSED_ONE)


@pytest.mark.parametrize("seconds", [-1, "soon", float("inf"), [1]])
def test_seconds_that_are_not_a_duration_are_refused(tmp_path, seconds):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(answers.to_json(REFUSED_ONE) | {"seconds": seconds}) + "\n")
    with pytest.raises(errors.StorageError, match="line 1"):
        list(answers.read_answers(path))


def test_nothing_is_written_when_the_oracle_fails(tmp_path):
    path = tmp_path / "answers.jsonl"
    answers.write_answers(path, [REFUSED_ONE])

    def fail():
        yield ADOPTED_ONE
        raise errors.DatasetError("the disk is missing")

    with pytest.raises(errors.DatasetError):
        answers.write_answers(path, fail())
    assert list(answers.read_answers(path)) == [REFUSED_ONE] and len(list(tmp_path.iterdir())) == 1


texts = st.text(st.characters(codec="utf-8"), max_size=8)
sides = st.floats(-1e6, 1e6)
fractions = st.floats(0, 1)
some_boxes = st.builds(
    Box, texts, *[sides] * 4, st.booleans(), st.booleans(), texts, weight=fractions, location_weight=fractions
)


@given(st.lists(some_boxes, max_size=3), st.integers(1, 9), st.booleans(), texts)
def test_round_trip(boxes, size, verified, text):
    annotation = Annotation(text, size, size, tuple(boxes), verified)
    answer = Answer(text, ADOPTED, annotation, text, Edits(moved=size), (None,) * len(boxes))
    assert answers.from_json(json.loads(json.dumps(answers.to_json(answer)))) == answer


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"annotation": None},
        {"verdict": "refused"},
        {"edits": {"kept": 1, "thrown": 2}},
        {"scores": 3},
        {"annotation": {"filename": "a", "width": 1, "height": 1, "verified": False, "boxes": [{"class": "cat"}]}},
    ],
)
def test_a_malformed_line_is_named(tmp_path, change):
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps(answers.to_json(ADOPTED_ONE) | change), encoding="utf-8")
    with pytest.raises(errors.StorageError, match="answers.jsonl, line 1"):
        list(answers.read_answers(path))


@pytest.mark.parametrize("data", [b"{", b"[1]", b"\xff\n", b"null"])
def test_any_bytes(tmp_path, data):
    path = tmp_path / "answers.jsonl"
    path.write_bytes(data)
    with pytest.raises(errors.StorageError, match=r"answers\.jsonl"):
        list(answers.read_answers(path))


def test_a_missing_file(tmp_path):
    with pytest.raises(errors.StorageError, match="cannot be read"):
        list(answers.read_answers(tmp_path / "answers.jsonl"))
