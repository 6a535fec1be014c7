import json
import os
import shutil

import pytest
from PIL import Image

from tests.exporting import fake_detector
from tests.files import list_files
from tfodhelper.cli import main as cli
from tfodhelper.prediction import write


@pytest.fixture(scope="module")
def saved_model_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    fake_detector.save_model(folder, fake_detector.FakeDetector(gain=1.0))
    (folder / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }')
    return folder


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos/day").mkdir(parents=True)
    for name, red in (("a.png", 255), ("day/b.png", 153), ("c.jpg", 0)):
        Image.fromarray(fake_detector.red_image(red)).save(tmp_path / "photos" / name)
    return tmp_path / "photos"


def _predict(saved_model_dir, tmp_path, *arguments):
    return cli.main(["predict", f"--saved_model_dir={saved_model_dir}", f"--output_dir={tmp_path}/out", *arguments])


def _lines(tmp_path):
    return [json.loads(line) for line in (tmp_path / "out/detections.jsonl").read_text().splitlines()]


def test_a_folder_of_images(saved_model_dir, photos, tmp_path, capsys):
    assert _predict(saved_model_dir, tmp_path, "--draw", "--write_xml", f"--image_dir={photos}") == 0
    found = {line["path"]: [(one["class"], one["score"]) for one in line["detections"]] for line in _lines(tmp_path)}
    assert found == {
        str(photos / "a.png"): [("cat", 1.0)],
        str(photos / "c.jpg"): [],
        str(photos / "day/b.png"): [("cat", 0.6)],
    }
    assert list_files(tmp_path / "out") == [
        *(".command.json", "annotations/a.xml", "annotations/c.xml", "annotations/day/b.xml", "detections.jsonl"),
        *("pictures/a.jpg", "pictures/c.jpg", "pictures/day/b.jpg"),
    ]
    said = capsys.readouterr().out
    assert "3 of 3 images, 2 detections with a score of 0.5 or more" in said
    assert "Next:" in said


def test_the_threshold_counts(saved_model_dir, photos, tmp_path):
    assert _predict(saved_model_dir, tmp_path, "--score_threshold=0.7", str(photos / "a.png"), str(photos / "day")) == 0
    assert [len(line["detections"]) for line in _lines(tmp_path)] == [1, 0]


def test_an_unreadable_image_is_reported_and_the_exit_status_says_so(saved_model_dir, photos, tmp_path, capsys):
    (photos / "broken.jpg").write_bytes(b"no image")
    assert _predict(saved_model_dir, tmp_path, str(photos)) == 1
    assert len(_lines(tmp_path)) == 3
    assert (tmp_path / "out/unreadable.txt").read_text().startswith(str(photos / "broken.jpg"))
    assert "1 image could not be read" in capsys.readouterr().err


def test_images_that_cannot_be_used_are_counted_and_the_rest_is_predicted(saved_model_dir, photos, tmp_path, capsys):
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(photos / "other.pipe")
    (photos / "loop.jpg").symlink_to("loop.jpg")
    (photos / "line\nbreak.heic").write_bytes(b"x")
    shutil.copy(photos / "a.png", photos / "caf\udce9.png")
    shutil.copy(photos / "a.png", tmp_path / "th\udce9.png")
    (photos / "drawing.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    os.mkfifo(tmp_path / "given.jpg")
    given = [photos, tmp_path / "th\udce9.png", tmp_path / "given.jpg"]
    assert _predict(saved_model_dir, tmp_path, "--write_xml", *map(str, given)) == 1
    assert len(_lines(tmp_path)) == 3
    listed = (tmp_path / "out/unreadable.txt").read_text().splitlines()
    reasons = {line.split("\t")[0].removeprefix(f"{tmp_path}/"): line.split("\t")[1] for line in listed}
    expected = {
        "photos/pipe.jpg": "a named pipe",
        "photos/loop.jpg": "cannot be followed",
        "given.jpg": "a named pipe",
        r"photos/line\nbreak.heic": "HEIC",
        r"photos/caf\xe9.png": "not valid UTF-8",
        r"th\xe9.png": "UTF-8",
        "photos/drawing.jpg": "unknown format",
    }
    assert set(reasons) == set(expected)
    assert all(expected[name] in reason for name, reason in reasons.items())
    said = capsys.readouterr()
    assert "3 of 10 images" in said.out
    assert "magick mogrify" in said.err


def test_a_folder_whose_name_is_not_text_is_refused_in_words(saved_model_dir, photos, tmp_path, capfd):
    photos.rename(tmp_path / "caf\udce9")
    assert _predict(saved_model_dir, tmp_path, str(tmp_path / "caf\udce9")) == 2
    assert r"caf\xe9: the path is not valid UTF-8" in capfd.readouterr().err


def test_annotations_of_the_user_are_not_touched(saved_model_dir, photos, tmp_path, capsys):
    (photos / "a.xml").write_text("mine")
    status = cli.main(["predict", f"--saved_model_dir={saved_model_dir}", f"--output_dir={photos}", str(photos)])
    assert status == 1
    assert "never overwrite" in capsys.readouterr().err
    assert (photos / "a.xml").read_text() == "mine"


def test_a_label_map_of_another_file(saved_model_dir, photos, tmp_path):
    (tmp_path / "map.pbtxt").write_text('item { id: 1 name: "hat" }')
    assert _predict(saved_model_dir, tmp_path, f"--label_map={tmp_path}/map.pbtxt", str(photos / "a.png")) == 0
    assert _lines(tmp_path)[0]["detections"][0]["class"] == "hat"


def test_a_label_map_that_comes_along(saved_model_dir, photos, tmp_path):
    assert _predict(saved_model_dir, tmp_path, "--label_map=mscoco", str(photos / "a.png")) == 0
    assert _lines(tmp_path)[0]["detections"][0]["class"] == "person"


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        ([], 2, "no image given"),
        (["nowhere.jpg"], 1, "nowhere.jpg: no such file or folder"),
        (["--label_map=nowhere.pbtxt", "{photos}"], 2, "nowhere.pbtxt: no such file"),
        (["--label_map=nothing_like_it", "{photos}"], 1, "mscoco"),
    ],
)
def test_bad_flags(arguments, status, words, saved_model_dir, photos, tmp_path, capsys):
    arguments = [argument.format(photos=photos) for argument in arguments]
    assert _predict(saved_model_dir, tmp_path, *arguments) == status
    assert words in capsys.readouterr().err


def test_a_folder_without_saved_model(photos, tmp_path, capsys):
    assert _predict(tmp_path, tmp_path, str(photos)) == 1
    assert "no SavedModel found" in capsys.readouterr().err


def test_an_interrupted_prediction_is_made_by_the_same_command(saved_model_dir, photos, tmp_path, monkeypatch, capsys):
    command = (saved_model_dir, tmp_path, "--draw", "--write_xml", f"--image_dir={photos}")
    written = write.ResultWriter.write

    def stop_at_the_second(writer, *args):
        if writer.num_images == 1:
            raise KeyboardInterrupt
        written(writer, *args)

    with monkeypatch.context() as patch:
        patch.setattr(write.ResultWriter, "write", stop_at_the_second)
        assert _predict(*command) == 130
    assert not [path for path in tmp_path.iterdir() if path.name.startswith((".", "out"))]
    assert _predict(*command) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    assert len(list_files(tmp_path / "out")) == 8
    assert _predict(*command) == 0
    assert "left as it is" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    (photos / "c.jpg").unlink()
    assert _predict(*command) == 1
    assert "not empty" in capsys.readouterr().err
