"""The T/F/N sheet against one filled in by hand."""

import csv

import pytest

from tfodhelper import errors
from tfodhelper.active_learning.report import tfn_sheet
from tfodhelper.active_learning.structures import PoolImage, Prediction
from tfodhelper.prediction.detections import Detection, ImageDetections


def image(name, *classes):
    return PoolImage(name, f"/test/{name}", classes)


def prediction(name, *pairs):
    detections = tuple(Detection(label, 1, score, 0.0, 0.0, 1.0, 1.0) for label, score in pairs)
    return Prediction(name, ImageDetections(name, 10, 10, detections), (), ())


def marks(rows):
    return {row.label: "".join(cell.mark for cell in row.cells) for row in rows}


def test_the_highest_score_decides():
    images = [image(f"cat/{i}.jpg", "cat") for i in range(5)] + [image("dog/0.jpg", "dog")]
    predictions = [
        prediction("cat/0.jpg", ("cat", 0.9), ("dog", 0.8)),
        prediction("cat/1.jpg", ("cat", 0.6), ("dog", 0.8)),  # not in the order of scores
        prediction("cat/2.jpg"),
        prediction("cat/3.jpg", ("cat", 0.49)),
        prediction("dog/0.jpg", ("dog", 0.5)),
        prediction("elsewhere.jpg", ("dog", 0.5)),
    ]
    rows = tfn_sheet.fill_sheet(iter(predictions), iter(images))
    assert marks(rows) == {"cat": "TFNN?", "dog": "T"}
    cat, dog = rows
    assert (cat.share, dog.share) == (0.25, 1.0)
    assert (cat.num_images, cat.mostly_taken_for, dog.mostly_taken_for) == (5, "dog", "")
    assert cat.cells[1] == tfn_sheet.Cell("cat/1.jpg", "F", "dog", 0.8)


def test_in_the_row_of_a_class_the_images_other_classes_are_ignored():
    images = [image("a.jpg", "cat", "dog"), image("b.jpg", "cat", "dog"), image("c.jpg", "cat", "dog")]
    predictions = [
        prediction("a.jpg", ("cat", 0.9), ("dog", 0.7)),
        prediction("b.jpg", ("cat", 0.9)),
        prediction("c.jpg", ("owl", 0.9), ("cat", 0.8), ("dog", 0.7)),
    ]
    assert marks(tfn_sheet.fill_sheet(predictions, images)) == {"cat": "TTF", "dog": "TNF"}


def test_twenty_of_many_are_drawn_the_same_in_any_order():
    images = [image(f"{i:04d}.jpg", "cat") for i in range(1000)]
    predictions = [prediction(shown.name, ("cat", 0.9)) for shown in images]
    (row,) = tfn_sheet.fill_sheet(predictions, images)
    assert (len(row.cells), row.num_images, row.share) == (20, 1000, 1.0)
    assert tfn_sheet.fill_sheet(predictions[::-1], images[::-1]) == (row,)
    assert tfn_sheet.fill_sheet(predictions, images, seed=1) != (row,)
    (row,) = tfn_sheet.fill_sheet(predictions, images, per_class=3)
    assert [cell.name for cell in row.cells] == sorted(cell.name for cell in row.cells)
    assert len(row.cells) == 3


def test_the_sheet_fits_the_console_with_18_classes():
    labels = [f"a_character_with_a_long_name_{i:02d}" for i in range(18)]
    images = [image(f"{label}/{i}.jpg", label) for label in labels for i in range(20)]
    predictions = [prediction(shown.name, (labels[0], 0.9)) for shown in images]
    text = tfn_sheet.format_sheet(tfn_sheet.fill_sheet(predictions, images))
    lines = text.splitlines()
    assert len(lines) == 2 + 18 + 1
    assert max(map(len, lines)) <= 120
    first, second, last = (" ".join(lines[i].split()) for i in (2, 3, -1))
    assert first == "a_character_with_a_long… TTTTT TTTTT TTTTT TTTTT 20 0 0 0 100%"
    assert second.endswith(" FFFFF FFFFF FFFFF FFFFF 0 20 0 0 0% a_character_with_a_long…")
    assert last == "all cells 20 340 0 0 6%"


def make_sheet(rows, round_number=2, test_dir="/test"):
    return tfn_sheet.Sheet(tuple(rows), round_number, test_dir, 0.5)


def test_files_of_the_sheet(tmp_path):
    images = [image("cat/0.jpg", "cat"), image("cat/1.jpg", "cat"), image("cat/2.jpg", "cat")]
    predictions = [prediction("cat/0.jpg", ("cat", 0.9)), prediction("cat/1.jpg", ("dog", 0.7))]
    sheet = make_sheet(tfn_sheet.fill_sheet(predictions, images))
    cells, classes = tfn_sheet.write_sheet(tmp_path / "sheet", sheet)
    assert cells.read_text().splitlines() == [
        "class,name,mark,found,score",
        "cat,cat/0.jpg,T,cat,0.9",
        "cat,cat/1.jpg,F,dog,0.7",
        "cat,cat/2.jpg,?,,",
    ]
    with open(classes, newline="") as file:
        assert list(csv.reader(file)) == [
            ["class", "images", "T", "F", "N", "unread", "right", "mostly_taken_for"],
            ["cat", "3", "1", "1", "0", "1", "0.5", "dog"],
        ]
    assert tfn_sheet.read_sheet(tmp_path / "sheet") == sheet


def test_a_sheet_that_does_not_exist_or_is_malformed(tmp_path):
    assert tfn_sheet.read_sheet(tmp_path) is None
    (tmp_path / "tally.json").write_text('{"round": 1}')
    with pytest.raises(errors.StorageError, match="tally.json: is not a T/F/N sheet"):
        tfn_sheet.read_sheet(tmp_path)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ([PoolImage("a.jpg", "/test/a.jpg")], "/test/a.jpg: its class is unknown"),
        ([PoolImage("a.jpg", "/test/a.jpg", ())], "there are no test images"),
        ([image("a.jpg", "cat"), image("a.jpg", "cat")], "a.jpg: the name occurs twice"),
        ([], "there are no test images"),
    ],
)
def test_test_sets_that_cannot_be_judged(images, message):
    with pytest.raises(errors.DatasetError, match=message):
        tfn_sheet.fill_sheet([], images)


def test_a_class_whose_images_could_not_be_read_has_no_share():
    (row,) = tfn_sheet.fill_sheet([], [image("a.jpg", "cat")])
    assert (row.share, row.count("?")) == (None, 1)
    assert "-" in tfn_sheet.format_sheet([row])
