"""Names and shapes of models that the zoo published: the index files of their checkpoints say them without the data."""

import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.shared_data import shared
from tfodhelper import protos
from tfodhelper.models import build

pytestmark = pytest.mark.slow

BOOKKEEPING = {"global_step", "save_counter/.ATTRIBUTES/VARIABLE_VALUE", "_CHECKPOINTABLE_OBJECT_GRAPH"}
# index: (folder in odapi_parity that has the configuration, changes of it, whether the classes are the same)
CASES = {
    "ssdlite_mobilenet_v2_coco_2018_05_09": ("ssdlite_mobilenet_v2_coco__slim", {}, True),
    # The archive's own configuration: depthwise layers behind the backbone, predictors of 3x3 without any.
    "export_ssd_mobilenet_v2_2018_03_29": ("ssd_mobilenet_v2_coco__slim", {"kernel_size": 3, "depthwise": True}, False),
}


def read_model(folder, kernel_size=None, depthwise=None):
    text = shared(f"odapi_parity/{folder}/pipeline.config").read_text()
    model = text_format.Parse(text, protos.message("TrainEvalPipelineConfig")()).model
    if kernel_size:
        model.ssd.box_predictor.convolutional_box_predictor.kernel_size = kernel_size
    if depthwise:
        model.ssd.feature_extractor.use_depthwise = True
    return model


@pytest.mark.parametrize("index", CASES)
def test_all_variables_have_their_published_names(index):
    folder, changes, has_its_classes = CASES[index]
    path = shared(f"zoo/indices/{index}.index")
    published = tf.train.load_checkpoint(str(path).removesuffix(".index")).get_variable_to_shape_map()
    detector = build.build_detector(read_model(folder, **changes), False)
    variables = [named for part in detector.parts() for named in part.variables()]
    names = {}
    for named in variables:
        candidates = [name for name in (named.key, *named.slim_names) if name in published]
        assert len(candidates) == 1, named.key
        names[candidates[0]] = named
    assert set(published) - set(names) == set(published) & BOOKKEEPING
    for name, named in names.items():
        if has_its_classes or not named.depends_on_classes:
            assert list(named.variable.shape) == published[name], name
