"""Where labelled images are looked for when no folder is given."""

import json
import os
import pathlib

import pytest

from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors, provenance, run_layout, user_files
from tfodhelper.active_learning import workspace
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import data_folders
from tfodhelper.dataset.options import SetOptions
from tfodhelper.dataset.scan import discover


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def find(folder):
    return [dict(layout.flags) for layout in data_folders.find_layouts(str(folder))]


IMAGES = "--image_dir=images --annotation_dir=annotations"
ONE = [
    (["a.jpg", "a.xml"], {"data_dir": "."}),
    (["a.JPG", "other.xml"], {"data_dir": "."}),
    (["a.jpg", "xmls/a.xml"], {"data_dir": "."}),
    (["images/a.jpg", "annotations/a.xml"], {"image_dir": "images", "annotation_dir": "annotations"}),
    (["images/a.jpg", "annotations/xmls/a.xml"], {"image_dir": "images", "annotation_dir": "annotations"}),
    (["JPEGImages/a.jpg", "Annotations/a.xml"], {"image_dir": "JPEGImages", "annotation_dir": "Annotations"}),
    (["images/train/a.jpg", "images/train/a.xml", "images/test/b.jpg", "images/test/b.xml"], {"data_dir": "images"}),
    # the tutorial of the Object Detection API has records and a label map in annotations/
    (["images/train/a.jpg", "images/train/a.xml", "annotations/label_map.pbtxt"], {"data_dir": "images"}),
    (["images/train/a.jpg", "annotations/train/a.xml"], {"image_dir": "images", "annotation_dir": "annotations"}),
    (["images/a.jpg", "images/a.xml"], {"data_dir": "images"}),
    (["train/a.jpg", "train/a.xml", "valid/b.jpg", "valid/b.xml", "test/c.jpg", "test/c.xml"], {"data_dir": "."}),
    (["train/images/a.jpg", "train/xml/a.xml", "val/images/b.jpg", "val/xml/b.xml"], {"data_dir": "."}),
    (["set/train/a.jpg", "set/train/a.xml", "set/test/b.jpg", "set/test/b.xml"], {"data_dir": "set"}),
    (["train/a.jpg", "train/a.xml"], {"data_dir": "train"}),
    (["photos/a.jpg", "photos/a.xml", "more/b.jpg"], {"data_dir": "photos"}),
    (["mine/a.jpg", "mine/a.xml", "notes/b.txt"], {"data_dir": "mine"}),
    (
        ["VOCdevkit/VOC2007/JPEGImages/a.jpg", "VOCdevkit/VOC2007/Annotations/a.xml"],
        {"image_dir": "VOCdevkit/VOC2007/JPEGImages", "annotation_dir": "VOCdevkit/VOC2007/Annotations"},
    ),
    # nearer ones come first
    (
        ["images/a.jpg", "annotations/a.xml", "old/b.jpg", "old/b.xml"],
        {"image_dir": "images", "annotation_dir": "annotations"},
    ),
    (["a.jpg", "a.xml", "runs/x/b.jpg", "runs/x/b.xml", ".venv/c.jpg", ".venv/c.xml"], {"data_dir": "."}),
]


@pytest.mark.parametrize(("names", "flags"), ONE, ids=lambda value: ",".join(value))
def test_usual_layouts_are_found(tmp_path, names, flags):
    touch(tmp_path, *names)
    assert find(tmp_path) == [flags]
    # and the flags lead to the files that are there
    given = {name: tmp_path / value for name, value in flags.items()}
    assert discover.make_source(**given).image_dir.is_dir()


@pytest.mark.parametrize(
    "names",
    [
        [],
        ["a.jpg"],
        ["a.xml", "b.txt"],
        ["images/a.jpg", "annotations/a.csv"],
        ["images/a.jpg", "labels/a.txt"],
        ["app/pom.xml", "app/logo.png"],
        [".hidden/a.jpg", ".hidden/a.xml"],
        ["runs/a.jpg", "runs/a.xml"],
        ["venv/a.jpg", "venv/a.xml"],
        ["a/b/c/x.jpg", "a/b/c/x.xml"],
        ["r/run.json", "r/process.log", "r/x.jpg", "r/x.xml"],
        ["w/workspace.json", "w/process.log", "w/set/x.jpg", "w/set/x.xml"],
        ["e/pyvenv.cfg", "e/x.jpg", "e/x.xml"],
    ],
    ids=lambda names: ",".join(names) or "empty",
)
def test_what_is_no_layout_is_not_found(tmp_path, monkeypatch, names):
    touch(tmp_path, *names)
    assert find(tmp_path) == []
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UsageError, match="no labelled images were found") as caught:
        data_folders.fill_in(SetOptions())
    for layout in ("images/ with annotations/", "images/train", "JPEGImages/ with Annotations/", "valid/", "side by"):
        assert layout in caught.value.expected
    assert str(tmp_path) in caught.value.expected and "--data_dir=FOLDER" in caught.value.fix


@pytest.mark.parametrize(
    ("names", "flags"),
    [
        (
            ["images/a.jpg", "annotations/a.xml", "JPEGImages/a.jpg", "Annotations/b.xml"],
            [
                "--image_dir=JPEGImages --annotation_dir=Annotations",
                IMAGES,
            ],
        ),
        (
            ["images/a.jpg", "annots/a.xml", "handin_annots/a.xml"],
            ["--image_dir=images --annotation_dir=annots", "--image_dir=images --annotation_dir=handin_annots"],
        ),
        (
            ["images/a.jpg", "images/a.xml", "annotations/a.xml"],
            ["--data_dir=images", IMAGES],
        ),
        (
            ["one/a.jpg", "one/a.xml", "two b/a.jpg", "two b/a.xml"],
            ["--data_dir=one", "--data_dir='two b'", "--data_dir=."],
        ),
    ],
    ids=lambda value: ",".join(value),
)
def test_several_possibilities_are_an_error_with_the_flags_to_type(tmp_path, monkeypatch, names, flags):
    touch(tmp_path, *names)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(errors.UsageError, match="several possibilities") as caught:
        data_folders.fill_in(SetOptions())
    listed = [line.partition("   (")[0] for line in caught.value.fix.split("\n    ")[1:]]
    assert listed == flags
    assert caught.value.exit_status == 2


def test_a_folder_that_is_given_is_not_looked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for given in ({"data_dir": "x"}, {"image_dir": "x"}, {"annotation_dir": "x"}):
        chosen = SetOptions(**given)
        assert data_folders.fill_in(chosen) is chosen
    assert capsys.readouterr().out == ""


def test_what_was_found_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    touch(tmp_path, "my images/a.jpg", "my images/a.xml")
    monkeypatch.chdir(tmp_path)
    assert SetOptions(val_fraction=0.5).located() == SetOptions(val_fraction=0.5, data_dir="my images")
    (line,) = capsys.readouterr().out.splitlines()
    assert line == "no --data_dir given; found images and XML files in my images/: --data_dir='my images'"


def test_results_are_no_data_unless_they_are_labelled_images(tmp_path):
    def save(name, verb):
        touch(tmp_path, f"{name}/a.jpg", f"{name}/a.xml")
        provenance.Maker(verb, {}, "0").record(tmp_path / name)

    save("predicted", "predict")
    save("suspects", "check")
    assert find(tmp_path) == []
    save("imported", "import")
    assert find(tmp_path) == [{"data_dir": "imported"}]
    save("fixed", "check")
    assert find(tmp_path) == [{"data_dir": "fixed"}, {"data_dir": "imported"}]


def test_the_marks_of_results_are_the_names_that_are_written():
    marks = {name for names in user_files._MARKS_OF_RESULTS for name in names}
    assert {run_layout.STATE, workspace.NAME, "process.log"} <= marks


def test_the_search_leaves_out_runs_and_workspaces_below_the_folder(tmp_path):
    touch(tmp_path, "a.jpg", "runs/first/run.json", "runs/first/process.log", "runs/first/checkpoints/results.png")
    touch(
        tmp_path, "w/workspace.json", "w/process.log", "w/set/a.jpg", "env/pyvenv.cfg", "env/lib/x.png", "own/run.json"
    )
    assert user_files.list_files(tmp_path, print) == ["a.jpg", "own/run.json"]
    # but a folder that is named itself is searched
    assert "checkpoints/results.png" in user_files.list_files(tmp_path / "runs" / "first", print)


def test_a_hundred_thousand_files_are_listed_once(tmp_path, monkeypatch):
    """No file is opened, none but the folders are asked about, and each folder is listed at most twice."""
    touch(tmp_path, *(f"images/{index}.jpg" for index in range(300)), *(f"annotations/{i}.xml" for i in range(300)))
    listed, scan = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(str(path)) or scan(path))
    monkeypatch.setattr(os, "stat", lambda *args, **kwargs: pytest.fail("a file is asked about"))
    monkeypatch.setattr(provenance, "holds_results", lambda path: False)
    assert len(data_folders.find_layouts(str(tmp_path))) == 1
    assert sorted(pathlib.Path(path).name for path in listed) == sorted(["annotations", "images", tmp_path.name])


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    for side, seeds in (("train", range(6)), ("test", range(10, 12))):
        for seed in seeds:
            save_pair(tmp_path / "images" / side, f"{seed}", [Box("cat", 1, 2, 30, 40)], seed=seed)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "argv",
    [
        ["convert", "--output_dir=data"],
        ["check"],
        ["stats"],
        ["split", "--output_dir=lists"],
        ["export-annotations", "--to=csv", "--output_dir=csv"],
    ],
    ids=lambda argv: argv[0],
)
def test_every_verb_for_labelled_images_looks_for_them(pictures, capsys, argv):
    assert main.main([*argv, "--num_workers=1"] if argv[0] in ("convert", "split", "stats") else argv) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("no --data_dir given; found images and XML files in images/: --data_dir=images\n")
    # one line says that the folders are not the split, and what makes them so
    (line,) = [line for line in (printed.out + printed.err).splitlines() if "the folders look like a split" in line]
    assert "--split_by_folder uses them" in line


def test_folders_as_the_split_are_said_with_the_flag_that_changes_it(pictures, capsys):
    assert main.main(["convert", "--output_dir=data", "--split_by_folder", "--num_workers=1"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("split by folder")]
    assert line == (
        "split by folder: train: train; validate: test (there is no separate test set); --nosplit_by_folder splits at "
        "random"
    )
    assert json.loads((pictures / "data" / "manifest.json").read_text())["options"]["split_by_folder"] is True


def test_a_link_in_a_circle_does_not_end_the_search(tmp_path):
    (tmp_path / "circle").symlink_to("circle")
    touch(tmp_path, "images/a.jpg", "annotations/a.xml")
    assert sorted(user_files.list_folder(tmp_path)[0]) == ["annotations", "images"]
    assert len(find(tmp_path)) == 1
