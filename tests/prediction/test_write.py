import pathlib

import numpy as np
import pytest
from PIL import Image

from tests.files import list_files
from tfodhelper import errors
from tfodhelper.annotations import labelimg
from tfodhelper.prediction import detections, sources, write

IMAGE = np.full([40, 60, 3], 128, np.uint8)
CAT = detections.Detection("cat", 1, 0.9, ymin=4.4, xmin=10.6, ymax=30.0, xmax=50.0)


def _found(path):
    return detections.ImageDetections(str(path), 60, 40, (CAT,))


def _source(name):
    return sources.Source(pathlib.Path("/photos") / name, name)


def test_lines_annotations_and_pictures(tmp_path):
    with write.ResultWriter(tmp_path / "out", write_xml=True, write_pictures=True) as writer:
        writer.write(_source("day/a.png"), _found("/photos/day/a.png"), IMAGE)
    assert list_files(tmp_path / "out") == ["annotations/day/a.xml", "detections.jsonl", "pictures/day/a.jpg"]
    (read,) = detections.read_json_lines(tmp_path / "out/detections.jsonl")
    assert read == _found("/photos/day/a.png")
    annotation = labelimg.read_labelimg(tmp_path / "out/annotations/day/a.xml")
    assert (annotation.filename, annotation.width, annotation.height, annotation.verified) == ("a.png", 60, 40, False)
    (box,) = annotation.boxes
    assert (box.name, box.xmin, box.ymin, box.xmax, box.ymax) == ("cat", 11, 4, 50, 30)
    assert Image.open(tmp_path / "out/pictures/day/a.jpg").format == "JPEG"
    assert (writer.num_images, writer.num_detections, writer.num_unreadable) == (1, 1, 0)


def test_only_lines_by_default(tmp_path):
    with write.ResultWriter(tmp_path) as writer:
        writer.write(_source("a.png"), _found("/photos/a.png"), IMAGE)
    assert list_files(tmp_path) == ["detections.jsonl"]


def test_images_of_one_stem_keep_apart(tmp_path):
    with write.ResultWriter(tmp_path, write_xml=True) as writer:
        for name in ("a.jpg", "a.png"):
            writer.write(_source(name), _found("/photos/" + name), IMAGE)
    assert list_files(tmp_path / "annotations") == ["a.png.xml", "a.xml"]


def test_stems_with_points_stay_whole(tmp_path):
    with write.ResultWriter(tmp_path, write_xml=True) as writer:
        writer.write(_source("v1.2/hello.world.jpg"), _found("/photos/hello.world.jpg"), IMAGE)
    assert list_files(tmp_path / "annotations") == ["v1.2/hello.world.xml"]


def test_unreadable_images_are_listed(tmp_path, capsys):
    with write.ResultWriter(tmp_path) as writer:
        writer.count_unreadable("b.jpg", "b.jpg: the image file ends too early\n  received: truncated")
    assert writer.num_unreadable == 1
    text = (tmp_path / write.UNREADABLE).read_text()
    assert text == "b.jpg\tb.jpg: the image file ends too early received: truncated\n"
    assert "b.jpg" in capsys.readouterr().err


def test_a_folder_that_is_not_empty_is_refused_and_not_touched(tmp_path):
    (tmp_path / "a.xml").write_text("mine")
    with pytest.raises(errors.PredictionError, match="not empty"):
        write.ResultWriter(tmp_path)
    assert list_files(tmp_path) == ["a.xml"]


def test_a_prediction_that_breaks_off_leaves_no_lines(tmp_path):
    with pytest.raises(KeyboardInterrupt), write.ResultWriter(tmp_path) as writer:
        writer.write(_source("a.png"), _found("/photos/a.png"), IMAGE)
        raise KeyboardInterrupt
    assert list_files(tmp_path) == []
