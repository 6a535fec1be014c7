"""The extras: what is said without them. What they do is tested beside the modules that use them."""

import sys

import pytest

import tfodhelper
from tfodhelper import errors


def test_without_beam_it_is_said_how_to_install_it(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.startswith("apache_beam")] + ["apache_beam"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "tfodhelper.records.beam", raising=False)
    with pytest.raises(errors.TfodhelperError, match="'apache_beam' is not installed") as caught:
        tfodhelper.convert_with_beam("photos/*", tmp_path, "mscoco")
    assert 'pip install "tfodhelper[beam]"' in caught.value.fix


def test_what_beam_is_told_is_checked_before_it_is_needed(tmp_path):
    with pytest.raises(errors.UsageError, match="at least 0, below 1"):
        tfodhelper.convert_with_beam("photos/*", tmp_path, "mscoco", val_fraction=1)
    with pytest.raises(errors.UsageError, match="nowhere.pbtxt"):
        tfodhelper.convert_with_beam("photos/*", tmp_path, "nowhere.pbtxt")


def test_what_is_not_a_dataset_of_ray_is_refused():
    with pytest.raises(errors.UsageError, match="received: list") as caught:
        tfodhelper.predict_with_ray([{"name": "a.jpg", "path": "a.jpg"}], "export")
    assert "ray.data.from_items" in caught.value.fix and 'pip install "tfodhelper[ray]"' in caught.value.fix


def test_ray_gets_the_model_with_its_options():
    class Dataset:
        def map_batches(self, kind, **arguments):
            return kind, arguments

    kind, arguments = tfodhelper.predict_with_ray(Dataset(), "export", num_actors=3, batch_size=5, is_for_many=True)
    assert kind.__name__ == "RayModel"
    assert arguments["fn_constructor_args"] == ("export",)
    assert arguments["fn_constructor_kwargs"] == {
        "batch_size": 5,
        "score_threshold": 0.05,
        "max_detections": 100,
        "is_for_many": True,
        "trust_model": False,
    }
    assert (arguments["concurrency"], arguments["num_gpus"], arguments["batch_size"]) == (3, None, 64)
