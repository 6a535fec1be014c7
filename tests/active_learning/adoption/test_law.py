"""Which answers are adopted, which images stay, and in which order."""

from tests.active_learning import rounds_on_disk as disk
from tests.active_learning.adoption.test_class_worth import worth
from tests.metrics.sets import collect
from tfodhelper import sheets
from tfodhelper.active_learning.adoption import class_worth, law
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Edits
from tfodhelper.metrics import detection_file

WORTHS = [worth(95, 100, "cat"), worth(26, 100, "dog"), worth(6, 6, "cow")]


def test_a_class_that_is_not_worth_it_adopts_nothing_but_what_a_person_has_seen():
    answers = [
        disk.adopted("cat.jpg", ["cat"], scores=[0.9]),
        disk.adopted("dog.jpg", ["dog"], scores=[0.99]),
        disk.adopted("both.jpg", ["cat", "dog"], scores=[0.9, 0.9]),
        disk.adopted("cow.jpg", ["cow"], scores=[0.9]),
        disk.adopted("seen.jpg", ["dog"], Edits(kept=1), [0.9]),
        disk.adopted("empty.jpg", []),
        disk.adopted("drawn.jpg", ["dog"], scores=[None]),
        disk.refused("not.jpg", "nothing was found"),
    ]
    decided, held = law.hold_back(answers, WORTHS, 0.8, {"cat": 5, "dog": 5, "cow": 5})
    assert [answer.name for answer in decided] == [answer.name for answer in answers]
    adopted = [answer.name for answer in decided if answer.verdict == ADOPTED]
    assert adopted == ["cat.jpg", "seen.jpg", "empty.jpg", "drawn.jpg"]
    reasons = {answer.name: answer.reason for answer in decided if answer.verdict == REFUSED}
    assert reasons["dog.jpg"] == reasons["both.jpg"] == law.REASONS[class_worth.BELOW]
    assert reasons["cow.jpg"] == law.REASONS[class_worth.TOO_FEW]
    assert reasons["not.jpg"] == "nothing was found"
    assert {each.name for each in held} == {"dog.jpg", "both.jpg", "cow.jpg"}
    decided, held = law.hold_back(answers, WORTHS, 0.0, {})
    assert (decided, held) == (answers, [])


def test_in_zones_a_class_that_is_not_worth_it_leaves_ignored_regions():
    answers = [
        disk.adopted("both.jpg", ["cat", "dog", "dog", "cow"], scores=[0.9, 0.9, None, 0.5]),
        disk.adopted("dog.jpg", ["dog"], scores=[0.9]),
        disk.adopted("cat.jpg", ["cat"], scores=[0.9]),
    ]
    decided, held = law.hold_back(answers, WORTHS, 0.8, {"dog": 5}, has_zones=True)
    assert [answer.verdict for answer in decided] == [ADOPTED, REFUSED, ADOPTED]
    both, _, cat = decided
    assert [(box.name, box.weight) for box in both.annotation.boxes] == [("cat", 1), ("dog", 0), ("dog", 1), ("cow", 0)]
    assert both.scores == answers[0].scores and cat is answers[2]
    assert [each.name for each in held] == ["dog.jpg"]


def test_the_images_that_bring_most_come_first():
    """A box of a dog is right in 26 of 100, one of a cow in 6 of 6: boxes of dogs are wrong more often."""
    answers = [
        disk.adopted("cow.jpg", ["cow"], scores=[0.75]),
        disk.adopted("dog.jpg", ["dog"], scores=[0.75]),
        disk.adopted("dogs.jpg", ["dog", "dog"], scores=[0.75, 0.72]),
    ]
    _, held = law.hold_back(answers, WORTHS, 0.8, {"dog": 9, "cow": 9})
    assert [each.name for each in held] == ["dogs.jpg", "dog.jpg", "cow.jpg"]
    everywhere = (95 + 26 + 6 + 1) / (206 + 2)
    wrong = 1 - (26 + 4 * everywhere) / 104
    assert held[1].expected_mends == wrong and held[1].gain == wrong / 10
    assert held[0].expected_mends == 2 * wrong and held[0].best_score == 0.75
    _, held = law.hold_back(answers, WORTHS, 0.8, {"dog": 99, "cow": 0})
    assert [each.name for each in held] == ["cow.jpg", "dogs.jpg", "dog.jpg"]


def test_the_list_of_confirmed_images(tmp_path):
    _, held = law.hold_back([disk.adopted("pool/d.jpg", ["dog"], scores=[0.75])], WORTHS, 0.8, {"dog": 3})
    law.write_confirmed(tmp_path, held, {"pool/d.jpg": "/photos/d.jpg"})
    (row,) = sheets.read_csv(tmp_path / class_worth.CONFIRMED, law.CONFIRMED_HEADER)
    assert (row["name"], row["path"], row["classes"], row["boxes"]) == ("pool/d.jpg", "/photos/d.jpg", "dog", "1")
    assert float(row["gain"]) == round(held[0].gain, 5)
    law.write_confirmed(tmp_path, [], {})
    assert not (tmp_path / class_worth.CONFIRMED).exists()


class Rehearsing:
    """Adopts the best detection of every image, and notes what it was told."""

    can_rehearse = True

    def __init__(self):
        self.classes = []

    def ask(self, questions):
        for question in questions:
            self.classes.append(question.image.classes)
            best = question.prediction.found.detections[:1]
            yield disk.adopted(question.image.name, [each.name for each in best], scores=[each.score for each in best])


def test_an_oracle_that_can_rehearse_is_asked_about_the_validation_images(tmp_path):
    box = [5, 5, 15, 15]  # that of `disk.box`
    images = collect(
        ({"boxes": [box], "classes": [1]}, {"boxes": [box], "classes": [1], "scores": [0.9]}),
        ({"boxes": [box], "classes": [2]}, {"boxes": [box, box], "classes": [1, 2], "scores": [0.8, 0.04]}),
        categories={1: "cat", 2: "dog"},
    ).images
    detection_file.write_detections(tmp_path / "detections.npz", images)
    oracle = Rehearsing()
    cat, dog = law.measure(tmp_path, oracle, [], {"score_threshold": 0.05})
    assert oracle.classes == [("cat",), ("dog",)]
    assert (cat.boxes, cat.right, dog.boxes, dog.missed) == (2, 1, 0, 1)
    unseen = [disk.adopted("a.jpg", ["cat"], scores=[0.85]), disk.adopted("b.jpg", ["cat"], Edits(kept=1), [0.1])]
    cat, _ = law.measure(tmp_path, object(), unseen, {})
    assert (cat.boxes, cat.right) == (1, 1)
