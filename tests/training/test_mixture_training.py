"""Training with two sets of records that share the batches, with weights, and what the flags for the second one do."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.training import tiny
from tests.training.test_jobs import assert_same_checkpoints
from tfodhelper import errors
from tfodhelper.annotations import labelimg
from tfodhelper.dataset import shapes
from tfodhelper.fields import Record
from tfodhelper.records import convert
from tfodhelper.training import jobs
from tfodhelper.training.options import TrainOptions

pytestmark = pytest.mark.slow

OPTIONS = TrainOptions(
    eval_every=2, checkpoint_every=2, log_every=1, strategy="cpu", seed=5, strong_augmentation=True, ramp_steps=4
)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory):
    """Twenty images as they are, and a few whose boxes count less, teach their class alone, or are ignored."""
    folder = tmp_path_factory.mktemp("sets")
    pipeline = tiny.make_pipeline(tiny.make_data(folder))
    shapes.draw_dataset(folder / "others", 6, seed=9)
    kinds = [{"weight": 0.5}, {"weight": 0.8, "location_weight": 0.0}, {"weight": 0.0}]
    for path in sorted((folder / "others").glob("*.xml")):
        read = labelimg.read_labelimg(path)
        boxes = tuple(dataclasses.replace(box, **kinds[i % 3]) for i, box in enumerate(read.boxes))
        labelimg.write_labelimg(path, dataclasses.replace(read, boxes=boxes))
    label_map = pipeline.train_input_reader.label_map_path
    options = convert.ConvertOptions(
        data_dir=folder / "others", output_dir=folder / "adopted", label_map=label_map, val_fraction=0.2
    )
    made = convert.convert(options)
    weights = [
        list(tf.train.Example.FromString(record.numpy()).features.feature[Record.WEIGHT].float_list.value)
        for record in tf.data.TFRecordDataset([str(path) for path in made.train_shards])
    ]
    assert {0.0, 0.5} <= set(np.concatenate(weights))
    pipeline.train_input_reader.tf_record_input_reader.input_path.append(str(made.output_dir / made.train_pattern))
    pipeline.train_input_reader.sample_from_datasets_weights[:] = [1, 1]
    pipeline.train_config.num_steps = 4
    return pipeline


def test_it_trains_and_resumes_where_it_stopped(pipeline, tmp_path):
    jobs.train_model(pipeline, tmp_path / "whole", OPTIONS)
    short = type(pipeline)()
    short.CopyFrom(pipeline)
    short.train_config.num_steps = 2
    jobs.train_model(short, tmp_path / "parts", OPTIONS)
    jobs.train_model(pipeline, tmp_path / "parts", OPTIONS)
    assert_same_checkpoints(tmp_path / "whole" / "ckpt-4", tmp_path / "parts" / "ckpt-4")


def test_the_flags_are_refused_where_there_is_one_set(pipeline, tmp_path):
    plain = type(pipeline)()
    plain.CopyFrom(pipeline)
    plain.train_input_reader.ClearField("sample_from_datasets_weights")
    with pytest.raises(errors.UsageError, match="--strong_augmentation"):
        jobs.train_model(plain, tmp_path / "plain", OPTIONS)
