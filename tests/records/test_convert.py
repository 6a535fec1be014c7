"""The whole conversion: content, determinism, repeated runs, kills, errors."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.records.conversions import contents, convert_set, read_examples
from tests.shared_data import shared
from tfodhelper import errors, storage
from tfodhelper.annotations import images, labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset import manifest as manifests
from tfodhelper.records import folder, reader, result


def make_set(folder):
    """Eleven usable images (a negative, a WebP, one with a box to clip), two to leave out, one without annotation."""
    save_set(folder, ["cat", "dog"], 4)
    save_pair(folder / "more", "empty", [], seed=901)
    save_pair(folder / "more", "über", [Box("cat", -2, 1.5, 30, 40.25, difficult=True, pose="Left")], seed=902)
    save_image(folder / "webp.jpg", seed=903, format="WEBP")
    labelimg.write_labelimg(folder / "webp.xml", Annotation("webp.jpg", 64, 48, (Box("dog", 3, 4, 40, 44),)))
    save_pair(folder, "cut", [Box("cat", 1, 1, 20, 20)], seed=904)
    (folder / "cut.jpg").write_bytes((folder / "cut.jpg").read_bytes()[:-30])
    labelimg.write_labelimg(folder / "lost.xml", Annotation("lost.jpg", 64, 48, (Box("dog", 3, 4, 40, 44),)))
    save_image(folder / "pool.jpg", seed=905)
    return folder


def test_what_is_written(tmp_path):
    data = make_set(tmp_path / "data")
    made = convert_set(data, tmp_path / "out")
    assert (made.num_train + made.num_validate, made.num_left_out, made.num_classes, made.reused) == (11, 2, 2, False)
    assert made.train_pattern.endswith("out/train.record-?????-of-00004")
    assert [path.name for path in made.validate_shards] == ["validate.record-00000-of-00001"]
    assert reader.count_records(made.train_pattern) == made.num_train
    train, validate = read_examples(made.train_shards), read_examples(made.validate_shards)
    assert not set(train) & set(validate)
    every = train | validate
    assert set(every) >= {"more/empty.jpg", "more/über.jpg", "webp.jpg"}
    assert len({e["image/source_id"].bytes_list.value[0] for e in every.values()}) == 11
    plain = every["cat_000.jpg"]
    assert plain["image/encoded"].bytes_list.value[0] == (data / "cat_000.jpg").read_bytes()
    assert plain["image/format"].bytes_list.value[0] == b"jpeg"
    assert list(plain["image/object/bbox/xmin"].float_list.value) == pytest.approx([4 / 64])
    assert list(plain["image/object/bbox/ymax"].float_list.value) == pytest.approx([40 / 48])
    assert list(plain["image/object/area"].float_list.value) == [26 * 35]
    assert list(plain["image/object/class/label"].int64_list.value) == [1]
    assert list(plain["image/object/class/text"].bytes_list.value) == [b"cat"]
    webp = every["webp.jpg"]["image/encoded"].bytes_list.value[0]
    assert images.inspect_image(webp, "").format == "JPEG"
    clipped = every["more/über.jpg"]
    assert list(clipped["image/object/bbox/xmin"].float_list.value) == [0]
    assert list(clipped["image/object/bbox/ymax"].float_list.value) == pytest.approx([40.25 / 48])
    assert list(clipped["image/object/difficult"].int64_list.value) == [1]
    assert list(clipped["image/object/view"].bytes_list.value) == [b"Left"]
    assert not every["more/empty.jpg"]["image/object/bbox/xmin"].float_list.value


def test_lists_label_map_manifest_and_log(tmp_path):
    made = convert_set(make_set(tmp_path / "data"), tmp_path / "out")
    rows = []
    for path in (made.train_csv, made.validate_csv):
        with open(path, encoding="utf-8", newline="") as file:
            rows += list(csv.DictReader(file))
    assert list(rows[0]) == ["filename", "width", "height", "class", "xmin", "ymin", "xmax", "ymax"]
    (clipped,) = [row for row in rows if row["filename"] == "more/über.jpg"]
    assert [clipped[key] for key in ("class", "xmin", "ymin", "xmax", "ymax")] == ["cat", "0", "1.5", "30", "40.25"]
    assert len(rows) == sum(train + validate for train, validate in made.counts.values()) == 10
    assert made.label_map.names == ("cat", "dog")
    manifest = manifests.read_manifest(tmp_path / "out")
    assert sorted((entry["path"], entry["code"]) for entry in manifest.left_out) == [
        ("cut.jpg", "image-truncated"),
        ("lost.xml", "image-missing"),
    ]
    assert manifest.left_out[0]["sha256"] == storage.sha256_of(tmp_path / "data" / "cut.jpg")
    assert manifest.unlabelled == ["pool.jpg"]
    entries = {entry["path"]: entry for entry in manifest.images}
    assert entries["cat_000.jpg"]["sha256"] == storage.sha256_of(tmp_path / "data" / "cat_000.jpg")
    assert [fix["code"] for fix in entries["more/über.jpg"]["fixes"]] == ["box-clipped"]
    assert "encoded_sha256" in entries["webp.jpg"]
    assert (manifest.options["seed"], manifest.options["val_fraction"]) == (0, 0.2)
    log = (tmp_path / "out" / result.LOG).read_text(encoding="utf-8")
    assert re.search(r"ID +NAME +Train +Validate", log)
    assert "convert: end" in log


def test_the_same_input_gives_the_same_bytes_wherever_it_is(tmp_path):
    make_set(tmp_path / "data")
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    convert_set(tmp_path / "data", tmp_path / "a")
    convert_set(tmp_path / "copy", tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    convert_set(tmp_path / "data", tmp_path / "c", seed=1)
    assert contents(tmp_path / "a") != contents(tmp_path / "c")


def test_a_second_run_uses_the_existing_result(tmp_path, capsys):
    data = make_set(tmp_path / "data")
    first = convert_set(data, tmp_path / "out")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.*-of-*")}
    again = convert_set(data, tmp_path / "out")
    assert again.reused
    assert (again.num_train, again.counts, again.train_shards) == (first.num_train, first.counts, first.train_shards)
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.*-of-*")} == before
    assert "already converted from the same files with the same options" in capsys.readouterr().out


def test_other_options_or_files_never_overwrite(tmp_path):
    data = make_set(tmp_path / "data")
    convert_set(data, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(errors.DatasetError, match="--seed"):
        convert_set(data, tmp_path / "out", seed=1)
    save_pair(data, "new", [Box("cat", 1, 1, 20, 20)], seed=999)
    with pytest.raises(errors.DatasetError, match="different images or annotation files"):
        convert_set(data, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_changed_shard_is_detected(tmp_path):
    data = make_set(tmp_path / "data")
    made = convert_set(data, tmp_path / "out")
    with open(made.train_shards[0], "ab") as file:
        file.write(b"x")
    with pytest.raises(errors.DatasetError, match="has changed"):
        convert_set(data, tmp_path / "out")


def test_foreign_files_are_not_touched(tmp_path):
    data = make_set(tmp_path / "data")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "label_map.pbtxt").write_text("mine")
    with pytest.raises(errors.DatasetError, match=r"label_map\.pbtxt"):
        convert_set(data, tmp_path / "out")
    assert (tmp_path / "out" / "label_map.pbtxt").read_text() == "mine"


_KILLED = """
import os, sys
from tfodhelper.records import convert, writer
from tfodhelper.annotations import label_map
from tfodhelper.dataset import manifest
{patch}
convert.convert(convert.ConvertOptions(data_dir=sys.argv[1], output_dir=sys.argv[2]))
"""
# Where the process is killed: inside a shard, between shards, after the records, just before and after the manifest.
_DEATHS = [
    """
old = writer._make_record
def die(item, label_map):
    if item.source_id == 7:
        os.kill(os.getpid(), 9)
    return old(item, label_map)
writer._make_record = die
""",
    """
old = os.replace
def die(source, target):
    old(source, target)
    if "of-00004" in str(target):
        os.kill(os.getpid(), 9)
os.replace = die
""",
    "label_map.write_label_map = lambda *given: os.kill(os.getpid(), 9)",
    "manifest.write_manifest = lambda *given: os.kill(os.getpid(), 9)",
    """
old = manifest.write_manifest
def die(*given):
    old(*given)
    os.kill(os.getpid(), 9)
manifest.write_manifest = die
""",
]


@pytest.mark.parametrize("death", range(len(_DEATHS)))
def test_a_run_after_a_kill_gives_the_same_result(tmp_path, death):
    data = make_set(tmp_path / "data")
    code = _KILLED.format(patch=_DEATHS[death])
    command = [sys.executable, "-c", code, str(data), str(tmp_path / "out")]
    assert subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == -signal.SIGKILL
    assert (tmp_path / "out" / manifests.NAME).exists() == (death == 4)
    convert_set(data, tmp_path / "out")
    convert_set(data, tmp_path / "whole")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_nothing_is_left_of_a_killed_run_with_other_options(tmp_path):
    data = make_set(tmp_path / "data")
    code = _KILLED.format(patch=_DEATHS[2])
    command = [sys.executable, "-c", code, str(data), str(tmp_path / "out")]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    assert list((tmp_path / "out").glob("train.record-*-of-00004"))
    convert_set(data, tmp_path / "out", num_shards=2)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.record-*")) == [
        "train.record-00000-of-00002",
        "train.record-00001-of-00002",
        "validate.record-00000-of-00001",
    ]


def test_a_kill_at_any_time(tmp_path):
    data = make_set(tmp_path / "data")
    command = [sys.executable, "-m", "tfodhelper", "convert", f"--data_dir={data}", f"--output_dir={tmp_path / 'out'}"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while process.poll() is None and not (tmp_path / "out" / result.UNFINISHED).exists():
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert convert_set(data, tmp_path / "out").num_train > 0


def test_one_process_at_a_time(tmp_path):
    data = make_set(tmp_path / "data")
    (tmp_path / "out").mkdir()
    with storage.hold(tmp_path / "out"), pytest.raises(errors.StorageError, match="another process"):
        convert_set(data, tmp_path / "out")


def test_a_full_disk_stops_before_anything_is_written(tmp_path, monkeypatch):
    data = make_set(tmp_path / "data")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=100))
    with pytest.raises(errors.StorageError, match="not enough"):
        convert_set(data, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.record-*"))


def test_an_image_that_changes_during_the_conversion_is_an_error(tmp_path, monkeypatch):
    data = make_set(tmp_path / "data")
    old = folder.lay_out

    def change_and_write(*args):
        save_image(data / "cat_000.jpg", seed=12345)
        return old(*args)

    monkeypatch.setattr(folder, "lay_out", change_and_write)
    with pytest.raises(errors.DatasetError, match="cat_000.jpg: the file changed during the conversion"):
        convert_set(data, tmp_path / "out")
    assert not (tmp_path / "out" / manifests.NAME).exists()
    assert not list((tmp_path / "out").glob(".*.tmp"))


def test_strict_names_file_and_code(tmp_path):
    with pytest.raises(errors.DatasetError, match="image-truncated: cut.jpg"):
        convert_set(make_set(tmp_path / "data"), tmp_path / "out", strict=True)


def test_given_lists(tmp_path):
    data = make_set(tmp_path / "data")
    (tmp_path / "val.txt").write_text("cat_001\ndog_002\n")
    made = convert_set(data, tmp_path / "out", val_list=tmp_path / "val.txt", num_shards=2)
    assert set(read_examples(made.validate_shards)) == {"cat_001.jpg", "dog_002.jpg"}
    assert (made.num_train, len(made.train_shards)) == (9, 2)


def test_the_verb(tmp_path, capsys):
    data = make_set(tmp_path / "data")
    assert main.main(["convert", f"--data_dir={data}", f"--output_dir={tmp_path / 'out'}"]) == 0
    assert "Next:" in capsys.readouterr().out
    assert main.main(["convert", f"--data_dir={data}"]) == 2
    assert main.main(["convert", f"--data_dir={data}", f"--output_dir={tmp_path / 'x'}", "--val_fraction=1"]) == 2
    assert not (tmp_path / "x").exists()


def test_real_blood_cells_with_their_own_lists(tmp_path):
    data = shared("data/bccd/BCCD")
    made = convert_set(
        data,
        tmp_path,
        train_list=data / "ImageSets/Main/trainval.txt",
        val_list=data / "ImageSets/Main/test.txt",
    )
    assert (made.num_train, made.num_validate) == (292, 72)
    assert made.counts == {"Platelets": (292, 69), "RBC": (3348, 805), "WBC": (301, 71)}
    assert json.loads(made.manifest_path.read_text())["findings"] == {"box-no-area": 2}
