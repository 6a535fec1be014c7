"""How JPEGs are decoded: one setting that training, evaluation, exports and predictions find again."""

import pytest

from tfodhelper import errors, jpeg_dct


def test_a_folder_without_the_file_has_the_accurate_transform(tmp_path):
    jpeg_dct.keep(tmp_path, jpeg_dct.ACCURATE)
    assert list(tmp_path.iterdir()) == []
    assert jpeg_dct.find(tmp_path) == jpeg_dct.find_in(tmp_path) == jpeg_dct.ACCURATE


@pytest.mark.parametrize("below", ["", "ckpt-600", "best/ckpt-600", "saved_model"])
def test_the_setting_is_found_from_checkpoints_and_exports(tmp_path, below):
    jpeg_dct.keep(tmp_path, jpeg_dct.FAST)
    assert jpeg_dct.find(tmp_path / below) == jpeg_dct.FAST


def test_the_setting_of_another_training_is_not_taken(tmp_path):
    jpeg_dct.keep(tmp_path, jpeg_dct.FAST)
    (tmp_path / "second").mkdir()
    assert jpeg_dct.find_in(tmp_path / "second") == jpeg_dct.ACCURATE


def test_a_setting_that_changes_back_leaves_no_file(tmp_path):
    jpeg_dct.keep(tmp_path, jpeg_dct.FAST)
    jpeg_dct.keep(tmp_path, jpeg_dct.ACCURATE)
    assert jpeg_dct.find_in(tmp_path) == jpeg_dct.ACCURATE


@pytest.mark.parametrize("content", ["{}", "[]", '{"jpeg_dct": "slow"}', '{"jpeg_dct": ["fast"]}', "no json"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path, content):
    (tmp_path / jpeg_dct.FILE).write_text(content)
    with pytest.raises(errors.StorageError, match=jpeg_dct.FILE):
        jpeg_dct.find(tmp_path)
