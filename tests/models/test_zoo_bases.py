"""The base configurations make the published networks: as many variables as the published checkpoints have.

Those that other tests build anyway, or that take long to build (the larger EfficientDets, ResNet-101 and 152), are not
repeated here; they differ from these in sizes and depths alone.
"""

import pytest

from tfodhelper.config import pipeline
from tfodhelper.models import build
from tfodhelper.zoo import base_configs

pytestmark = pytest.mark.slow

NUM_VARIABLES = {
    "efficientdet_d0_coco17_tpu-32": 683,
    "facessd_mobilenet_v2_quantized_320x320_open_image_v4": 324,
    "ssd_inception_v2_coco_2018_01_28": 410,
    "ssd_mobilenet_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03": 333,
    "ssd_mobilenet_v1_quantized_300x300_coco14_sync_2018_07_18": 199,
    "ssd_mobilenet_v2_coco_2018_03_29": 344,
    "ssd_mobilenet_v2_fpnlite_640x640_coco17_tpu-8": 384,
    "ssd_mobilenet_v2_oid_v4_2018_12_12": 324,
    "ssd_resnet50_v1_fpn_shared_box_predictor_640x640_coco14_sync_2018_07_03": 463,
    "ssdlite_mobilenet_v2_coco_2018_05_09": 404,
}


@pytest.mark.parametrize("name", NUM_VARIABLES)
def test_variables_of_the_published_network(name):
    model = pipeline.read_pipeline(base_configs.base_pipeline_path(name)).model
    detector = build.build_detector(model, is_training=True)
    assert len(detector.variables) == NUM_VARIABLES[name]
    assert detector.num_classes == model.ssd.num_classes
