"""What an export says of itself: what it wrote, what the format loses, and the command that brings it back."""

import shlex

import pytest

from tests.dataset.scan.picture_set import save_pair, save_set
from tests.shared_data import shared
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.label_map import LabelMap, LabelMapItem
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main


def save_varied(folder):
    """Ten plain images, a negative that was verified, and one with boxes of all properties."""
    save_set(folder, ["cat", "dog"])
    save_pair(folder, "empty", [], seed=5, verified=True)
    boxes = [Box("cat", 1, 2, 30, 40, difficult=True, truncated=True), Box("dog", 5, 5, 9, 9, pose="Left")]
    save_pair(folder, "half", boxes, seed=6)
    return folder


def export(capsys, format_, folder, *flags):
    """Returns (what was printed, the next command as a list of words)."""
    assert main.main(["export-annotations", f"--to={format_}", f"--data_dir={folder}", *flags]) == 0
    printed = capsys.readouterr().out
    return printed, shlex.split(printed.strip().splitlines()[-1])


def boxes_in(folder):
    """{name without extension: (class, corners) of each box}."""
    found_boxes = {}
    for path in folder.rglob("*.xml"):
        boxes = labelimg.read_labelimg(path).boxes
        found_boxes[path.stem] = [(box.name, box.xmin, box.ymin, box.xmax, box.ymax) for box in boxes]
    return found_boxes


@pytest.mark.parametrize("format_", ["coco", "yolo", "csv"])
@pytest.mark.parametrize("flags", [(), ("--test_fraction=0.3",), ("--images=copy",)])
def test_the_next_command_brings_everything_back(tmp_path, capsys, format_, flags):
    folder, back = save_varied(tmp_path / "my data"), tmp_path / "back"
    _, command = export(capsys, format_, folder, f"--output_dir={tmp_path / 'the copy'}", *flags)
    assert command[:2] == ["tfodhelper", "import"]
    assert main.main([*command[1:-1], f"--output_dir={back}"]) == 0
    assert boxes_in(back) == boxes_in(folder)
    lists = [path.stem for path in back.glob("*.txt")]
    assert sorted(lists) == ["test", "train", "validate"][not flags or "test" not in flags[0] :]


@pytest.mark.parametrize("format_", ["coco", "csv"])
def test_images_that_were_left_where_they_are_are_found_there(tmp_path, capsys, format_):
    folder, back = save_varied(tmp_path / "data"), tmp_path / "back"
    _, command = export(capsys, format_, folder, f"--output_dir={tmp_path / 'out'}", "--images=none")
    assert main.main([*command[1:-1], f"--output_dir={back}"]) == 0
    assert boxes_in(back) == boxes_in(folder)


def test_what_a_format_loses_is_counted(tmp_path, capsys):
    folder = save_varied(tmp_path / "data")
    lost = "1 verified image, 1 difficult box, 1 truncated box, 1 pose"
    for format_ in ("csv", "yolo"):
        printed, _ = export(capsys, format_, folder, f"--output_dir={tmp_path / format_}")
        assert f"not kept by {format_}: {lost}" in printed
        assert "label_map" not in printed
    printed, _ = export(capsys, "coco", folder, f"--output_dir={tmp_path / 'coco'}")
    assert "nothing of this set is lost" in printed


def test_negatives_of_a_table_are_counted_and_their_file_is_named(tmp_path, capsys):
    folder = shared("cases/30-csv-export-hides-negatives")
    printed, command = export(capsys, "csv", folder, f"--output_dir={tmp_path / 'out'}", "--val_fraction=0.34")
    rows = [line.split() for line in printed.splitlines() if line.startswith(("train ", "validate "))]
    named = [row for row in rows if "_negatives.csv" in row[-1]]
    assert sum(int(row[3]) for row in rows) == 1 and len(named) == 1 and named[0][3] == "1"
    assert "_negatives.csv" in " ".join(command)
    assert main.main([*command[1:-1], f"--output_dir={tmp_path / 'back'}"]) == 0
    assert boxes_in(tmp_path / "back")["2"] == []


@pytest.mark.parametrize("format_", ["csv", "yolo"])
def test_ids_that_a_format_cannot_keep_are_in_a_label_map(tmp_path, capsys, format_):
    folder, path = save_varied(tmp_path / "data"), tmp_path / "ids.pbtxt"
    label_maps.write_label_map(path, LabelMap((LabelMapItem(3, "dog"), LabelMapItem(7, "cat"))))
    printed, _ = export(capsys, format_, folder, f"--output_dir={tmp_path / 'out'}", f"--label_map={path}")
    assert "label_map.pbtxt only" in printed
    assert label_maps.read_label_map(tmp_path / "out" / "label_map.pbtxt") == label_maps.read_label_map(path)
