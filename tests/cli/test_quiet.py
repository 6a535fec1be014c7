"""Verbs prepare the environment before they import TensorFlow: its messages cannot be turned off afterwards."""

import os
import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper.config import generate, pipeline
from tfodhelper.dataset import shapes
from tfodhelper.records import convert

# Ends the process at the first import of TensorFlow, and says what the environment is by then.
WRAPPED = """
import os, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow":
            level, onednn = os.environ.get("TF_CPP_MIN_LOG_LEVEL"), os.environ.get("TF_ENABLE_ONEDNN_OPTS")
            print("imported with", level, onednn, os.environ.get("TF_USE_LEGACY_KERAS"), flush=True)
            os._exit(0)

sys.meta_path.insert(0, Finder())
from tfodhelper.cli import main
sys.exit(main.main())
"""
MODEL = "ssd_mobilenet_v1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with images, their conversion, a configuration, a folder of checkpoints and a model without a graph."""
    folder = tmp_path_factory.mktemp("quiet")
    shapes.draw_dataset(folder / "images", 12, seed=3)
    data = convert.convert(convert.ConvertOptions(data_dir=folder / "images", output_dir=folder / "data", seed=1))
    base = generate.find_base(MODEL)
    message = generate.generate_pipeline(base, data, num_steps=2, batch_size=2, fine_tune_checkpoint="none")[0]
    pipeline.write_pipeline(folder / "pipeline.config", message)
    (folder / "model/best").mkdir(parents=True)
    (folder / "exported").mkdir()
    (folder / "exported/saved_model.pb").write_bytes(b"\x08\x01")  # of schema version 1, without a graph
    return folder


@pytest.mark.parametrize(
    ("verb", "prepares_training"),
    [
        (f"run --data_dir=images --model={MODEL} --fine_tune_checkpoint=none --output_dir=run", True),
        ("train --pipeline_config_path=pipeline.config --model_dir=trained", True),
        ("eval --pipeline_config_path=pipeline.config --model_dir=model", True),
        ("export --pipeline_config_path=pipeline.config --trained_checkpoint_dir=model --output_directory=out", False),
        ("explain --pipeline_config_path=pipeline.config --trained_checkpoint_dir=model --output_dir=o images", False),
        ("predict --saved_model_dir=exported --output_dir=found images", False),
    ],
)
def test_the_environment_is_ready_before_tensorflow_is_imported(folder, verb, prepares_training):
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    for name in ("TF_CPP_MIN_LOG_LEVEL", "TF_ENABLE_ONEDNN_OPTS", "TF_USE_LEGACY_KERAS"):
        environment.pop(name, None)
    command = [sys.executable, "-c", WRAPPED, *verb.split()]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    said = [line for line in done.stdout.splitlines() if line.startswith("imported with")]
    assert said == [f"imported with 3 {'1' if prepares_training else None} 1"], done.stdout + done.stderr
