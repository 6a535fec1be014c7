"""Runs side by side."""

import csv
import json
import shutil

import pytest

import tfodhelper
from tests.reporting import harmless, stored_run
from tfodhelper.cli import main
from tfodhelper.config import pipeline as pipelines
from tfodhelper.reporting import compare, run_facts


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    return [stored_run.make_run(folder / "first"), stored_run.make_run(folder / "second", seed=1, steps=30)]


def test_figures_classes_and_differences_are_those_of_the_runs(runs, tmp_path, capsys):
    assert main.main(["compare", *map(str, runs), f"--output_dir={tmp_path / 'out'}"]) == 0
    out = capsys.readouterr().out
    compared = json.loads((tmp_path / "out" / "comparison.json").read_text())
    facts = [run_facts.read_run(folder) for folder in runs]
    assert compared["labels"] == ["first", "second"] and compared["same_validation"]
    assert compared["figures"]["mAP"] == pytest.approx([0.4, 0.5]) and compared["figures"]["best step"] == [20, 30]
    assert compared["figures"]["F1"] == [each.analysis["summary"]["f1"] for each in facts]
    for name, values in compared["classes"].items():
        entries = [next(e for e in each.analysis["per_class"] if e["name"] == name) for each in facts]
        assert values == [entry["ap50"] for entry in entries]
        if None not in values:
            assert f"{values[1] - values[0]:+.3f}" in out
    differences = compared["differences"]
    assert differences["--num_steps"] == differences["train_config.num_steps"] == ["20", "30"]
    assert differences["--batch_size"] == ["2", "3"] and differences["train_config.batch_size"] == ["2", "3"]
    assert not any("label_map_path" in name for name in differences)  # each run has its own, in its own folder
    assert "--model" not in differences and "model.ssd.num_classes" not in differences
    with open(tmp_path / "out" / "figures.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["figure", "first", "second"] and ["best step", "20", "30"] in rows
    text = (tmp_path / "out" / compare.PAGE).read_text(encoding="utf-8")
    assert "train_config.num_steps" in text and "<script" not in text and text.count("data:image/png") == 1


def test_names_of_classes_and_runs_are_only_text(runs, tmp_path, monkeypatch):
    read = run_facts.read_run

    def renamed(path):
        facts = read(path)
        for entries in (facts.manifest.classes, facts.analysis["per_class"], facts.analysis["curves"]["per_class"]):
            for entry, name in zip(entries, harmless.NAMES):
                entry["name"] = name
        return facts

    others = [tmp_path / "<img src=x onerror=alert(1)>", tmp_path / "b\u202egpj"]
    for run, other in zip(runs, others):
        shutil.copytree(run, other)
    monkeypatch.setattr(run_facts, "read_run", renamed)
    tfodhelper.compare(runs=others, output_dir=tmp_path / "out")
    text = (tmp_path / "out" / compare.PAGE).read_text(encoding="utf-8")
    harmless.assert_harmless(text, (*harmless.NAMES, "<img src=x onerror=alert(1)>", "b\u202egpj"))


def test_other_validation_images_are_warned_of(runs, tmp_path, capsys):
    other = stored_run.make_run(tmp_path / "apart" / "first", images=8)
    result = tfodhelper.compare(runs=[runs[0], other])
    assert not result.same_validation and "different validation images" in capsys.readouterr().err
    assert result.runs == (str(runs[0]), str(other))  # both are called "first"
    assert result.figures["mAP"] == pytest.approx([0.4, 0.4])


def test_the_same_run_differs_in_nothing(runs, capsys):
    result = tfodhelper.compare(runs=[runs[0], runs[0]])
    assert result.differences == {} and "are the same" in capsys.readouterr().out


def test_fields_of_a_message_have_their_paths():
    anchors = "anchor_generator { ssd_anchor_generator { aspect_ratios: 1 aspect_ratios: 2 } }"
    text = "model { ssd { num_classes: 3 " + anchors + " } }"
    text += " train_config { data_augmentation_options { random_horizontal_flip { } } }"
    fields = compare.fields_of(pipelines.parse_pipeline(text))
    assert fields == {
        "model.ssd.num_classes": 3,
        "model.ssd.anchor_generator.ssd_anchor_generator.aspect_ratios[0]": 1.0,
        "model.ssd.anchor_generator.ssd_anchor_generator.aspect_ratios[1]": 2.0,
        "train_config.data_augmentation_options[0].random_horizontal_flip": "{}",
    }


def test_one_run_is_not_enough(runs, capsys):
    assert main.main(["compare", str(runs[0])]) == 2
    assert "at least two runs" in capsys.readouterr().err
