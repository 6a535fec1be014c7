"""Labels of which one thing more is right, by hand."""

import importlib.util

import pytest

from tests.active_learning import rounds_on_disk as disk
from tests.active_learning.questions import make_question
from tests.shared_data import REPOSITORY
from tfodhelper.active_learning.structures import ADOPTED, Answer
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("compare_labels", REPOSITORY / "scripts" / "compare_labels.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TRUE = (Box("cat", 10, 10, 50, 50), Box("dog", 100, 10, 140, 50))
BOXES = (
    Box("cat", 10, 10, 50, 42, weight=0.9),  # on the cat, by 0.8
    Box("cat", 10, 12, 50, 50, weight=0.8),  # on the same cat
    Box("cat", 100, 10, 140, 50, weight=0.7),  # on the dog
    Box("dog", 100, 30, 140, 50, weight=0.0),  # an ignored region
)


@pytest.mark.parametrize(
    "name, weights, first",
    [
        ("sure", [0.9, 0, 0, 0], 42),
        ("placed", [0.9, 0.8, 0.7, 0], 50),
        ("both", [0.9, 0, 0, 0], 50),
        ("counted", [1, 0, 0, 0], 50),
    ],
)
def test_one_thing_more_is_right(script, name, weights, first):
    corrected = script.correct(BOXES, TRUE, **script.LABELS[name])
    assert [box.weight for box in corrected] == weights
    assert corrected[0].ymax == first
    assert [(box.name, box.ymin) for box in corrected] == [("cat", 10), ("cat", 12), ("cat", 10), ("dog", 30)]


def test_an_object_that_counts_twice_is_right_once(script):
    both = script.correct(BOXES[1::-1], TRUE, ignore_wrong=True)
    assert [box.weight for box in both] == [0.8, 0]  # the better fit of the first box is taken then
    assert script.correct((), TRUE, ignore_wrong=True) == []
    assert [box.weight for box in script.correct(BOXES[:1], (), ignore_wrong=True)] == [0]


def test_an_exercise_without_arm_k_is_refused(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare_labels.py", f"--exercise={tmp_path}"])
    with pytest.raises(SystemExit):
        script.main()
    assert "arm K has not run" in capsys.readouterr().err


def test_answers_of_the_arm_with_the_truth_of_each_image(script, tmp_path):
    space = disk.start(tmp_path / "K", ["cat", "dog"])
    round_ = space.begin_round(1, disk.SETTINGS)
    adopted = Answer("pool/deep/a.jpg", ADOPTED, Annotation("a.jpg", 200, 100, BOXES), scores=(0.9, 0.8, 0.7, 0.2))
    disk.add_answers(round_, [adopted, disk.refused("pool/b.jpg", "unsure")])
    (tmp_path / "truth" / "deep").mkdir(parents=True)
    labelimg.write_labelimg(tmp_path / "truth" / "deep" / "a.xml", Annotation("a.jpg", 200, 100, TRUE))
    questions = [make_question([], name="pool/deep/a.jpg"), make_question([], name="pool/b.jpg")]
    sure, refused = script.Corrected(tmp_path, script.LABELS["sure"]).ask(questions)
    assert [box.weight for box in sure.annotation.boxes] == [0.9, 0, 0, 0] and sure.scores == adopted.scores
    assert refused.verdict != ADOPTED and sure.is_unseen  # so that it counts as boxes that nobody has looked at
    true, _ = script.Corrected(tmp_path, script.LABELS["true"]).ask(questions)
    assert [(box.name, box.xmin, box.weight) for box in true.annotation.boxes] == [("cat", 10, 1), ("dog", 100, 1)]
