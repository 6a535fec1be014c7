"""ONNX files of small detectors, compared with the detectors themselves."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.exporting import test_tflite as small
from tests.files import list_files
from tests.models import variants
from tests.training import tiny
from tfodhelper import errors
from tfodhelper.cli import main as cli
from tfodhelper.exporting import onnx_check, onnx_convert, onnx_files, serving
from tfodhelper.exporting.options import ExportOptions

pytest.importorskip("tf2onnx")
onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

BOX, FAR = [0.1, 0.1, 0.5, 0.5], [0.6, 0.6, 0.9, 0.9]
NEAR = [0.1, 0.1, 0.5, 0.5 + 0.4 * 0.009]  # an IoU of 1 / 1.009 with BOX
OFF = [0.1, 0.1, 0.5, 0.5 + 0.4 * 0.011]


def rows(*detections):
    """(boxes, scores, classes) from (box, score, class)."""
    boxes, scores, classes = zip(*detections) if detections else ([], [], [])
    return np.array(boxes, np.float64).reshape(-1, 4), np.array(scores, np.float64), np.array(classes, np.float64)


@pytest.mark.parametrize(
    ("received", "count"),
    [
        (rows((BOX, 0.9, 1), (FAR, 0.8, 2)), 2),
        (rows((FAR, 0.8, 2), (BOX, 0.9, 1)), 2),  # the order does not matter
        (rows((NEAR, 0.9, 1), (FAR, 0.8, 2)), 2),
        (rows((OFF, 0.9, 1), (FAR, 0.8, 2)), 1),
        (rows((BOX, 0.9009, 1), (FAR, 0.7991, 2)), 2),
        (rows((BOX, 0.9011, 1), (FAR, 0.8, 2)), 1),
        (rows((BOX, 0.9, 2), (FAR, 0.8, 2)), 1),
        (rows((BOX, 0.9, 1), (BOX, 0.9, 1)), 1),  # each counts once
        (rows(), 0),
    ],
)
def test_which_detections_are_the_same(received, count):
    assert onnx_check.count_same(rows((BOX, 0.9, 1), (FAR, 0.8, 2)), received) == count


def test_masks_count_where_there_are_any():
    boxes, scores, classes = rows((BOX, 0.9, 1), (FAR, 0.8, 2))
    masks = np.zeros([2, 10, 10])
    near, far = masks.copy(), masks.copy()
    near[0, 0, 0], far[0, :2, 0] = 1.0, 1.0  # means of 0.01 and 0.02
    expected = boxes, scores, classes, masks
    for other, count in ((masks, 2), (near, 2), (far, 1)):
        assert onnx_check.count_same(expected, (boxes, scores, classes, other)) == count


def test_the_share_is_of_the_one_that_has_more():
    agreement = onnx_check.Agreement()
    assert agreement.share == 0
    agreement.add(rows((BOX, 0.9, 1)), rows((BOX, 0.9, 1), (FAR, 0.8, 2)))
    assert agreement == onnx_check.Agreement(1, 2, 1) and agreement.share == 0.5
    agreement.add(rows((BOX, 0.9, 1), (FAR, 0.8, 2)), rows((BOX, 0.9, 1)))
    assert agreement == onnx_check.Agreement(3, 3, 2)


def test_fewer_than_95_of_100_are_refused(tmp_path):
    path = tmp_path / "detector.onnx"
    onnx_check.check_agreement(path, onnx_check.Agreement(100, 100, 95))
    with pytest.raises(errors.ExportError, match="other detections than the SavedModel") as caught:
        onnx_check.check_agreement(path, onnx_check.Agreement(100, 100, 94))
    assert "94.0%: 94 of 100" in str(caught.value)


def run(model, image):
    """Outputs of an onnx.ModelProto by name."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input_tensor": image})))


@pytest.mark.parametrize("name", ["plain", "Faster R-CNN, pyramid", "Mask R-CNN"])
@pytest.mark.slow
def test_all_outputs_of_a_detector_are_the_same(name):
    detector = variants.build_variant(name, is_training=False)
    module = serving.ServingModule(detector, "image_tensor", 1, adds_predictions=False)
    model = onnx_convert.convert(module, {1: "cat"})
    image = np.random.RandomState(0).randint(0, 256, [1, 90, 70, 3]).astype(np.uint8)
    expected = {key: value.numpy() for key, value in module.__call__(tf.constant(image)).items()}
    received = run(model, image)
    assert set(received) == set(expected)
    assert expected["num_detections"][0] > 3
    for key, value in expected.items():
        np.testing.assert_allclose(received[key], value, atol=1e-4, err_msg=key)
    assert {prop.key: prop.value for prop in model.metadata_props} == {"names": '{"1": "cat"}'}


@pytest.mark.parametrize("size", [(6, 8), (6, 10), (9, 4)])
def test_the_nearest_neighbour_of_tensorflow_has_the_name_of_current_versions(size):
    """The same pixels for any factor, which the former name gives too (in ONNX Runtime, with a warning)."""

    class Nearest(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 3, 4, 1], tf.float32, name="input_tensor")])
        def __call__(self, input_tensor):
            return {"out": tf.image.resize(input_tensor, size, method="nearest")}

    image = np.arange(12, dtype=np.float32).reshape(1, 3, 4, 1)
    module = Nearest()
    model = onnx_convert.convert(module, {})
    assert b"tf_half_pixel_for_nn" not in model.SerializeToString()
    np.testing.assert_array_equal(run(model, image)["out"], module(tf.constant(image))["out"])


def test_what_onnx_does_not_know_is_an_error_that_names_it():
    class Unknown(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([2, 2], tf.float32, name="input_tensor")])
        def __call__(self, input_tensor):
            return {"out": tf.raw_ops.Betainc(a=input_tensor, b=input_tensor, x=input_tensor)}

    with pytest.raises(errors.ExportError, match="cannot be converted to ONNX: .*Betainc"):
        onnx_convert.convert(Unknown(), {})


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"quantization": ("int8",)}, "--quantization cannot be combined with --format=onnx"),
        ({"input_type": "tf_example"}, "no operations that decode images"),
    ],
)
def test_flags_that_have_no_effect_are_refused(flags, words):
    with pytest.raises(errors.UsageError, match=words):
        ExportOptions(format="onnx", trained_checkpoint_dir="x", output_directory="y", **flags)


@pytest.mark.parametrize("package", ["tf2onnx", "onnxruntime"])
def test_a_missing_package_is_said_before_the_work(package, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.ExportError, match=r'pip install .*"\.\[onnx\]"'):
        onnx_files.export_onnx(None, None, None, None)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    data = tiny.make_data(tmp_path_factory.mktemp("onnx"))
    return small.write_checkpoint(small.make_config(data), tmp_path_factory.mktemp("model") / "checkpoint")


def export(checkpoint, target, *flags):
    paths = [f"--trained_checkpoint_dir={checkpoint}", f"--output_directory={target}"]
    return cli.main(["export", "--format=onnx", *paths, *flags])


@pytest.mark.slow
def test_the_verb(checkpoint, tmp_path, capsys):
    assert export(checkpoint, tmp_path / "out") == 0
    assert list_files(tmp_path / "out") == [
        *(".command.json", "detector.json", "detector.onnx", "label_map.pbtxt", "pipeline.config"),
    ]
    described = json.loads((tmp_path / "out/detector.json").read_text())
    assert described["input"]["shape"] == [1, "height", "width", 3] and described["input"]["type"] == "uint8"
    measured = described["measured"]["detections"]
    assert measured["share"] >= 0.95 and measured["num_expected"] == 5 * 10
    assert [each["name"] for each in described["measured"]["files"]] == ["SavedModel", "detector.onnx"]
    assert all(each["mean_ap"] is not None for each in described["measured"]["files"])
    said = capsys.readouterr().out
    assert "check: 5 validation images" in said and "are the same" in said
    model = onnx.load(tmp_path / "out/detector.onnx")
    names = [output["name"] for output in described["outputs"]]
    assert names == [output.name for output in model.graph.output]
    assert all(output["contains"] for output in described["outputs"])


def test_an_error_while_it_runs_is_one_of_the_export(tmp_path):
    """tf2onnx 1.17 takes 5 / 3 for a little less, expects four rows of three, and ONNX Runtime 1.32 makes five."""

    class Odd(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([1, 3, 4, 3], tf.float32, name="input_tensor")])
        def __call__(self, input_tensor):
            return {"out": tf.image.resize(input_tensor[..., :1], (5, 7), method="nearest")}

    (tmp_path / "detector.onnx").write_bytes(onnx_convert.convert(Odd(), {}).SerializeToString())
    run_file = onnx_check._make_onnx_run(tmp_path / "detector.onnx")
    with pytest.raises(errors.ExportError, match="detector.onnx: ONNX Runtime cannot run the file: .*Reshape"):
        run_file({"original_image": np.zeros([1, 3, 4, 3], np.uint8)})


@pytest.mark.slow
def test_floats_and_any_number_of_images(checkpoint, tmp_path):
    assert export(checkpoint, tmp_path / "out", "--input_type=float_image_tensor", "--num_check_images=0") == 0
    model = onnx.load(tmp_path / "out/detector.onnx")
    images = np.random.RandomState(0).randint(0, 256, [3, 60, 80, 3]).astype(np.float32)
    scores = run(model, images)["detection_scores"]
    assert scores.shape == (3, 10)
    np.testing.assert_allclose(run(model, images[1:2])["detection_scores"][0], scores[1], atol=1e-5)


@pytest.mark.slow
def test_a_file_with_other_detections_does_not_appear(checkpoint, tmp_path, monkeypatch, capsys):
    convert = onnx_convert.convert

    def damage(module, names):
        model = convert(module, names)
        for tensor in model.graph.initializer:
            if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 4:
                values = onnx.numpy_helper.to_array(tensor) * 1.5
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        return model

    monkeypatch.setattr(onnx_convert, "convert", damage)
    assert export(checkpoint, tmp_path / "out") == 1
    assert "gives other detections than the SavedModel" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
