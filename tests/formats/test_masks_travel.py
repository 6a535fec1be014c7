"""Masks through the verbs: from COCO JSON into the project's folder, its checks and counts, and back to COCO JSON."""

import json
import pathlib
import shutil

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tests.dataset.scan.picture_set import save_image
from tfodhelper.annotations import labelimg, mask_files
from tfodhelper.cli import main

POLYGON = [2, 3, 30.5, 3, 30.5, 28, 2, 28]
DISC = (np.hypot(*np.ogrid[-24:24, -32:32]) < 15).astype(np.uint8)
RUNS = coco_mask.encode(np.asfortranarray(DISC))["counts"].decode()


def entry_of(id_, bbox, segmentation, image_id=1):
    return {"id": id_, "image_id": image_id, "category_id": 3, "bbox": bbox, "segmentation": segmentation, "iscrowd": 0}


def save_coco(folder):
    for number in range(1, 9):
        save_image(folder / f"{number}.jpg", seed=number)
    counts = [int(run) for run in np.diff(np.flatnonzero(np.diff(np.r_[2, DISC.T.ravel(), 2])))]
    annotations = [
        entry_of(1, [2, 3, 28.5, 25], [POLYGON]),
        entry_of(2, [17, 9, 30, 30], {"size": [48, 64], "counts": RUNS}),
        entry_of(3, [17, 9, 29, 30], {"size": [48, 64], "counts": counts}, 2),
        entry_of(4, [1, 2, 20, 20], [], 2),
        *(entry_of(number + 2, [1, 2, 20, 20], [[1, 2, 21, 2, 21, 22]], number) for number in range(3, 9)),
    ]
    images = [{"id": n, "file_name": f"{n}.jpg", "width": 64, "height": 48} for n in range(1, 9)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 3, "name": "disc"}]}
    (folder / "a.json").write_text(json.dumps(content))
    return content


def masks_of(content):
    """{(image, box): pixels}."""
    names = {image["id"]: pathlib.PurePosixPath(image["file_name"]).name for image in content["images"]}
    found = {}
    for entry in content["annotations"]:
        code = entry["segmentation"]
        if isinstance(code, list):
            code = coco_mask.merge(coco_mask.frPyObjects(code, 48, 64)) if code else None
        elif isinstance(code["counts"], list):
            code = coco_mask.frPyObjects(code, 48, 64)
        key = names[entry["image_id"]], tuple(entry["bbox"])
        found[key] = None if code is None else coco_mask.decode(code).tobytes()
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    (folder / "in").mkdir()
    save_coco(folder / "in")
    arguments = [f"--input={folder / 'in' / 'a.json'}", f"--output_dir={folder / 'set'}"]
    assert main.main(["import", "--from=coco", *arguments]) == 0
    return folder


def test_a_round_trip_keeps_every_mask(folder):
    given = json.loads((folder / "in" / "a.json").read_text())
    arguments = [
        f"--data_dir={folder / 'set'}",
        f"--output_dir={folder / 'out'}",
        f"--label_map={folder}/set/label_map.pbtxt",
    ]
    assert main.main(["export-annotations", "--to=coco", *arguments]) == 0
    made = {"images": [], "annotations": []}
    exported = sorted((folder / "out").glob("instances_*.json"))
    assert len(exported) == 2
    for path in exported:
        content, offset = json.loads(path.read_text()), 1000 * len(made["images"])
        made["images"] += [image | {"id": image["id"] + offset} for image in content["images"]]
        made["annotations"] += [entry | {"image_id": entry["image_id"] + offset} for entry in content["annotations"]]
    assert masks_of(made) == masks_of(given)
    polygons = [entry for entry in made["annotations"] if entry["segmentation"] == [POLYGON]]
    assert len(polygons) == 1  # as they came
    assert polygons[0]["area"] == np.frombuffer(masks_of(given)["1.jpg", (2, 3, 28.5, 25)], np.uint8).sum()


def test_check_and_stats_count_them(folder, capsys):
    assert main.main(["check", f"--data_dir={folder / 'set'}"]) == 0
    text = capsys.readouterr().out
    line = next(line for line in text.splitlines() if "boxes with a mask" in line)
    assert sum(map(int, line.split()[-2:])) == 9


def test_copies_keep_them(folder):
    arguments = [f"--data_dir={folder / 'set'}", f"--output_dir={folder / 'checked'}", "--fix"]
    assert main.main(["check", *arguments]) == 0
    copied = labelimg.read_labelimg(next((folder / "checked").rglob("1.xml")))
    assert [box.mask.is_polygons for box in copied.boxes] == [True, False]


def test_yolo_says_that_it_cannot_keep_them(folder, capsys):
    arguments = [f"--data_dir={folder / 'set'}", f"--output_dir={folder / 'yolo'}"]
    assert main.main(["export-annotations", "--to=yolo", *arguments]) == 0
    assert "9 masks" in capsys.readouterr().out


def test_damaged_masks_leave_the_image_out(folder, tmp_path, capsys):
    shutil.copytree(folder / "set", tmp_path / "set")
    (tmp_path / "set" / "3.masks.json").write_text("{")
    assert mask_files.path_of(tmp_path / "set" / "3.xml") == str(tmp_path / "set" / "3.masks.json")
    assert main.main(["check", f"--data_dir={tmp_path / 'set'}"]) == 1
    assert "masks-unreadable" in capsys.readouterr().out


def test_stats_say_how_much_of_the_boxes_they_cover(folder, tmp_path):
    assert main.main(["stats", f"--data_dir={folder / 'set'}", f"--output_dir={tmp_path / 'stats'}"]) == 0
    header, row = (tmp_path / "stats" / "masks.csv").read_text(encoding="utf-8-sig").splitlines()[:2]
    assert header.startswith("class,boxes,masks") and row.startswith("disc,10,9,0.")
