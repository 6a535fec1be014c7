"""What adoption had to prove, in the report and in `active status`, against a workspace written by hand."""

import dataclasses
import json
import shutil

from tests.active_learning import rounds_on_disk as disk
from tests.active_learning.adoption.test_class_worth import worth
from tfodhelper import sheets
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.adoption import class_worth, trial
from tfodhelper.active_learning.report import law_tables, report, reporting, round_facts, tables


def rounds_with_law(folder):
    """Two rounds: the first one adopted cats, dogs were not good enough; the second one lost against its control."""
    space = disk.two_rounds(folder)
    first, second = space.rounds()
    worths = [worth(95, 100, "cat", close=71, objects=130, missed=12), worth(26, 100, "dog", score=0.55)]
    first.state.update({"worth": class_worth.to_facts(worths, 0.8), "held_back": 14})
    first.save()
    lost = trial.Trial("control", "DetectionBoxes_Precision/mAP", 0.4, 0.45, True, 2, error=0.02)
    second.state.update({"trial": trial.to_facts(lost), "continues_with": "rounds/002/control"})
    second.save()
    control = second.control_dir
    (control / "checkpoints").mkdir(parents=True)
    line = json.dumps({"step": 70, "metrics": disk.metrics(0.8, {"cat": 0.8, "dog": 0.8}, 0.45)}) + "\n"
    (control / "checkpoints" / "evaluations.jsonl").write_text(line)
    phases = {"convert": {"seconds": 1.0}, "train": {"seconds": 2.5}}
    (control / "run.json").write_text(json.dumps({"settings": {"data": {}}, "phases": phases, "finished": True}))
    (control / "data").symlink_to(first.training_dir / "data")
    return space


def test_the_figures_of_a_round_that_lost_are_those_of_the_model_it_goes_on_with(tmp_path):
    first, second = round_facts.read_rounds(rounds_with_law(tmp_path).folder)
    assert (second.step, second.map5095, second.train) == (70, 0.45, first.train)
    assert second.seconds["control"] == 3.5 and second.seconds["train"] == 20.0
    assert second.seconds["other"] == 0.0  # 28 s in all
    assert (first.held_back, first.least_worth, len(first.worth), second.worth) == (14, 0.8, 2, ())


def test_tables_of_trials_and_worth(tmp_path):
    space = rounds_with_law(tmp_path)
    rounds, names = round_facts.read_rounds(space.folder), round_facts.read_class_names(space.folder)
    assert law_tables.show_trials(rounds, names).rows == (
        (
            *("2", "2", "the same training without", "DetectionBoxes_Precision/mAP", "0.400", "0.450"),
            "lost: they went back to the pool",
        ),
    )
    table = law_tables.show_worth(rounds, names)
    assert table.rows == (
        ("1", "cat", "100", "95", "71", "95.0%", "130", "12", "adopts"),
        ("1", "dog", "100", "26", "0", "26.0%", "0", "0", "below"),
    )
    assert "required: round 1: 80.0%" in table.note
    state = rounds[1].trial
    stays = [dataclasses.replace(rounds[1], trial=dataclasses.replace(state, lost=False, error=0.0612))]
    assert law_tables.show_trials(stays, names).rows[0][-1] == "within chance (standard error 0.061): they stay"
    assert law_tables.show_trials(rounds[:1], names) is None and law_tables.show_worth(rounds[1:], names) is None
    assert {"Did adopted images pay?", "What boxes are worth"} <= {t.title for t in tables.make_tables(rounds, names)}


def test_csv_files(tmp_path):
    space = rounds_with_law(tmp_path)
    made = report.write_report(space.folder)
    folder = made.folder
    lines = list(sheets.read_csv(folder / "worth.csv", law_tables.WORTH_HEADER))
    assert [(row["class"], row["score_from"], row["boxes"], row["right_at_iou_50"]) for row in lines] == [
        ("cat", "", "100", "95"),
        ("cat", "0.7", "100", "95"),
        ("dog", "", "100", "26"),
        ("dog", "0.5", "100", "26"),
    ]
    (row,) = sheets.read_csv(folder / "trials.csv", law_tables.TRIAL_HEADER)
    assert (row["relabelled"], row["standard_error"]) == ("0", "0.02")
    assert (row["round"], row["against"], row["value"], row["other"], row["lost"]) == (
        *("2", "control", "0.4", "0.45"),
        "1",
    )
    assert "What boxes are worth" in made.page.read_text(encoding="utf-8")


def test_status_says_it_in_words(tmp_path, capsys):
    space = rounds_with_law(tmp_path)
    space.validation_list.write_text("validation/v1.jpg\n")
    reporting.say_status(space.folder)
    said = capsys.readouterr().out
    assert "dog: 26 of 100 boxes would be right; nothing adopted; draw some, or train longer" in said
    assert "cat: 95 of 100 boxes would be right, 71 at IoU 0.75; 12 of 130 objects missed" in said
    assert "14 confirmed images stay in the pool: confirmed.csv of the round lists them" in said
    assert "round 2 learned from 2 images with boxes that nobody has seen" in said and "lost" in said
    assert "saved_model_dir=" + str(space.folder / "rounds/002/control/export/best") in said.replace("'", "")


def test_classes_beyond_the_first_ones_are_counted(tmp_path):
    worths = [worth(9, 9, f"class {i}") for i in range(20)]
    state = {"worth": class_worth.to_facts(worths, 0.8), "held_back": 0}
    lines = reporting.describe_worth(state, {f"class {i}": i for i in range(3, 20)})
    assert lines[0].startswith("class 19: ") and len(lines) == 13 and lines[-1].startswith("5 more classes")
    assert len(reporting.describe_worth(state, {"class 3": 1})) == 1


def test_images_with_records_of_their_own_count_as_learned_from(tmp_path):
    space = disk.two_rounds(tmp_path)
    before, _ = round_facts.read_rounds(space.folder)
    (first, _) = space.rounds()
    beside = workspace.adopted_records_of(first.training_dir)
    shutil.copytree(first.training_dir / "data", beside)
    after, _ = round_facts.read_rounds(space.folder)
    _, validation = round_facts._read_sets(beside, round_facts.read_class_names(space.folder), {})  # where they are
    assert validation.images > 0 and after.train == before.train + validation
