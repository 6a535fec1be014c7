"""Oracles by name."""

import dataclasses

import pytest

from tfodhelper import errors
from tfodhelper.active_learning.oracles import build
from tfodhelper.options import options_of


@pytest.mark.parametrize("name", build.OPTIONS)
def test_each_option_has_a_default_and_says_what_it_is(tmp_path, name):
    (tmp_path / "a.xml").write_text("<annotation/>", encoding="utf-8")
    needed = {"simulated": {"truth_dir": str(tmp_path)}}
    needed["label_studio"] = {"studio_url": "http://localhost:8080", "studio_project": 1}
    given = needed.get(name, {})
    oracle = build.build_oracle(name, **given)
    assert oracle.name == name and callable(oracle.ask)
    described = options_of(build.OPTIONS[name])
    assert [each.name for each in described] == [field.name for field in dataclasses.fields(build.OPTIONS[name])]
    for each in described:
        assert each.text[0].islower() and not each.is_required
        assert not each.choices or each.default in each.choices


@pytest.mark.parametrize(
    "name, options, message",
    [
        ("image-label", {}, "did you mean 'image_label'"),
        ("image_label", {"score_treshold": 0.3}, "did you mean 'score_threshold'"),
        ("image_label", {"score_threshold": 1.5}, "a number from 0 to 1"),
        ("image_label", {"score_threshold": float("nan")}, "a number from 0 to 1"),
        ("image_label", {"score_threshold": "0.5"}, "a number from 0 to 1"),
        ("image_label", {"max_overlap": None}, "a number from 0 to 1"),
        ("image_label", {"several_boxes": "two"}, "one of best, all, zones, refuse"),
        ("labelimg", {"review_images": "none"}, "one of link, copy"),
        ("simulated", {}, "truth_dir"),
        ("simulated", {"truth_dir": "/not/there"}, "no such folder"),
    ],
)
def test_invalid_options_are_refused(name, options, message):
    with pytest.raises(errors.UsageError, match=message):
        build.build_oracle(name, **options)


def test_an_option_may_be_left_open():
    build.build_oracle("image_label", min_box_score=None)
