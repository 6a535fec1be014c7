"""What is fixed, what is left out, and the codes of the findings."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper import errors
from tfodhelper.annotations import checks, corner_order, findings
from tfodhelper.annotations.images import ImageFacts
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box, SkippedObject

FACTS = ImageFacts("JPEG", 100, 80, "RGB", 1, "00", 999)
GOOD = Box("cat", 10, 10, 50, 50)


def check(boxes, size=(100, 80), facts=FACTS, label_map=None, options=checks.CheckOptions(), **fields):  # noqa: B008
    annotation = Annotation("a.jpg", *size, tuple(boxes), **fields)
    return checks.check_annotation(annotation, facts, "a.xml", label_map, options, "a.jpg")


def codes(checked):
    return [finding.code for finding in checked.findings]


def test_a_good_image_passes_unchanged():
    checked = check([GOOD, Box("dog", 0, 0, 100, 80)])
    assert codes(checked) == []
    assert checked.annotation.boxes == (GOOD, Box("dog", 0, 0, 100, 80))


def test_no_objects_is_a_negative():
    checked = check([])
    assert checked.annotation.boxes == ()
    assert codes(checked) == []


@pytest.mark.parametrize(
    ("box", "code", "left"),
    [
        (Box("cat", -4, 10, 50, 50), "box-clipped", Box("cat", 0, 10, 50, 50)),
        (Box("cat", 60, 40, 102.5, 81), "box-clipped", Box("cat", 60, 40, 100, 80)),
        (Box("cat", 60, 40, 100.0015, 80), "box-rounded", Box("cat", 60, 40, 100, 80)),
        (Box("cat", -1, 40, 101, 80), "box-rounded", Box("cat", 0, 40, 100, 80)),
        (Box("cat", 90, 10, 130, 50), "box-outside", None),  # a quarter is left
        (Box("cat", 200, 10, 230, 50), "box-outside", None),
        (Box("cat", 10, 10, 10, 50), "box-no-area", None),
        (Box("cat", 10, 10, 10.9, 50), "box-no-area", None),
        (Box("cat", 50, 10, 10, 50), "box-inverted", None),
    ],
)
def test_boxes_are_clipped_or_dropped(box, code, left):
    checked = check([GOOD, box])
    assert codes(checked)[:1] == [code]
    assert checked.annotation.boxes == ((GOOD, left) if left else (GOOD,))


@given(*[st.floats(-300, 300)] * 4)
def test_what_remains_is_inside_and_at_least_a_pixel(xmin, ymin, xmax, ymax):
    checked = check([Box("cat", xmin, ymin, xmax, ymax), Box("dog", 10, 10, 20, 20)])
    for box in checked.annotation.boxes:
        assert 0 <= box.xmin <= box.xmax - 1
        assert box.xmax <= 100
        assert 0 <= box.ymin <= box.ymax - 1
        assert box.ymax <= 80


def test_swapping_is_an_option_that_says_so():
    checked = check([Box("cat", 50, 40, 10, 20)], options=checks.CheckOptions(swap_inverted=True))
    assert codes(checked) == ["box-swapped"]
    assert checked.annotation.boxes == (Box("cat", 10, 20, 50, 40),)


def test_an_image_that_lost_all_its_objects_is_not_a_negative():
    checked = check([Box("cat", 10, 10, 10, 50)])
    assert checked.annotation is None
    assert codes(checked) == ["box-no-area", "no-box-left"]
    skipped = SkippedObject("box-missing", "object 1 (cat)", "has no <bndbox>")
    assert check([], skipped=(skipped,)).annotation is None


def test_an_unknown_class_leaves_the_image_out_or_by_option_the_box():
    label_map = make_label_map(["cat"])
    checked = check([GOOD, Box("dog", 1, 1, 20, 20)], label_map=label_map)
    assert checked.annotation is None
    assert codes(checked) == ["class-unknown"]
    assert checked.findings[0].action == findings.IMAGE_LEFT_OUT
    drop = checks.CheckOptions(drop_unknown_classes=True)
    checked = check([GOOD, Box("dog", 1, 1, 20, 20)], label_map=label_map, options=drop)
    assert checked.annotation.boxes == (GOOD,)
    assert checked.findings[0].action == findings.BOX_LEFT_OUT
    assert check([Box("dog", 1, 1, 20, 20)], label_map=label_map, options=drop).annotation.boxes == ()


def test_an_unknown_class_that_resembles_a_known_one_names_it():
    label_map = make_label_map(["Traffic Light", "cat"])
    for name, words in (
        ("traffic light", "did you mean 'Traffic Light'"),
        ("caat", "did you mean 'cat'"),
        ("dog", "map; exp"),
    ):
        assert words in check([Box(name, 1, 1, 20, 20)], label_map=label_map).findings[0].message


@pytest.mark.parametrize(
    ("size", "boxes", "code"),
    [
        ((None, None), [GOOD], "size-missing"),
        ((60, 60), [Box("cat", 10, 10, 90, 70)], "size-differs"),  # the box fits the image only
        ((101, 80), [GOOD], "size-differs"),  # rounding
        ((500, 500), [], "size-differs"),  # no box that could be wrong
    ],
)
def test_a_wrong_size_is_replaced_where_the_boxes_prove_it(size, boxes, code):
    checked = check(boxes, size)
    assert codes(checked) == [code]
    assert (checked.annotation.width, checked.annotation.height) == (100, 80)
    assert checked.annotation.boxes == tuple(boxes)


@pytest.mark.parametrize(
    ("size", "box"),
    [((200, 160), GOOD), ((200, 160), Box("cat", 10, 10, 180, 150)), ((50, 50), Box("cat", 10, 10, 180, 150))],
)
def test_a_wrong_size_that_may_mean_wrong_boxes_leaves_the_image_out(size, box):
    checked = check([box], size)
    assert checked.annotation is None
    assert codes(checked) == ["size-undecided"]


def test_a_size_known_to_be_a_constant_is_ignored():
    checked = check([GOOD], (200, 160), options=checks.CheckOptions(trust_pixels=True))
    assert codes(checked) == ["size-differs"]
    assert checked.annotation is not None


def test_exif_counts_only_when_the_size_says_so():
    turned = dataclasses.replace(FACTS, orientation=6)
    stored = check([GOOD], (100, 80), turned)
    assert (codes(stored), stored.turn) == ([], False)
    drawn_turned = check([Box("cat", 10, 10, 50, 95)], (80, 100), turned)
    assert (codes(drawn_turned), drawn_turned.turn) == (["image-turned"], True)
    assert (drawn_turned.annotation.width, drawn_turned.annotation.height) == (80, 100)
    assert drawn_turned.annotation.boxes == (Box("cat", 10, 10, 50, 95),)
    square = dataclasses.replace(FACTS, width=80, orientation=6)
    undecided = check([GOOD], (80, 80), square)
    assert (codes(undecided), undecided.turn) == (["orientation-undecided"], False)
    assert undecided.annotation is not None


def test_coinciding_boxes_are_reported():
    assert codes(check([GOOD, dataclasses.replace(GOOD, xmax=50.5)])) == ["box-duplicate"]
    assert codes(check([GOOD, dataclasses.replace(GOOD, name="dog")])) == ["box-class-conflict"]


def test_a_clipped_box_says_by_how_much_and_less_than_a_pixel_is_a_note():
    (clipped,) = check([Box("cat", 60, 40, 105.25, 80)]).findings
    assert "by 5.2 px" in clipped.what and clipped.severity == findings.WARNING
    (rounded,) = check([Box("cat", 60, 40, 100.0015, 80)]).findings
    assert "by 0.0015 px" in rounded.what and rounded.severity == findings.NOTE


def test_exact_repeats_are_dropped_but_not_of_another_class():
    checked = check([GOOD, dataclasses.replace(GOOD, name="dog"), GOOD, dataclasses.replace(GOOD, difficult=True)])
    assert [box.name for box in checked.annotation.boxes] == ["cat", "dog"]
    assert codes(checked) == ["box-repeated", "box-repeated", "box-class-conflict"]
    assert checked.findings[0].message.startswith("a.xml: object 3 (cat): is the same box as object 1; box left out")
    assert checked.findings[0].severity == findings.WARNING  # nothing labelled is lost


def test_boxes_that_are_equal_after_clipping_are_repeats():
    checked = check([Box("cat", 60, 40, 110, 80), Box("cat", 60, 40, 105, 80)])
    assert checked.annotation.boxes == (Box("cat", 60, 40, 100, 80),)


def test_repeats_among_many_boxes():
    boxes = [Box("cat", x, 1, x + 5, 9) for x in range(40)]
    assert check([*boxes, *boxes]).annotation.boxes == tuple(boxes)


def test_swapping_is_not_offered_for_a_box_that_would_leave_the_image():
    (finding,) = check([GOOD, Box("dog", 110, 10, 10, 50)]).findings
    assert finding.code == "box-inverted" and finding.fix == "label the object again"


LARGE = dataclasses.replace(FACTS, width=640, height=480)
WRITTEN_IN_ANOTHER_ORDER = [
    Box("a", 300, 350, 20, 60),
    Box("a", 40, 90, 200, 260),
    Box("a", 500, 560, 100, 180),
    Box("a", 10, 60, 400, 440),
]


@pytest.mark.parametrize("swap", [False, True])
def test_several_inverted_boxes_mean_that_the_writer_was_wrong(swap):
    options = checks.CheckOptions(swap_inverted=swap)
    checked = check(WRITTEN_IN_ANOTHER_ORDER, (640, 480), LARGE, options=options)
    assert checked.annotation is None
    (finding,) = checked.findings
    assert (finding.code, finding.action) == ("corners-confused", findings.IMAGE_LEFT_OUT)
    assert "2 of its 4 boxes" in finding.what
    assert "--corner_order=xmin,xmax,ymin,ymax" in finding.fix and "--swap_inverted" not in finding.fix


def test_corners_that_are_only_swapped_can_be_swapped():
    boxes = [Box("a", 300, 350, 20, 60), Box("a", 40, 90, 200, 260), Box("a", 600, 400, 10, 180)]
    (finding,) = check(boxes, (640, 480), LARGE).findings
    assert finding.code == "corners-confused" and "--swap_inverted" in finding.fix
    swapped = check(boxes, (640, 480), LARGE, options=checks.CheckOptions(swap_inverted=True))
    assert codes(swapped) == ["box-swapped", "box-swapped"]
    assert swapped.annotation.boxes[2] == Box("a", 10, 180, 600, 400)


def test_sizes_in_the_place_of_corners_are_recognized():
    boxes = [Box("a", 300, 350, 20, 60), Box("a", 40, 90, 200, 260), Box("a", 500, 10, 100, 180)]
    (finding,) = check(boxes, (640, 480), LARGE).findings
    assert "--corner_order=xmin,ymin,width,height" in finding.fix


def test_without_an_order_that_fits_none_is_offered():
    boxes = [Box("a", 639, 479, 0, 0), Box("a", 0, 479, 639, 470), Box("a", 0, 0, 630, 5), Box("a", 0, 0, 5, 630)]
    (finding,) = check(boxes, (640, 480), LARGE).findings
    assert "no order of the corners fits" in finding.fix


@pytest.mark.parametrize(
    ("order", "corners"),
    [
        ("xmin,xmax,ymin,ymax", (1, 3, 2, 4)),
        ("ymin,xmin,ymax,xmax", (2, 1, 4, 3)),
        ("xmin, ymin, width, height", (1, 2, 4, 6)),
        ("xcenter,ycenter,width,height", (-0.5, 0, 2.5, 4)),
    ],
)
def test_corners_are_read_in_another_order(order, corners):
    assert corner_order.reorder((1, 2, 3, 4), corner_order.parse_order(order)) == corners


@pytest.mark.parametrize(
    "order", ["xmin", "xmin,xmin,ymin,ymax", "xmin,xmax,ymin,height,ymax", "a,b,c,d", "xmax,ymax,width,height"]
)
def test_an_order_that_describes_no_box_is_refused(order):
    with pytest.raises(errors.UsageError, match="--corner_order"):
        corner_order.parse_order(order)


@pytest.mark.parametrize(
    ("boxes", "size", "is_used"),
    [
        ([Box("a", 10, 10, 100, 100), Box("a", 600, 300, 680, 380), Box("a", 300, 300, 380, 380)], (3648, 2736), True),
        ([Box("a", 10, 10, 100, 100), Box("a", 600, 300, 700, 380), Box("a", 300, 300, 380, 380)], (3648, 2736), False),
        ([Box("a", 10, 10, 100, 100)], (3648, 2736), True),
        ([Box("a", 10, 10, 100, 100)] * 3, (1280, 1280), False),  # perhaps a smaller copy
        ([Box("a", 10, 10, 100, 100)], (900, 1000), False),  # perhaps chance
        ([Box("a", 10, 10, 100, 100)] * 4, (640, 2000), False),  # not larger in both directions
    ],
)
def test_a_tile_is_recognized_by_its_boxes(boxes, size, is_used):
    checked = check(boxes, size, dataclasses.replace(FACTS, width=640, height=640))
    assert (checked.annotation is not None) == is_used
    assert codes(checked)[0] == ("size-differs" if is_used else "size-undecided")
    if is_used:
        assert all(box.xmax <= 640 for box in checked.annotation.boxes)


def test_the_image_itself():
    assert codes(check([GOOD], facts=dataclasses.replace(FACTS, format="PNG"))) == ["extension-differs"]
    assert codes(check([GOOD], facts=dataclasses.replace(FACTS, reencode_reason="CMYK"))) == ["image-reencoded"]
    assert codes(check([GOOD], facts=dataclasses.replace(FACTS, is_blank=True))) == ["image-blank"]
    assert codes(check([], facts=dataclasses.replace(FACTS, is_blank=True))) == []


def test_messages_name_file_object_expected_received_and_fix():
    (finding,) = check([GOOD, Box("dog", 50, 10, 10, 50)]).findings
    assert finding.message == (
        "a.xml: object 2 (dog): the minimum is greater than the maximum; expected xmin < xmax, ymin < ymax; "
        "received xmin 50, ymin 10, xmax 10, ymax 50; box left out; "
        "fix: label the object again, or use --swap_inverted"
    )
    assert finding.to_json()["code"] == "box-inverted"
    assert findings.count_codes([finding, finding]) == {"box-inverted": 2}
