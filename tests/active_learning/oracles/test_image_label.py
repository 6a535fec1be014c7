"""The class of an image as the oracle: what is adopted, what is refused, and why."""

import pytest

from tests.active_learning.questions import make_question
from tfodhelper import errors
from tfodhelper.active_learning.oracles import build, image_label
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.structures import ADOPTED, REFUSED
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Box

LABEL_MAP = make_label_map(["cat", "cow", "dog"])
CAT = ("cat", 0.9, 10.4, 20.6, 60.2, 80.0)
WEAK_CAT = ("cat", 0.4, 100, 20, 150, 80)
SECOND_CAT = ("cat", 0.7, 100, 20, 150, 80)
CAT_AGAIN = ("cat", 0.6, 12, 22, 60, 80)  # overlaps the first
DOG = ("dog", 0.8, 120, 10, 190, 90)
WEAK_DOG = ("dog", 0.3, 120, 10, 190, 90)


def ask(detections, classes, **options):
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, **{"several_boxes": "best"} | options)
    (answer,) = oracle.ask(iter([make_question(detections, classes)]))
    assert answer.name == "pool/a.jpg" and answer.edits is None
    return answer


@pytest.mark.parametrize(
    "detections, classes, options, scores",
    [
        ([CAT], ("cat",), {}, (0.9,)),
        ([CAT, DOG], ("cat",), {}, (0.9,)),
        ([CAT, SECOND_CAT], ("cat",), {}, (0.9,)),
        ([CAT, SECOND_CAT], ("cat",), {"several_boxes": "all"}, (0.9, 0.7)),
        ([CAT, SECOND_CAT, CAT_AGAIN], ("cat",), {"several_boxes": "all"}, (0.9, 0.7)),
        ([CAT, SECOND_CAT, CAT_AGAIN], ("cat",), {"several_boxes": "all", "max_overlap": 1.0}, (0.9, 0.7, 0.6)),
        ([CAT, CAT_AGAIN], ("cat",), {"several_boxes": "refuse"}, (0.9,)),  # the same place is not a second object
        ([CAT, WEAK_CAT], ("cat",), {"several_boxes": "all"}, (0.9,)),
        ([CAT, WEAK_CAT], ("cat",), {"several_boxes": "all", "min_box_score": 0.35}, (0.9, 0.4)),
        ([CAT, SECOND_CAT], ("cat",), {"several_boxes": "all", "min_box_score": 0.8}, (0.9,)),
        ([CAT, WEAK_DOG], ("cat",), {"other_classes": "refuse"}, (0.9,)),
        ([CAT, DOG], ("cat", "dog"), {}, (0.9, 0.8)),
        ([CAT, SECOND_CAT, DOG], ("cat", "dog"), {}, (0.9, 0.8)),
        ([CAT, WEAK_DOG], ("cat", "dog"), {"several_classes": "found"}, (0.9,)),
        ([CAT, WEAK_DOG], ("cat", "dog"), {"several_classes": "found", "min_box_score": 0.2}, (0.9,)),
        ([CAT], ("cat", "rat"), {}, (0.9,)),  # the model does not know rats
        ([("cat", 0.5, 1, 1, 9, 9)], ("cat",), {}, (0.5,)),
    ],
)
def test_adopted(detections, classes, options, scores):
    answer = ask(detections, classes, **options)
    assert (answer.verdict, answer.reason, answer.scores) == (ADOPTED, image_label.AGREES, scores)
    assert len(answer.annotation.boxes) == len(scores)
    assert {box.name for box in answer.annotation.boxes} <= set(classes)


@pytest.mark.parametrize(
    "detections, classes, options, reason",
    [
        ([CAT], None, {}, image_label.NO_LABEL),
        ([CAT], ("rat",), {}, image_label.NOT_IN_MAP),
        ([], ("cat",), {}, image_label.NOTHING_FOUND),
        ([WEAK_CAT], ("cat",), {}, image_label.LOW_SCORE),
        ([CAT], ("cat",), {"score_threshold": 0.95}, image_label.LOW_SCORE),
        ([DOG, SECOND_CAT], ("cat",), {}, image_label.OTHER_CLASS),
        ([CAT, DOG], ("cat",), {"other_classes": "refuse"}, image_label.OTHER_CLASS_TOO),
        ([CAT, WEAK_DOG], ("cat", "dog"), {}, image_label.INCOMPLETE),
        ([CAT, DOG], ("cat", "dog", "cow"), {}, image_label.INCOMPLETE),
        ([CAT, SECOND_CAT], ("cat",), {"several_boxes": "refuse"}, image_label.SEVERAL),
        ([SECOND_CAT], ("cat",), {"min_box_score": 0.8}, image_label.NOT_SURE),
        ([CAT, DOG], ("cat", "dog"), {"min_box_score": 0.85}, image_label.NOT_SURE),
        ([("cat", 0.9, 50, 50, 50.2, 90)], ("cat",), {}, image_label.NOT_SURE),  # no area in pixels
    ],
)
def test_refused(detections, classes, options, reason):
    answer = ask(detections, classes, **options)
    assert (answer.verdict, answer.reason, answer.annotation) == (REFUSED, reason, None)


def test_the_box_in_whole_pixels_of_the_stored_image():
    annotation = ask([CAT], ("cat",)).annotation
    assert annotation.boxes == (Box("cat", 10, 21, 60, 80),)
    assert (annotation.filename, annotation.width, annotation.height) == ("a.jpg", 200, 100)
    assert not annotation.verified  # nobody looked at it


def test_an_image_that_is_known_to_show_nothing_is_a_negative():
    answer = ask([CAT], ())
    assert (answer.verdict, answer.reason, answer.annotation.boxes) == (ADOPTED, image_label.SHOWS_NOTHING, ())


def test_questions_are_taken_one_by_one():
    taken = []

    def questions():
        for number in range(1000):
            taken.append(number)
            yield make_question([CAT], ("cat",), name=f"pool/{number}.jpg")

    answers = build.build_oracle("image_label", several_boxes="best").ask(questions())
    assert next(answers).name == "pool/0.jpg" and taken == [0]


ZONES = {"cat": Zone(0.6, 0.8), "dog": Zone(0.75)}


def ask_in_zones(detections, classes, zones=ZONES, **options):
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, **options)  # zones are the default
    oracle.zones = zones
    (answer,) = oracle.ask(iter([make_question(detections, classes)]))
    boxes = answer.annotation.boxes if answer.annotation else ()
    return answer, [(box.name, box.weight, box.location_weight) for box in boxes]


def test_boxes_in_zones():
    faint = ("cat", 0.1, 160, 5, 190, 15)
    fainter = ("cat", 0.09, 60, 90, 90, 99)
    answer, weights = ask_in_zones([CAT, SECOND_CAT, WEAK_DOG, faint, fainter], ("cat",), other_classes="ignore")
    assert (answer.verdict, answer.reason, answer.scores) == (ADOPTED, image_label.AGREES, (0.9, 0.7, 0.1))
    assert weights == [("cat", 0.9, 1), ("cat", 0.7, 0), ("cat", 0, 1)]
    answer, weights = ask_in_zones([CAT, SECOND_CAT, faint], ("cat",), min_box_score=0.2)
    assert [weight for _, weight, _ in weights] == [0.9, 0.7]


def test_the_zones_alone_say_from_which_score_on_there_are_objects():
    _, weights = ask_in_zones([WEAK_CAT], ("cat",), zones={"cat": Zone(0.3)})
    assert weights == [("cat", 0.4, 0)]
    answer, _ = ask_in_zones([WEAK_CAT], ("cat",), zones={"cat": Zone(0.3)}, score_threshold=0.5)
    assert (answer.verdict, answer.reason) == (REFUSED, image_label.LOW_SCORE)


def test_every_class_needs_an_object_and_not_only_an_ignored_region():
    _, weights = ask_in_zones([CAT, DOG], ("cat", "dog"))
    assert weights == [("cat", 0.9, 1), ("dog", 0.8, 0)]
    doubtful = ("dog", 0.7, 120, 10, 190, 90)
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, several_boxes="zones")
    oracle.zones = ZONES
    (answer,) = oracle.ask([make_question([CAT, doubtful], ("cat", "dog"))])
    assert (answer.verdict, answer.reason) == (REFUSED, image_label.NOT_SURE)
    _, weights = ask_in_zones([CAT, doubtful], ("cat", "dog"), several_classes="found")
    assert weights == [("cat", 0.9, 1), ("dog", 0, 1)]


def test_a_class_without_zones_has_no_objects():
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, several_boxes="zones")
    oracle.zones = {}
    (answer,) = oracle.ask([make_question([CAT], ("cat",))])
    assert (answer.verdict, answer.reason) == (REFUSED, image_label.NOT_SURE)


def test_whose_places_are_learned():
    assert build.build_oracle("image_label").learns_all_places
    assert not build.build_oracle("image_label", doubtful_places="skip").learns_all_places


def test_zones_have_to_be_known():
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, several_boxes="zones")
    with pytest.raises(errors.UsageError, match="zones"):
        list(oracle.ask([make_question([CAT], ("cat",))]))
