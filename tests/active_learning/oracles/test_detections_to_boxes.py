"""Which detections become boxes of a draft, by overlaps worked out by hand."""

import pytest

from tests.active_learning.questions import draw_image, make_question
from tfodhelper.active_learning.oracles import build, detections_to_boxes
from tfodhelper.active_learning.structures import Edits
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.labelimg import read_labelimg

LABEL_MAP = make_label_map(["cat", "cow", "dog"])
BEST = ("cat", 0.9, 0, 0, 100, 60)
# Moved to the right by d of 100 pixels, a box shares (100 - d) / (100 + d) with BEST.
HALF = ("cat", 0.8, 0, 0, 100, 30)  # 3000 / 6000 = 1/2: not more than half
MORE = ("cat", 0.7, 30, 0, 130, 60)  # 70 / 130 = 0.538
OTHER = ("dog", 0.6, 30, 0, 130, 60)  # the same, with another class
LESS = ("dog", 0.55, 40, 0, 140, 60)  # 60 / 140 = 0.429 with BEST, 90 / 110 = 0.818 with MORE
FAINT = ("cow", 0.4, 150, 0, 190, 40)


@pytest.mark.parametrize(
    ("max_overlap", "expected"),
    [
        (0.5, [BEST, HALF, LESS]),
        (0.49, [BEST, LESS]),
        (0.4, [BEST]),
        (0.6, [BEST, HALF, MORE]),  # LESS overlaps MORE, which is better
        (1.0, [BEST, HALF, MORE, OTHER, LESS]),
    ],
)
def test_a_box_that_overlaps_a_better_one_of_any_class_is_left_out(max_overlap, expected):
    predicted = make_question([BEST, HALF, MORE, OTHER, LESS, FAINT]).prediction.found
    pairs = detections_to_boxes.choose_boxes(predicted, 0.5, max_overlap)
    assert [(box.name, score, box.xmin, box.ymin, box.xmax, box.ymax) for box, score in pairs] == expected


def ask(tmp_path, **options):
    path = draw_image(tmp_path / "photos" / "a.jpg")
    question = make_question([BEST, HALF, MORE, OTHER, LESS], path=path)
    folder = tmp_path / "rounds" / "001"
    folder.mkdir(parents=True)
    list(build.build_oracle("labelimg", label_map=LABEL_MAP, **options).ask([question], folder))
    return folder / "review"


def test_a_draft_has_one_box_for_what_overlaps_by_more_than_half_and_says_so(tmp_path):
    review = ask(tmp_path)
    drawn = [(box.name, box.xmax, box.ymax) for box in read_labelimg(review / "0001_a.xml").boxes]
    assert drawn == [("cat", 100, 60), ("cat", 100, 30), ("dog", 140, 60)]
    assert "overlap by more than 0.5 (intersection over union)" in (review / "HOW_TO.txt").read_text()


def test_for_crowded_scenes_more_overlap_can_be_asked_for(tmp_path):
    review = ask(tmp_path, max_overlap=0.6)
    assert [box.xmax for box in read_labelimg(review / "0001_a.xml").boxes] == [100, 100, 130]
    assert "overlap by more than 0.6 " in (review / "HOW_TO.txt").read_text()


def test_hidden_answers_cost_what_correcting_such_a_draft_costs(tmp_path):
    path = draw_image(tmp_path / "photos" / "a.jpg")
    truth = tmp_path / "truth" / "a.xml"
    truth.parent.mkdir()
    box = "<xmin>{}</xmin><ymin>0</ymin><xmax>{}</xmax><ymax>60</ymax>"
    objects = "".join(
        f"<object><name>{name}</name><bndbox>{box.format(*sides)}</bndbox></object>"
        for name, sides in (("cat", (0, 100)), ("dog", (30, 130)))
    )
    size = "<size><width>200</width><height>100</height><depth>3</depth></size>"
    truth.write_text(f"<annotation><filename>a.jpg</filename>{size}{objects}</annotation>")
    question = make_question([BEST, OTHER], path=path)
    for options, edits in (({}, Edits(kept=1, added=1)), ({"max_overlap": 0.6}, Edits(kept=2))):
        oracle = build.build_oracle("simulated", truth_dir=str(truth.parent), **options)
        (answer,) = oracle.ask([question])
        assert answer.edits == edits
