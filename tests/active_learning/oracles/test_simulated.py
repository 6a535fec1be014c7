"""Hidden annotation files as the oracle."""

import pytest

from tests.active_learning.questions import SIZE, draw_image, make_question
from tfodhelper.active_learning.oracles import build, simulated
from tfodhelper.active_learning.structures import ADOPTED, REFUSED, Edits
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box

LABEL_MAP = make_label_map(["cat", "cow", "dog"])
CAT, DOG = Box("cat", 10, 20, 60, 80), Box("dog", 120, 10, 190, 90)


def write_truth(path, boxes, size=SIZE):
    path.parent.mkdir(parents=True, exist_ok=True)
    labelimg.write_labelimg(path, Annotation("a.jpg", *size, tuple(boxes)))


def ask(tmp_path, detections, image="pool/a.jpg", **options):
    oracle = build.build_oracle("simulated", label_map=LABEL_MAP, truth_dir=str(tmp_path / "truth"), **options)
    path = tmp_path / image
    if not path.exists():
        draw_image(path)
    (answer,) = oracle.ask([make_question(detections, path=path)], tmp_path)
    return answer


@pytest.mark.parametrize(
    "detections, options, edits, scores",
    [
        ([], {}, Edits(added=2), (None, None)),
        ([("cat", 0.9, 11, 20, 60, 80), ("dog", 0.8, 120, 10, 190, 88)], {}, Edits(kept=2), (0.9, 0.8)),
        ([("cat", 0.9, 11, 20, 60, 80), ("dog", 0.2, 120, 10, 190, 88)], {}, Edits(kept=1, added=1), (0.9, None)),
        (
            [("dog", 0.9, 10, 20, 60, 80), ("dog", 0.8, 120, 10, 160, 90), ("cow", 0.5, 80, 0, 100, 20)],
            {},
            Edits(moved=1, relabelled=1, deleted=1),
            (None, None),
        ),
        ([("dog", 0.8, 120, 10, 160, 90)], {"keep_iou": 0.5}, Edits(kept=1, added=1), (None, 0.8)),
        # A second guess at the same place is not in the draft.
        ([("cat", 0.9, 10, 20, 60, 80), ("cow", 0.8, 10, 20, 60, 81)], {}, Edits(kept=1, added=1), (0.9, None)),
    ],
)
def test_truth_and_what_it_would_have_cost(tmp_path, detections, options, edits, scores):
    write_truth(tmp_path / "truth" / "a.xml", [CAT, DOG])
    answer = ask(tmp_path, detections, **options)
    assert (answer.verdict, answer.reason) == (ADOPTED, simulated.ANSWERED)
    assert answer.annotation.boxes == (CAT, DOG) and answer.annotation.verified
    assert (answer.edits, answer.scores) == (edits, scores)


def test_a_true_negative(tmp_path):
    write_truth(tmp_path / "truth" / "a.xml", [])
    answer = ask(tmp_path, [("cat", 0.9, 10, 20, 60, 80)])
    assert (answer.verdict, answer.annotation.boxes, answer.edits) == (ADOPTED, (), Edits(deleted=1))


def test_classes_that_the_label_map_does_not_have_do_not_count(tmp_path):
    write_truth(tmp_path / "truth" / "a.xml", [CAT, Box("rat", 1, 2, 30, 40)])
    assert ask(tmp_path, []).annotation.boxes == (CAT,)


@pytest.mark.parametrize("truth_path", ["a.xml", "pool/a.xml", "deep/er/a.xml", "a.jpg.xml"])
def test_truth_is_found_by_place_or_stem(tmp_path, truth_path):
    write_truth(tmp_path / "truth" / truth_path, [CAT])
    write_truth(tmp_path / "truth" / "other.xml", [DOG])
    assert ask(tmp_path, []).annotation.boxes == (CAT,)


def test_the_place_distinguishes_images_with_the_same_name(tmp_path):
    write_truth(tmp_path / "truth" / "cat" / "1.xml", [CAT])
    write_truth(tmp_path / "truth" / "dog" / "1.xml", [DOG])
    assert ask(tmp_path, [], image="pool/dog/1.jpg").annotation.boxes == (DOG,)
    answer = ask(tmp_path, [], image="pool/1.jpg")
    assert (answer.verdict, answer.reason) == (REFUSED, simulated.SEVERAL_TRUTHS)


def test_refused_with_the_reason(tmp_path):
    write_truth(tmp_path / "truth" / "a.xml", [CAT])
    write_truth(tmp_path / "truth" / "b.xml", [Box("cat", 300, 300, 400, 400)], size=(500, 500))
    (tmp_path / "truth" / "c.xml").write_text("<annotation>", encoding="utf-8")
    (tmp_path / "pool").mkdir()
    (tmp_path / "pool" / "a.jpg").write_bytes(b"no image")
    names = ("a", "b", "c", "d")
    answers = [ask(tmp_path, [], image=f"pool/{name}.jpg") for name in names]
    reasons = (simulated.UNREADABLE, simulated.BAD_TRUTH, simulated.BAD_TRUTH, simulated.NO_TRUTH)
    assert [(answer.verdict, answer.reason) for answer in answers] == [(REFUSED, reason) for reason in reasons]


def test_truth_that_was_drawn_on_the_upright_image_comes_in_the_stored_frame(tmp_path):
    draw_image(tmp_path / "pool" / "a.jpg", orientation=6)  # the stored spot is at 0..20 x 0..10
    write_truth(tmp_path / "truth" / "a.xml", [Box("cat", 90, 0, 100, 20)], size=SIZE[::-1])
    answer = ask(tmp_path, [("cat", 0.9, 0, 0, 20, 10)])
    assert answer.annotation.boxes == (Box("cat", 0, 0, 20, 10),) and answer.edits == Edits(kept=1)
    assert (answer.annotation.width, answer.annotation.height) == SIZE
