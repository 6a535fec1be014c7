"""The entry of a container for managed training, with the folders of the services below a temporary one."""

import importlib.util
import json
import signal

import pytest
import tensorflow as tf

from tests.files import list_files
from tests.shared_data import REPOSITORY
from tfodhelper.dataset import shapes

pytestmark = pytest.mark.slow

PATH = REPOSITORY / "scripts/train_managed.py"
SMALLER = [
    "model.ssd.image_resizer.fixed_shape_resizer.height=96",
    "model.ssd.image_resizer.fixed_shape_resizer.width=96",
    "model.ssd.feature_extractor.depth_multiplier=0.25",
    "model.ssd.feature_extractor.min_depth=8",
]
FLAGS = {"model": "ssd_mobilenet_v1", "fine_tune_checkpoint": "none", "num_steps": "2", "batch_size": "2"}


@pytest.fixture(scope="module")
def entry():
    spec = importlib.util.spec_from_file_location("train_managed", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    former = signal.getsignal(signal.SIGTERM)
    yield module
    signal.signal(signal.SIGTERM, former)


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        yield


def write_hyperparameters(opt_ml, values):
    (opt_ml / "input/config").mkdir(parents=True, exist_ok=True)
    (opt_ml / "input/config/hyperparameters.json").write_text(json.dumps(values))


@pytest.fixture(scope="module")
def opt_ml(entry, tmp_path_factory):
    """SageMaker's folder after a job."""
    folder = tmp_path_factory.mktemp("opt") / "ml"
    shapes.draw_dataset(folder / "input/data/training", 12, seed=1)
    write_hyperparameters(folder, FLAGS | {"set": json.dumps(SMALLER), "sagemaker_region": '"eu-west-1"'})
    (folder / "model").mkdir()
    assert entry.main(["train"], {}, opt_ml=folder) == 0
    return folder


def detect(folder):
    image = tf.zeros([1, 50, 60, 3], tf.uint8)
    return tf.saved_model.load(str(folder)).signatures["serving_default"](input_tensor=image)


def test_sagemaker_finds_the_model_where_it_looks(opt_ml):
    files = list_files(opt_ml / "model")
    assert {name for name in files if "/" not in name} == {"label_map.pbtxt", "pipeline.config"}
    assert "1/saved_model.pb" in files and "1/assets.extra/tf_serving_warmup_requests" in files
    assert "detection_boxes" in detect(opt_ml / "model/1")
    assert json.loads((opt_ml / "checkpoints/run/run.json").read_text())["finished"]
    assert not (opt_ml / "output/failure").exists()


def test_vertex_ai_finds_all_of_it_where_it_looks(entry, opt_ml, tmp_path):
    """The run that is already finished takes the place of a second one."""
    variables = {
        "AIP_MODEL_DIR": "gs://bucket/jobs/1/model/",
        "AIP_CHECKPOINT_DIR": "gs://bucket/jobs/1/checkpoints/",
        "AIP_TENSORBOARD_LOG_DIR": "gs://bucket/jobs/1/logs/",
    }
    flags = [f"--{name}={value}" for name, value in FLAGS.items()] + [f"--set={change}" for change in SMALLER]
    flags.append(f"--data_dir={opt_ml / 'input/data/training'}")
    run = opt_ml / "checkpoints/run"
    assert entry.main(flags, variables, opt_ml=tmp_path / "none", buckets=tmp_path / "gcs", scratch=run) == 0
    job = tmp_path / "gcs/bucket/jobs/1"
    assert (job / "model/1/saved_model.pb").is_file() and (job / "model/label_map.pbtxt").is_file()
    assert tf.train.latest_checkpoint(str(job / "checkpoints"))
    assert list((job / "logs").glob("events.out.tfevents.*"))


def test_sagemaker_is_told_why_a_job_failed(entry, tmp_path, capfd):
    shapes.draw_dataset(tmp_path / "input/data/training", 1, seed=1)
    write_hyperparameters(tmp_path, FLAGS | {"model": "no_such_model"})
    assert entry.main(["train"], {}, opt_ml=tmp_path) == 1
    assert "no_such_model" in (tmp_path / "output/failure").read_text()
    assert "no_such_model" in capfd.readouterr().err
    assert not (tmp_path / "model").exists()


def test_hyperparameters_are_flags(entry, tmp_path):
    write_hyperparameters(
        tmp_path, {"num_steps": "500", "split_by_folder": "true", "model": '"x"', "set": '["a=1", "b=2"]'}
    )
    assert list(entry.read_hyperparameters(tmp_path)) == [
        *("--num_steps=500", "--split_by_folder=True", "--model=x", "--set=a=1", "--set=b=2"),
    ]
