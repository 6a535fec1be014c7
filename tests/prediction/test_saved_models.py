import pytest

from tfodhelper import errors
from tfodhelper.prediction import saved_models


@pytest.fixture
def export_dir(tmp_path):
    (tmp_path / "saved_model/assets").mkdir(parents=True)
    (tmp_path / "saved_model/saved_model.pb").write_bytes(b"")
    return tmp_path


def test_the_folder_or_the_export_around_it(export_dir):
    assert saved_models.find_saved_model(export_dir) == export_dir / "saved_model"
    assert saved_models.find_saved_model(export_dir / "saved_model") == export_dir / "saved_model"


def test_a_run_folder_stands_for_its_best_export(tmp_path):
    export = tmp_path / "export/best"
    (export / "saved_model").mkdir(parents=True)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(errors.PredictionError, match="this run has not exported a model yet"):
        saved_models.find_saved_model(tmp_path)
    (export / "saved_model/saved_model.pb").write_bytes(b"")
    (export / "label_map.pbtxt").write_text("")
    assert saved_models.find_saved_model(tmp_path) == export / "saved_model"
    assert saved_models.find_label_map(tmp_path) == export / "label_map.pbtxt"


def test_no_saved_model(tmp_path):
    with pytest.raises(errors.PredictionError, match="a folder without it"):
        saved_models.find_saved_model(tmp_path)
    with pytest.raises(errors.PredictionError, match="no such folder"):
        saved_models.find_saved_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["label_map.pbtxt", "mscoco.pbtxt", "saved_model/label_map.pbtxt", "saved_model/assets/names.pbtxt"]
)
def test_the_label_map_is_found_beside(name, export_dir):
    assert saved_models.find_label_map(export_dir) is None
    (export_dir / name).write_text("")
    assert saved_models.find_label_map(export_dir) == export_dir / name
    assert saved_models.find_label_map(export_dir / "saved_model") == export_dir / name


def test_two_candidates_are_none(export_dir):
    for name in ("a.pbtxt", "b.pbtxt"):
        (export_dir / name).write_text("")
    assert saved_models.find_label_map(export_dir) is None
