import pytest

from tfodhelper import errors
from tfodhelper.prediction import sources


def _touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def _names(paths):
    return [source.name for source in sources.find_images(paths, pytest.fail)]


def test_a_folder_is_searched_with_its_subfolders_in_the_order_of_names(tmp_path):
    for name in ("b/2.PNG", "a.jpg", "b/1.jpeg", "notes.txt", "a.xml", ".history/a.jpg", ".hidden.jpg"):
        _touch(tmp_path / name)
    assert _names([tmp_path]) == ["a.jpg", "b/1.jpeg", "b/2.PNG"]


def test_a_named_file_is_taken_whatever_its_extension(tmp_path):
    assert _names([_touch(tmp_path / "photo.data")]) == ["photo.data"]


def test_several_folders_keep_their_own_names(tmp_path):
    for name in ("x/day/1.jpg", "y/day/1.jpg", "z/2.jpg"):
        _touch(tmp_path / name)
    assert _names([tmp_path / "x/day", tmp_path / "y/day", tmp_path / "z"]) == ["day/1.jpg", "day_2/1.jpg", "z/2.jpg"]


def test_each_image_occurs_once(tmp_path):
    image = _touch(tmp_path / "a.jpg")
    assert _names([image, tmp_path, image]) == ["a.jpg"]


def test_files_with_the_same_name_get_different_names(tmp_path):
    files = [_touch(tmp_path / name) for name in ("x/a.jpg", "y/a.jpg", "z/a.jpg")]
    assert _names(files) == ["a.jpg", "a_2.jpg", "a_3.jpg"]


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(errors.PredictionError, match="nowhere"):
        sources.find_images([tmp_path / "nowhere"], pytest.fail)


def test_a_folder_without_images_is_named(tmp_path):
    _touch(tmp_path / "empty/readme.txt")
    with pytest.raises(errors.PredictionError, match="empty: no image"):
        sources.find_images([tmp_path / "empty"], pytest.fail)
