"""Places with known classes, by hand and by their properties."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.active_learning.questions import make_question
from tfodhelper import box_geometry
from tfodhelper.active_learning.oracles import build, image_label, known_classes
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.structures import ADOPTED, REFUSED
from tfodhelper.annotations.label_map import make_label_map

DOG = ("dog", 0.8, 10, 10, 60, 60)
CAT_HERE = ("cat", 0.3, 12, 10, 60, 60)  # at the place of the dog
COW_HERE = ("cow", 0.4, 10, 12, 60, 60)
ELSEWHERE = ("dog", 0.6, 100, 10, 160, 60)


def name_places(rows, shown, max_overlap=0.5):
    found = make_question(rows).prediction.found
    places = known_classes.name_places(found, set(shown), max_overlap)
    return [(name, detection.name, detection.score, detection.xmin) for name, detection in places]


@pytest.mark.parametrize(
    "rows, shown, expected",
    [
        ([DOG], ["dog"], [("dog", "dog", 0.8, 10)]),
        ([DOG], ["cat"], [("cat", "dog", 0.8, 10)]),  # the only class of the image
        ([DOG, CAT_HERE], ["cat"], [("cat", "dog", 0.8, 10)]),  # with the best box of the place, and its score
        ([DOG, CAT_HERE, COW_HERE], ["cat", "cow"], [("cow", "dog", 0.8, 10)]),  # the better of the two
        ([DOG, CAT_HERE, ELSEWHERE], ["cat", "cow"], [("cat", "dog", 0.8, 10), (None, "dog", 0.6, 100)]),
        ([DOG, CAT_HERE, ELSEWHERE], ["cat", "dog"], [("dog", "dog", 0.8, 10), ("dog", "dog", 0.6, 100)]),
        ([DOG], [], [(None, "dog", 0.8, 10)]),
        ([], ["cat"], []),
        ([("dog", 0.8, 10, 10, 10, 60), CAT_HERE], ["cat"], [("cat", "dog", 0.8, 10), ("cat", "cat", 0.3, 12)]),
    ],
)
def test_places_by_hand(rows, shown, expected):
    assert name_places(rows, shown) == expected


def test_a_place_is_of_the_best_detection_and_not_of_its_neighbours():
    # Each overlaps the next by 40 of 80, the first and the third do not touch.
    rows = [("dog", 0.9, 0, 0, 60, 10), ("cat", 0.8, 20, 0, 80, 10), ("cow", 0.7, 40, 0, 100, 10)]
    assert name_places(rows, ["cow"], 0.45) == [("cow", "dog", 0.9, 0), ("cow", "cow", 0.7, 40)]
    assert [name for name, *_ in name_places(rows, ["cow"], 0.5)] == ["cow"] * 3  # an overlap of 0.5 is not more


_BOXES = st.lists(
    st.tuples(
        st.sampled_from(["cat", "dog", "cow"]),
        st.integers(1, 100).map(lambda score: score / 100),
        *(st.integers(0, 40),) * 2,
        *(st.integers(50, 90),) * 2,
    ),
    max_size=12,
)


@given(_BOXES, st.sets(st.sampled_from(["cat", "dog", "cow"])), st.sampled_from([0.3, 0.5, 0.8]))
def test_places_do_not_overlap_and_all_that_is_found_belongs_to_one(rows, shown, max_overlap):
    found = make_question(rows).prediction.found
    places = known_classes.name_places(found, shown, max_overlap)
    corners = box_geometry.corners_of([detection for _, detection in places])
    overlaps = box_geometry.pairwise_iou(corners, corners)
    assert all(overlaps[i, k] <= max_overlap for i in range(len(places)) for k in range(i))
    assert all(name in shown or name is None and len(shown) != 1 for name, _ in places)
    for detection in found.detections:
        near = box_geometry.pairwise_iou(box_geometry.corners_of([detection]), corners)[0]
        assert any(place.score >= detection.score for (_, place), iou in zip(places, near) if iou > max_overlap)


LABEL_MAP = make_label_map(["cat", "cow", "dog"])


def ask(rows, classes, zones=None, **options):
    oracle = build.build_oracle("image_label", label_map=LABEL_MAP, **options)
    oracle.zones = zones or {"cat": Zone(0.5, 0.5), "dog": Zone(0.5, 0.5)}
    (answer,) = oracle.ask([make_question(rows, classes)])
    boxes = answer.annotation.boxes if answer.annotation else ()
    return answer, [(box.name, box.xmin, box.weight) for box in boxes]


def test_the_image_is_learned_in_which_the_detector_takes_a_cat_for_a_dog():
    answer, boxes = ask([DOG, CAT_HERE], ("cat",))
    assert (answer.verdict, answer.reason, boxes) == (ADOPTED, image_label.CORRECTED, [("cat", 10, 0.8)])
    assert ask([DOG, CAT_HERE], ("dog",))[0].reason == image_label.AGREES
    answer, boxes = ask([DOG, CAT_HERE], ("cat",), other_classes="ignore")
    assert (answer.verdict, answer.reason, boxes) == (REFUSED, image_label.OTHER_CLASS, [])
    answer, boxes = ask([DOG, CAT_HERE], ("cat",), several_boxes="best")  # where classes are not corrected
    assert (answer.verdict, answer.reason) == (REFUSED, image_label.OTHER_CLASS)
    answer, boxes = ask([DOG, CAT_HERE], ("cat",), several_boxes="best", other_classes="correct")
    assert boxes == [("cat", 10, 1.0)]


def test_a_class_that_the_model_does_not_know_may_be_what_was_found():
    answer, _ = ask([DOG], ("cat", "rat"))
    assert (answer.verdict, answer.reason) == (REFUSED, image_label.OTHER_CLASS)
    _, boxes = ask([DOG, CAT_HERE], ("cat", "rat"))
    assert boxes == [("cat", 10, 0.8)]


@pytest.mark.parametrize(
    "classes, label_map, expected",
    [
        (None, LABEL_MAP, [("dog", 0.8), ("dog", 0.6)]),
        (("cat",), LABEL_MAP, [("cat", 0.8), ("cat", 0.6)]),
        (("cat", "cow"), LABEL_MAP, [("cat", 0.8), ("dog", 0.6)]),  # a person sees what there is no telling of
        (("rat",), LABEL_MAP, [("dog", 0.8), ("dog", 0.6)]),  # which the label map does not have
        (("rat",), None, [("rat", 0.8), ("rat", 0.6)]),
        ((), LABEL_MAP, []),
    ],
)
def test_drafts_have_known_classes(classes, label_map, expected):
    question = make_question([DOG, CAT_HERE, ELSEWHERE, ("cow", 0.2, 150, 70, 190, 95)], classes)
    chosen = known_classes.choose_draft(question, 0.3, 0.5, label_map)
    assert [(box.name, score) for box, score in chosen] == expected
