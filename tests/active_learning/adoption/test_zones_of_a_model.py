"""From the validation images to the zones of a model's boxes, and what the law counts of boxes in zones, by hand."""

import math

from tests.active_learning.adoption.test_box_worth import CLOSE, EXACT, HALF, OBJECT, OFF, collect, found, gt
from tfodhelper.active_learning.adoption import box_worth, class_worth, law, rehearsal
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.oracles.zones import Zone
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Answer
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box

SECOND = [0, 150, 100, 250]


def make_oracle(**options):
    label_map = make_label_map(["cat", "dog"])
    return build.build_oracle("image_label", label_map=label_map, several_boxes="zones", **options)


def make_images():
    return collect(
        (gt(OBJECT, SECOND), found((CLOSE, 1, 0.95), (SECOND, 1, 0.8))),
        (gt(OBJECT), found((HALF, 1, 0.7), (SECOND, 1, 0.3))),  # the second is where nothing is
        (gt(OBJECT), found((OFF, 1, 0.5), (EXACT, 2, 0.9))),  # a dog is known to be absent
        (gt(OBJECT, classes=[2]), found((OFF, 2, 0.9))),
    )


def test_zones_follow_from_the_boxes_of_known_classes():
    oracle = make_oracle(doubtful_places="skip", other_classes="ignore")
    zones = rehearsal.find_zones(oracle, make_images(), 0.05)
    # Cats at 0.95, 0.8, 0.7 are right, at 0.5 and 0.3 wrong; the first two are close; four objects.
    assert zones == {"cat": Zone(0.7, 0.8), "dog": Zone(math.inf, math.inf)}
    zones = rehearsal.find_zones(make_oracle(other_classes="ignore"), make_images(), 0.05)
    assert zones == {"cat": Zone(0.7, 0.7), "dog": Zone(math.inf, math.inf)}
    assert zones["cat"].to_words("cat") == "cat: objects from a score of 0.70 on; ignored regions below"


def test_the_law_counts_objects_and_no_ignored_regions():
    oracle, images = make_oracle(other_classes="ignore"), make_images()
    oracle.zones = rehearsal.find_zones(oracle, images, 0.05)
    cat, dog = box_worth.measure(images, rehearsal.rehearse(oracle, images, 0.05))
    assert (cat.boxes, cat.right, cat.close, cat.objects, cat.missed) == (3, 3, 2, 3, 0)
    assert (dog.boxes, dog.objects) == (0, 0)


def test_corrected_classes_are_rehearsed_as_they_are_asked():
    oracle, images = make_oracle(), make_images()
    oracle.zones = rehearsal.find_zones(oracle, images, 0.05)
    # The dog at 0.9 is exactly on a cat: 0.95, 0.9, 0.8, 0.7 are right, the first three close.
    assert oracle.zones["cat"] == Zone(0.7, 0.7)
    cat, dog = box_worth.measure(images, rehearsal.rehearse(oracle, images, 0.05))
    assert (cat.boxes, cat.right, cat.close, cat.objects, cat.missed) == (4, 4, 3, 4, 0)
    assert (dog.boxes, dog.objects) == (0, 0)


def test_images_are_held_back_for_their_objects_alone():
    boxes = (Box("cat", 0, 0, 9, 9, weight=0.9), Box("dog", 0, 0, 9, 9, weight=0))
    answer = Answer("a", ADOPTED, Annotation("a", 10, 10, boxes), scores=(0.9, 0.4))
    assert law.scored_boxes(answer) == [("cat", 0.9)]
    bad = class_worth.ClassWorth("dog", 9, 0, 0, 9, 9, ((0, 0, 0),) * class_worth.NUM_BINS)
    good = class_worth.ClassWorth("cat", 90, 90, 90, 90, 0, ((0, 0, 0),) * class_worth.NUM_BINS)
    (decided,), held = law.hold_back([answer], [good, bad], 0.8, {})
    assert decided == answer and not held
    sure = tuple(Box(box.name, 0, 0, 9, 9) for box in boxes)
    both = Answer("a", ADOPTED, Annotation("a", 10, 10, sure), scores=(0.9, 0.4))
    (decided,), held = law.hold_back([both], [good, bad], 0.8, {})
    assert decided.verdict == REFUSED and len(held) == 1


def test_an_oracle_without_zones_is_left_alone():
    assert law.find_zones("nowhere", build.build_oracle("image_label", several_boxes="best"), {}) == []
