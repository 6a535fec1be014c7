"""The error when memory runs out."""

import types

import pytest
import tensorflow as tf

from tfodhelper import errors
from tfodhelper.config import pipeline
from tfodhelper.config.overrides import apply_overrides
from tfodhelper.training import loop, memory
from tfodhelper.zoo import base_configs


def read(name):
    return pipeline.read_pipeline(base_configs.base_pipeline_path(name))


def test_a_two_stage_detector_names_its_proposals():
    settings = memory.find_what_to_lower(read("faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"))
    resizer = "model.faster_rcnn.image_resizer.keep_aspect_ratio_resizer"
    assert settings == [
        ("train_config.batch_size", 64, 32),
        ("model.faster_rcnn.second_stage_batch_size", 64, 32),
        ("model.faster_rcnn.first_stage_max_proposals", 300, 150),
        (f"{resizer}.min_dimension", 640, 480),
        (f"{resizer}.max_dimension", 640, 480),
    ]


@pytest.mark.parametrize(("drawn", "lower"), [(15, None), (16, None), (17, 8), (32, 16)])
def test_the_second_stage_draws_no_fewer_when_it_draws_16(drawn, lower):
    base = read("faster_rcnn_resnet50_v1_640x640_coco17_tpu-8")
    base.model.faster_rcnn.second_stage_batch_size = drawn
    name = "model.faster_rcnn.second_stage_batch_size"
    proposed = {path: (value, less) for path, value, less in memory.find_what_to_lower(base)}
    assert proposed.get(name) == (None if lower is None else (drawn, lower))
    error = tf.errors.ResourceExhaustedError(None, None, "OOM")
    assert (name in memory.explain_out_of_memory(error, base).fix) == (lower is not None)


@pytest.mark.parametrize(("batch_size", "lower"), [(1, None), (2, 1), (3, 1)])
def test_a_batch_of_one_image_cannot_be_lowered(batch_size, lower):
    base = read("faster_rcnn_resnet50_v1_640x640_coco17_tpu-8")
    base.train_config.batch_size = batch_size
    proposed = {path: less for path, _, less in memory.find_what_to_lower(base)}
    assert proposed.get("train_config.batch_size") == lower


def test_what_is_proposed_can_be_set():
    for name in base_configs.base_names():
        base = read(name)
        for path, value, lower in memory.find_what_to_lower(base):
            assert lower < value
            apply_overrides(base, [f"{path}={lower}"])


def test_one_image_and_one_stage_have_less_to_lower():
    base = read("faster_rcnn_resnet50_coco_2018_01_28")
    base.model.faster_rcnn.number_of_stages = 1
    assert [path.rpartition(".")[2] for path, _, _ in memory.find_what_to_lower(base)] == [
        "min_dimension",
        "max_dimension",
    ]


def test_the_error_contains_the_reason_and_the_fix():
    error = tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[2,1024]\nmore")
    explained = memory.explain_out_of_memory(error, read("faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"))
    assert explained.received == "OOM when allocating tensor with shape[2,1024]"
    assert "model.faster_rcnn.second_stage_batch_size=32 (is 64)" in explained.fix
    assert "model.faster_rcnn.first_stage_max_proposals=150 (is 300)" in explained.fix


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("OOM when allocating tensor with shape[8,512]", errors.TrainingError, "train_config.batch_size"),
        ("{{node x}} m/ckpt-1.tempstate1; No space left on device [Op:SaveV2]", errors.StorageError, "free some space"),
    ],
)
def test_a_full_disk_is_not_taken_for_full_memory(message, kind, words):
    session = types.SimpleNamespace(pipeline=read("ssd_mobilenet_v2_320x320_coco17_tpu-8"))
    with pytest.raises(kind, match=words), loop.Session._explained(session, "train_input_reader"):
        raise tf.errors.ResourceExhaustedError(None, None, message)
