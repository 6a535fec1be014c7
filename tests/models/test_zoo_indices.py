"""Names and shapes of models that the zoo published: the index files of their checkpoints say them without the data."""

import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.shared_data import shared
from tfodhelper import protos
from tfodhelper.models import build
from tfodhelper.models.backbones import inception_v2, resnet_v1
from tfodhelper.zoo import base_configs

pytestmark = pytest.mark.slow

BOOKKEEPING = {"global_step", "save_counter/.ATTRIBUTES/VARIABLE_VALUE", "_CHECKPOINTABLE_OBJECT_GRAPH"}
SLOT = "/Momentum"  # of an optimizer
# index: (base configuration, whether the classes are the same)
CASES = {
    "ssd_mobilenet_v1_coco_2018_01_28": ("ssd_mobilenet_v1_coco_2018_01_28", True),
    "ssd_inception_v2_coco": ("ssd_inception_v2_coco_2018_01_28", True),
    "ssdlite_mobilenet_v2_coco_2018_05_09": ("ssdlite_mobilenet_v2_coco_2018_05_09", True),
    "export_ssd_mobilenet_v2_2018_03_29": ("ssd_mobilenet_v2_coco_2018_03_29", False),
    "ssd_mobilenet_v3_large_coco_2019_08_14": ("ssd_mobilenet_v3_large_coco_2020_01_14", True),
    "efficientdet_d0_coco17_tpu-32": ("efficientdet_d0_coco17_tpu-32", True),
    "export_efficientdet_d4": ("efficientdet_d4_coco17_tpu-32", False),
    "ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8": ("ssd_mobilenet_v2_fpnlite_320x320_coco17_tpu-8", True),
}


def read_model(name):
    """The model of a base configuration, or of the published one next to the checkout."""
    has_base = name in base_configs.base_names()
    path = base_configs.base_pipeline_path(name) if has_base else shared(f"odapi_parity/{name}/pipeline.config")
    return text_format.Parse(path.read_text(), protos.message("TrainEvalPipelineConfig")()).model


@pytest.mark.parametrize("index", CASES)
def test_all_variables_have_their_published_names(index):
    name, has_its_classes = CASES[index]
    path = shared(f"zoo/indices/{index}.index")
    published = tf.train.load_checkpoint(str(path).removesuffix(".index")).get_variable_to_shape_map()
    detector = build.build_detector(read_model(name), False)
    names = {}
    for named in [named for part in detector.parts() for named in part.variables()]:
        candidates = [candidate for candidate in (named.key, *named.slim_names) if candidate in published]
        assert len(candidates) == 1, named.key
        names[candidates[0]] = named
    others = {name for name in published if not name.endswith(SLOT)} - set(names)
    assert others == set(published) & BOOKKEEPING
    for published_name, named in names.items():
        if has_its_classes or not named.depends_on_classes:
            assert list(named.variable.shape) == published[published_name], published_name


def test_inception_v2_in_two_stages_has_its_published_names():
    path = shared("zoo/indices/export_faster_rcnn_inception_v2.index")
    published = tf.train.load_checkpoint(str(path).removesuffix(".index")).get_variable_to_shape_map()
    own = resnet_v1.make_hyperparams()  # any with a full batch norm
    first = inception_v2.InceptionV2(own, endpoints=("Mixed_4e",))
    second = inception_v2.InceptionV2(own, endpoints=("Mixed_5c",), first="Mixed_5a", in_channels=first.depths[0])
    assert second.depths == [1024]
    for stage, part in (("FirstStageFeatureExtractor", first), ("SecondStageFeatureExtractor", second)):
        names, keys = part.slim_names(stage), part.checkpoint_keys()
        shapes = {names[key][0]: variable.shape.as_list() for key, variable in keys.items()}
        assert shapes == {name: shape for name, shape in published.items() if name.startswith(stage)}
