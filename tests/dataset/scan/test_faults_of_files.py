"""Faults that concern a whole file, from the XML to the records and the corrected copies."""

import json

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.shared_data import shared
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan, report

WRONG_TAGS = [(300, 350, 20, 60), (40, 90, 200, 260), (500, 560, 100, 180), (10, 60, 400, 440)]
RIGHT = [(300, 20, 350, 60), (40, 200, 90, 260), (500, 100, 560, 180), (10, 400, 60, 440)]


def make(folder, **options):
    return plan.make_plan(plan.SetOptions(data_dir=folder, **options), show_progress=False)


def codes_of(planned):
    return {finding.code for finding in planned.findings} - {"class-few"}


def boxes_of(planned):
    return [(box.name, *corners(box)) for image in planned.examination.images for box in image.annotation.boxes]


def corners(box):
    return box.xmin, box.ymin, box.xmax, box.ymax


def add_blank(path, name):
    path.write_text(path.read_text().replace(f"<name>{name}</name>", f"<name>{name} </name>"))


def test_a_file_with_corners_in_the_wrong_tags_is_left_out_and_read_by_option(tmp_path):
    save_pair(tmp_path, "1", [Box("a", *values) for values in WRONG_TAGS], (640, 480))
    save_pair(tmp_path, "2", [Box("a", 40, 90, 200, 260)], (640, 480), seed=2)
    planned = make(tmp_path)
    assert codes_of(planned) == {"corners-confused"} and boxes_of(planned) == [("a", 40, 90, 200, 260)]
    read = make(tmp_path, corner_order="xmin,xmax,ymin,ymax")
    assert codes_of(read) == set()
    assert boxes_of(read) == [("a", *values) for values in [*RIGHT, (40, 200, 90, 260)]]


def test_the_order_of_corners_belongs_to_the_identity_of_a_conversion(tmp_path, capsys):
    save_set(tmp_path / "data", ["cat"])
    command = ["convert", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(command) == 0
    assert main.main([*command, "--corner_order=ymin,xmin,ymax,xmax"]) == 1
    assert "different options: --corner_order" in capsys.readouterr().err
    assert main.main([*command, "--corner_order=xmin,xmax"]) == 2


def test_corrected_copies_count_removed_blanks_and_repeats(tmp_path, capsys):
    save_pair(tmp_path / "data", "1", [Box("cat", 1, 2, 30, 40)])
    add_blank(tmp_path / "data" / "1.xml", "cat")
    save_pair(tmp_path / "data", "2", [Box("cat", 1, 2, 30, 40)] * 2, seed=2)
    save_pair(tmp_path / "data", "3", [Box("cat", 1, 2, 30, 40)], seed=3)
    assert main.main(["check", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}", "--fix"]) == 0
    out = capsys.readouterr().out
    assert "(2 images or XML files changed)" in out
    assert "name-blanks (1)" in out and "box-repeated (1)" in out and "'cat '" in out
    fixed = json.loads((tmp_path / "out" / "report.json").read_text())["fixed"]
    assert [entry["codes"] for entry in fixed] == [["name-blanks"], ["box-repeated"]]
    for number in (1, 2):
        (box,) = labelimg.read_labelimg(tmp_path / "out" / "fixed" / f"{number}.xml").boxes
        assert box.name == "cat"


def test_the_reported_cases(tmp_path):
    confused = make(shared("cases/23-corners-in-the-wrong-tags"))
    assert codes_of(confused) == {"corners-confused", "nothing-to-train"} and not boxes_of(confused)
    assert boxes_of(make(shared("cases/23-corners-in-the-wrong-tags"), corner_order="xmin,xmax,ymin,ymax")) == [
        ("a", *values) for values in RIGHT
    ]
    repeated = make(shared("cases/24-exact-duplicate-boxes"))
    assert codes_of(repeated) == {"box-repeated", "box-class-conflict"}
    assert sorted(name for name, *_ in boxes_of(repeated)) == ["a", "b"]
    tile = make(shared("cases/26-tile-of-a-larger-image"))
    assert codes_of(tile) == {"size-differs", "box-clipped", "filename-differs"}
    assert [values for _, *values in boxes_of(tile)][1] == [600, 300, 640, 380]
    blanks = make(shared("cases/31-trailing-space-in-a-class"))
    assert codes_of(blanks) == {"name-blanks"}


def test_an_ignored_file_is_not_counted_as_left_out(tmp_path):
    save_set(tmp_path, ["cat"], 2)
    (tmp_path / "pom.xml").write_text("<project/>")
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "cat_000.xml").write_bytes((tmp_path / "cat_000.xml").read_bytes())
    planned = make(tmp_path)
    assert codes_of(planned) == {"not-an-annotation", "xml-copy"}
    assert planned.left_out == {} and report.to_json(planned)["num_left_out"] == 0
    assert sorted(planned.ignored) == ["copy/cat_000.xml", "pom.xml"]


def test_a_file_that_is_ignored_with_its_labels_counts_as_left_out(tmp_path):
    save_pair(tmp_path, "1", [Box("cat", 1, 2, 30, 40)])
    save_pair(tmp_path, "2", [Box("cat", 1, 2, 30, 40)], seed=2)
    copy = tmp_path / "1 (copy).xml"
    copy.write_text((tmp_path / "1.xml").read_text().replace("cat", "dog"))
    planned = make(tmp_path)
    assert codes_of(planned) == {"xml-conflict"}
    assert list(planned.left_out) == ["1 (copy).xml"] and planned.ignored == []


@pytest.mark.parametrize("verb", ["check", "convert"])
def test_the_exit_status_is_that_of_the_errors_that_are_counted(tmp_path, capsys, verb):
    save_pair(tmp_path / "data", "1", [])
    save_image(tmp_path / "data" / "2.jpg")
    out = [] if verb == "check" else [f"--output_dir={tmp_path / 'out'}"]
    assert main.main([verb, f"--data_dir={tmp_path / 'data'}", *out]) == 1
    said = capsys.readouterr()
    if verb == "check":
        assert "1 error, 0 warnings, 1 note" in said.out and "nothing-to-train" in said.out
    else:
        assert said.err.count("no image has a box") == 1
