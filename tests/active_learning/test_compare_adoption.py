"""The table of ways to adopt, and the exercise that all of them get."""

import csv
import importlib.util
import pathlib
import sys

import pytest

from tests.active_learning import rounds_on_disk as disk
from tests.dataset.scan.picture_set import save_pair
from tests.shared_data import REPOSITORY
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.pool import predictions
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Box


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("compare_adoption", REPOSITORY / "scripts" / "compare_adoption.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_recovered_share_is_that_of_each_seed(script):
    rows = [
        *(("bees", 0, arm, adopted, ap, 0.0) for arm, adopted, ap in (("A", 0, 0.2), ("C", 10, 0.3), ("F", 20, 0.4))),
        *(("bees", 1, arm, adopted, ap, 0.0) for arm, adopted, ap in (("A", 0, 0.4), ("C", 12, 0.35), ("F", 20, 0.5))),
    ]
    table = {row[1]: row[2:] for row in script.summarize(rows)}
    assert table["A"] == pytest.approx((2, 0, 0.3, 0.02**0.5, 0, 0, 0))
    assert table["F"][4:] == pytest.approx((1, 0, 1))
    # Of 0.1 / 0.2 and -0.05 / 0.1.
    assert table["C"] == pytest.approx((2, 11, 0.325, 0.05 / 2**0.5, 0, 0.5**0.5, -0.5))


def test_no_share_where_true_boxes_are_not_better(script, tmp_path):
    rows = [("buoys", 0, arm, 3, ap, 0.0) for arm, ap in (("A", 0.5), ("C", 0.6), ("F", 0.4))]
    assert all(row[6:] == (None, None, None) for row in script.summarize(rows))
    assert script.summarize(rows[1:2]) == [("buoys", "C", 1, 3, 0.6, 0.0, None, None, None)]
    script.write_results(tmp_path, rows)
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 4


def test_the_exercise_hides_boxes_and_keeps_classes(script, tmp_path):
    for number in range(30):
        boxes = [Box("cat", 4, 5, 30, 40)] if number % 3 else []
        boxes += [Box("dog", 34, 5, 60, 40)] if number % 3 == 2 else []
        save_pair(tmp_path / "set", f"image_{number:02d}", boxes, seed=number)
    folder = tmp_path / "exercise"
    for _ in range(2):  # the second time it is there
        script.make_exercise(tmp_path / "set", folder, 6, seed=1)
    names = {part: {path.name for path in (folder / part).glob("*.jpg")} for part in ("labelled", "validation", "test")}
    pool, truth = ({path.name for path in (folder / part).glob("*.jpg")} for part in ("pool", "truth"))
    assert len(names["labelled"]) == 6 and pool == truth and not list((folder / "pool").glob("*.xml"))
    groups = [*names.values(), pool]
    assert sum(map(len, groups)) == 30 and len(set().union(*groups)) == 30 and all(groups)
    rows = list(csv.DictReader((folder / "classes.csv").read_text().splitlines()))
    assert {row["image"] for row in rows} == pool
    for row in rows:
        boxes = labelimg.read_labelimg(folder / "truth" / pathlib.Path(row["image"]).with_suffix(".xml")).boxes
        assert row["classes"] == ("|".join(box.name for box in boxes) or "|")
    other = tmp_path / "other"
    script.make_exercise(tmp_path / "set", other, 6, seed=2)
    assert {path.name for path in (other / "test").glob("*.jpg")} == names["test"]
    assert {path.name for path in (other / "labelled").glob("*.jpg")} != names["labelled"]


def test_several_rounds_have_a_figure_each_and_resume(script, tmp_path, monkeypatch):
    exercise = tmp_path / "comparison" / "bees" / "seed-4"
    called = []

    def call(*flags):
        called.append(flags)
        space = workspace.Workspace(next(flag for flag in flags if "--workspace" in flag).partition("=")[2])
        if "--until=train" in flags:
            disk.finish(space.begin_round(len(space.rounds()) + 1, disk.SETTINGS), train=1.0)
        else:
            disk.add_answers(space.rounds()[-1], [])
            disk.finish(space.rounds()[-1], predict=1.0, select=1.0, ask=1.0, merge=1.0)

    teacher = disk.start(exercise / "teacher", ["cat"])
    disk.finish(teacher.begin_round(1, disk.SETTINGS), train=1.0, predict=2.0)
    (teacher.folder / "predicted").touch()
    figures = iter((0.3, 0.4, 0.5))
    monkeypatch.setattr(script, "_call", call)
    monkeypatch.setattr(script, "make_exercise", lambda *_: None)
    monkeypatch.setattr(script, "evaluate", lambda *_: {"AP50": next(figures), "AP": 0.1})
    output = tmp_path / "comparison"
    flags = ["compare_adoption.py", "--set=bees=folder", f"--output_dir={output}", "--seeds=4", "--arms=A"]
    monkeypatch.setattr(sys, "argv", [*flags, "--rounds=2"])
    script.main()
    monkeypatch.setattr(sys, "argv", [*flags, "--rounds=3"])
    script.main()  # the first two are there
    rows = csv.DictReader((output / "results.csv").read_text().splitlines())
    by_arm = {row["arm"]: float(row["AP50"]) for row in rows}
    assert by_arm == {"A": 0.3, "A after 2 rounds": 0.4, "A after 3 rounds": 0.5}
    asking, training = script.ARMS["A"]
    space = f"--workspace={exercise / 'A'}"
    assert called == 3 * [("round", space, *asking), ("round", space, "--until=train", *training)]
    assert len(teacher.rounds()) == 1 and len(workspace.Workspace(exercise / "A").rounds()) == 4


def test_the_arm_that_adopts_the_whole_pool_has_one_round(script, tmp_path, monkeypatch, capsys):
    flags = ["--set=bees=folder", f"--output_dir={tmp_path}", "--arms=A,F", "--rounds=2"]
    monkeypatch.setattr(sys, "argv", ["compare_adoption.py", *flags])
    with pytest.raises(SystemExit):
        script.main()
    assert "arm F, which adopts the whole pool in the first round" in capsys.readouterr().err


def test_an_arm_that_sees_otherwise_predicts_again(script, tmp_path):
    assert tuple(arm for arm, (asking, _) in script.ARMS.items() if "--views=fused" in asking) == script.SEES_OTHERWISE
    space = disk.start(tmp_path / "w", ["cat"])
    round_ = space.begin_round(1, disk.SETTINGS)
    predictions.keep_plan(round_.predictions_dir, predictions.Plan(0, 1, "", "", 0.05, 100))
    disk.finish(round_, train=1.0, predict=2.0)
    script.forget_predictions(space.folder)
    (again,) = space.rounds()
    assert again.has("train") and again.next_phase == "predict" and not again.predictions_dir.exists()
