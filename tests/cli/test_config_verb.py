"""The verbs zoo and config, as a person types them."""

import subprocess
import sys

import pytest

from tests.shared_data import REPOSITORY
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.cli import main
from tfodhelper.config import pipeline
from tfodhelper.dataset import manifest as manifests


@pytest.fixture
def converted(tmp_path):
    """A converted folder, as far as `config` reads it."""
    folder = tmp_path / "data"
    folder.mkdir()
    label_maps.write_label_map(folder / "label_map.pbtxt", label_maps.make_label_map(["cat", "dog"]))
    shards = {
        side: [{"name": f"{side}.record-00000-of-00001", "records": count, "bytes": 1}]
        for side, count in (("train", 40), ("validate", 10))
    }
    values = {name: [] for name in ("classes", "images", "left_out", "unlabelled")}
    manifests.write_manifest(
        folder,
        manifests.Manifest(
            fingerprint="",
            options={},
            shards=shards,
            files={"label_map": "label_map.pbtxt", "train_csv": "train.csv", "validate_csv": "validate.csv"},
            findings={},
            **values,
        ),
    )
    return folder


def run(*argv):
    """Exit status of a command line."""
    return main.main(list(argv))


def test_zoo_lists_all(capsys):
    assert run("zoo") == 0
    out = capsys.readouterr().out
    assert "91 models, 76 of them can be trained here" in out
    assert "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8" in out
    assert "--model=ssd_mobilenet_v2 " in out


def test_zoo_narrows_by_words(capsys):
    assert run("zoo", "hourglass", "--trainable") == 1
    assert "error: no model matches 'hourglass'" in capsys.readouterr().err
    assert run("zoo", "mobilenet v1", "--trainable", "--url") == 0
    out = capsys.readouterr().out
    assert "7 models, 7 of them" in out
    assert "ssd_mobilenet_v1_coco_2018_01_28: http://" in out


def test_config_writes_a_complete_file(converted, tmp_path, capsys):
    argv = [
        "config",
        "--model=ssd_mobilenet_v1_0.75_depth",
        f"--data_dir={converted}",
        f"--output_dir={tmp_path / 'out'}",
        "--fine_tune_checkpoint=none",
        "--num_steps=100",
        "--set",
        "train_config.batch_size=4",
    ]
    assert run(*argv) == 0
    out = capsys.readouterr().out
    assert "scaled linearly from batch size 2048 to 4" in out
    assert f"tfodhelper train --pipeline_config_path={tmp_path / 'out' / 'pipeline.config'}" in out
    message = pipeline.read_pipeline(tmp_path / "out")
    assert message.model.ssd.num_classes == 2
    assert message.train_config.batch_size == 4 and message.train_config.num_steps == 100
    assert message.eval_config.num_examples == 10
    assert run(*argv) == 0
    assert "already exists with the same content" in capsys.readouterr().out
    assert run(*argv, "--num_steps=200") == 1
    assert "already exists with different content" in capsys.readouterr().err
    assert pipeline.read_pipeline(tmp_path / "out").train_config.num_steps == 100


@pytest.mark.parametrize(
    ("changes", "status", "words"),
    [
        (["--model=ssd_mobilnet_v1"], 1, "did you mean ssd_mobilenet_v1"),
        (["--model=centernet_hourglass104_512x512"], 1, "cannot be trained here yet"),
        (["--set=train_config.batch_sise=4"], 1, "did you mean train_config.batch_size"),
        (["--set=train_config.bias_grad_multiplier=2"], 1, "train_config.bias_grad_multiplier: 2"),
        (["--fine_tune_checkpoint=/no/such/ckpt-0"], 1, "no checkpoint found"),
        (["--data_dir=/no/such/folder"], 1, "tfodhelper convert"),
        (["stray"], 2, "is not a flag"),
    ],
)
def test_config_stops_with_a_way_out(converted, tmp_path, capsys, changes, status, words):
    argv = [
        "--model=ssd_mobilenet_v1",
        f"--data_dir={converted}",
        f"--output_dir={tmp_path / 'out'}",
        "--fine_tune_checkpoint=none",
    ]
    assert run("config", *argv, *changes) == status
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "pipeline.config").exists()


def test_unsupported_fields_may_be_allowed(converted, tmp_path, capsys):
    argv = ["--model=ssd_mobilenet_v1", f"--data_dir={converted}", f"--output_dir={tmp_path / 'out'}"]
    argv += ["--fine_tune_checkpoint=none", "--set=train_config.bias_grad_multiplier=2", "--ignore_unsupported_fields"]
    assert run("config", *argv) == 0
    assert "warning: not supported: train_config.bias_grad_multiplier" in capsys.readouterr().err


def test_neither_verb_imports_tensorflow(converted, tmp_path):
    code = (
        "import sys; from tfodhelper.cli import main\n"
        "assert main.main(['zoo']) == 0\n"
        f"assert main.main(['config', '--model=ssd_mobilenet_v1', '--data_dir={converted}', "
        f"'--output_dir={tmp_path / 'out'}', '--fine_tune_checkpoint=none']) == 0\n"
        "assert not {'tensorflow', 'tf_keras', 'official'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY, timeout=60, stdout=subprocess.DEVNULL)
