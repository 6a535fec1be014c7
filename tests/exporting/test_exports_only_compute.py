"""What is exported passes the check that users' models must pass before they are loaded."""

import pytest
import tensorflow as tf

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
    tf.saved_model.save(module, str(tmp_path), signatures=module.signatures)
    model_safety.check(tmp_path)
