"""Rounds that relabel, with real training on very small images, and killed at random moments."""

import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.active_learning import tiny_workspace
from tests.shared_data import REPOSITORY
from tfodhelper.active_learning import rounds, standing, workspace
from tfodhelper.annotations import labelimg

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A workspace after one round that adopted whatever was confirmed; the second one is trained."""
    exercise = tiny_workspace.make_exercise(tmp_path_factory.mktemp("exercise"))
    law = {"min_box_worth": 0.0, "trial": "last", "relabel": True}
    folder = tiny_workspace.init_confirmed(exercise, tmp_path_factory.mktemp("begun") / "w", **law)
    assert rounds.run_rounds(folder, 1, close=True) == rounds.DONE
    second = workspace.Workspace(folder).rounds()[-1]
    second.state.pop("trial")  # what was adopted stays, whatever four steps of training make of it
    second.state.pop("continues_with", None)
    second.save()
    return folder


@pytest.fixture(scope="module")
def finished(begun, tmp_path_factory):
    """The second round relabels, and a third one is trained with and without that."""
    folder = tmp_path_factory.mktemp("finished") / "w"
    shutil.copytree(begun, folder, symlinks=True)
    assert rounds.run_rounds(folder, 2, changes={"trial": "last"}, close=True) == rounds.DONE
    return workspace.Workspace(folder)


def boxes_of_set(space, names):
    """{name: boxes} by the files of the set."""
    return {name: labelimg.read_labelimg((space.set_dir / name).with_suffix(".xml")).boxes for name in names}


def boxes_that_stand(space):
    found = standing.read(space.rounds(), space.standing())
    return {answer.name: answer.annotation.boxes for answer, _ in found}


def test_what_was_adopted_is_relabelled_by_the_second_model_and_tried_in_the_third_round(finished):
    first, second, third = finished.rounds()
    adopted = finished.standing(before=2, tried_before=3)
    changes = {answer.name: answer.verdict for answer in standing.read_relabelled(second)}
    assert changes and changes.keys() == adopted.keys()
    trial = third.state["trial"]
    assert trial["relabelled"] == len(changes) and trial["against"] == "last"
    own = boxes_that_stand(finished)
    assert own and boxes_of_set(finished, own) == own
    rounds_of = {image.boxes for name, image in finished.standing().items() if name in changes}
    assert rounds_of <= ({1} if trial["lost"] else {2})


def test_killed_at_any_moment_it_comes_to_the_same_boxes(finished, begun, tmp_path):
    folder = tmp_path / "w"
    shutil.copytree(begun, folder, symlinks=True)
    code = "from tfodhelper.active_learning import rounds; from tfodhelper import tensorflow_setup as setup; "
    code += f"setup.prepare_training(); rounds.run_rounds({str(folder)!r}, 2, changes={{'trial': 'last'}}, close=True)"
    command = [sys.executable, "-c", code]
    chance = random.Random(11)
    for _ in range(2):
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(6, 25))
        process.send_signal(signal.SIGKILL)
        process.wait()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    space = workspace.Workspace(folder)
    assert (space.rounds()[1].relabelled_path).read_text() == (finished.rounds()[1].relabelled_path).read_text()
    assert space.standing(tried_before=3) == finished.standing(tried_before=3)
    own = boxes_that_stand(space)
    assert boxes_of_set(space, own) == own
