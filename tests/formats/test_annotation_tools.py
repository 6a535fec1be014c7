"""Sets and drafts to Label Studio and CVAT and back, through the verbs: nothing is lost or turned twice by EXIF."""

import json
import pathlib
import zlib

import pytest

from tests.active_learning.questions import draw_image
from tests.dataset.scan.picture_set import save_pair
from tfodhelper import errors
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.formats import annotation_tools, label_studio
from tfodhelper.prediction import detections
from tfodhelper.prediction.detections import Detection, ImageDetections

SIZE = (200, 100)
FILES = {"labelstudio": "tasks_{}.json", "cvat": "annotations_{}.xml"}
TOOLS = pytest.mark.parametrize("tool", FILES)


def save_labelled(folder, name, boxes, orientation=1, verified=False):
    path = draw_image(folder / name, SIZE, orientation, color=(zlib.crc32(name.encode()) % 256, 90, 9))
    labelimg.write_labelimg(path.with_suffix(".xml"), Annotation(path.name, *SIZE, tuple(boxes), verified=verified))


def predict_for(folder, *names):
    """Writes what `predict` would have written; returns the file and its lines."""
    found = [
        ImageDetections(
            str(folder / name),
            *SIZE,
            (
                Detection("dog", 2, 0.987654, 10.125, 20.001, 60.0, 150.5),
                Detection("cat", 1, 0.1, 0.0, 0.0, 3.25, 199.999),
            )[: number % 3],
        )
        for number, name in enumerate(names, start=1)
    ]
    path = folder.parent / "predicted" / "detections.jsonl"
    path.parent.mkdir()
    detections.write_json_lines(path, found)
    return path, list(map(detections.to_json, found))


def run(*words):
    assert main.main(list(map(str, words))) == 0


def read_xml(folder):
    """{name: (boxes, verified)} of all annotation files."""
    read = {path.relative_to(folder).as_posix(): labelimg.read_labelimg(path) for path in folder.rglob("*.xml")}
    return {name: (each.width, each.height, each.boxes, each.verified) for name, each in read.items()}


def lines_of(folder, image_dir):
    lines = map(json.loads, (folder / "detections.jsonl").read_text(encoding="utf-8").splitlines())
    return {pathlib.Path(line["path"]).name: line for line in lines}


@TOOLS
def test_sets_and_drafts_come_back(tmp_path, capsys, tool):
    folder = tmp_path / "photos"
    boxes = Box("cat", 1, 2, 30, 40, difficult=True), Box("dog", 10.125, 20.7, 33.3, 99, truncated=True)
    for number in range(5):
        save_labelled(folder, f"sub/{number} a.jpg", boxes, verified=tool == "labelstudio")
    save_labelled(folder, "empty.jpg", ())
    for name in ("new1.jpg", "new2.jpg", "new3.jpg", "untouched.jpg"):
        draw_image(folder / name, SIZE)
    path, given = predict_for(folder, "new1.jpg", "new2.jpg", "new3.jpg", "sub/1 a.jpg")
    flags = f"--data_dir={folder}", f"--predictions={path}", "--images=copy", "--val_fraction=0.34"
    out, back = tmp_path / "out", tmp_path / "back"
    run("export-annotations", f"--to={tool}", *flags, f"--output_dir={out}")
    said = capsys.readouterr().out
    command = next(line for line in said.splitlines() if " import " in line).split()
    files = [FILES[tool].format(side) for side in ("train", "validate", "drafts")]
    assert f"--input={out / files[0]},{out / files[2]}" in command and f"--val_input={out / files[1]}" in command
    assert {file.name for file in out.iterdir() if file.name[0] != "."} == {
        *files,
        "images",
        "label_config.xml" if tool == "labelstudio" else "labels.json",
    }
    kept = "--output_dir=FOLDER"
    run(*[word.replace(kept, f"--output_dir={back}") for word in command[1:]])
    said = capsys.readouterr().out
    labelled = {name: entry for name, entry in read_xml(back).items() if "new" not in name}
    assert labelled == read_xml(folder)
    expected = {pathlib.Path(line["path"]).name: line for line in given}
    received = lines_of(back, folder)
    if tool == "cvat":  # has only one layer: no predictions for what is labelled, and empty ones are no predictions
        expected = {name: line for name, line in expected.items() if name.startswith("new") and line["detections"]}
        assert "boxes-suggested" in said
        assert "new1.xml" in read_xml(back)
    else:
        assert "new1.xml" not in read_xml(back)
    assert received.keys() == expected.keys()
    for name, line in expected.items():
        plain = [(one["class"], one["score"], one["box"]) for one in line["detections"]]
        assert [(one["class"], one["score"], one["box"]) for one in received[name]["detections"]] == plain
        assert (received[name]["width"], received[name]["height"]) == SIZE
        assert pathlib.Path(received[name]["path"]).exists()


@TOOLS
def test_a_pool_without_any_annotation(tmp_path, capsys, tool):
    folder = tmp_path / "pool"
    for name in ("a.jpg", "b.jpg"):
        draw_image(folder / name, SIZE)
    path, _ = predict_for(folder, "a.jpg", "b.jpg", "lost.jpg")
    out = tmp_path / "out"
    flags = f"--data_dir={folder}", f"--predictions={path}", f"--output_dir={out}"
    run("export-annotations", f"--to={tool}", *flags)
    said = capsys.readouterr().out
    assert "image-missing" in said and "lost.jpg" in said
    assert (out / FILES[tool].format("drafts")).is_file() and len(list((out / "images").iterdir())) == 2
    before = sorted((file, file.stat().st_mtime_ns) for file in out.iterdir())
    run("export-annotations", f"--to={tool}", *flags)  # the same command finds its result
    assert sorted((file, file.stat().st_mtime_ns) for file in out.iterdir()) == before


def test_predictions_for_other_images_are_refused(tmp_path):
    draw_image(tmp_path / "pool" / "a.jpg", SIZE)
    (tmp_path / "other").mkdir()
    path, _ = predict_for(tmp_path / "other", "b.jpg")
    suggested = annotation_tools.Suggested(path, tmp_path / "pool")
    from tfodhelper.formats import exporting

    with pytest.raises(errors.DatasetError, match="no prediction is for"):
        exporting.export_drafts(tmp_path / "pool", suggested, "cvat", tmp_path / "out", None)


@TOOLS
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_tools_get_upright_boxes_and_the_stored_ones_come_back(tmp_path, tool, orientation):
    folder = tmp_path / "photos"
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        save_labelled(folder, name, [Box("spot", 0, 0, 20, 10), Box("dog", 50.5, 20, 150, 90.25)], orientation)
    draw_image(folder / "new.jpg", SIZE, orientation)
    path, given = predict_for(folder, "new.jpg")
    out, back = tmp_path / "out", tmp_path / "back"
    run("export-annotations", f"--to={tool}", f"--data_dir={folder}", f"--predictions={path}", f"--output_dir={out}")
    spot = {1: (0, 0), 3: (180, 90), 6: (90, 0), 8: (0, 180)}[orientation]
    inputs = [str(out / FILES[tool].format(side)) for side in ("train", "validate", "drafts")]
    if tool == "labelstudio":
        (image, *_) = label_studio.read_tasks(inputs[0]).images
        assert (image.annotation.boxes[0].xmin, image.annotation.boxes[0].ymin) == spot
        assert (image.annotation.width, image.annotation.height) == (SIZE if orientation < 5 else SIZE[::-1])
    run("import", f"--from={tool}", f"--input={','.join(inputs)}", f"--image_dir={folder}", f"--output_dir={back}")
    received = {name: entry for name, entry in read_xml(back).items() if name != "new.xml"}
    assert received == read_xml(folder)
    assert lines_of(back, folder)["new.jpg"]["detections"][0]["box"] == given[0]["detections"][0]["box"]


def test_an_address_of_ones_own(tmp_path):
    for stem in ("a b", "c"):
        save_pair(tmp_path / "photos", stem, [Box("cat", 1, 2, 30, 40)])
    flags = f"--data_dir={tmp_path / 'photos'}", "--image_url=https://host/x/", "--images=none"
    run("export-annotations", "--to=labelstudio", *flags, f"--output_dir={tmp_path / 'out'}")
    tasks = [task for path in (tmp_path / "out").glob("tasks*") for task in json.loads(path.read_text())]
    assert sorted(task["data"]["image"] for task in tasks) == ["https://host/x/a%20b.jpg", "https://host/x/c.jpg"]


def test_names_in_tasks_refer_only_to_images_inside_the_folder(tmp_path):
    draw_image(tmp_path / "secret.jpg", SIZE)
    draw_image(tmp_path / "in" / "a.jpg", SIZE)
    entry = {"result": []}
    names = ["../secret.jpg", str(tmp_path / "secret.jpg"), "../../in/a.jpg"]
    tasks = [{"data": {"image": name}, "annotations": [entry]} for name in names]
    (tmp_path / "in" / "t.json").write_text(json.dumps(tasks))
    argv = ["import", "--from=labelstudio", f"--input={tmp_path / 'in' / 't.json'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(argv) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.name[0] != ".") == ["a.jpg", "a.xml"]
