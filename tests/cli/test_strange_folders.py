"""One bad entry in a folder costs no verb its job: the rest is used, and the entry is named and counted."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image, save_pair
from tests.shared_data import REPOSITORY
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main

BOXES = (Box("cat", 5, 5, 40, 40), Box("dog", 1, 1, 30, 20))
GOOD = [f"{number:02d}" for number in range(12)]


@pytest.fixture
def data(tmp_path):
    """Twelve images with annotations, and every kind of entry that cannot be used."""
    folder = tmp_path / "data"
    for number, stem in enumerate(GOOD):
        save_pair(folder, stem, BOXES, seed=number)
    xml = (folder / "00.xml").read_text()

    def annotate(name):
        (folder / name).with_suffix(".xml").write_text(xml.replace("00.jpg", name))

    os.mkfifo(folder / "pipe.jpg")
    os.mkfifo(folder / "pipe2.xml")
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "lost.jpg").symlink_to("nowhere.jpg")
    (folder / "device.jpg").symlink_to("/dev/zero")
    (folder / "folder.jpg").mkdir()
    (folder / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    Image.new("RGB", (64, 48)).save(folder / "drawing.jpg", "EPS")
    damaged = bytearray(save_image(folder / "damaged.png", format="PNG").read_bytes())
    damaged[len(damaged) // 2] ^= 0x55
    (folder / "damaged.png").write_bytes(damaged)
    for name in ("pipe.jpg", "loop.jpg", "lost.jpg", "device.jpg", "folder.jpg", "drawing.jpg", "damaged.png"):
        annotate(name)
    for suffix in (".jpg", ".xml"):
        content = (folder / "00.jpg").with_suffix(suffix).read_bytes()
        pathlib.Path(folder, f"caf\udce9{suffix}").write_bytes(content)
    save_pair(folder / "line\nbreak", "line\nbreak", BOXES, seed=99)
    return folder


def run(capfd, *argv):
    """(exit status, everything that was printed)."""
    status = main.main([str(argument) for argument in argv])
    shown = capfd.readouterr()
    assert "Traceback" not in shown.err
    return status, shown.out + shown.err


SAID = {
    "pipe.jpg": "a named pipe",
    "pipe2.xml": "a named pipe",
    "device.jpg": "a device",
    "loop.jpg": "cannot be followed",
    "lost.jpg": "does not exist",
    r"caf\xe9.jpg": "not valid UTF-8",
    "phone.heic": "HEIC",
    "drawing.jpg": "unknown format",
    "damaged.png": "checksum",
}


def assert_said(text, names=SAID):
    for name in names:
        assert any(name in line and SAID[name] in line for line in text.splitlines()), f"{name} is not explained"


@pytest.mark.parametrize("validate", ["header", "full"])
def test_convert(data, tmp_path, capfd, validate):
    status, text = run(capfd, "convert", f"--data_dir={data}", f"--output_dir={tmp_path}/out", f"--validate={validate}")
    assert status == 0
    assert_said(text)
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert len(manifest["images"]) == len(GOOD) + 1


def test_check(data, capfd):
    status, text = run(capfd, "check", f"--data_dir={data}")
    assert status == 1
    assert_said(text)
    assert f"usable: {len(GOOD) + 1} images" in text


def test_stats(data, tmp_path, capfd):
    status, _ = run(capfd, "stats", f"--data_dir={data}", f"--output_dir={tmp_path}/out")
    assert status == 0


def test_split_lists_all_but_the_name_that_no_list_can_hold(data, tmp_path, capfd):
    status, text = run(capfd, "split", f"--data_dir={data}", f"--output_dir={tmp_path}/out")
    assert status == 0
    assert "images that are in no list" in text
    listed = [(tmp_path / "out" / name).read_text().split() for name in ("train.txt", "val.txt")]
    assert sorted(sum(listed, [])) == GOOD


@pytest.mark.parametrize("format_", ["coco", "yolo", "csv"])
def test_export_annotations(data, tmp_path, capfd, format_):
    status, text = run(
        capfd, "export-annotations", f"--data_dir={data}", f"--to={format_}", f"--output_dir={tmp_path}/out"
    )
    assert status == 0
    assert_said(text)


def test_check_fix(data, tmp_path, capfd):
    status, _ = run(capfd, "check", f"--data_dir={data}", "--fix", f"--output_dir={tmp_path}/fixed")
    assert status == 1
    assert len(list((tmp_path / "fixed").rglob("*.xml"))) == len(GOOD) + 1


def test_import(data, tmp_path, capfd):
    rows = "".join(f"{stem}.jpg,64,48,cat,5,5,40,40\n" for stem in GOOD)
    (tmp_path / "boxes.csv").write_text("filename,width,height,class,xmin,ymin,xmax,ymax\n" + rows)
    status, text = run(
        *(capfd, "import", "--from=csv", f"--input={tmp_path}/boxes.csv", f"--image_dir={data}"),
        f"--output_dir={tmp_path}/out",
    )
    assert status == 1  # as always when something named like an image is not used
    assert_said(text, ["pipe.jpg", "loop.jpg", "lost.jpg", "device.jpg", "phone.heic", r"caf\xe9.jpg"])
    assert len(list((tmp_path / "out").rglob("*.xml"))) == len(GOOD)


_LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
from tfodhelper.cli import main
sys.exit(main.main())
"""


@pytest.mark.parametrize("limit", [8, 12, 16, 64])
def test_few_file_descriptors_are_enough_or_said_in_words(tmp_path, limit):
    save_pair(tmp_path / "data", "a", BOXES)
    save_pair(tmp_path / "data", "b", BOXES, seed=1)
    arguments = ["convert", f"--data_dir={tmp_path}/data", f"--output_dir={tmp_path}/out"]
    command = [sys.executable, "-c", _LIMITED, str(limit), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if ran.returncode:
        assert ran.returncode == 1 and "too many open files" in ran.stderr.lower() and "ulimit -n" in ran.stderr
        assert "left out" not in ran.stdout  # the images are in order
    else:
        assert len(json.loads((tmp_path / "out" / "manifest.json").read_text())["images"]) == 2
    assert ran.returncode == 0 or limit < 64
