"""Rounds as a whole, with real training on very small images: what is adopted, what survives a kill, who is asked."""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.active_learning import rounds_on_disk, tiny_workspace
from tests.shared_data import REPOSITORY
from tfodhelper import errors, sheets, storage
from tfodhelper.active_learning import answers, rounds, workspace
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.selection import selection
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Answer
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exercise(tmp_path_factory):
    return tiny_workspace.make_exercise(tmp_path_factory.mktemp("exercise"))


@pytest.fixture(scope="module")
def finished(exercise, tmp_path_factory):
    """A workspace after two rounds and the training after them."""
    folder = tiny_workspace.init(exercise, tmp_path_factory.mktemp("finished") / "w")
    assert rounds.run_rounds(folder, 2, close=True) == rounds.DONE
    return workspace.Workspace(folder)


def final_set(space):
    """{name: XML of the set}, and what lineage.csv says, as plain values."""
    texts = {
        path.relative_to(space.set_dir).as_posix(): path.read_text(encoding="utf-8").replace(str(space.folder), "W")
        for path in sorted(space.set_dir.rglob("*.xml"))
    }
    return texts, list(sheets.read_csv(space.folder / "lineage.csv"))


def test_each_round_adopts_what_it_chose_with_the_true_boxes(finished, exercise):
    all_rounds = finished.rounds()
    assert [round_.is_finished for round_ in all_rounds] == [True, True, False]
    assert all_rounds[2].next_phase == "predict"
    adopted = finished.adopted()
    assert len(adopted) == 10 and sorted(adopted.values()) == [1] * 5 + [2] * 5
    for round_ in all_rounds[:2]:
        chosen = [entry.name for entry in selection.read_selection(round_.folder).chosen]
        assert sorted(chosen) == sorted(name for name, number in adopted.items() if number == round_.number)
        assert len(selection.read_selection(round_.folder).random) == 5
    for name in adopted:
        stem = pathlib.PurePosixPath(name).stem
        truth = labelimg.read_labelimg(exercise / "truth" / f"{stem}.xml")
        ours = labelimg.read_labelimg((finished.set_dir / name).with_suffix(".xml"))
        assert {(b.name, b.xmin, b.ymin, b.xmax, b.ymax) for b in ours.boxes} == {
            (b.name, b.xmin, b.ymin, b.xmax, b.ymax) for b in truth.boxes
        }
        assert (finished.set_dir / name).resolve().parent == (exercise / "pool").resolve()


def test_each_round_trains_on_what_was_adopted_before_and_never_on_the_validation(finished):
    for round_, expected in zip(finished.rounds(), (12, 17, 22)):
        manifest = storage.read_json(round_.training_dir / "data" / "manifest.json")
        sides = {side: {i["path"] for i in manifest["images"] if i["split"] == side} for side in ("train", "validate")}
        assert len(sides["train"]) == expected
        assert sides["validate"] == set(finished.validation())


def test_a_round_continues_from_the_last_model(finished):
    config = (finished.rounds()[1].training_dir / "pipeline.config").read_text(encoding="utf-8")
    assert "rounds/001/training/export/best/checkpoint" in config
    assert 'fine_tune_checkpoint_type: "full"' in config


def test_the_lineage_names_round_model_oracle_and_edits(finished):
    rows = list(sheets.read_csv(finished.folder / "lineage.csv"))
    assert len(rows) == 10
    for row in rows:
        assert row["round"] in ("1", "2") and row["oracle"] == "simulated"
        assert (finished.folder / row["model"] / "saved_model").is_dir()
        kinds = [int(row[kind]) for kind in ("kept", "moved", "relabelled", "added")]
        assert sum(kinds) == int(row["boxes"])
        assert os.path.isfile(row["path"])


def test_killed_at_any_moment_it_ends_with_the_same_sets(finished, exercise, tmp_path):
    folder = tiny_workspace.init(exercise, tmp_path / "w")
    command = [sys.executable, "-m", "tfodhelper", "active", "run", "--rounds=2", f"--workspace={folder}"]
    chance = random.Random(8)
    for _ in range(2):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(4, 25))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert final_set(workspace.Workspace(folder)) == final_set(finished)


def test_killed_before_the_report_the_same_command_writes_it_and_begins_no_further_round(
    finished, tmp_path, monkeypatch
):
    folder = tmp_path / "w"
    shutil.copytree(finished.folder, folder, symlinks=True)
    shutil.rmtree(folder / "rounds" / "003")
    path = folder / "rounds" / "002" / "round.json"
    state = json.loads(path.read_text())
    assert state["reported"] is True
    path.write_text(json.dumps(state | {"reported": False}))
    shutil.rmtree(folder / "report")
    (folder / "lineage.csv").unlink()
    budget = state["settings"]["selection"]["budget"]
    assert rounds.run_rounds(folder, changes={"selection": {"budget": budget}}) == rounds.DONE
    assert (folder / "report" / "index.html").is_file() and (folder / "lineage.csv").is_file()
    assert json.loads(path.read_text())["reported"] is True and len(workspace.Workspace(folder).rounds()) == 2
    begun = []
    monkeypatch.setattr(rounds, "_advance", lambda *_: begun.append(1) or rounds.DONE)
    rounds.run_rounds(folder)
    path.write_text(json.dumps(state | {"reported": False}))
    rounds.run_rounds(folder, changes={"selection": {"budget": budget + 1}})  # another command
    assert len(begun) == 2 and json.loads(path.read_text())["reported"] is True


def test_a_second_process_is_refused(finished):
    with storage.hold(finished.folder), pytest.raises(errors.StorageError, match="another process is using this"):
        rounds.run_rounds(finished.folder)


def test_settings_of_a_round_that_has_begun_cannot_change(finished):
    with pytest.raises(errors.UsageError, match="training: round 3 has begun with different settings"):
        rounds.run_rounds(finished.folder, changes={"training": {"num_steps": 7}})


class OwnOracle:
    """Adopts every second image as a negative; as a user might write it."""

    name = "mine"

    def ask(self, questions, folder):
        for number, question in enumerate(questions):
            predicted = question.prediction.found
            empty = Annotation(os.path.basename(question.image.path), predicted.width, predicted.height, ())
            if number == 0:
                strange = Annotation("x", predicted.width, predicted.height, (Box("zebra", 1, 1, 5, 5),))
                yield Answer(question.image.name, ADOPTED, strange, scores=(None,))
            elif number % 2:
                yield Answer(question.image.name, ADOPTED, empty)
            else:
                yield Answer(question.image.name, REFUSED, reason="even")


def test_an_oracle_of_ones_own_and_a_changed_budget(finished, exercise, tmp_path, capsys):
    folder = tmp_path / "w"
    shutil.copytree(finished.folder, folder, symlinks=True)
    changes = {"selection": {"budget": 6, "rule": "random"}}
    assert rounds.run_rounds(folder, changes=changes, oracle=OwnOracle()) == rounds.DONE
    said = capsys.readouterr().out
    assert "mine: 3 adopted, 3 refused" in said and "class 'zebra' is not in the label map" in said
    space = workspace.Workspace(folder)
    new = [name for name, number in space.adopted().items() if number == 3]
    assert len(new) == 3
    assert all(labelimg.read_labelimg((space.set_dir / name).with_suffix(".xml")).boxes == () for name in new)
    assert not {name for name, number in finished.adopted().items()} & set(new)


def test_a_round_waits_for_a_person(exercise, finished, tmp_path, capsys):
    folder = tmp_path / "w"
    shutil.copytree(finished.folder, folder, symlinks=True)
    changes = {"oracle": {"name": "labelimg"}, "selection": {"budget": 3}}
    assert rounds.run_rounds(folder, changes=changes) == rounds.WAITS
    space = workspace.Workspace(folder)
    review = space.rounds()[2].folder / "review"
    drafts = sorted(review.glob("*.xml"))
    assert len(drafts) == 3
    text = drafts[0].read_text(encoding="utf-8")
    drafts[0].write_text(text.replace("<annotation>", '<annotation verified="yes">'), encoding="utf-8")
    capsys.readouterr()
    assert rounds.run_rounds(folder) == rounds.WAITS
    assert "1 adopted, 2 waiting" in capsys.readouterr().out
    assert rounds.run_rounds(folder, finish_review=True) == rounds.DONE
    assert sum(number == 3 for number in space.adopted().values()) == 1
    assert drafts[1].is_file()  # unverified drafts stay where they are


def test_there_is_no_review_to_finish_where_nobody_reviews(finished):
    with pytest.raises(errors.UsageError, match="--finish_review: the oracle simulated answers at once"):
        rounds.run_rounds(finished.folder, finish_review=True)
    assert len(workspace.Workspace(finished.folder).rounds()) == 3


def test_when_the_pool_is_used_up_what_was_adopted_last_is_learned_too(finished, tmp_path, monkeypatch, capsys):
    folder, trained = tmp_path / "w", []
    shutil.copytree(finished.folder, folder, symlinks=True)
    monkeypatch.setattr(
        rounds, "_train", lambda space, round_: trained.append(len(space.training_names(round_.number)))
    )
    changes = {"selection": {"budget": 0}}
    assert rounds.run_rounds(folder, 5, changes=changes, close=True) == rounds.EMPTY
    assert trained == [tiny_workspace.NUM_LABELLED + tiny_workspace.NUM_POOL]
    assert rounds.run_rounds(folder, 5, close=True) == rounds.EMPTY
    assert len(trained) == 1
    assert "the pool is used up" in capsys.readouterr().out


def test_a_missing_pool_is_reported_before_the_training(finished, tmp_path, monkeypatch):
    monkeypatch.setattr(rounds, "_train", lambda space, round_: None)
    stays = next(finished.open_pool()).name
    for number, is_refused in enumerate((False, True)):  # the prediction skips missing images of a pool
        folder = tmp_path / str(number)
        shutil.copytree(finished.folder, folder, symlinks=True)
        shutil.rmtree(folder / "rounds" / "003")
        rows = [
            (image.name, image.path if image.name == stays and not is_refused else f"/gone{image.path}", "")
            for image in finished.pool()
        ]
        sheets.write_csv(folder / "pool.csv", workspace.POOL_HEADER, rows)
        if is_refused:
            with pytest.raises(errors.DatasetError, match="none of the images of the pool exists"):
                rounds.run_rounds(folder, until="train")
        else:
            assert rounds.run_rounds(folder, until="train") == "train"


def test_images_that_cannot_be_read_are_named_on_one_line(finished, tmp_path, capsys):
    pool = [(f"pool/{i}.jpg", f"/pool/{i}.jpg") for i in range(4)]
    round_ = rounds_on_disk.start(tmp_path, ["cat"], pool).begin_round(1, rounds_on_disk.SETTINGS)
    predictions.keep_plan(round_.predictions_dir, predictions.Plan(4, 4, "", "", 0.05, 100))
    reason = "is cut off\n  expected: a whole image"
    predictions.write_part(
        round_.predictions_dir, 0, [], [predictions.Unreadable(n, p, f"{p}: {reason}") for n, p in pool]
    )
    rounds._say_unreadable(round_, 4)
    (said,) = capsys.readouterr().err.splitlines()
    assert "4 images of the pool cannot be read and will stay there: /pool/0.jpg: is cut off, /pool/1.jpg: " in said
    assert "/pool/3.jpg" not in said and "part-*.unreadable.jsonl" in said


def test_shares_are_predicted_separately_and_a_lost_image_is_refused(finished, exercise, tmp_path, capsys):
    folder, pool = tmp_path / "w", tmp_path / "pool"
    shutil.copytree(finished.folder, folder, symlinks=True)
    shutil.copytree(exercise / "pool", pool)
    table = folder / "pool.csv"
    table.write_text(table.read_text(encoding="utf-8").replace(str(exercise / "pool"), str(pool)), encoding="utf-8")
    for number in (1, 2):
        rounds.predict_share(folder, (number, 2))
    assert rounds.run_rounds(folder, until="ask") == "ask"
    space = workspace.Workspace(folder)
    round_ = space.rounds()[2]
    adopted = [answer.name for answer in answers.read_answers(round_.answers_path) if answer.verdict == ADOPTED]
    (pool / pathlib.PurePosixPath(adopted[0]).name).unlink()
    assert rounds.run_rounds(folder) == rounds.DONE
    assert sorted(name for name, number in space.adopted().items() if number == 3) == sorted(adopted[1:])
    assert "the image can no longer be read" in capsys.readouterr().out
    with pytest.raises(errors.DatasetError, match="no round is waiting for predictions"):
        rounds.predict_share(folder, (1, 1))
