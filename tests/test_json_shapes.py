"""What JSON files must contain."""

from typing import Any

import pytest

from tfodhelper import errors, json_shapes, storage

SHAPE = {"step": int, "metrics": {str: (float, None)}, "names": [str], "done": bool, "more?": {"a": int}, "any": Any}
GOOD = {"step": 1, "metrics": {"x": 0.5, "y": None, "z": 2}, "names": ["a"], "done": True, "any": [{}], "extra": 1}


@pytest.mark.parametrize("value", [GOOD, GOOD | {"more": {"a": 1, "b": None}}, GOOD | {"names": [], "metrics": {}}])
def test_values_of_the_shape(value):
    json_shapes.check(value, SHAPE)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"step": True}, "step of the content: true, which is not a whole number"),
        ({"step": 1.5}, "1.5, which is not a whole number"),
        ({"step": "1"}, '"1", which is not a whole number'),
        ({"metrics": {"x": []}}, "x of metrics of the content: \\[\\], which is not a number"),
        ({"metrics": None}, "metrics of the content: null, which is not an object"),
        ({"names": ["a", 1]}, "item 2 of names of the content: 1, which is not text"),
        ({"done": 0}, "0, which is not true or false"),
        ({"more": {}}, "more of the content: no 'a'"),
        ({"metrics": {"x" * 10_000: "y"}}, "more characters"),
    ],
)
def test_a_different_value_is_named(change, problem):
    with pytest.raises(ValueError, match=problem):
        json_shapes.check(GOOD | change, SHAPE)


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="the content: no 'step'"):
        json_shapes.check({}, SHAPE)


@pytest.mark.parametrize("value", [[1] * 10**6, {str(n): [n] for n in range(10**5)}, "x" * 10**6, [[[[1]]]]])
def test_a_large_value_is_not_quoted_as_a_whole(value):
    with pytest.raises(ValueError) as caught:
        json_shapes.check({"step": value}, {"step": int})
    assert len(str(caught.value)) < 300


def test_a_line_of_a_different_shape_is_named(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"step": 1}\n{"step": null}\n', encoding="utf-8")
    with pytest.raises(errors.StorageError, match="a.jsonl, line 2: .*step of the content"):
        list(storage.read_json_lines(tmp_path / "a.jsonl", storage.LineForm("a step", shape={"step": int})))
