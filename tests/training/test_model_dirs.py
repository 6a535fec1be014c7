"""A folder whose newest checkpoint is damaged, or whose checkpoints are not those of this training."""

import pathlib
import shutil

import pytest
import tensorflow as tf

from tests.training import tiny
from tests.training.test_jobs import OPTIONS, assert_same_checkpoints
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.exporting import saved_model
from tfodhelper.training import jobs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def whole_training(data, tmp_path_factory):
    """Six steps, with checkpoints at 3 and 6."""
    folder = tmp_path_factory.mktemp("whole") / "model"
    jobs.train_model(tiny.make_pipeline(data), folder, OPTIONS)
    return folder


@pytest.fixture
def trained(whole_training, tmp_path):
    """A copy of that training that a test may damage."""
    return pathlib.Path(shutil.copytree(whole_training, tmp_path / "model"))


def damage(prefix):
    path = pathlib.Path(f"{prefix}.data-00000-of-00001")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_training_resumes_from_the_last_whole_checkpoint(trained, whole_training, data, capsys):
    damage(trained / "ckpt-6")
    jobs.train_model(tiny.make_pipeline(data), trained, OPTIONS)
    said = " ".join(capsys.readouterr().err.split())
    assert "ckpt-6: this checkpoint is damaged" in said and "ckpt-3" in said
    assert_same_checkpoints(trained / "ckpt-6", whole_training / "ckpt-6")


def test_eval_and_export_go_back_too(trained, data, tmp_path, capsys):
    damage(trained / "ckpt-6")
    [(step, _)] = list(jobs.evaluate_model(tiny.make_pipeline(data), trained, OPTIONS))
    assert step == 3 and "going back to" in capsys.readouterr().err
    best = next(trained.glob("best/ckpt-*.index")).with_suffix("")
    damage(best)
    damage(next(trained.glob("last/ckpt-*.index")).with_suffix(""))
    saved_model.export_trained(tiny.make_pipeline(data), trained / "best", tmp_path / "export")
    assert "going back to" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(errors.CheckpointError, match="is damaged"):
        saved_model.export_trained(tiny.make_pipeline(data), trained / "ckpt-6", tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_fine_tuning_from_a_damaged_file_is_an_error_in_words(trained, data, tmp_path):
    damage(trained / "ckpt-6")
    pipeline = tiny.make_pipeline(data)
    pipeline.train_config.fine_tune_checkpoint = str(trained / "ckpt-6")
    pipeline.train_config.fine_tune_checkpoint_type = "detection"
    with pytest.raises(errors.CheckpointError, match="is damaged"):
        jobs.train_model(pipeline, tmp_path / "new", OPTIONS)


def test_another_number_of_classes_is_said_with_both_numbers(trained, data, tmp_path):
    names = [item.name for item in label_maps.read_label_map(data.label_map_path)]
    label_map = tmp_path / "more.pbtxt"
    label_maps.write_label_map(label_map, label_maps.make_label_map([*names, "z"]))
    pipeline = apply_overrides(
        tiny.make_pipeline(data),
        [
            f"model.ssd.num_classes={len(names) + 1}",
            f"train_input_reader.label_map_path={label_map}",
            f"eval_input_reader[0].label_map_path={label_map}",
        ],
    )
    with pytest.raises(errors.CheckpointError) as caught:
        jobs.train_model(pipeline, trained, OPTIONS)
    assert f"was trained with {len(names)} classes" in caught.value.what
    assert f"the model has {len(names) + 1} classes" in caught.value.what
    assert "--fine_tune_checkpoint" in caught.value.fix and len(str(caught.value).splitlines()) < 8


def test_another_network_is_said_with_a_variable(trained, data):
    pipeline = apply_overrides(tiny.make_pipeline(data), ["model.ssd.feature_extractor.depth_multiplier=0.5"])
    with pytest.raises(errors.CheckpointError, match="is one of another model"):
        jobs.train_model(pipeline, trained, OPTIONS)


def test_another_optimizer_resumes_or_is_said_in_words(trained, data):
    text = "adam_optimizer { learning_rate { constant_learning_rate { learning_rate: 0.01 } } }"
    pipeline = tiny.make_pipeline(data, text + " use_moving_average: false")
    pipeline.train_config.num_steps = 7
    try:
        assert jobs.train_model(pipeline, trained, OPTIONS).step == 7
    except errors.CheckpointError as error:
        assert "optimizer" in str(error)


@pytest.mark.parametrize("steps", [3, 300])
def test_a_folder_of_the_first_generation_is_not_resumed(data, tmp_path, steps):
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        v1.get_variable("FeatureExtractor/MobilenetV1/Conv2d_0/weights", [3, 3, 3, 8])
        step = v1.train.get_or_create_global_step()
        session.run(v1.global_variables_initializer())
        session.run(step.assign(200))
        v1.train.Saver().save(session, str(tmp_path / "model.ckpt"), global_step=200)
    (tmp_path / "checkpoint").unlink()
    pipeline = tiny.make_pipeline(data)
    pipeline.train_config.num_steps = steps
    with pytest.raises(errors.CheckpointError, match="first generation") as caught:
        jobs.train_model(pipeline, tmp_path, OPTIONS)
    assert len(str(caught.value).splitlines()) < 8
    assert not (tmp_path / "checkpoint").exists()


def test_a_folder_of_weights_alone_is_not_resumed(trained, data):
    """A published model, an export, or the folder of the last evaluation."""
    with pytest.raises(errors.CheckpointError, match="not the state of a training"):
        jobs.train_model(tiny.make_pipeline(data), trained / "last", OPTIONS)
