"""Plans, the table of classes, and the report of `check`."""

import json
import subprocess
import sys

import pytest

from tests.dataset.scan.picture_set import save_pair, save_set
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan, report
from tfodhelper.dataset.analysis import class_counts
from tfodhelper.dataset.split.split import TRAIN, VALIDATE


def make(folder, **options):
    return plan.make_plan(plan.SetOptions(data_dir=folder, **options), show_progress=False)


def write_label_map(path, *names):
    label_maps.write_label_map(path, label_maps.make_label_map(names))
    return path


def test_the_table(tmp_path):
    save_set(tmp_path, ["cat", "dog"], 5)
    save_pair(tmp_path, "empty", [], seed=77)
    planned = make(tmp_path)
    assert class_counts.format_summary(planned.label_map, planned.statistics).splitlines() == [
        "ID  NAME                    Train  Validate",
        "--  ----------------------  -----  --------",
        " 1  cat                         4         1",
        " 2  dog                         4         1",
        "    all boxes                   8         2",
        "    images                      9         2",
        "    images without objects      1         0",
    ]


def test_a_class_without_training_boxes_is_an_error(tmp_path):
    save_set(tmp_path / "data", ["cat"])
    label_map = write_label_map(tmp_path / "map.pbtxt", "cat", "unicorn")
    with pytest.raises(errors.DatasetError, match="unicorn"):
        make(tmp_path / "data", label_map=label_map).check()


def test_the_fix_names_a_label_map_only_if_one_was_given(tmp_path):
    save_set(tmp_path / "data", ["cat", "dog"], 3)
    lists = {"train": ["cat_000", "cat_001"], "val": ["cat_002", "dog_000"]}
    for side, names in lists.items():
        (tmp_path / f"{side}.txt").write_text("\n".join(names))
    given = {f"{side}_list": tmp_path / f"{side}.txt" for side in lists}
    with pytest.raises(errors.DatasetError) as caught:
        make(tmp_path / "data", **given).check()
    assert "1 class without training boxes: 'dog'" in str(caught.value) and "label map" not in caught.value.fix
    label_map = write_label_map(tmp_path / "map.pbtxt", "cat", "dog")
    with pytest.raises(errors.DatasetError) as caught:
        make(tmp_path / "data", label_map=label_map, **given).check()
    assert "remove it from the label map" in caught.value.fix


def test_a_class_without_validation_boxes_is_a_warning(tmp_path):
    save_set(tmp_path, ["cat"])
    save_pair(tmp_path, "dog", [Box("dog", 1, 1, 20, 20)], seed=9999)
    planned = make(tmp_path)
    planned.check()
    assert [f.file for f in planned.findings if f.code == "class-no-validation"] == ["dog"]
    assert planned.sides["dog.jpg"] == TRAIN


def test_an_image_with_several_reasons_is_left_out_once(tmp_path):
    save_set(tmp_path / "data", ["cat"])
    save_pair(tmp_path / "data", "two", [Box("dog", 1, 1, 20, 20), Box("cow", 30, 1, 60, 20)], seed=9999)
    planned = make(tmp_path / "data", label_map=write_label_map(tmp_path / "map.pbtxt", "cat"))
    assert {name: len(reasons) for name, reasons in planned.left_out.items()} == {"two.jpg": 2}


def test_strict_rejects_what_would_be_fixed(tmp_path):
    save_set(tmp_path, ["cat"])
    make(tmp_path).check(strict=True)
    save_pair(tmp_path, "over", [Box("cat", 1, 1, 65, 20)], seed=9999)
    planned = make(tmp_path)
    planned.check()
    with pytest.raises(errors.DatasetError, match="box-rounded: over.xml"):
        planned.check(strict=True)


def test_a_dataset_of_negatives_cannot_be_used_for_training(tmp_path):
    save_pair(tmp_path, "a", [])
    with pytest.raises(errors.DatasetError, match="no class to learn"):
        make(tmp_path).check()


def test_a_leak_between_given_lists_is_reported(tmp_path):
    save_pair(tmp_path, "a", [Box("cat", 1, 1, 20, 20)], seed=1)
    save_pair(tmp_path, "b", [Box("cat", 1, 1, 20, 20)], seed=1)
    (tmp_path / "train.txt").write_text("a\n")
    (tmp_path / "val.txt").write_text("b\n")
    planned = make(tmp_path, train_list=tmp_path / "train.txt", val_list=tmp_path / "val.txt")
    assert planned.sides == {"a.jpg": TRAIN, "b.jpg": VALIDATE}
    assert "split-leak" in [f.code for f in planned.findings]


def test_report_lists_everything_and_is_json(tmp_path):
    save_set(tmp_path, ["cat"], 3)
    (tmp_path / "cat_000.jpg").write_bytes(b"")
    planned = make(tmp_path)
    value = json.loads(json.dumps(report.to_json(planned)))
    assert (value["num_usable"], value["num_left_out"], value["has_errors"]) == (2, 1, True)
    assert value["findings"][0]["code"] == "image-empty"
    lines = report.format_report(planned)
    assert lines[0].startswith("ERROR image-empty (1)")


def test_check_verb_exit_status_and_report(tmp_path, capsys):
    save_set(tmp_path / "data", ["cat"], 3)
    assert main.main(["check", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]) == 0
    assert json.loads((tmp_path / "out" / "report.json").read_text())["has_errors"] is False
    (tmp_path / "data" / "cat_000.xml").write_text("<annotation>")
    assert main.main(["check", f"--data_dir={tmp_path / 'data'}"]) == 1
    output = capsys.readouterr().out
    assert "xml-unreadable" in output
    assert "cat_000.xml" in output
    assert main.main(["check"]) == 2
    assert main.main(["check", f"--data_dir={tmp_path / 'none'}"]) == 1


def test_check_does_not_import_tensorflow(tmp_path):
    save_set(tmp_path, ["cat"], 2)
    code = (
        "import sys; from tfodhelper.cli import main; "
        f"status = main.main(['check', '--data_dir={tmp_path}']); sys.exit(status or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=False).returncode == 0
