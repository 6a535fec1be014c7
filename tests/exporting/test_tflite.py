"""TFLite files of a small detector, compared with the detector itself."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image

from tests.files import list_files
from tests.models import variants
from tests.training import tiny
from tfodhelper import errors
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import save
from tfodhelper.cli import main as cli
from tfodhelper.config import pipeline as pipelines
from tfodhelper.exporting import saved_model, tflite_check, tflite_convert, tflite_files, tflite_graph
from tfodhelper.exporting.options import ExportOptions
from tfodhelper.fields import Detections
from tfodhelper.models import build, pixels
from tfodhelper.prediction import predictor
from tfodhelper.tflite import interface, metadata, model_file, runtime

pytestmark = pytest.mark.slow

SIDE = 64
QUANTIZATIONS = ("float32", "float16", "dynamic", "int8")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tiny.make_data(tmp_path_factory.mktemp("tflite"))


def make_config(data, more=""):
    """The pipeline.config of a small detector, with more fields of its Ssd message."""
    config = tiny.make_pipeline(data)
    text_format.Merge(f"model {{ ssd {{ {more} }} }}", config)
    if "image_resizer" not in more:
        resizer = config.model.ssd.image_resizer.fixed_shape_resizer
        resizer.height = resizer.width = SIDE
    return config


def build_detector(config):
    """A detector whose outputs depend on the image as if it was trained: no signal fades (He et al. 2015)."""
    detector = build.build_detector(config.model, is_training=False)
    random = np.random.RandomState(2)
    for key, variable in detector.checkpoint_keys().items():
        if "kernel" in key:
            height, width, channels, _ = variable.shape
            fan_in = height * width * (1 if "depthwise" in key else channels)
            variable.assign(random.normal(0.0, np.sqrt(2 / fan_in), variable.shape))
    return detector


def write_checkpoint(config, folder):
    """Folder with the checkpoint of `build_detector` and the pipeline.config; returns it."""
    saved_model._write_checkpoint(save.ModelView(build_detector(config)), folder)
    pipelines.write_pipeline(folder / "pipeline.config", config)
    return folder


@pytest.fixture(scope="module")
def checkpoint(data, tmp_path_factory):
    return write_checkpoint(make_config(data), tmp_path_factory.mktemp("model") / "checkpoint")


@pytest.fixture(scope="module")
def detector(data):
    return build_detector(make_config(data))


def run_export(checkpoint, target, *flags):
    paths = [f"--trained_checkpoint_dir={checkpoint}", f"--output_directory={target}"]
    return cli.main(["export", "--format=tflite", *paths, *flags])


@pytest.fixture(scope="module")
def raw(checkpoint, tmp_path_factory):
    """Folder with raw boxes and scores, of all kinds of numbers."""
    target = tmp_path_factory.mktemp("raw") / "out"
    flags = [f"--quantization={kind}" for kind in QUANTIZATIONS]
    assert run_export(checkpoint, target, "--nms=none", "--num_calibration_images=4", *flags) == 0
    return target


@pytest.fixture
def converts_at_once(regular, monkeypatch):
    """What is converted already takes the place of a conversion."""

    def convert(*_):
        model = model_file.parse((regular / "detector_float32.tflite").read_bytes())
        model.metadata = []
        return model

    monkeypatch.setattr(tflite_convert.Converter, "convert", convert)


@pytest.fixture(scope="module")
def regular(checkpoint, tmp_path_factory):
    """Folder with files that suppress boxes class by class."""
    target = tmp_path_factory.mktemp("regular") / "out"
    flags = ["--quantization=float32", "--quantization=int8", "--num_calibration_images=4", "--num_check_images=0"]
    assert run_export(checkpoint, target, "--nms=regular", *flags) == 0
    return target


def make_image(seed=0):
    return np.random.RandomState(seed).randint(0, 256, [SIDE, SIDE, 3]).astype(np.uint8)


def predict_raw(detector, image):
    inputs, shapes = detector.preprocess(image[np.newaxis])
    return detector.predict_raw(inputs, shapes), shapes


def run_file(path, image):
    """The outputs by number, as a program on a phone gets them."""
    model = runtime.load_interpreter_class()(model_path=str(path))
    model.allocate_tensors()
    (details,) = model.get_input_details()
    pixels = image if details["dtype"] == np.uint8 else image.astype(np.float32) / 127.5 - 1
    model.set_tensor(details["index"], pixels[np.newaxis])
    model.invoke()
    return [model.get_tensor(output["index"]) for output in model.get_output_details()]


def compare_detections(path, detector):
    """The file gives the detections of the detector, in its own order of outputs."""
    raw, shapes = predict_raw(detector, make_image())
    expected = {key: value.numpy()[0] for key, value in detector.postprocess(raw, shapes).items()}
    boxes, classes, scores, count = (output[0] for output in run_file(path, make_image()))
    assert count == expected[Detections.NUM] == 10
    np.testing.assert_allclose(scores, expected[Detections.SCORES], atol=1e-5)
    np.testing.assert_allclose(np.clip(boxes, 0, 1), expected[Detections.BOXES], atol=1e-5)
    assert classes.tolist() == expected[Detections.CLASSES].tolist()
    assert len(set(classes.tolist())) > 1


def test_regular_suppression_gives_the_detections_of_the_detector(regular, detector):
    compare_detections(regular / "detector_float32.tflite", detector)


def test_fast_suppression_gives_those_of_a_detector_without_regard_to_classes(data, tmp_path):
    config = make_config(data, "post_processing { batch_non_max_suppression { use_class_agnostic_nms: true } }")
    checkpoint = write_checkpoint(config, tmp_path / "checkpoint")
    assert run_export(checkpoint, tmp_path / "out", "--num_check_images=0") == 0
    compare_detections(tmp_path / "out/detector_float32.tflite", build_detector(config))


def test_raw_outputs_are_those_of_the_detector(raw, detector):
    predictions, shapes = predict_raw(detector, make_image())
    expected = detector.postprocess(predictions, shapes)
    boxes, scores = run_file(raw / "detector_float32.tflite", make_image())
    np.testing.assert_allclose(boxes, expected[Detections.RAW_BOXES], atol=1e-5)
    np.testing.assert_allclose(scores, expected[Detections.RAW_SCORES], atol=1e-5)


@pytest.mark.parametrize(("kind", "tolerance"), [("float16", 0.005), ("dynamic", 0.1), ("int8", 0.3)])
def test_other_kinds_of_numbers_are_near(kind, tolerance, raw):
    for exact, near in zip(*(run_file(raw / f"detector_{name}.tflite", make_image()) for name in ("float32", kind))):
        assert near.dtype == np.float32 and near.shape == exact.shape
        assert 0 < np.abs(near - exact).mean() < tolerance * exact.std()


def test_smaller_numbers_make_smaller_files(raw):
    sizes = {kind: (raw / f"detector_{kind}.tflite").stat().st_size for kind in QUANTIZATIONS}
    assert sizes["int8"] < sizes["float16"] < sizes["float32"]
    assert sizes["dynamic"] < sizes["float16"]


def test_outputs_are_where_android_and_coral_look_for_them(regular):
    for name in ("detector_float32.tflite", "detector_int8.tflite"):
        model = runtime.load_interpreter_class()(model_path=str(regular / name))
        model.allocate_tensors()
        outputs = [(each["name"], each["shape"].tolist(), each["dtype"]) for each in model.get_output_details()]
        assert outputs == [
            ("TFLite_Detection_PostProcess", [1, 10, 4], np.float32),
            ("TFLite_Detection_PostProcess:1", [1, 10], np.float32),
            ("TFLite_Detection_PostProcess:2", [1, 10], np.float32),
            ("TFLite_Detection_PostProcess:3", [1], np.float32),
        ]
        by_number = [each["index"] for each in model.get_output_details()]
        in_signature = model._get_full_signature_list()["serving_default"]["outputs"]  # as PyCoral does
        assert in_signature == {f"output_{3 - i}": index for i, index in enumerate(by_number)}


def test_the_input_of_int8_is_the_pixel_itself(regular):
    model = runtime.load_interpreter_class()(model_path=str(regular / "detector_int8.tflite"))
    (details,) = model.get_input_details()
    assert details["dtype"] == np.uint8 and details["shape"].tolist() == [1, SIDE, SIDE, 3]
    scale, zero = details["quantization"]
    assert scale == pytest.approx(2 / 255, rel=1e-3) and zero in (127, 128)


def options_in(path):
    return model_file.options_of(model_file.parse(path.read_bytes()), interface.POSTPROCESS)


def test_the_operation_does_what_the_configuration_says(regular):
    options = options_in(regular / "detector_int8.tflite")
    assert options.pop("nms_iou_threshold") == pytest.approx(0.6)
    assert options.pop("nms_score_threshold") == pytest.approx(1e-8)
    scales = {"y_scale": 10, "x_scale": 10, "h_scale": 5, "w_scale": 5}
    numbers = {"max_detections": 10, "detections_per_class": 10, "max_classes_per_detection": 1, "num_classes": 4}
    assert options == scales | numbers | {"use_regular_nms": True}


def test_flags_change_what_the_operation_does(checkpoint, tmp_path):
    flags = ["--max_detections=5", "--score_threshold=0.25", "--iou_threshold=0.5", "--num_check_images=0"]
    assert run_export(checkpoint, tmp_path / "out", *flags) == 0
    options = options_in(tmp_path / "out/detector_float32.tflite")
    changed = {"max_detections": 5, "nms_score_threshold": 0.25, "nms_iou_threshold": 0.5, "use_regular_nms": False}
    assert {key: options[key] for key in changed} == changed
    boxes, classes, scores, count = run_file(tmp_path / "out/detector_float32.tflite", make_image())
    assert boxes.shape == (1, 5, 4) and count <= 5 and scores[0, : int(count[0])].min() >= 0.25


def test_what_is_in_the_folder(raw, data):
    assert list_files(raw) == [
        *(
            ".command.json",
            "detector.json",
            "detector_dynamic.tflite",
            "detector_float16.tflite",
            "detector_float32.tflite",
        ),
        *("detector_int8.tflite", "label_map.pbtxt", "labels.txt", "pipeline.config"),
    ]
    names = list(data.label_map.names)
    assert (raw / "labels.txt").read_text().splitlines() == names
    described = json.loads((raw / "detector.json").read_text())
    assert described["classes"] == {str(i): name for i, name in enumerate(names)}
    floats, integers = (described["inputs"][f"detector_{kind}.tflite"] for kind in ("float32", "int8"))
    assert (floats["shape"], floats["type"], floats["mean"], floats["std"]) == (
        *([1, SIDE, SIDE, 3], "float32", [127.5] * 3, [127.5] * 3),
    )
    assert integers["type"] == "uint8" and "mean" not in integers
    assert [output["name"] for output in described["outputs"]] == ["raw_detection_boxes", "raw_detection_scores"]
    assert [each["name"] for each in described["measured"]] == [
        "SavedModel",
        *(f"detector_{kind}.tflite" for kind in QUANTIZATIONS),
    ]
    assert all(each["mean_ap"] is not None and each["latency_ms"] > 0 for each in described["measured"])


def test_the_labels_and_the_metadata_are_also_in_the_file(regular, data):
    path = regular / "detector_float32.tflite"
    assert metadata.read_labels(path) == tuple(data.label_map.names)
    standard = model_file.find_metadata(path.read_bytes(), metadata.NAME)
    assert metadata.read_normalization(standard) == ((127.5,) * 3, (127.5,) * 3)


@pytest.mark.usefixtures("converts_at_once")
def test_ids_that_a_label_map_skips_have_a_line(checkpoint, tmp_path):
    (tmp_path / "map.pbtxt").write_text('item { id: 1 name: "cat" } item { id: 4 name: "n1" display_name: "big dog" }')
    flags = [f"--label_map={tmp_path}/map.pbtxt", "--num_check_images=0"]
    assert run_export(checkpoint, tmp_path / "out", *flags) == 0
    assert (tmp_path / "out/labels.txt").read_text() == "cat\n???\n???\nbig dog\n"
    (path,) = (tmp_path / "out").glob("*.tflite")
    shown = {item.id: item.name for item in predictor.StreamPredictor(path).label_map}
    assert shown == {1: "cat", 4: "big dog"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed, size in enumerate([(80, 60), (SIDE, SIDE), (50, 90)]):
        image = Image.fromarray(make_image(seed)).resize(size)
        image.save(folder / f"{seed}.png")
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint, tmp_path_factory):
    """The SavedModel."""
    target = tmp_path_factory.mktemp("exported") / "out"
    assert cli.main(["export", f"--trained_checkpoint_dir={checkpoint}", f"--output_directory={target}"]) == 0
    return target


def predict(model, photos, target):
    flags = [f"--saved_model_dir={model}", f"--output_dir={target}", "--score_threshold=0.1", "--write_xml", "--draw"]
    assert cli.main(["predict", *flags, str(photos)]) == 0
    return [json.loads(line) for line in (target / "detections.jsonl").read_text().splitlines()]


def compare_predictions(lines, expected):
    assert [line["path"] for line in lines] == [line["path"] for line in expected]
    for line, other in zip(lines, expected):
        assert (line["width"], line["height"]) == (other["width"], other["height"])
        assert len(other["detections"]) > 3
        assert [each["class"] for each in line["detections"]] == [each["class"] for each in other["detections"]]
        for each, wanted in zip(line["detections"], other["detections"]):
            assert each["id"] == wanted["id"] and each["score"] == pytest.approx(wanted["score"], abs=1e-4)
            assert each["box"] == pytest.approx(wanted["box"], abs=0.05)


def test_predict_takes_a_file_in_the_place_of_a_saved_model(raw, regular, exported, photos, tmp_path):
    expected = predict(exported, photos, tmp_path / "saved")
    for number, folder in enumerate((raw, regular)):
        lines = predict(folder / "detector_float32.tflite", photos, tmp_path / str(number))
        compare_predictions(lines, expected)
        assert len(list_files(tmp_path / str(number))) == len(list_files(tmp_path / "saved"))


def test_a_folder_of_several_files_is_refused(raw, photos, tmp_path, capsys):
    assert cli.main(["predict", f"--saved_model_dir={raw}", f"--output_dir={tmp_path}/out", str(photos)]) == 1
    assert "there are several TFLite files in this folder" in capsys.readouterr().err


def test_padded_images_are_predicted_as_by_the_saved_model(data, photos, tmp_path):
    padded = f"keep_aspect_ratio_resizer {{ min_dimension: {SIDE} max_dimension: {SIDE} pad_to_max_dimension: true }}"
    checkpoint = write_checkpoint(make_config(data, f"image_resizer {{ {padded} }}"), tmp_path / "checkpoint")
    target = tmp_path / "saved"
    assert cli.main(["export", f"--trained_checkpoint_dir={checkpoint}", f"--output_directory={target}"]) == 0
    assert run_export(checkpoint, tmp_path / "out", "--nms=regular", "--num_check_images=3") == 0
    expected = predict(target, photos, tmp_path / "expected")
    compare_predictions(predict(tmp_path / "out", photos, tmp_path / "found"), expected)


def test_the_normalization_of_a_detector_is_found():
    detector = variants.build_variant("plain", is_training=False)
    assert tflite_graph.find_normalization(detector) == ((127.5,) * 3, (127.5,) * 3)
    assert not tflite_graph.normalizes_channels_apart(detector)
    detector._scaling = pixels.MINUS_MEANS
    assert tflite_graph.find_normalization(detector) == ((123.68, 116.779, 103.939), (1.0, 1.0, 1.0))
    detector._scaling = dataclasses.replace(pixels.MINUS_MEANS, scale=0.5, padding=(0.0, 0.0, 0.0))
    assert tflite_graph.find_normalization(detector)[1] == (2.0, 2.0, 2.0)


def test_a_network_with_a_mean_for_each_channel_takes_pixels_where_they_are_integers(detector, monkeypatch, tmp_path):
    monkeypatch.setattr(detector, "_scaling", dataclasses.replace(pixels.MINUS_MEANS, scale=0.01))
    monkeypatch.setattr(detector, "_scaling", dataclasses.replace(detector._scaling, offset=(-1.2, -1.1, -1.0)))
    assert tflite_graph.normalizes_channels_apart(detector)
    suppression = detector.single_shot_output().suppression
    network = tflite_graph.build_network(detector, suppression, "none", takes_pixels=True)
    samples = tflite_convert.make_samples(lambda: iter([tf.cast(make_image(), tf.float32)]), network)
    with tflite_convert.Converter(network, suppression) as converter:
        model = converter.convert("int8", samples)
    (tmp_path / "model.tflite").write_bytes(model_file.serialize(model))
    reader = runtime.load_interpreter_class()(model_path=str(tmp_path / "model.tflite"))
    (details,) = reader.get_input_details()
    assert details["quantization"] == (1.0, 0)
    _, scores = run_file(tmp_path / "model.tflite", make_image())
    predictions, shapes = predict_raw(detector, make_image())
    expected = detector.postprocess(predictions, shapes)[Detections.RAW_SCORES]
    assert np.abs(scores - expected).mean() < 0.02


@pytest.mark.parametrize("name", ["EfficientDet", "FPN"])
def test_other_members_of_the_family_are_converted_in_the_same_way(name, tmp_path):
    detector = variants.build_variant(name, is_training=False)
    suppression = detector.single_shot_output().suppression
    network = tflite_graph.build_network(detector, suppression, "none", takes_pixels=False)
    with tflite_convert.Converter(network, suppression) as converter:
        (tmp_path / "model.tflite").write_bytes(model_file.serialize(converter.convert("float32")))
    model = runtime.load_interpreter_class()(model_path=str(tmp_path / "model.tflite"))
    model.allocate_tensors()
    inputs = np.random.RandomState(0).uniform(-1, 1, [1, *network.size, 3]).astype(np.float32)
    model.set_tensor(model.get_input_details()[0]["index"], inputs)
    model.invoke()
    shapes = tf.constant([[*network.size, 3]])
    expected = detector.postprocess(detector.predict_raw(tf.constant(inputs), shapes), shapes)
    for output, key in zip(model.get_output_details(), (Detections.RAW_BOXES, Detections.RAW_SCORES)):
        np.testing.assert_allclose(model.get_tensor(output["index"]), expected[key], atol=1e-5)


def test_a_detector_of_two_stages_is_refused_before_it_is_built():
    config = pipelines.new_pipeline()
    config.model.CopyFrom(variants.parse_variant("Faster R-CNN"))
    with pytest.raises(errors.ExportError, match="for detectors of one stage, and faster_rcnn is not one"):
        tflite_files.check_architecture(config)
    assert variants.build_variant("Faster R-CNN", is_training=False).single_shot_output() is None


def test_an_input_without_a_fixed_size_is_refused():
    with pytest.raises(errors.ExportError, match="depends on the image"):
        tflite_graph.find_size(variants.build_variant("any size", is_training=False))


def test_int8_without_images_is_refused_and_leaves_nothing_behind(checkpoint, tmp_path, capsys):
    missing = f"--set=train_input_reader.tf_record_input_reader.input_path={tmp_path}/none.record"
    assert run_export(checkpoint, tmp_path / "out", "--quantization=int8", missing) == 1
    error = capsys.readouterr().err
    assert "needs training images for its calibration" in error and "--data_dir=FOLDER" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("converts_at_once")
def test_a_check_without_images_says_so(checkpoint, tmp_path, capsys):
    missing = f"--set=eval_input_reader.tf_record_input_reader.input_path={tmp_path}/none.record"
    assert run_export(checkpoint, tmp_path / "out", missing) == 0
    captured = capsys.readouterr()
    assert "precision is not checked, because there are no validation images" in captured.out + captured.err
    assert "detector_float32.tflite" in captured.out
    measured = json.loads((tmp_path / "out/detector.json").read_text())["measured"]
    assert [each["mean_ap"] for each in measured] == [None, None]


def test_a_converted_folder_is_read_for_calibration_and_check(checkpoint, data, tmp_path, capsys):
    missing = [
        f"--set={reader}.tf_record_input_reader.input_path={tmp_path}/none.record"
        for reader in ("train_input_reader", "eval_input_reader")
    ]
    flags = [f"--data_dir={data.output_dir}", "--quantization=int8", "--num_calibration_images=2"]
    assert run_export(checkpoint, tmp_path / "out", *missing, *flags, "--num_check_images=2") == 0
    assert "calibration of int8: 2 training images" in capsys.readouterr().out


@pytest.mark.usefixtures("converts_at_once")
def test_without_litert_files_are_written_but_not_checked(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert run_export(checkpoint, tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert "the files are not checked" in captured.out + captured.err
    assert "[tflite]" in captured.out + captured.err
    with pytest.raises(errors.PredictionError, match="cannot be imported"):
        predictor.StreamPredictor(tmp_path / "out/detector_float32.tflite")


@pytest.mark.usefixtures("converts_at_once")
def test_an_export_that_fails_late_leaves_nothing_behind(checkpoint, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(tflite_check, "report", fail)
    with pytest.raises(KeyboardInterrupt):
        tflite_files.export_tflite(
            pipelines.read_pipeline(checkpoint / "pipeline.config"),
            checkpoint,
            ExportOptions(
                trained_checkpoint_dir=checkpoint,
                output_directory=tmp_path / "out",
                format="tflite",
                num_check_images=0,
            ),
            label_maps.number_names(["a", "b", "c"]),
        )
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(data, tmp_path, capsys):
    config = make_config(data)
    detector = build_detector(config)
    detector.head.variables[0].assign(tf.fill(detector.head.variables[0].shape, np.nan))
    saved_model._write_checkpoint(save.ModelView(detector), tmp_path / "checkpoint")
    pipelines.write_pipeline(tmp_path / "checkpoint/pipeline.config", config)
    flags = ["--nms=none", "--num_check_images=0"]
    assert run_export(tmp_path / "checkpoint", tmp_path / "out", *flags) == 1
    assert "the outputs are not finite" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def make_figures(*precisions):
    names = ("SavedModel", "detector_int8.tflite", "detector_float16.tflite")
    return [tflite_check.Figures(name, 1000, 1.0, value, value) for name, value in zip(names, precisions)]


def test_more_than_two_points_lost_is_a_warning_that_says_what_to_try(capsys):
    tflite_check.report(make_figures(0.5, 0.479, 0.4801), ("int8", "float16"), "fast")
    captured = capsys.readouterr()
    warnings = [line for line in (captured.out + captured.err).splitlines() if "lower than" in line]
    assert len(warnings) == 1
    assert "detector_int8.tflite: mAP is 0.0210 lower than that of the SavedModel" in warnings[0]
    assert "--nms=regular" in warnings[0] and "--num_calibration_images" in warnings[0]
    assert "--nms=regular" not in tflite_check.advise("int8", "regular")


def test_nothing_is_compared_without_precision(capsys):
    tflite_check.report(make_figures(None, None), ("int8",), "fast")
    captured = capsys.readouterr()
    assert "lower than" not in captured.out + captured.err
