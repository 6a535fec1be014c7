import tarfile

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


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """Writes an archive in the zoo's layout, and keeps the cache in a folder of the test."""
    monkeypatch.setenv("TFODHELPER_CACHE", str(tmp_path / "cache"))

    def write(*names, archive="detector.tar.gz", link=None):
        with tarfile.open(tmp_path / archive, "w:gz") as tar:
            for name in names:
                tar.addfile(tarfile.TarInfo(f"detector/{name}"))
            if link is not None:
                info = tarfile.TarInfo("detector/saved_model")
                info.type, info.linkname = tarfile.SYMTYPE, link
                tar.addfile(info)
        return tmp_path / archive

    return write


def test_an_archive_is_unpacked_once_into_the_cache(packed, tmp_path):
    path = packed("saved_model/saved_model.pb", "pipeline.config")
    found = saved_models.find_model(path)
    assert found.parts[-1] == "saved_model" and found.parent.parent == tmp_path / "cache"
    assert found.parent.name.startswith("detector-") and (found / "saved_model.pb").is_file()
    (found / "later").write_text("")
    assert saved_models.find_saved_model(path) == found and (found / "later").exists()
    assert saved_models.find_label_map(path) is None


def test_an_archive_that_leads_elsewhere_is_refused(packed, tmp_path):
    with pytest.raises(errors.ZooError, match="nothing was unpacked"):
        saved_models.find_model(packed(link=str(tmp_path)))


def test_an_archive_without_a_saved_model(packed):
    with pytest.raises(errors.PredictionError, match="detector.tar.gz: the archive has no SavedModel") as caught:
        saved_models.find_model(packed("frozen_inference_graph.pb", "model.ckpt.index"))
    assert "frozen_inference_graph.pb" in caught.value.received
    with pytest.raises(errors.PredictionError, match="b.tar.gz: no SavedModel found"):
        saved_models.find_model(packed("checkpoint/ckpt-0.index", archive="b.tar.gz"))


def test_a_name_of_the_zoo(packed, tmp_path, monkeypatch):
    name = "ssd_mobilenet_v2_320x320_coco17_tpu-8"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        saved_models.cache, "addresses_of", lambda model, _: [(tmp_path / f"{model.name}.tar.gz").as_uri()]
    )
    with pytest.raises(errors.PredictionError) as caught:
        saved_models.find_model(name)
    assert "an archive (.tar.gz)" in caught.value.fix
    packed("saved_model/saved_model.pb", "checkpoint/ckpt-0.index", archive=f"{name}.tar.gz")
    monkeypatch.setattr(saved_models.cache.digests, "check_checkpoint", lambda *_: False)
    assert saved_models.find_model(name) == tmp_path / "cache" / name / "saved_model"
    (tmp_path / name).mkdir()  # what is on the disk comes first
    with pytest.raises(errors.PredictionError, match="a folder without it|no SavedModel found"):
        saved_models.find_model(name)
