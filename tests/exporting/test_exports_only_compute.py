"""What is exported passes the check that users' models must pass before they are loaded."""

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from tests.models import variants
from tfodhelper.exporting import serving
from tfodhelper.prediction import model_safety

pytestmark = pytest.mark.slow

NAMES = ("plain", "FPN", "Faster R-CNN")


@pytest.fixture(scope="module", params=NAMES)
def detector(request):
    return variants.build_variant(request.param, is_training=False)


@pytest.mark.parametrize("input_type", serving.INPUT_TYPES)
def test_an_export_of_each_input_type_only_computes(detector, input_type, tmp_path):
    module = serving.ServingModule(detector, input_type, serving.INPUT_TYPES[input_type])
    module.save(tmp_path)
    model_safety.check(tmp_path)


def test_each_function_is_written_once_and_without_gradients_of_our_own(detector, tmp_path):
    """Else a model takes several times as long to be written, and to be loaded."""
    module = serving.ServingModule(detector, "image_tensor", None)
    module.save(tmp_path)
    program = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    functions = program.meta_graphs[0].graph_def.library.function
    names = [function.signature.name.rpartition("_")[0].removeprefix("__inference_") for function in functions]
    assert names.count("serve") == 2  # serving_default and serving_prepared
    assert names.count("prepare") == 1
    assert names.count("extract") == names.count("conclude") == int(module.extract is not None)
    assert not [node for function in functions for node in function.node_def if "_gradient_op_type" in node.attr]
