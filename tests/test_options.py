"""Options that describe themselves: kinds, bounds, words, flags, stored values."""

import dataclasses
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import tfodhelper
from tests.shared_data import REPOSITORY
from tfodhelper import errors, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes(options.Options):
    title = "Sizes"

    side: int = options.option(300, "A side.", least=16, most=2000)
    batch: int | str | None = options.option(None, "Images.", least=1, words=("any",))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job(Sizes):
    title = "Job"

    folder: options.Path = options.option(options.REQUIRED, "A folder.")
    start: options.Path = options.option("zoo", "A start.", words=("zoo", "none"))
    rate: float | None = options.option(None, "A rate.", least=0)
    fast: bool = options.option(False, "Whether.", former="quick", may_change=True)
    mode: str = options.option("a", "A mode.", choices={"a": "one", "b": "other"})
    changes: options.Texts = options.option((), "Changes.", flag="set")
    side: int = options.like(Sizes, "side", 640)
    kept: int = 3


def described(name):
    return next(each for each in options.options_of(Job) if each.name == name)


def test_each_annotation_is_a_kind():
    assert {each.name: (each.kind, each.takes_none) for each in options.options_of(Job)} == {
        "side": ("int", False),
        "batch": ("int", True),
        "folder": ("path", False),
        "start": ("path", False),
        "rate": ("float", True),
        "fast": ("bool", False),
        "mode": ("string", False),
        "changes": ("texts", False),
    }


def test_an_option_keeps_the_title_of_the_class_that_brings_it_in():
    titles = {each.name: each.title for each in options.options_of(Job)}
    assert (titles["side"], titles["batch"], titles["fast"]) == ("Sizes", "Sizes", "Job")
    assert (described("side").default, described("side").least) == (640, 16)
    assert (described("folder").is_required, described("folder").default) == (True, None)
    assert (described("changes").flag, described("fast").flag) == ("set", "fast")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("side", "a whole number from 16 to 2000"),
        ("batch", "any, or a whole number, at least 1"),
        ("folder", "a path"),
        ("start", "zoo, none, or a path"),
        ("rate", "a number, at least 0"),
        ("fast", "true or false"),
        ("mode", "one of a, b"),
    ],
)
def test_what_is_expected_is_said_in_words(name, expected):
    assert described(name).expected == expected


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("side", "16", 16),
        ("side", "0x20", 32),
        ("batch", "ANY", "any"),
        ("batch", "7", 7),
        ("rate", "1e-3", 0.001),
        ("fast", "T", True),
        ("fast", "0", False),
        ("mode", "b", "b"),
        ("start", "none", "none"),
        ("folder", "~/x", os.path.expanduser("~/x")),
        ("changes", "a=1", "a=1"),
    ],
)
def test_a_text_becomes_a_value(name, text, value):
    parsed = described(name).parse(text)
    assert (parsed, type(parsed)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("side", text) for text in ("15", "2001", "1.5", "x", "1e2")),
        *(("batch", text) for text in ("0", "all")),
        *(("rate", text) for text in ("-0.1", "nan", "fast")),
        *(("fast", text) for text in ("maybe", "2")),
        *(("mode", text) for text in ("c", "A")),
    ],
)
def test_a_text_that_is_no_value_is_refused_with_flag_expected_and_received(name, text):
    with pytest.raises(errors.UsageError) as caught:
        described(name).parse(text)
    assert caught.value.what == f"--{name}={text}: invalid value"
    assert (caught.value.expected, str(caught.value.received)) == (described(name).expected, text)


@pytest.mark.parametrize("text", ["", "  ", "--side=3"])
@pytest.mark.parametrize("name", ["folder", "changes", "start"])
def test_a_forgotten_value_is_said(name, text):
    with pytest.raises(errors.UsageError, match="is given without a value"):
        described(name).parse(text)


@pytest.mark.parametrize(
    "values",
    [
        {"side": 15},
        {"side": 16.0},
        {"side": True},
        {"side": None},
        {"batch": 0},
        {"batch": "all"},
        {"rate": math.nan},
        {"rate": -1},
        {"rate": "1"},
        {"fast": 1},
        {"mode": "c"},
        {"changes": "a=1"},
        {"changes": (1,)},
        {"folder": 3},
        {"folder": None},
    ],
)
def test_an_invalid_value_is_refused_when_the_object_is_made(values):
    (name,) = values
    with pytest.raises(errors.UsageError, match=f"--{described(name).flag}=") as caught:
        Job(**{"folder": "x", **values})
    assert caught.value.expected == described(name).expected


@pytest.mark.parametrize("values", [{"rate": 1}, {"rate": np.float32(0.5)}, {"side": np.int64(20)}, {"batch": "any"}])
def test_valid_values_are_kept_as_they_are(values):
    (name,) = values
    assert getattr(Job(folder=pathlib.Path("x"), **values), name) is values[name]


def test_a_list_of_texts_becomes_a_tuple():
    assert Job(folder="x", changes=["a", "b"]).changes == ("a", "b")


def test_a_near_choice_is_proposed():
    option = dataclasses.replace(described("mode"), choices=("balanced", "random"))
    assert option.refuse("balance").fix == "did you mean balanced?"


def test_parts_of_a_job_are_picked():
    job = Job(folder="x", side=20, kept=5)
    assert options.pick(Sizes, job) == Sizes(side=20)
    assert options.pick(Sizes, job, side=30) == Sizes(side=30)
    assert options.pick(Job, Sizes(side=40), folder="y", kept=1) == Job(folder="y", side=40, kept=1)


def test_values_are_stored_as_json_has_them():
    job = Job(folder=pathlib.Path("x/y"), changes=("a",))
    assert described("folder").to_json(job.folder) == "x/y"
    assert described("changes").to_json(job.changes) == ["a"]
    assert described("folder").absolute("x/../y") == os.path.abspath("y")
    assert (described("start").absolute("none"), described("mode").absolute("b")) == ("none", "b")


def test_stored_values_are_read_under_todays_names_with_defaults():
    assert options.rename_former(Job, {"quick": True, "more": 1}) == {"fast": True, "more": 1}
    defaults = {"batch": None, "start": "zoo", "rate": None, "mode": "a", "changes": []}
    assert options.complete(Job, {"quick": True, "side": 20}) == defaults | {"side": 20, "fast": True}


MODULES = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    for path in pathlib.Path(tfodhelper.__file__).parent.rglob("options.py")
)


@pytest.mark.parametrize("module", MODULES)
def test_options_are_known_without_any_library(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & {"numpy", "tensorflow", "lxml", "PIL", "absl", "google.protobuf", "pandas"}


def test_there_are_options_in_every_room_that_has_a_verb():
    rooms = {module.split(".")[1] for module in MODULES} - {"options"}
    assert rooms >= {"dataset", "records", "config", "training", "exporting", "prediction", "review", "formats", "zoo"}
