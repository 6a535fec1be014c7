"""The report as a whole: its page, its plots, its files, and the images that the page shows."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests.active_learning import rounds_on_disk as disk
from tests.dataset.scan.picture_set import save_image
from tests.pages import Page
from tfodhelper import errors, sheets
from tfodhelper.active_learning import workspace
from tfodhelper.active_learning.pool import predictions
from tfodhelper.active_learning.report import gallery, plots, report, round_facts, tfn_sheet
from tfodhelper.active_learning.structures import ADOPTED, Answer
from tfodhelper.annotations import label_map
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.prediction.detections import Detection
from tfodhelper.render import palette

EVIL = '<script>alert("x")</script>'


def make_space(folder, num_images=6, labels=("cat", "dog")):
    """One round over a pool of real files: image i is adopted where i is even, refused where it is odd."""
    pool = [(f"pool/{i:03d}.jpg", str(save_image(folder / f"files/{i:03d}.jpg", seed=i))) for i in range(num_images)]
    space = disk.start(folder / "w", labels, pool)
    round_ = disk.add_training(
        space,
        1,
        {"a.jpg": list(labels)},
        {"v.jpg": list(labels)},
        [(10, disk.metrics(0.5, dict.fromkeys(labels, 0.5)))],
        {"train": 5},
    )
    names = [name for name, _ in pool]
    disk.add_predictions(round_, {name: [(labels[0], 0.9 - i / 1000, (4, 4, 40, 40))] for i, name in enumerate(names)})
    disk.add_selection(round_, map(disk.chosen, names), num_images, [disk.chosen(n, i) for i, n in enumerate(names)])
    disk.add_answers(
        round_,
        [
            disk.refused(name, "another class") if i % 2 else disk.adopted(name, [labels[i // 2 % 2]], scores=[0.9])
            for i, name in enumerate(names)
        ],
    )
    disk.finish(round_, train=6.0, predict=1.0, select=0.1, ask=0.1, merge=0.1)
    return space


def pick(space, per_kind):
    rounds, names = round_facts.read_rounds(space.folder), round_facts.read_class_names(space.folder)
    return {part.kind: part for part in gallery.pick(space, rounds, names, per_kind)[1]}


def test_the_report_is_whole_and_its_page_stands_alone(tmp_path):
    space = make_space(tmp_path)
    made = report.write_report(space.folder)
    assert {path.name for path in made.folder.iterdir()} == {
        *("index.html", "tables.txt", "al_curve.csv", "classes.csv", "times.csv", "reasons.csv", "tensorboard"),
        *("worth.csv", "trials.csv"),
        *("growth.png", "precision.png", "classes.png", "shares.png", "answers.png", "time.png"),
    }
    assert made.folder == space.folder / "report"
    assert made.text == (made.folder / "tables.txt").read_text()[:-1] == report.format_report(space.folder)
    page = Page(made.page.read_text())
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    assert all(address.startswith(("#", "data:image/")) for address in page.addresses)
    pictures = [address for address in page.addresses if address.startswith("data:image/jpeg;base64,")]
    assert len(pictures) == 3 + 3 + 6
    sizes = [Image.open(io.BytesIO(base64.b64decode(picture.split(",")[1]))).size for picture in pictures]
    assert set(sizes) == {(256, 192)}  # small ones are enlarged
    assert (
        len([address for address in page.addresses if address.startswith("data:image/png;base64,")])
        == len(made.plots)
        == 6
    )
    assert page.texts["h3"][-3:] == [
        "Adopted: all 3",
        "Refused: all 3",
        "Most doubtful: all 6 predicted images by dcus (sum)",
    ]
    assert page.texts["summary"] == ["Round 1: 3 adopted, 3 refused of 6 chosen by random"]
    assert "1 → 4" in page.texts["b"]
    assert page.texts["code"][0] == "pool/000.jpg"
    assert {"cat", "dog"} <= set(page.texts["span"])


def test_names_of_any_kind_are_text(tmp_path):
    labels = [EVIL, "_$\\frac{1}$", "a\x1b[31mb", "класс 中文", "x" * 300]
    space = make_space(tmp_path, labels=labels)
    sheets.write_csv(space.folder / "pool.csv", workspace.POOL_HEADER, [("pool/000.jpg", f"/no/{EVIL}", EVIL)])
    round_ = space.rounds()[0]
    disk.add_answers(round_, [disk.refused("pool/000.jpg", EVIL), disk.adopted(f"{EVIL}.jpg", labels)])
    made = report.write_report(space.folder)
    text = made.page.read_text()
    assert "<script" not in text
    assert "\x1b" not in text
    page = Page(text)
    assert f"refused: {EVIL}" in page.texts["li"]
    assert f"{EVIL}.jpg" in page.texts["code"]
    assert EVIL in page.texts["td"]
    assert "\x1b" not in made.text
    assert max(map(len, made.text.splitlines())) <= 120


def test_a_report_while_a_round_is_running(tmp_path):
    space = disk.start(tmp_path, ["cat"])
    made = report.write_report(tmp_path)
    assert made.text == "no round has produced any figures yet"
    assert "No round has produced any figures yet." in made.page.read_text()
    round_ = disk.add_training(space, 1, {"a.jpg": ["cat"]}, {"v.jpg": ["cat"]}, [(1, disk.metrics(0.5, {"cat": 0.5}))])
    disk.finish(round_, train=3.0)
    predictions.keep_plan(round_.predictions_dir, predictions.Plan(100, 2, "", "", 0.05, 100))
    made = report.write_report(tmp_path)
    assert set(made.plots) == {"growth", "precision", "classes", "time"}
    assert "img" in Page(made.page.read_text()).tags
    with pytest.raises(errors.DatasetError, match="is not a workspace"):
        report.write_report(tmp_path / "nothing")


def test_plots_of_an_earlier_report_are_removed(tmp_path):
    space = make_space(tmp_path)
    assert "answers" in report.write_report(space.folder).plots
    space.rounds()[0].answers_path.unlink()
    made = report.write_report(space.folder)
    assert "answers" not in made.plots
    assert not (made.folder / "answers.png").exists()


def test_the_page_holds_a_bounded_number_of_images(tmp_path):
    space = make_space(tmp_path, num_images=40)
    made = report.write_report(space.folder, per_kind=4)
    page = Page(made.page.read_text())
    assert len([address for address in page.addresses if address.startswith("data:image/jpeg")]) == 12
    assert page.texts["h3"][-3:] == [
        "Adopted: 4 of 20, drawn from each class in turn",
        "Refused: 4 of 20, drawn from each reason in turn",
        "Most doubtful: 4 of 40 predicted images by dcus (sum)",
    ]
    parts = pick(space, 4)
    assert [shown.name for shown in parts["doubtful"].images] == [f"pool/{i:03d}.jpg" for i in (39, 38, 37, 36)]
    labels = [shown.answer.annotation.boxes[0].name for shown in parts["adopted"].images]
    assert labels == ["cat", "cat", "dog", "dog"]


def test_a_rare_class_and_a_rare_reason_are_shown(tmp_path):
    space = make_space(tmp_path)
    round_ = space.rounds()[0]
    given = [disk.adopted(f"{i}.jpg", ["cat"]) for i in range(500)] + [disk.adopted("rare.jpg", ["dog"])]
    given += [disk.refused(f"r{i}.jpg", "usual") for i in range(500)] + [disk.refused("odd.jpg", "seldom")]
    disk.add_answers(round_, given)
    parts = pick(space, 3)
    assert [shown.name for shown in parts["adopted"].images][-1] == "rare.jpg"
    assert "odd.jpg" in [shown.name for shown in parts["refused"].images]
    assert len(parts["adopted"].images) == len(parts["refused"].images) == 3
    disk.add_answers(round_, given[::-1])
    again = pick(space, 3)
    assert [s.name for s in again["adopted"].images] == [s.name for s in parts["adopted"].images]


def test_what_is_drawn_and_said(tmp_path):
    space = make_space(tmp_path)
    parts = pick(space, 10)
    ids = {"cat": 1, "dog": 2}
    adopted, refused, doubtful = parts["adopted"].images[0], parts["refused"].images[0], parts["doubtful"].images[0]
    (mark,) = gallery.marks_of(adopted, ids)
    assert (mark.xmin, mark.ymin, mark.xmax, mark.ymax, mark.text) == (5, 5, 15, 15, "cat 90%")  # the adopted box
    (mark,) = gallery.marks_of(refused, ids)
    assert (mark.xmin, mark.ymax, mark.color) == (4, 40, palette.color_of(1))  # the model's box
    assert gallery.lines_of(adopted) == ["cat 90%"]
    assert gallery.lines_of(refused)[:1] == ["refused: another class"]
    assert gallery.lines_of(doubtful) == ["refused: another class", "uncertainty 5", "cat 90%"]
    corrected = gallery.Shown("a.jpg", disk.adopted("a.jpg", ["dog", "cat", "cat"], scores=[None, 0.0, 0.5]))
    assert gallery.lines_of(corrected) == ["cat 50%, cat 0%, dog"]
    assert gallery.lines_of(gallery.Shown("a.jpg", disk.adopted("a.jpg", []))) == ["no object"]
    assert gallery.lines_of(gallery.Shown("a.jpg", uncertainty=0.0, detections=())) == [
        "uncertainty 0",
        "nothing found",
    ]


def test_a_class_has_one_color_by_either_of_its_names(tmp_path, monkeypatch):
    items = [label_map.LabelMapItem(1, "n01", "cat"), label_map.LabelMapItem(2, "n02", "dog")]
    names = round_facts.ClassNames(label_map.LabelMap(tuple(items)))
    adopted = gallery.Shown("a.jpg", disk.adopted("a.jpg", ["n02"]), path="a.jpg")  # annotations have the name
    predicted = gallery.Shown("b.jpg", detections=(Detection("dog", 2, 0.9, 0, 0, 5, 5),), path="b.jpg")
    drawn = []
    monkeypatch.setattr(gallery.thumbnails, "make_thumbnail", lambda path, marks, **options: drawn.append(marks))
    assert len(list(gallery.make_cards(gallery.Gallery("adopted", 2, [adopted, predicted]), names))) == 2
    assert [mark.color for marks in drawn for mark in marks] == [palette.color_of(2)] * 2


def test_only_the_lines_of_the_images_that_are_shown_are_read(tmp_path):
    space = make_space(tmp_path)
    folder = space.rounds()[0].predictions_dir
    lines = (folder / "part-00001.jsonl").read_text().splitlines()
    assert re.match(r'\{"name": "pool/002.jpg", ', lines[0])
    (folder / "part-00001.jsonl").write_text('{"name": "pool/002.jpg", damaged\n' + lines[1] + "\n")
    read = list(predictions.find_predictions(folder, ["pool/003.jpg", "pool/000.jpg", "unknown.jpg"]))
    assert [prediction.name for prediction in read] == ["pool/000.jpg", "pool/003.jpg"]
    assert read[0].found.detections[0].score == 0.9
    with pytest.raises(errors.PredictionError, match="part-00001.jsonl, line 1: does not hold a prediction"):
        list(predictions.find_predictions(folder, ["pool/002.jpg"]))


@pytest.mark.parametrize("num_classes", [1, 2, 18, 60])
def test_every_plot_can_be_drawn(tmp_path, num_classes):
    labels = [f"class_{i}" for i in range(num_classes)]
    space = disk.start(tmp_path, labels)
    train = {f"{i}.jpg": [labels[i % num_classes]] for i in range(30)}
    for number in (1, 2):
        round_ = disk.add_training(
            space, number, train, train, [(1, disk.metrics(0.5, dict.fromkeys(labels[1:], 0.5)))]
        )
        disk.add_answers(round_, [disk.adopted("new.jpg", labels[:1], disk.Edits(kept=1))])
        disk.finish(round_, train=3.0 * 3600, predict=1.0, merge=1.0)
    made = report.write_report(tmp_path)
    assert set(made.plots) == set(plots.NAMES) - ({"classes"} if num_classes == 1 else set())
    for path in made.plots.values():
        pixels = np.asarray(Image.open(path).convert("L"))
        assert pixels.shape[0] < 2000
        assert (pixels < 128).mean() > 0.002


def test_one_round_is_shown_as_one_round(tmp_path):
    space = make_space(tmp_path)
    figures = plots.make_figures(round_facts.read_rounds(space.folder), round_facts.read_class_names(space.folder))
    for axes in (figures["precision"].axes[0], figures["classes"].axes[0]):
        low, high = axes.get_xlim()
        assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]
    page = Page(report.write_report(space.folder).page.read_text())
    assert "0.500" in page.texts["b"]  # and not 0.500 → 0.500


def test_on_a_picture_of_many_boxes_only_the_best_one_is_labelled():
    pairs = [("cat", 0.9), ("cat", 0.8), ("dog", 0.7), ("owl", 0.6), ("elk", 0.5), ("cat", 0.4), *[("dog", 0.3)] * 8]
    detections = tuple(Detection(label, 1, score, 0.0, 0.0, 5.0, 5.0) for label, score in pairs)
    shown = gallery.Shown("a.jpg", detections=detections)
    marks = gallery.marks_of(shown, {"cat": 1, "dog": 2})
    assert [mark.text for mark in marks] == ["cat 90%", *[""] * 7]
    few = gallery.Shown("a.jpg", detections=detections[1:3])
    assert [mark.text for mark in gallery.marks_of(few, {})] == ["cat 80%", "dog 70%"]  # the best one on top
    assert {mark.color for mark in gallery.marks_of(few, {})} == {palette.GREY}  # classes that no label map has
    assert gallery.lines_of(shown) == ["cat 90%, cat 80%, dog 70%, owl 60%, elk 50%, cat 40%, 2 more"]


def test_boxes_in_zones_say_what_is_learned_of_them():
    weights = ((0.9, 1.0), (0.7, 0.0), (0.0, 1.0))
    boxes = tuple(Box("cat", 0, 0, 5, 5, weight=weight, location_weight=place) for weight, place in weights)
    answer = Answer("a.jpg", ADOPTED, Annotation("a.jpg", 9, 9, boxes), scores=(0.9, 0.7, 0.2))
    shown = gallery.Shown("a.jpg", answer)
    assert gallery.lines_of(shown) == ["cat 90%, cat (class only) 70%, cat (ignored) 20%"]
    colors = [mark.color for mark in gallery.marks_of(shown, {"cat": 1})]
    assert colors == [palette.color_of(1), palette.color_of(1), palette.GREY]


def test_the_page_names_the_class_whose_share_fell_most(tmp_path):
    space = disk.two_rounds(tmp_path)
    page = Page(report.write_report(space.folder).page.read_text())
    assert "75.0 % → 57.1 %" in page.texts["b"]
    assert "share of the set that shows cat, the class that lost most" in page.texts["span"]


def test_the_best_detection_is_drawn_however_low_its_score():
    detections = tuple(Detection("cat", 1, score, 0.0, 0.0, 5.0, 5.0) for score in (0.1, 0.09))
    shown = gallery.Shown("a.jpg", detections=detections)
    assert [mark.text for mark in gallery.marks_of(shown, {"cat": 1})] == ["cat 10%"]
    assert gallery.lines_of(shown) == ["cat 10%"]


def test_images_that_nobody_verified_are_counted_as_unanswered(tmp_path):
    space = make_space(tmp_path)
    waiting = disk.Answer("pool/000.jpg", "waiting", reason="not verified yet")
    disk.add_answers(space.rounds()[0], [waiting, disk.refused("pool/001.jpg", "nothing found")])
    made = report.write_report(space.folder)
    page = Page(made.page.read_text())
    assert page.texts["summary"] == ["Round 1: 0 adopted, 1 refused, 1 unanswered of 6 chosen by random"]
    assert "unanswered: not verified yet" in made.text
    assert "waiting" not in made.text + made.page.read_text()
    assert "unanswered: not verified yet" in page.texts["li"]


def add_sheet(space, label="cat"):
    cells = (
        tfn_sheet.Cell("cat/0.jpg", "T", label, 0.91),
        tfn_sheet.Cell("cat/1.jpg", "F", "dog", 0.7),
        *(tfn_sheet.Cell(f"cat/{i}.jpg", "N") for i in (2, 3, 4)),
        tfn_sheet.Cell("cat/5.jpg", "?"),
    )
    tfn_sheet.write_sheet(
        space.folder / "report", tfn_sheet.Sheet((tfn_sheet.Row(label, 30, cells),), 1, "/unseen", 0.5)
    )


def test_the_page_shows_the_sheet_that_was_made_last(tmp_path):
    space = make_space(tmp_path)
    made = report.write_report(space.folder)
    assert "T/F/N" not in made.page.read_text()
    add_sheet(space)
    page = Page(report.write_report(space.folder).page.read_text())  # as every round does at its end
    assert "#sheet" in page.addresses
    assert page.texts["h2"][:2] == ["Plots", "T/F/N sheet"]
    assert "".join(page.texts["i"][:6]) == "TFNNN?"
    assert page.texts["p"][0].startswith("Model of round 1 on /unseen: ")
    row = ["30", "1", "1", "3", "1", "20%"]
    assert page.texts["td"][:15] == ["cat", *row, "dog", "all cells", *row]


def test_a_cell_of_the_sheet_names_its_image_and_what_was_found(tmp_path):
    space = make_space(tmp_path)
    add_sheet(space, label=EVIL)
    text = report.write_report(space.folder).page.read_text()
    assert "<script" not in text
    assert 'title="cat/1.jpg: dog 70%"' in text
    assert 'title="cat/2.jpg: nothing found"' in text
    assert 'title="cat/5.jpg: could not be read"' in text


def test_a_sheet_of_an_earlier_model_says_so(tmp_path):
    space = disk.two_rounds(tmp_path)
    add_sheet(space)
    texts = Page(report.write_report(space.folder).page.read_text()).texts["p"]
    assert any("round 2 has a newer model" in text and "--test_dir" in text for text in texts)
