"""A pool with Ray Data; if Ray is not installed, the tests call what it would call."""

import json

import numpy as np
import pytest
from PIL import Image

import tfodhelper
from tests.exporting import fake_detector
from tests.shared_data import REPOSITORY
from tfodhelper.active_learning.pool import ray_pool


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    fake_detector.save_model(folder)
    return folder


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Red images, score 0.1 and 0.5; the second one does not exist."""
    folder = tmp_path_factory.mktemp("images")
    for name, red in (("a.png", 51), ("c.png", 255)):
        Image.fromarray(np.full([6, 8, 3], [red, 0, 0], np.uint8)).save(folder / name)
    return [{"name": name, "path": str(folder / name)} for name in ("a.png", "b.png", "c.png")]


def check(received):
    """Checks the result for `rows`: a list of dicts."""
    assert [row["name"] for row in received] == ["a.png", "b.png", "c.png"]
    scores = [json.loads(row["prediction"])["detections"][0]["score"] for row in (received[0], received[2])]
    assert scores == pytest.approx([0.1, 0.5], abs=1e-5)
    assert received[1]["prediction"] == "" and "b.png" in received[1]["problem"]
    assert [row["problem"] for row in (received[0], received[2])] == ["", ""]
    np.testing.assert_allclose([row["features"] for row in received], [[0.2, 0, 0], [0, 0, 0], [1, 0, 0]], atol=1e-5)


def test_a_batch_of_rows(model, rows):
    columns = ray_pool.RayModel(model, batch_size=2)(
        {name: np.array([row[name] for row in rows], object) for name in ("name", "path")}
    )
    check([{name: values[i] for name, values in columns.items()} for i in range(len(rows))])


def test_without_any_readable_image_there_are_no_features(model, rows):
    columns = ray_pool.RayModel(model)({"name": np.array(["b.png"]), "path": np.array([rows[1]["path"]])})
    assert sorted(columns) == ["name", "prediction", "problem"]


def test_a_dataset_of_ray(model, rows):
    ray = pytest.importorskip("ray", reason="needs Ray: pip install tfodhelper[ray]")
    environment = {"PYTHONPATH": str(REPOSITORY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment})
    try:
        pool = ray.data.from_items(rows, override_num_blocks=1)
        received = tfodhelper.predict_with_ray(pool, model, num_actors=1, batch_size=2, score_threshold=0.05).take_all()
        check(sorted(received, key=lambda row: row["name"]))
    finally:
        ray.shutdown()
