"""`train`, `eval` and the Python face refuse records of which no box can be used, before the first step."""

import shutil

import pytest
import tensorflow as tf

import tfodhelper
from tests.training import tiny
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.cli import main
from tfodhelper.config import pipeline as pipelines
from tfodhelper.fields import Record


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("no_boxes"), num_images=8)


@pytest.fixture
def config(data, tmp_path):
    """A configuration whose label map has the names in upper case; the records stay as they are."""
    path = tmp_path / "label_map.pbtxt"
    items = (label_maps.LabelMapItem(item.id, item.name.upper()) for item in data.label_map)
    label_maps.write_label_map(path, label_maps.LabelMap(tuple(items)))
    pipeline = tiny.make_pipeline(data)
    pipeline.train_input_reader.label_map_path = pipeline.eval_input_reader[0].label_map_path = str(path)
    pipelines.write_pipeline(tmp_path / "pipeline.config", pipeline)
    return tmp_path / "pipeline.config"


@pytest.mark.parametrize("verb", ["train", "eval"])
def test_the_verbs_refuse_names_of_another_case(verb, config, tmp_path, capsys):
    status = main.main([verb, f"--pipeline_config_path={config}", f"--model_dir={tmp_path / 'm'}"])
    said = capsys.readouterr().err
    assert status == 1
    assert "none of" in said and "boxes can be used" in said and "did you mean" in said
    assert not list((tmp_path / "m").glob("ckpt*"))


def test_the_python_face_refuses_them_too(config, tmp_path):
    with pytest.raises(errors.DatasetError, match="boxes can be used"):
        tfodhelper.train(pipeline_config_path=config, model_dir=tmp_path / "m")


def test_validation_records_are_checked_before_the_training(data, config, tmp_path):
    pipeline = pipelines.read_pipeline(config)
    pipeline.train_input_reader.label_map_path = str(data.label_map_path)
    pipelines.write_pipeline(config, pipeline)
    with pytest.raises(errors.DatasetError, match="eval_input_reader"):
        tfodhelper.train(pipeline_config_path=config, model_dir=tmp_path / "m")


def test_a_converted_folder_with_foreign_records_is_refused(data, tmp_path):
    """Records whose names were changed afterwards: nothing is trained."""
    folder = tmp_path / "data"
    shutil.copytree(data.output_dir, folder)
    pipeline = tiny.make_pipeline(data)
    patterns = pipeline.train_input_reader.tf_record_input_reader.input_path
    patterns[0] = str(folder / data.train_shards[0].name)
    example = tf.train.Example.FromString(next(tf.data.TFRecordDataset(patterns[0]).as_numpy_iterator()))
    example.features.feature[Record.CLASS_TEXT].bytes_list.value[:] = [
        b"raccoon" for _ in example.features.feature[Record.CLASS_TEXT].bytes_list.value
    ]
    with tf.io.TFRecordWriter(patterns[0]) as writer:
        writer.write(example.SerializeToString())
    pipelines.write_pipeline(tmp_path / "pipeline.config", pipeline)
    with pytest.raises(errors.DatasetError, match="'raccoon'"):
        tfodhelper.train(pipeline_config_path=tmp_path / "pipeline.config", model_dir=tmp_path / "m")
