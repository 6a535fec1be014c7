import io
import zipfile

import pytest

from tfodhelper.tflite import metadata


@pytest.mark.parametrize("is_detecting", [True, False])
def test_the_normalization_is_read_as_it_was_written(is_detecting):
    mean, std = (1.5, 2.5, 3.5), (4.0, 5.0, 6.0)
    content = metadata.make_metadata("name", "text", (10, 20), mean, std, is_detecting)
    assert content[4:8] == b"M001"
    assert metadata.read_normalization(content) == (mean, std)
    for name in (b"location", b"score", b"image"):
        assert name in content
    assert (b"detection_result" in content) == (b"labels.txt" in content) == is_detecting


@pytest.mark.parametrize("content", [b"", b"\0" * 8, b"\xff" * 64, bytes(range(200))])
def test_something_else_says_nothing_about_the_normalization(content):
    assert metadata.read_normalization(content) is None


def test_labels_are_read_from_the_end_of_the_file(tmp_path):
    data = metadata.append_labels(b"a model", ["cat", "big\n dog", "m\u00fcller"])
    assert data.startswith(b"a model")
    (tmp_path / "model.tflite").write_bytes(data)
    assert metadata.read_labels(tmp_path / "model.tflite") == ("cat", "big dog", "m\u00fcller")
    assert data == metadata.append_labels(b"a model", ["cat", "big\n dog", "m\u00fcller"])  # without the time of day


def test_a_file_of_labels_may_have_another_name(tmp_path):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("about.txt", "nothing")
        archive.writestr("coco_labelmap.txt", "person\nbicycle\n")
    (tmp_path / "model.tflite").write_bytes(content.getvalue())
    assert metadata.read_labels(tmp_path / "model.tflite") == ("person", "bicycle")


def test_no_labels(tmp_path):
    (tmp_path / "model.tflite").write_bytes(b"a model")
    assert metadata.read_labels(tmp_path / "model.tflite") == ()
