"""Classes of a checkpoint that are kept by name: numbers by hand, and predictions of whole detectors."""

import numpy as np
import pytest
import tensorflow as tf

from tests.models import variants
from tests.models.images import make_images
from tfodhelper import errors, families
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.checkpoints import restore, save
from tfodhelper.checkpoints.class_rows import ClassRows, count_classes
from tfodhelper.checkpoints.keys import ClassColumns, NamedVariable
from tfodhelper.config import checkpoint_classes
from tfodhelper.fields import Predictions
from tfodhelper.models import build

OLD, NEW = ("person", "bicycle", "car", "dog"), ("Dog", "drone", "person")


def named(values, columns):
    return NamedVariable("key", tf.Variable(values, dtype=tf.float32), None, (), columns)


def test_two_anchors_with_background_by_hand():
    """Three classes of the model are 3, none and 0 of four in the checkpoint."""
    variable = named([[-1, -2, -3, -4, -5, -6, -7, -8]], ClassColumns(1))
    stored = np.array([[10, 11, 12, 13, 14, 20, 21, 22, 23, 24]], np.float32)
    rows = ClassRows(4, {0: 3, 2: 0})
    assert rows.width_in_checkpoint(variable, 3) == 10
    np.testing.assert_array_equal(rows.fill(variable, stored, 3), [[10, 14, -3, 11, 20, 24, -7, 21]])
    assert count_classes(variable, 10, 3) == 4
    assert count_classes(variable, 9, 3) is None


def test_boxes_of_each_class_without_background_by_hand():
    variable = named(-np.arange(1.0, 9.0), ClassColumns(0, 4))
    rows = ClassRows(3, {1: 0})
    np.testing.assert_array_equal(rows.fill(variable, np.arange(12.0), 2), [-1, -2, -3, -4, 0, 1, 2, 3])
    assert count_classes(variable, 12, 2) == 3


# Heads of every kind: convolutional, with depthwise layers, shared weights, no background, boxes of each class.
DETECTORS = [
    "plain",
    "explicit padding and depthwise",
    "FPN",
    "no batch norm, no background",
    "EfficientDet",
    "Faster R-CNN",
    "Faster R-CNN, pyramid",
    "Faster R-CNN, sigmoid, hard mining",
]


def build_with_classes(name, num_classes):
    message = variants.parse_variant(name)
    families.architecture_of(message).num_classes = num_classes
    with variants.cases_of(name).make_small():
        return build.build_detector(message, is_training=False)


def randomize(detector):
    """Other values for all variables, batch norms included."""
    random = np.random.RandomState(4)
    for variable in detector.variables:
        variable.assign(variable + 0.05 * tf.constant(random.rand(*variable.shape), tf.float32))


@pytest.mark.parametrize("name", DETECTORS)
def test_a_known_class_is_predicted_as_before_and_a_new_one_is_initialized(name, tmp_path):
    old, new = build_with_classes(name, len(OLD)), build_with_classes(name, len(NEW))
    randomize(old)
    prefix = save.save_weights(old, tmp_path, 0)
    assert restore.count_classes(new, prefix) == len(OLD)
    before = {key: variable.numpy() for key, variable in new.checkpoint_keys().items()}
    candidate = checkpoint_classes.Candidate(label_maps.number_names(OLD), "the checkpoint's")
    known = checkpoint_classes.match_classes(label_maps.number_names(NEW), candidate)
    assert known.source_of == {0: 3, 2: 0}
    report = restore.restore_for_fine_tuning(new, prefix, "detection", ClassRows(len(OLD), known.source_of))
    assert not report.initialized and not report.unused
    outputs = []
    for detector in (old, new):
        inputs, shapes = detector.preprocess(make_images())
        predictions = detector.predict_raw(inputs, shapes)
        codes = predictions.get(Predictions.REFINED_BOX_CODES, predictions.get(Predictions.BOX_CODES)).numpy()
        outputs.append((predictions[Predictions.CLASS_LOGITS].numpy(), codes))
    (old_logits, old_codes), (new_logits, new_codes) = outputs
    background = old_logits.shape[-1] - len(OLD)
    columns = list(range(background)) + [background + 3, background]
    ours = list(range(background)) + [background, background + 2]
    np.testing.assert_allclose(new_logits[..., ours], old_logits[..., columns], rtol=1e-4, atol=1e-5)
    if old_codes.shape == new_codes.shape:
        np.testing.assert_allclose(new_codes, old_codes, rtol=1e-4, atol=1e-5)
    else:
        np.testing.assert_allclose(new_codes[:, [0, 2]], old_codes[:, [3, 0]], rtol=1e-4, atol=1e-5)
    for each in (each for part in new.parts() for each in part.variables() if each.depends_on_classes):
        first, width = each.class_columns
        shape = [-1, first + len(NEW), width]
        drone = each.variable.numpy().reshape(shape)[:, first + 1]
        np.testing.assert_array_equal(drone, before[each.key].reshape(shape)[:, first + 1], err_msg=each.key)


def test_names_match_in_any_case_and_by_display_name():
    shown = label_maps.LabelMap((label_maps.LabelMapItem(1, "/m/01g317", "person"), label_maps.LabelMapItem(7, "Cat")))
    candidate = checkpoint_classes.Candidate(shown, "shown.pbtxt")
    known = checkpoint_classes.match_classes(label_maps.number_names(["persons", "cat", "Person"]), candidate)
    assert known.source_of == {1: 6, 2: 0}
    assert known.text == (
        "classes: 2 of 3 kept from the checkpoint (shown.pbtxt): cat, Person\n"
        "  1 new, with initial values: persons (the checkpoint has person)"
    )
    with pytest.raises(errors.CheckpointError, match="no class of this data") as caught:
        checkpoint_classes.match_classes(label_maps.number_names(["persons", "x"]), candidate)
    assert caught.value.received == "persons (the checkpoint has person), x"


def write_map(path, names):
    path.parent.mkdir(parents=True, exist_ok=True)
    label_maps.write_label_map(path, label_maps.number_names(names))


def test_label_map_is_found_beside_the_checkpoint_in_its_run_and_by_the_name_of_the_model(tmp_path):
    run, export = tmp_path / "run", tmp_path / "export"
    write_map(run / "data" / "label_map.pbtxt", "abc")
    write_map(export / "label_map.pbtxt", "ab")
    find = checkpoint_classes.find_label_map
    assert find(str(run / "checkpoints" / "best" / "ckpt-6"), 3).label_map.names == ("a", "b", "c")
    assert find(str(run / "checkpoints" / "ckpt-6"), 3).label_map.names == ("a", "b", "c")
    assert find(str(export / "checkpoint" / "ckpt-0"), 2).label_map.names == ("a", "b")
    for folder in ("ssd_mobilenet_v2_320x320_coco17_tpu-8", "ssd_mobilenet_v1_coco-0123456789abcdef"):
        found = find(str(tmp_path / folder / "checkpoint" / "ckpt-0"), 90)
        assert found.source.startswith("mscoco_label_map.pbtxt, of COCO")
    assert find("/elsewhere/ckpt-0", 20, "pascal").label_map.names[0] == "aeroplane"


def test_a_label_map_of_other_classes_is_an_error_that_says_what_was_tried(tmp_path):
    write_map(tmp_path / "label_map.pbtxt", "ab")
    with pytest.raises(errors.CheckpointError, match="names of its classes are not known") as caught:
        checkpoint_classes.find_label_map(str(tmp_path / "ckpt-0"), 5)
    assert (
        "largest id is 5" in caught.value.expected and "label_map.pbtxt, whose largest id is 2" in caught.value.received
    )
    with pytest.raises(errors.CheckpointError) as caught:
        checkpoint_classes.find_label_map(str(tmp_path / "ckpt-0"), 5, "mscoco")
    assert "largest id is 90" in caught.value.received
