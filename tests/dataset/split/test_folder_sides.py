"""Folders named like the sides of a split."""

import pytest

from tests.dataset.scan.picture_set import save_pair
from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan
from tfodhelper.dataset.split.folder_sides import FolderSides
from tfodhelper.dataset.split.split import TEST, TRAIN, VALIDATE


def save_folders(folder, numbers):
    for position, (name, number) in enumerate(numbers.items()):
        for index in range(number):
            save_pair(folder / name, f"{position}_{index}", [Box("cat", 1, 2, 30, 40)], seed=100 * position + index)
    return folder


def make(folder, **options):
    return plan.make_plan(plan.SetOptions(data_dir=folder, **options), show_progress=False)


def notes_of(planned, code):
    return [finding for finding in planned.findings if finding.code == code]


@pytest.mark.parametrize(
    ("folders", "sides"),
    [
        (["train", "valid", "test"], [TRAIN, VALIDATE, TEST]),
        (["images/Train", "images/TEST"], [TRAIN, VALIDATE]),
        (["train/images", "val/images"], [TRAIN, VALIDATE]),
        (["images/train2017", "images/val2017"], [TRAIN, VALIDATE]),
        (["test/my_train_set/train", "test/my_train_set/validation"], [TRAIN, VALIDATE]),
        (["training_set", "test-images", "elsewhere"], [TRAIN, VALIDATE, None]),
    ],
)
def test_names_of_folders_say_what_is_on_which_side(folders, sides):
    given = FolderSides([f"{folder}/1.jpg" for folder in folders])
    assert given.is_split
    assert [given.side_of(f"{folder}/2.jpg") for folder in folders] == sides


@pytest.mark.parametrize(
    "folders",
    [["train"], ["test", "val"], ["trains", "testbed"], ["trained", "test"], [""], ["a", "b"], ["train/test"]],
)
def test_other_folders_are_no_split(folders):
    assert not FolderSides([f"{folder}/1.jpg".lstrip("/") for folder in folders]).is_split


def test_folders_that_are_not_used_as_the_split_are_reported_in_one_line(tmp_path):
    planned = make(save_folders(tmp_path, {"images/train": 8, "images/test": 2}))
    (finding,) = notes_of(planned, "split-folders")
    assert "images/test (2 images), images/train (8 images)" in finding.message
    assert "--split_by_folder" in finding.fix


def test_folders_are_used_as_the_split(tmp_path, capsys):
    planned = make(save_folders(tmp_path, {"train": 8, "test": 3}), split_by_folder=True)
    assert {name: side for name, side in planned.sides.items() if name.startswith("test")} == dict.fromkeys(
        ["test/1_0.jpg", "test/1_1.jpg", "test/1_2.jpg"], VALIDATE
    )
    assert planned.statistics.images == {TRAIN: 8, VALIDATE: 3, TEST: 0}
    assert not notes_of(planned, "split-folders")
    assert "train: train; validate: test (there is no separate test set)" in capsys.readouterr().out


def test_three_folders_and_a_fourth(tmp_path):
    folder = save_folders(tmp_path, {"train": 5, "valid": 2, "test": 1, "more": 1})
    planned = make(folder, split_by_folder=True)
    assert planned.statistics.images == {TRAIN: 5, VALIDATE: 2, TEST: 1}
    assert [finding.file for finding in notes_of(planned, "not-listed")] == ["more/3_0.jpg"]
    assert list(planned.left_out) == ["more/3_0.jpg"]


def test_identical_images_in_two_folders_are_reported(tmp_path):
    folder = save_folders(tmp_path, {"train": 5, "test": 2})
    for ending in ("jpg", "xml"):
        (folder / "test" / f"copy.{ending}").write_bytes((folder / "train" / f"0_0.{ending}").read_bytes())
    assert len(notes_of(make(folder, split_by_folder=True), "split-leak")) == 1


def test_without_such_folders_the_flag_is_an_error(tmp_path):
    with pytest.raises(errors.DatasetError, match="split_by_folder"):
        make(save_folders(tmp_path, {"a": 2, "b": 2}), split_by_folder=True)


def test_the_flag_cannot_be_combined_with_another_split(tmp_path):
    folder = save_folders(tmp_path, {"train": 2, "test": 2})
    for other in ({"fold": "1/2"}, {"group_by": "video"}, {"test_fraction": 0.1}):
        with pytest.raises(errors.UsageError, match="cannot be combined"):
            make(folder, split_by_folder=True, **other)


def test_a_conversion_remembers_the_flag(tmp_path, capsys):
    save_folders(tmp_path / "data", {"train": 5, "test": 2})
    command = ["convert", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main([*command, "--split_by_folder"]) == 0
    assert main.main(command) == 1
    assert "different options: --split_by_folder" in capsys.readouterr().err


def test_lists_of_the_folders(tmp_path):
    save_folders(tmp_path / "data", {"train": 5, "valid": 2, "test": 1})
    command = ["split", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}", "--split_by_folder"]
    assert main.main(command) == 0
    assert (tmp_path / "out" / "test.txt").read_text().split() == ["test/2_0"]
    assert len((tmp_path / "out" / "train.txt").read_text().split()) == 5


def test_the_reported_case():
    folder = shared("cases/25-train-and-test-folders-resplit")
    assert len(notes_of(make(folder), "split-folders")) == 1
    sides = make(folder, split_by_folder=True).sides
    assert {name for name, side in sides.items() if side == TRAIN} == {f"images/train/train{n}.jpg" for n in range(8)}
