"""Labels compared with detections: what is suspect, how it is ranked, and the drafts."""

import csv
import dataclasses

import pytest

from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan
from tfodhelper.prediction.detections import Detection, ImageDetections
from tfodhelper.review import comparison, drafts, suspects


def detect(*rows, path="a.jpg"):
    """Detections as (name, score, xmin, ymin, xmax, ymax)."""
    return ImageDetections(
        path, 100, 100, tuple(Detection(n, 1, score, y1, x1, y2, x2) for n, score, x1, y1, x2, y2 in rows)
    )


def label(*boxes):
    return Annotation("a.jpg", 100, 100, boxes)


def find(annotation, predicted, **options):
    return [
        (suspect.kind, suspect.box.name, suspect.score)
        for suspect in suspects.find_suspects(annotation, predicted, **options)
    ]


def test_agreement_is_not_suspect():
    assert find(label(Box("cat", 10, 10, 50, 50)), detect(("cat", 0.9, 11, 10, 50, 52))) == []
    assert find(label(), detect()) == []


def test_a_confident_detection_without_box_is_a_missing_label():
    predicted = detect(("cat", 0.9, 10, 10, 50, 50), ("cat", 0.7, 60, 60, 90, 90), ("dog", 0.4, 0, 60, 20, 90))
    assert find(label(Box("cat", 10, 10, 50, 50)), predicted) == [("missing", "cat", 0.7)]
    assert find(label(Box("cat", 10, 10, 50, 50)), predicted, score_threshold=0.3) == [
        ("missing", "cat", 0.7),
        ("missing", "dog", 0.4),
    ]


def test_one_place_is_suspected_once():
    predicted = detect(("cat", 0.9, 10, 10, 50, 50), ("dog", 0.8, 11, 11, 50, 50))
    assert find(label(), predicted) == [("missing", "cat", 0.9)]


def test_another_class_on_a_box_and_a_box_without_a_detection():
    annotation = label(Box("cat", 10, 10, 50, 50), Box("dog", 60, 60, 90, 90), Box("dog", 0, 60, 9, 90, difficult=True))
    predicted = detect(("dog", 0.9, 10, 10, 50, 50))
    (first, second) = suspects.find_suspects(annotation, predicted)
    assert (first.kind, first.labelled, first.score) == (suspects.OTHER_CLASS, "cat", 0.9)
    assert (second.kind, second.box) == (suspects.UNFOUND, annotation.boxes[1])


def test_classes_that_the_set_does_not_have_do_not_count():
    assert find(label(), detect(("zebra", 0.9, 10, 10, 50, 50)), names={"cat"}) == []


def test_drafts_are_ranked_and_hold_the_labels_and_the_suspicions(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        save_pair(tmp_path / "data", name, [Box("cat", 4, 5, 30, 40)], seed=number)
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path / "data", val_fraction=0), show_progress=False)

    class Model:
        label_map = label_maps.make_label_map(["cat", "cow"])

        def predict(self, paths, batch_size, score_threshold):
            for path in paths:
                rows = [("cat", 0.9, 4, 5, 30, 40)]
                rows += [("cow", 0.8, 35, 5, 60, 45)] if path.endswith("c.jpg") else []
                rows += [("cat", 0.6, 35, 5, 60, 45)] if path.endswith("a.jpg") else []
                yield detect(*rows, path=path)

    by_image = comparison.compare(planned, Model())
    assert suspects.rank(by_image) == ["a.jpg"]  # the set has no cows
    assert comparison.to_json(by_image)[0]["suspects"][0]["score"] == 0.6
    with pytest.raises(errors.DatasetError, match="originals"):
        drafts.write_drafts(tmp_path / "data", planned, by_image)
    folder = drafts.write_drafts(tmp_path / "out", planned, by_image)
    assert sorted(path.name for path in folder.iterdir()) == ["0001_a.jpg", "0001_a.xml"]
    draft = labelimg.read_labelimg(folder / "0001_a.xml")
    assert draft.boxes == (Box("cat", 4, 5, 30, 40), Box("cat", 35, 5, 60, 45))
    assert draft.filename == "0001_a.jpg" and not draft.verified
    assert f"<path>{folder / '0001_a.jpg'}</path>" in (folder / "0001_a.xml").read_text()
    (row,) = csv.DictReader((tmp_path / "out" / drafts.TABLE).open(encoding="utf-8"))
    assert (row["rank"], row["image"], row["xml"], row["kind"]) == ("1", "a.jpg", "a.xml", "missing")


def test_verified_drafts_and_no_others_come_back(tmp_path, capsys):
    for number, name in enumerate(("a", "b")):
        save_pair(tmp_path / "data", name, [Box("cat", 4, 5, 30, 40)], seed=number)
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path / "data"), show_progress=False)
    missing = suspects.Suspect(suspects.MISSING, Box("cat", 35, 5, 60, 45), 0.9)
    folder = drafts.write_drafts(tmp_path / "out", planned, {"a.jpg": [missing], "b.jpg": [missing]})
    path = folder / "0002_b.xml"
    labelimg.write_labelimg(path, dataclasses.replace(labelimg.read_labelimg(path), verified=True))
    command = ["check", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'new'}", "--fix"]
    assert main.main([*command, f"--reviewed={folder}"]) == 0
    assert "1 verified draft" in capsys.readouterr().out
    made = {name: labelimg.read_labelimg(tmp_path / "new" / "fixed" / f"{name}.xml") for name in "ab"}
    assert made["a"].boxes == (Box("cat", 4, 5, 30, 40),) and not made["a"].verified
    assert made["b"].boxes == (Box("cat", 4, 5, 30, 40), missing.box) and made["b"].verified
    assert made["b"].filename == "b.jpg"
    assert main.main(["check", f"--data_dir={tmp_path / 'data'}", "--reviewed=x"]) == 2
    assert main.main([*command[:2], f"--output_dir={tmp_path / 'newer'}", "--fix", f"--reviewed={tmp_path}"]) == 1
