"""The warm-up file of TensorFlow Serving: what is in it, and that the model answers it."""

import importlib.util
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2
from tensorflow.core.framework import tensor_pb2

from tests.exporting import fake_detector
from tests.exporting.test_saved_model import _config, _View
from tests.shared_data import REPOSITORY
from tfodhelper import protos
from tfodhelper.exporting import saved_model, serving


def export(folder, **options):
    detector = fake_detector.FakeDetector(gain=1.0)
    return saved_model.export_saved_model(detector, _config(), folder, make_checkpoint_view=_View, **options)


def read_requests(folder):
    """The requests of an export, as TensorFlow Serving reads them."""
    path = folder / "saved_model/assets.extra/tf_serving_warmup_requests"
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    return [protos.serving_message("PredictionLog").FromString(record).predict_log.request for record in records]


@pytest.mark.parametrize("input_type", list(serving.INPUT_TYPES))
@pytest.mark.parametrize("batch_size", ["default", 2])
def test_the_signature_answers_the_request(input_type, batch_size, tmp_path):
    folder = export(tmp_path / "out", input_type=input_type, batch_size=batch_size)
    (request,) = read_requests(folder)
    signatures = tf.saved_model.load(str(folder / "saved_model")).signatures
    function = signatures[request.model_spec.signature_name]
    parse = tensor_pb2.TensorProto.FromString
    tensors = {name: tf.make_ndarray(parse(value)) for name, value in request.inputs.items()}
    assert list(tensors) == list(function.structured_input_signature[1])
    outputs = function(**{name: tf.constant(tensor) for name, tensor in tensors.items()})
    scores = outputs["detection_scores"].numpy()
    assert scores.shape == (2 if batch_size == 2 else 1, 2)
    np.testing.assert_allclose(scores[:, 0], 0.5, atol=0.03)  # the mean of 64 pixels of noise


def test_the_bytes_are_those_of_tensorflow_serving(tmp_path):
    """Field by field (https://protobuf.dev/programming-guides/encoding): number << 3 | 2, length, content."""
    folder = export(tmp_path / "out", input_type="tf_example")
    path = folder / "saved_model/assets.extra/tf_serving_warmup_requests"
    (record,) = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]

    def field(number, content):
        length, encoded = len(content), b""
        while length >= 128:
            encoded, length = encoded + bytes([length % 128 + 128]), length // 128
        return bytes([number << 3 | 2]) + encoded + bytes([length]) + content

    (request,) = read_requests(folder)
    inputs = field(1, b"input_tensor") + field(2, request.inputs["input_tensor"])
    model_spec = field(3, b"serving_default")  # of ModelSpec
    expected = field(6, field(1, field(1, model_spec) + field(2, inputs)))  # PredictionLog.PredictLog.PredictRequest
    assert record == expected


def test_the_compiled_messages_are_those_of_the_source():
    pytest.importorskip("grpc_tools")
    path = REPOSITORY / "scripts/compile_protos.py"
    spec = importlib.util.spec_from_file_location("compile_protos", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    compiled = pathlib.Path(protos.__file__).with_name(protos.SERVING_SET).read_bytes()
    assert module.compile_protos([module.SERVING]) == descriptor_pb2.FileDescriptorSet.FromString(compiled)
