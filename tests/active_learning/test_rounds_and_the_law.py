"""Rounds whose boxes nobody looks at, with real training on very small images: adopted, tried and given back."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.active_learning import tiny_workspace
from tests.shared_data import REPOSITORY
from tfodhelper.active_learning import answers, rounds, workspace
from tfodhelper.active_learning.adoption import class_worth, law
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import reporting
from tfodhelper.active_learning.structures import ADOPTED

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exercise(tmp_path_factory):
    return tiny_workspace.make_exercise(tmp_path_factory.mktemp("exercise"))


@pytest.fixture(scope="module")
def begun(exercise, tmp_path_factory):
    """A workspace whose first round is trained and has predicted the pool."""
    folder = tiny_workspace.init_confirmed(exercise, tmp_path_factory.mktemp("begun") / "w")
    assert rounds.run_rounds(folder, until="predict") == "predict"
    return folder


def copy(folder, target):
    shutil.copytree(folder, target, symlinks=True)
    return target


@pytest.fixture(scope="module")
def tried(begun, tmp_path_factory):
    """One round that adopts whatever is confirmed; the second one is trained and compared with a training without."""
    folder = copy(begun, tmp_path_factory.mktemp("tried") / "w")
    assert rounds.run_rounds(folder, changes={"min_box_worth": 0.0}) == rounds.DONE
    assert rounds.run_rounds(folder, until="train") == "train"
    return folder


@pytest.fixture(scope="module")
def finished(tried, tmp_path_factory):
    folder = copy(tried, tmp_path_factory.mktemp("finished") / "w")
    assert rounds.run_rounds(folder) == rounds.DONE
    return workspace.Workspace(folder)


def outcome(space):
    """What must be the same however often the process was killed; weights may differ in their last bits."""
    first, second = space.rounds()
    adopted = [answer for answer in answers.read_answers(first.answers_path) if answer.verdict == ADOPTED]
    trial = {key: second.state["trial"][key] for key in ("against", "metric", "lost", "images")}
    lists = [(second.folder / name).read_text(encoding="utf-8") for name in ("train.txt", "control.txt")]
    files = sorted(path.name for path in (space.set_dir / "pool").iterdir())
    return adopted, first.state["worth"], trial, lists, space.adopted(), files


def test_boxes_that_nobody_saw_are_on_trial_in_the_next_round(finished):
    first, second = finished.rounds()
    assert "trial" not in first.state and first.state["worth"]["least"] == 0.0
    on_trial = finished.on_trial(2)
    assert on_trial and second.state["trial"]["images"] == len(on_trial)
    assert second.state["trial"]["against"] == "control"
    names = (second.folder / "train.txt").read_text(encoding="utf-8").split()
    without = (second.folder / "control.txt").read_text(encoding="utf-8").split()
    assert set(names) - set(without) == on_trial and len(without) == tiny_workspace.NUM_LABELLED
    assert (second.control_dir / "export" / "best" / "saved_model").is_dir()


def test_killed_at_any_moment_it_comes_to_the_same_verdict(finished, begun, tmp_path):
    folder = copy(begun, tmp_path / "w")
    # As `active run --rounds=2`, which would begin a third round at the end.
    code = "from tfodhelper.active_learning import rounds; from tfodhelper import tensorflow_setup as setup; "
    code += f"setup.prepare_training(); rounds.run_rounds({str(folder)!r}, 2, changes={{'min_box_worth': 0.0}})"
    command = [sys.executable, "-c", code]
    chance = random.Random(4)
    for _ in range(2):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(8, 30))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert outcome(workspace.Workspace(folder)) == outcome(finished)


def test_a_round_that_lost_gives_its_images_back_and_continues_with_the_other_model(tried, tmp_path):
    folder = copy(tried, tmp_path / "w")
    space = workspace.Workspace(folder)
    given_back, second = space.on_trial(2), space.rounds()[1]
    second.state["trial"]["lost"] = True
    second.state["continues_with"] = "rounds/002/control"
    second.save()
    assert given_back <= {image.name for image in space.open_pool(before=2)}
    assert all((space.set_dir / name).exists() for name in given_back)
    assert rounds.run_rounds(folder, until="predict") == "predict"
    assert not any((space.set_dir / name).exists() for name in given_back)
    predicted = {each.name for each in predictions.read_predictions(second.predictions_dir)}
    assert given_back <= predicted and len(predicted) == tiny_workspace.NUM_POOL
    assert rounds.run_rounds(folder) == rounds.DONE
    assert all(number == 2 for number in space.adopted().values())  # those that were adopted again


def test_a_detector_too_weak_to_adopt_adopts_nothing(begun, tmp_path, capsys):
    folder = copy(begun, tmp_path / "w")
    assert rounds.run_rounds(folder) == rounds.DONE
    said = capsys.readouterr().out
    space = workspace.Workspace(folder)
    (round_,) = space.rounds()
    assert space.adopted() == {} and round_.state["worth"]["least"] == 0.8
    held = round_.state["held_back"]
    assert held > 0 and f"{held} confirmed image" in said and "nothing adopted" in said
    lines = (round_.folder / class_worth.CONFIRMED).read_text(encoding="utf-8").splitlines()
    assert len(lines) == held + 1 and lines[0].split(",") == list(law.CONFIRMED_HEADER)
    assert space.on_trial(2) == set()
    reporting.say_status(folder)
    assert "nothing adopted" in capsys.readouterr().out
