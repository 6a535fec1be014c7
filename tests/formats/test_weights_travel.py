"""Weights of boxes through the verbs: checks, counts, copies, records and their update, and other formats."""

import json

import pytest
import tensorflow as tf

from tests.dataset.scan.picture_set import save_image
from tfodhelper.annotations import checks, labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset.scan import entry
from tfodhelper.fields import Record

BOXES = (
    Box("disc", 2, 3, 30, 28),
    Box("disc", 32, 3, 60, 28, weight=0.75),
    Box("disc", 2, 30, 30, 46, weight=0.5, location_weight=0),
    Box("disc", 32, 30, 60, 46, weight=0),
)
NUM_IMAGES = 8


def save_set(folder):
    folder.mkdir()
    for number in range(1, NUM_IMAGES + 1):
        save_image(folder / f"{number}.jpg", seed=number)
        boxes = BOXES if number == 1 else BOXES[:1]
        labelimg.write_labelimg(folder / f"{number}.xml", Annotation(f"{number}.jpg", 64, 48, boxes))
    (folder / "train.txt").write_text("".join(f"{number}.jpg\n" for number in range(1, NUM_IMAGES)))
    (folder / "val.txt").write_text(f"{NUM_IMAGES}.jpg\n")
    return folder


@pytest.fixture
def folder(tmp_path):
    return save_set(tmp_path / "set")


def run(verb, folder, output, *more):
    lists = [f"--train_list={folder / 'train.txt'}", f"--val_list={folder / 'val.txt'}"]
    lists = [] if verb == "check" else lists
    return main.main([verb, f"--data_dir={folder}", f"--output_dir={output}", *lists, *more])


def weights_of_records(folder):
    """{file name: (weights, factors for the corners)}."""
    found = {}
    for path in folder.glob("*.record-*"):
        for serialized in tf.data.TFRecordDataset(str(path)):
            feature = tf.train.Example.FromString(serialized.numpy()).features.feature
            keys = (Record.WEIGHT, Record.LOCATION_WEIGHT)
            name = feature[Record.FILENAME].bytes_list.value[0].decode()
            found[name] = tuple([list(feature[key].float_list.value) if key in feature else None for key in keys])
    return found


def boxes_of(folder):
    """Boxes of the one image that has more than one."""
    (boxes,) = [
        read.boxes for read in map(labelimg.read_labelimg, sorted(folder.rglob("*.xml"))) if len(read.boxes) > 1
    ]
    return boxes


def test_check_says_and_copies_them(folder, tmp_path, capsys):
    assert run("check", folder, tmp_path / "checked", "--fix") == 0
    assert "3 of 4 boxes do not count 1 in training, of which 1 is an ignored region" in capsys.readouterr().out
    assert boxes_of(tmp_path / "checked" / "fixed") == BOXES


def test_stats_count_them(folder, tmp_path):
    assert run("stats", folder, tmp_path / "stats") == 0
    header, row = (tmp_path / "stats" / "weights.csv").read_text(encoding="utf-8-sig").splitlines()
    assert header == "class,boxes,ignored regions,other weights,only their class,sum of the weights"
    assert row == "disc,11,1,2,1,9.25"


def test_records_have_them_and_an_update_follows_the_file(folder, tmp_path):
    assert run("convert", folder, tmp_path / "data") == 0
    found = weights_of_records(tmp_path / "data")
    assert found.pop("1.jpg") == ([1, 0.75, 0.5, 0], [1, 1, 0, 1])
    assert set(map(str, found.values())) == {"([1.0], None)"} and len(found) == NUM_IMAGES - 1
    path = folder / "1.weights.json"
    path.write_text(path.read_text().replace("0.75", "0.25"))
    assert run("convert", folder, tmp_path / "data", "--update") == 0
    assert weights_of_records(tmp_path / "data")["1.jpg"][0] == [1, 0.25, 0.5, 0]
    path.unlink()
    assert run("convert", folder, tmp_path / "data", "--update") == 0
    assert weights_of_records(tmp_path / "data")["1.jpg"] == ([1, 1, 1, 1], None)


def test_records_can_be_imported(folder, tmp_path, capsys):
    assert run("convert", folder, tmp_path / "data") == 0
    arguments = [f"--input={tmp_path / 'data' / 'train.record-*'}", f"--output_dir={tmp_path / 'again'}"]
    assert main.main(["import", "--from=records", *arguments]) == 0
    assert "3 weights" in capsys.readouterr().out
    assert boxes_of(tmp_path / "again") == BOXES


def test_coco_keeps_them_and_refuses_others(folder, tmp_path, capsys):
    assert run("export-annotations", folder, tmp_path / "coco", "--to=coco") == 0
    path = tmp_path / "coco" / "instances_train.json"
    arguments = [f"--input={path}", f"--image_dir={tmp_path / 'coco' / 'images'}"]
    assert main.main(["import", "--from=coco", *arguments, f"--output_dir={tmp_path / 'again'}"]) == 0
    assert boxes_of(tmp_path / "again") == BOXES
    content = json.loads(path.read_text())
    next(entry for entry in content["annotations"] if entry.get("weight") == 0.75)["weight"] = -3
    path.write_text(json.dumps(content))
    capsys.readouterr()
    assert main.main(["import", "--from=coco", *arguments, f"--output_dir={tmp_path / 'other'}"]) == 0
    assert "a number from 0 to 1000" in capsys.readouterr().out
    assert [box.weight for box in boxes_of(tmp_path / "other")] == [1, 1, 0.5, 0]


@pytest.mark.parametrize("format_", ["yolo", "csv"])
def test_other_formats_say_that_they_cannot_keep_them(folder, tmp_path, capsys, format_):
    assert run("export-annotations", folder, tmp_path / "out", f"--to={format_}") == 0
    assert "3 weights" in capsys.readouterr().out


def test_a_damaged_file_leaves_the_image_out(folder, tmp_path, capsys):
    (folder / "1.weights.json").write_text("{")
    assert run("check", folder, tmp_path / "checked") == 1
    assert "weights-unreadable" in capsys.readouterr().out


def test_unchanged_files_are_known_by_their_stamps(folder, tmp_path, monkeypatch):
    options = entry.ScanOptions(str(folder), str(folder), False, None, checks.CheckOptions())
    known = [entry.make_entry(options, f"{number}.xml", f"{number}.jpg") for number in (1, 2)]
    assert known[0].weights_stamp and known[1].weights_stamp is None
    monkeypatch.setattr(entry, "_read_annotation", lambda path, name: pytest.fail(f"{name} was read again"))
    for old in known:
        assert entry.make_entry(options, old.name, old.image, old).content == old.content
    monkeypatch.undo()
    (folder / "2.weights.json").write_bytes((folder / "1.weights.json").read_bytes())
    changed = entry.make_entry(options, "2.xml", "2.jpg", known[1])
    assert [finding[0] for finding in changed.findings] == ["weight-stale"] * 3
    assert changed.usable[3] == known[1].usable[3]
