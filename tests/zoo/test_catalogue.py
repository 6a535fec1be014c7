"""The catalogue of published models and the base files."""

import collections
import csv
import re

import pytest

from tests.shared_data import REPOSITORY, shared
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.config import comparison, pipeline
from tfodhelper.zoo import base_configs, catalogue

SAME_IN_BOTH_GENERATIONS = (
    "ssd_mobilenet_v1_coco_2018_01_28",
    "ssd_mobilenet_v1_0.75_depth_300x300_coco14_sync_2018_07_03",
)


def test_catalogue_has_every_published_model():
    with open(shared("zoo/published_models.csv"), encoding="utf-8") as file:
        published = list(csv.DictReader(file))
    ours = [(model.generation, model.name, model.url) for model in catalogue.catalogue()]
    assert sorted(ours) == sorted((row["generation"], row["archive"], row["url"]) for row in published)


def test_catalogue_is_complete_by_itself():
    assert collections.Counter(model.generation for model in catalogue.catalogue()) == {"tf2": 43, "tf1": 47}
    assert all(model.family and model.title and model.outputs and model.url for model in catalogue.catalogue())


def test_facts_of_one_model():
    model = catalogue.find_model("ssd_mobilenet_v2_320x320_coco17_tpu-8")
    assert (model.title, model.speed_ms, model.map, model.outputs) == (
        "SSD MobileNet v2 320x320",
        "19",
        "20.2",
        "Boxes",
    )


@pytest.mark.parametrize(
    ("name", "archive"),
    [
        ("ssd_mobilenet_v1", "ssd_mobilenet_v1_coco_2018_01_28"),
        ("ssd_mobilenet_v1_coco", "ssd_mobilenet_v1_coco_2018_01_28"),
        ("ssd_mobilenet_v1_coco_2018_01_28", "ssd_mobilenet_v1_coco_2018_01_28"),
        ("ssd_mobilenet_v1_coco_2018_01_28.tar.gz", "ssd_mobilenet_v1_coco_2018_01_28"),
        ("ssd_mobilenet_v1_0.75_depth", "ssd_mobilenet_v1_0.75_depth_300x300_coco14_sync_2018_07_03"),
        ("ssd_mobilenet_v1_0.75_depth_300x300_coco", "ssd_mobilenet_v1_0.75_depth_300x300_coco14_sync_2018_07_03"),
        ("faster_rcnn_resnet50", "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"),
        ("faster_rcnn_resnet50_coco", "faster_rcnn_resnet50_coco_2018_01_28"),
        ("faster_rcnn_resnet50_lowproposals_coco", "faster_rcnn_resnet50_lowproposals_coco_2018_01_28"),
        ("faster_rcnn_resnet101_coco", "faster_rcnn_resnet101_coco_2018_01_28"),
        ("faster_rcnn_resnet101_lowproposals_coco", "faster_rcnn_resnet101_lowproposals_coco_2018_01_28"),
        ("faster_rcnn_inception_resnet_v2_atrous_coco", "faster_rcnn_inception_resnet_v2_atrous_coco_2018_01_28"),
        (
            "faster_rcnn_inception_resnet_v2_atrous_lowproposals_coco",
            "faster_rcnn_inception_resnet_v2_atrous_lowproposals_coco_2018_01_28",
        ),
        ("faster_rcnn_inception_v2", "faster_rcnn_inception_v2_coco_2018_01_28"),
        ("faster_rcnn_inception_v2_coco", "faster_rcnn_inception_v2_coco_2018_01_28"),
        ("faster_rcnn_nas", "faster_rcnn_nas_coco_2018_01_28"),
        ("faster_rcnn_nas_coco", "faster_rcnn_nas_coco_2018_01_28"),
        ("faster_rcnn_nas_lowproposals_coco", "faster_rcnn_nas_lowproposals_coco_2018_01_28"),
        ("faster_rcnn_resnet101_ava_v2.1", "faster_rcnn_resnet101_ava_v2.1_2018_04_30"),
        ("faster_rcnn_resnet50_fgvc", "faster_rcnn_resnet50_fgvc_2018_07_19"),
        ("faster_rcnn_resnet101_fgvc", "faster_rcnn_resnet101_fgvc_2018_07_19"),
        ("faster_rcnn_inception_resnet_v2_atrous_oidv2", "faster_rcnn_inception_resnet_v2_atrous_oid_2018_01_28"),
        (
            "faster_rcnn_inception_resnet_v2_atrous_lowproposals_oidv2",
            "faster_rcnn_inception_resnet_v2_atrous_lowproposals_oid_2018_01_28",
        ),
        ("faster_rcnn_inception_resnet_v2_atrous_oidv4", "faster_rcnn_inception_resnet_v2_atrous_oid_v4_2018_12_12"),
        ("rfcn_resnet101", "rfcn_resnet101_coco_2018_01_28"),
        ("rfcn_resnet101_coco", "rfcn_resnet101_coco_2018_01_28"),
        ("faster_rcnn_resnet101_kitti", "faster_rcnn_resnet101_kitti_2018_01_28"),
        ("faster_rcnn_resnet50_v1_640x640", "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"),
        ("faster_rcnn_resnet152_v1_800x1333", "faster_rcnn_resnet152_v1_800x1333_coco17_gpu-8"),
        ("faster_rcnn_inception_resnet_v2_1024x1024", "faster_rcnn_inception_resnet_v2_1024x1024_coco17_tpu-8"),
        ("faster_rcnn_resnet50_v1_fpn_640x640", "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8"),
        ("faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8", "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8"),
        ("faster_rcnn_resnet101_v1_1024x1024", "faster_rcnn_resnet101_v1_1024x1024_coco17_tpu-8"),
        ("SSD MobileNet v2 320x320", "ssd_mobilenet_v2_320x320_coco17_tpu-8"),
        ("ssd-mobilenet-v2", "ssd_mobilenet_v2_320x320_coco17_tpu-8"),
        ("ssd_mobilenet_v1_fpn", "ssd_mobilenet_v1_fpn_640x640_coco17_tpu-8"),
        ("efficientdet_d0", "efficientdet_d0_coco17_tpu-32"),
        ("centernet_resnet50_v1_fpn", "centernet_resnet50_v1_fpn_512x512_coco17_tpu-8"),
        ("mask_rcnn_inception_v2", "mask_rcnn_inception_v2_coco_2018_01_28"),
        ("ssd_mobilenet_v2", "ssd_mobilenet_v2_320x320_coco17_tpu-8"),
        ("ssd_mobilenet_v2_fpnlite", "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"),
        ("ssd_mobilenet_v2_fpnlite_320x320", "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8"),
        ("ssd_mobilenet_v2_fpnlite_640x640", "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8"),
        ("ssd_mobilenet_v1_fpn_640x640", "ssd_mobilenet_v1_fpn_640x640_coco17_tpu-8"),
        ("ssd_resnet50_v1_fpn", "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8"),
        ("ssd_resnet101_v1_fpn_1024x1024", "ssd_resnet101_v1_fpn_1024x1024_coco17_tpu-8"),
        ("RetinaNet50", "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8"),
        ("retinanet152_1024x1024", "ssd_resnet152_v1_fpn_1024x1024_coco17_tpu-8"),
        ("efficientdet_d7", "efficientdet_d7_coco17_tpu-32"),
        ("ssd_efficientdet_d0_512x512_coco17_tpu-8", "efficientdet_d0_coco17_tpu-32"),
        ("ssd_efficientdet_d6_1408x1408_coco17_tpu-32.config", "efficientdet_d6_coco17_tpu-32"),
        ("ssd_mobilenet_v2_coco", "ssd_mobilenet_v2_coco_2018_03_29"),
        ("ssdlite_mobilenet_v2", "ssdlite_mobilenet_v2_coco_2018_05_09"),
        ("ssdlite_mobilenet_v2_coco", "ssdlite_mobilenet_v2_coco_2018_05_09"),
        ("ssd_inception_v2_coco", "ssd_inception_v2_coco_2018_01_28"),
        (
            "ssd_mobilenet_v1_fpn_shared_box_predictor_640x640",
            "ssd_mobilenet_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03",
        ),
        (
            "ssd_mobilenet_v1_ppn_shared_box_predictor_300x300",
            "ssd_mobilenet_v1_ppn_shared_box_predictor_300x300_coco14_sync_2018_07_03",
        ),
        (
            "ssd_resnet50_v1_fpn_shared_box_predictor_640x640_coco14_sync",
            "ssd_resnet50_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03",
        ),
        ("ssd_mobilenet_v1_quantized", "ssd_mobilenet_v1_quantized_300x300_coco14_sync_2018_07_18"),
        (
            "ssd_mobilenet_v1_0.75_depth_quantized",
            "ssd_mobilenet_v1_0.75_depth_quantized_300x300_coco14_sync_2018_07_18",
        ),
        ("ssd_mobilenet_v2_quantized", "ssd_mobilenet_v2_quantized_300x300_coco_2019_01_03"),
        ("ssd_mobilenet_v2_oid_v4", "ssd_mobilenet_v2_oid_v4_2018_12_12"),
        (
            "ssd_resnet101_v1_fpn_shared_box_predictor_oid_512x512",
            "ssd_resnet101_v1_fpn_shared_box_predictor_oid_512x512_sync_2019_01_20",
        ),
        ("facessd_mobilenet_v2_quantized", "facessd_mobilenet_v2_quantized_320x320_open_image_v4"),
    ],
)
def test_finds_by_short_name_archive_and_title(name, archive):
    assert catalogue.find_model(name).name == archive


def test_every_model_is_found_by_its_archive_and_its_title():
    for model in catalogue.all_models():
        assert catalogue.find_model(model.name).name == model.name
        assert catalogue.find_model(model.title).title == model.title


def test_newer_of_two_archives_with_one_name():
    assert "20210507" in catalogue.find_model("extremenet").url


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("ssd_mobilnet_v1", "ssd_mobilenet_v1"),
        ("faster_rcnn_resnet50_640", "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8"),
        ("efficientdet", "efficientdet_d0_coco17_tpu-32"),
    ],
)
def test_near_miss_is_suggested(name, near):
    with pytest.raises(errors.ZooError) as caught:
        catalogue.find_model(name)
    assert near in caught.value.fix


def test_lists_by_words():
    names = [model.name for model in catalogue.list_models("quantized v1")]
    assert len(names) == 2 and all("v1" in name and "quantized" in name for name in names)
    assert len(catalogue.list_models()) == 91  # 90 with weights, and one with only a configuration
    assert catalogue.list_models("no such thing") == []


def test_table_has_one_row_per_model():
    table = catalogue.format_models(catalogue.catalogue()).splitlines()
    assert len(table) == 92
    assert table[2].startswith(catalogue.catalogue()[0].name)
    row = next(line for line in table if line.startswith("ssd_mobilenet_v1_coco_2018_01_28"))
    assert row.split()[1:4] == ["TF1", "30", "21"] and row.endswith("yes")


def test_models_with_a_base_file_are_trainable():
    assert {model.name for model in catalogue.all_models() if model.trainable_here} == set(base_configs.base_names())
    families = collections.Counter(catalogue.find_model(name).family for name in base_configs.base_names())
    assert families == {
        "ssd_efficientnet_bifpn": 8,
        "ssd_inception_v2": 1,
        "ssd_mobiledet": 3,
        "ssd_mobilenet_edgetpu": 1,
        "ssd_mobilenet_v1": 2,
        "ssd_mobilenet_v1_fpn": 2,
        "ssd_mobilenet_v1_ppn": 1,
        "ssd_mobilenet_v1_quantized": 2,
        "ssd_mobilenet_v2": 3,
        "ssd_mobilenet_v2_fpnlite": 2,
        "ssd_mobilenet_v2_mnasfpn": 1,
        "ssd_mobilenet_v2_quantized": 2,
        "ssd_mobilenet_v3": 2,
        "ssd_resnet_v1_fpn": 6 + 2,
        "ssd_spaghettinet": 3,
        "ssdlite_mobilenet_v2": 1,
        "faster_rcnn_resnet": 9 + 5 + 3,
        "faster_rcnn_inception_resnet_v2": 2 + 2 + 3,
        "faster_rcnn_nas": 2,
        "faster_rcnn_inception_v2": 1,
        "rfcn_resnet": 1,
        "faster_rcnn_resnet_fpn": 1,
        "mask_rcnn_inception_resnet_v2": 1 + 1,
        "mask_rcnn_inception_v2": 1,
        "mask_rcnn_resnet": 2,
    }


def test_models_in_the_documents_can_be_trained():
    text = (REPOSITORY / "docs/models.md").read_text(encoding="utf-8")
    text = text[text.index("## Models\n") : text.index("## Two-stage detectors\n")]
    models = {catalogue.find_model(name) for name in re.findall(r"`([a-z]\w+(?:\.75\w+)?)`", text)}
    assert [model.name for model in models if not model.trainable_here] == []
    assert len(models) > 30


def test_preferred_name_finds_the_model_again():
    for name in base_configs.base_names():
        assert catalogue.find_model(catalogue.preferred_name(name)).name == name
    assert catalogue.preferred_name("ssd_mobilenet_v1_coco_2018_01_28") == "ssd_mobilenet_v1"


# part of a name: classes that the published weights have, the first that fits
NUM_CLASSES = {"kitti": 2, "_oid_2018": 546, "_oid_": 601, "facessd": 1, "fgvc": 2854, "_ava_": 80}


@pytest.mark.parametrize("name", base_configs.base_names())
def test_base_files_have_placeholders_for_the_data(name):
    message = pipeline.read_pipeline(base_configs.base_pipeline_path(name))
    readers = [message.train_input_reader, *message.eval_input_reader]
    assert len(readers) == 2
    for reader in readers:
        assert list(reader.tf_record_input_reader.input_path) == ["PATH_TO_BE_CONFIGURED"]
    model = getattr(message.model, message.model.WhichOneof("model"))
    numbers = [count for part, count in NUM_CLASSES.items() if part in name]
    assert model.num_classes == (numbers or [90])[0]
    # The networks of the first generation differ in strides, initial values or regularization, and have names of their
    # own; SSD MobileNet V1 was the same, and has the name that the Object Detection API can still build.
    has_keras_name = catalogue.find_model(name).generation == "tf2" or name in SAME_IN_BOTH_GENERATIONS
    assert model.feature_extractor.type.endswith("_keras") == has_keras_name
    train = message.train_config
    assert train.fine_tune_checkpoint == "PATH_TO_BE_CONFIGURED"
    assert train.fine_tune_checkpoint_version == {"tf1": 1, "tf2": 2}[catalogue.find_model(name).generation]


def test_lowproposals_are_configurations_of_the_same_network():
    lows = [name for name in base_configs.base_names() if "_lowproposals" in name]
    assert len(lows) == 5
    for name in lows:
        low = pipeline.read_pipeline(base_configs.base_pipeline_path(name)).model.faster_rcnn
        full = pipeline.read_pipeline(
            base_configs.base_pipeline_path(name.replace("_lowproposals", ""))
        ).model.faster_rcnn
        assert low.first_stage_max_proposals == low.second_stage_batch_size == (50 if "nas" in name else 20)
        low.first_stage_max_proposals, low.second_stage_batch_size = full.first_stage_max_proposals, 64
        full.second_stage_batch_size = 64
        assert low == full


# {base: a folder with the published configuration of that network, at its own size or at another one}
PUBLISHED = {
    "faster_rcnn_resnet50_v1_640x640_coco17_tpu-8": "{}",
    "faster_rcnn_resnet50_v1_800x1333_coco17_gpu-8": "{}",
    "faster_rcnn_resnet50_v1_fpn_640x640_coco17_tpu-8": "{}__reduced256",
    "faster_rcnn_inception_resnet_v2_640x640_coco17_tpu-8": (
        "faster_rcnn_inception_resnet_v2_640x640_coco17__hand__reduced256"
    ),
    "faster_rcnn_inception_v2_coco_2018_01_28": "faster_rcnn_inception_v2_coco__slim",
    "rfcn_resnet101_coco_2018_01_28": "rfcn_resnet101_coco__slim",
    "faster_rcnn_nas_coco_2018_01_28": "faster_rcnn_nas_coco__slim",
    "efficientdet_d0_coco17_tpu-32": "ssd_efficientdet_d0_512x512_coco17_tpu-8",
    "efficientdet_d1_coco17_tpu-32": "ssd_efficientdet_d1_640x640_coco17_tpu-8",
    "ssd_mobilenet_v1_fpn_640x640_coco17_tpu-8": "{}",
    "ssd_mobilenet_v2_320x320_coco17_tpu-8": "{}",
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8": "{}",
    "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8": "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8",
    "ssd_resnet50_v1_fpn_640x640_coco17_tpu-8": "{}__reduced256",
    "ssd_mobilenet_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03": "ssd_mobilenet_v1_fpn_coco__slim",
    "ssd_mobilenet_v1_ppn_shared_box_predictor_300x300_coco14_sync_2018_07_03": "ssd_mobilenet_v1_ppn_coco__slim",
    "ssd_inception_v2_coco_2018_01_28": "ssd_inception_v2_coco__slim",
    "ssdlite_mobilenet_v2_coco_2018_05_09": "ssdlite_mobilenet_v2_coco__slim",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_base_is_the_published_network(name):
    published = pipeline.read_pipeline(shared(f"odapi_parity/{PUBLISHED[name].format(name)}/pipeline.config"))
    ours = pipeline.read_pipeline(base_configs.base_pipeline_path(name))
    differences = [path for path, _, _ in comparison.differences(ours.model, published.model)]
    if "inception_v2" in name and "ssd" in name:  # the archive is older than this field, which says nothing new there
        differences.remove("model.ssd.feature_extractor.override_base_feature_extractor_hyperparams")
    assert [path for path in differences if "image_resizer" not in path] == []
    if "faster_rcnn" not in name:  # whose reduced folders have other training settings
        assert schedule_of(ours) == schedule_of(published)
        assert augmentation_of(ours) == augmentation_of(published)


def augmentation_of(message):
    """The steps of augmentation, without the size that follows the input."""
    steps = [type(step).FromString(step.SerializeToString()) for step in message.train_config.data_augmentation_options]
    for step in steps:
        if step.HasField("random_scale_crop_and_pad_to_square"):
            step.random_scale_crop_and_pad_to_square.ClearField("output_size")
    return steps


def schedule_of(message):
    """What a schedule depends on: batch size, steps, optimizer."""
    train = message.train_config
    optimizer = type(train.optimizer)()
    optimizer.CopyFrom(train.optimizer)
    optimizer.use_moving_average = False
    return train.batch_size, train.num_steps, optimizer


def test_unknown_base_suggests_the_nearest():
    with pytest.raises(errors.ConfigError, match="ssd_mobilenet_v1_coco_2018_01_28"):
        base_configs.base_pipeline_path("ssd_mobilenet_v1_coco_2018_01_27")


@pytest.mark.parametrize(
    ("name", "count", "largest", "first"),
    [
        ("mscoco", 80, 90, "person"),
        ("pascal", 20, 20, "aeroplane"),
        ("kitti", 2, 2, "car"),
        ("pet_label_map.pbtxt", 37, 37, "Abyssinian"),
        ("oid_v4", 601, 601, "/m/011k07"),
        ("oid_bbox_trainable", 545, 545, "/m/01g317"),
        ("fgvc_2854_classes", 2854, 2854, "147457"),
        ("ava_label_map_v2.1", 60, 80, "bend/bow (at the waist)"),
        ("face", 1, 1, "face"),
        ("snapshot_serengeti", 48, 48, "human"),
    ],
)
def test_label_maps_of_well_known_datasets(name, count, largest, first):
    label_map = label_maps.read_label_map(base_configs.label_map_path(name))
    assert len(label_map) == count
    assert label_map.num_classes == largest
    assert label_map.name_of(1) == first


def test_unknown_label_map_lists_the_existing_ones():
    with pytest.raises(errors.ConfigError, match="mscoco_label_map"):
        base_configs.label_map_path("imagenet")
