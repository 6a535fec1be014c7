"""The table of ways to adopt, and the exercise that all of them get."""

import csv
import importlib.util
import pathlib

import pytest

from tests.active_learning import rounds_on_disk as disk
from tests.dataset.scan.picture_set import save_pair
from tests.shared_data import REPOSITORY
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


def test_an_arm_that_sees_otherwise_predicts_again(script, tmp_path):
    assert tuple(arm for arm, (asking, _) in script.ARMS.items() if "--views=fused" in asking) == script.SEES_OTHERWISE
    space = disk.start(tmp_path / "w", ["cat"])
    round_ = space.begin_round(1, disk.SETTINGS)
    predictions.keep_plan(round_.predictions_dir, predictions.Plan(0, 1, "", "", 0.05, 100))
    disk.finish(round_, train=1.0, predict=2.0)
    script.forget_predictions(space.folder)
    (again,) = space.rounds()
    assert again.has("train") and again.next_phase == "predict" and not again.predictions_dir.exists()
