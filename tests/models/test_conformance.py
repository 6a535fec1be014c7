"""What every detector of every family must do. To add a model, add a row to its family's `cases`."""

import functools
import sys

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.models import parity, variants
from tests.models.cases import BATCH
from tests.models.images import BOXES, make_groundtruth, make_images
from tfodhelper import families
from tfodhelper.checkpoints import restore, save
from tfodhelper.families import roles
from tfodhelper.fields import Detections, Predictions
from tfodhelper.models import build, layers
from tfodhelper.training import task

pytestmark = pytest.mark.slow

LOSS_PREFIX = "Loss/"  # by which evaluation tells losses from the rest
EXPORTED = ("plain", "Faster R-CNN", "R-FCN", "Mask R-CNN", "Faster R-CNN, first generation, stride 8, any size")


@pytest.fixture(scope="module", params=variants.ALL)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def cases(name):
    return variants.cases_of(name)


@pytest.fixture(scope="module")
def model(name):
    """The DetectionModel message."""
    return variants.parse_variant(name)


@pytest.fixture(scope="module")
def detector(name):
    """A detector for training that all tests share: none changes its weights, some move its batch norm's statistics."""
    return variants.build_variant(name)


@pytest.fixture(scope="module")
def make_labels(model):
    """`make_groundtruth`, with masks where the detector predicts them."""
    has_masks = families.MASKS in families.family_of(model).outputs(model)
    return functools.partial(make_groundtruth, with_masks=has_masks)


@pytest.fixture
def in_order(detector, monkeypatch):
    """The detector without random choices, if it makes any."""
    if hasattr(detector, "sample_order"):
        monkeypatch.setattr(detector, "sample_order", parity.lowest_first)
    return detector


@pytest.mark.parametrize("family", families.TABLE, ids=lambda family: family.name)
def test_a_row_and_its_room_agree(family):
    assert family.builder.startswith(f"tfodhelper.models.{family.name}.")
    builder = build.load_builder(family)
    assert set(family.feature_extractors) == set(sys.modules[builder.__module__].FEATURE_EXTRACTORS)


def test_shapes_and_dtypes(detector, cases, model):
    inputs, shapes = detector.preprocess(make_images())
    assert inputs.dtype == tf.float32 and shapes.dtype == tf.int32 and shapes.shape == [BATCH, 3]
    predictions = detector.predict_raw(inputs, shapes)
    num_boxes, columns = cases.check_raw_predictions(detector, predictions)
    detections = detector.postprocess(predictions, shapes)
    wanted = {
        Detections.BOXES: [BATCH, 20, 4],
        Detections.SCORES: [BATCH, 20],
        Detections.CLASSES: [BATCH, 20],
        Detections.NUM: [BATCH],
        Detections.MULTICLASS_SCORES: [BATCH, 20, columns],
        Detections.ANCHOR_INDICES: [BATCH, 20],
        Detections.RAW_BOXES: [BATCH, num_boxes, 4],
        Detections.RAW_SCORES: [BATCH, num_boxes, columns],
    }
    wanted |= cases.shapes_of_masks(model)
    assert {key: value.shape.as_list() for key, value in detections.items()} == wanted
    assert all(value.dtype == tf.float32 for value in detections.values())
    boxes = detections[Detections.BOXES].numpy()
    assert boxes.min() >= 0 and boxes.max() <= 1 + 1e-6
    assert np.all(np.diff(detections[Detections.SCORES]) <= 0)
    assert detections[Detections.CLASSES].numpy().max() < detector.num_classes


def test_detections_belong_to_their_anchors(detector, cases):
    inputs, shapes = detector.preprocess(make_images())
    predictions = detector.predict_raw(inputs, shapes)
    detections = detector.postprocess(predictions, shapes)
    indices = tf.cast(detections[Detections.ANCHOR_INDICES], tf.int32)
    num = int(detections[Detections.NUM][0])
    of_anchors = tf.gather(detections[Detections.RAW_SCORES], indices, batch_dims=1)
    np.testing.assert_allclose(detections[Detections.MULTICLASS_SCORES][0, :num], of_anchors[0, :num])
    if cases.has_box_of_each_class(predictions):
        return
    raw = tf.gather(detections[Detections.RAW_BOXES], indices, batch_dims=1)[0, :num].numpy()
    size = np.array(inputs.shape[1:3]) / shapes[0, :2].numpy() if cases.raw_boxes_of_padded_input else np.ones(2)
    clipped = np.clip(raw * np.tile(size, 2), 0, 1)
    np.testing.assert_allclose(detections[Detections.BOXES][0, :num], clipped, atol=1e-5)


@pytest.mark.parametrize("boxes", [[], BOXES[:1], BOXES, [(0, 0.0, 0.0, 1.0, 1.0)], [(0, 0.5, 0.5, 0.5, 0.5)]])
def test_losses_are_finite(detector, cases, model, make_labels, boxes):
    inputs, shapes = detector.preprocess(make_images())
    losses = detector.losses(detector.predict_raw(inputs, shapes), make_labels(boxes))
    assert list(losses) == list(families.family_of(model).loss_terms(model))
    assert all(name.startswith(LOSS_PREFIX) for name in losses)
    assert all(value.shape == [] and np.isfinite(value) for value in losses.values())
    assert (float(losses[cases.object_loss]) > 0) == bool(boxes)


def test_padding_rows_do_not_change_losses(in_order, make_labels):
    inputs, shapes = in_order.preprocess(make_images())
    predictions = in_order.predict_raw(inputs, shapes)
    few, many = (in_order.losses(predictions, make_labels(BOXES, rows)) for rows in (2, 30))
    for name in few:
        np.testing.assert_allclose(few[name], many[name], rtol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(33, 200), (101, 47)])
def test_odd_sizes(detector, height, width):
    inputs, shapes = detector.preprocess(make_images(height, width))
    detections = detector.postprocess(detector.predict_raw(inputs, shapes), shapes)
    assert np.all(np.isfinite(detections[Detections.BOXES]))


def test_a_gradient_reaches_every_trainable_variable(detector, make_labels):
    inputs, shapes = detector.preprocess(make_images())
    with tf.GradientTape() as tape:
        predictions = detector.predict_raw(inputs, shapes, training=True, groundtruth=make_labels(BOXES))
        losses = detector.losses(predictions, make_labels(BOXES), training=True)
        total = tf.add_n(list(losses.values()))
    names = {id(variable): key for key, variable in detector.checkpoint_keys().items()}
    unused = {
        id(named.variable) for part in detector.parts() if part.role == roles.CLASSIFIER for named in part.variables()
    }
    for variable, gradient in zip(detector.trainable_variables, tape.gradient(total, detector.trainable_variables)):
        if id(variable) in unused:
            assert gradient is None
            continue
        assert gradient is not None and np.all(np.isfinite(gradient)), names[id(variable)]
    training = object.__new__(task.DetectionTask)
    training._trained = None  # nothing is frozen
    updated = {id(variable) for variable in training.updated_variables(detector)}
    assert updated == {id(variable) for variable in detector.trainable_variables} - unused


def test_checkpoint_keys_name_every_variable_once(detector):
    keys = detector.checkpoint_keys()
    assert len({id(variable) for variable in keys.values()}) == len(keys) == len(detector.variables)
    assert {id(variable) for variable in detector.variables} == {id(variable) for variable in keys.values()}


def test_parts_name_their_own_variables_and_no_other(detector):
    """Names that belong to nothing, or to two variables, would silently restore the wrong values."""
    parts = detector.parts()
    assert roles.BACKBONE in {part.role for part in parts} and roles.HEAD in {part.role for part in parts}
    for part in parts:
        own = set(part.module.checkpoint_keys())
        assert set(part.class_columns) <= own and set(part.slim_names) <= own and set(part.classification_keys) <= own
        of_classification = part.role in (roles.BACKBONE, roles.CLASSIFIER)
        assert set(part.classification_keys) == (own if of_classification else set()), part.scope
    variables = [named for part in parts for named in part.variables()]
    in_classification = [named.classification_key for named in variables if named.classification_key]
    slim = [slim_name for named in variables for slim_name in named.slim_names]
    assert len(in_classification) == len(set(in_classification))
    assert len(slim) == len(set(slim))


def test_class_keys_are_the_variables_that_other_classes_give_another_shape(name, model, detector):
    other_model = type(model)()
    other_model.CopyFrom(model)
    families.architecture_of(other_model).num_classes += 1
    with variants.cases_of(name).make_small():
        other = build.build_detector(other_model, is_training=False)
    for ours, theirs in zip(detector.parts(), other.parts()):
        for mine, its in zip(ours.variables(), theirs.variables()):
            assert mine.key == its.key and mine.depends_on_classes == its.depends_on_classes
            assert mine.variable.shape[:-1] == its.variable.shape[:-1]
            assert (mine.variable.shape != its.variable.shape) == mine.depends_on_classes, mine.key


def test_normalize_after_resizing_is_preprocess(detector):
    images = make_images()
    resized, shapes = detector.resizer(images)
    np.testing.assert_allclose(detector.normalize(resized, shapes), detector.preprocess(images)[0], atol=1e-5)


@pytest.fixture
def in_double(detector, monkeypatch):
    """The detector with layers that compute in float64: a difference is none of the last bits of a processor."""
    for layer in detector.submodules:
        if isinstance(layer, tf_keras.layers.Layer):
            monkeypatch.setattr(layer, "_autocast", False)
        if isinstance(layer, (layers.Convolution, layers.Dense)):
            monkeypatch.setattr(layer, "arithmetic", tf.float64)
    monkeypatch.setattr(detector, "_autocast", False)
    return detector


def test_the_parts_of_a_detector_make_the_whole(in_double, cases):
    detector = in_double
    inputs, shapes = detector.preprocess(make_images())
    features = detector.extract_features(inputs)
    if not cases.runs_in_parts:
        assert features is None
        with pytest.raises(TypeError, match="in one piece only"):
            detector.predict_from_features([], inputs.shape[1:3])
        return
    image_by_image = [detector.extract_features(image) for image in tf.split(inputs, BATCH)]
    together = [tf.concat(level, axis=0) for level in zip(*image_by_image)]

    def assert_near(ours, other):
        np.testing.assert_allclose(ours, other, atol=1e-5 * max(1.0, np.abs(other).max()))

    for received, other in zip(together, features):
        assert_near(received, other)
    tf.nest.map_structure(
        assert_near,
        detector.predict_from_features(features, tuple(inputs.shape[1:3])),
        detector.predict_raw(inputs, shapes),
    )


def test_a_graph_is_the_same_as_eager(in_order, make_labels):
    groundtruth = make_labels(BOXES)

    def run(images):
        inputs, shapes = in_order.preprocess(images)
        predictions = in_order.predict_raw(inputs, shapes)
        return in_order.postprocess(predictions, shapes), in_order.losses(predictions, groundtruth)

    images = make_images()
    spec = tf.TensorSpec([None, None, None, 3], tf.uint8)
    tf.nest.map_structure(
        lambda ours, other: np.testing.assert_allclose(ours, other, rtol=1e-3, atol=1e-4),
        run(images),
        tf.function(run, input_signature=[spec], autograph=False)(images),
    )


def test_save_and_restore(name, detector, tmp_path):
    path = tf.train.Checkpoint(model=save.ModelView(detector)).save(str(tmp_path / "ckpt"))
    other = variants.build_variant(name, is_training=False)
    for number, variable in enumerate(other.variables, start=1):
        variable.assign(variable + 0.001 * number)
    report = restore.restore_trained(other, path)
    assert len(report.restored) == len(detector.variables) and not report.unused
    for ours, theirs in zip(detector.checkpoint_keys().values(), other.checkpoint_keys().values()):
        np.testing.assert_array_equal(ours, theirs)
    inputs, shapes = detector.preprocess(make_images())
    ours, theirs = detector.predict_raw(inputs, shapes), other.predict_raw(inputs, shapes)
    np.testing.assert_array_equal(ours[Predictions.CLASS_LOGITS], theirs[Predictions.CLASS_LOGITS])


def test_batch_norm_moves_in_training_alone_and_not_when_frozen(name, detector, cases, make_labels):
    inputs, shapes = detector.preprocess(make_images())
    before = [variable.numpy() for variable in detector.non_trainable_variables]
    detector.predict_raw(inputs, shapes, training=False)
    for variable, value in zip(detector.non_trainable_variables, before):
        np.testing.assert_array_equal(variable, value)
    detector.predict_raw(inputs, shapes, training=True, groundtruth=make_labels(BOXES))
    moved = [np.any(v.numpy() != value) for v, value in zip(detector.non_trainable_variables, before)]
    assert len(before) == 2 * cases.variants[name].num_norms
    assert sum(moved) == 2 * cases.variants[name].num_moving


@pytest.mark.parametrize("exported_name", EXPORTED)
def test_saved_model_is_the_model(tmp_path, exported_name):
    detector = variants.build_variant(exported_name, is_training=False)

    def detect(images):
        inputs, shapes = detector.preprocess(images)
        return detector.postprocess(detector.predict_raw(inputs, shapes), shapes)

    module = tf.Module()
    module.weights = detector.variables
    module.detect = tf.function(
        detect, input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)], autograph=False
    )
    tf.saved_model.save(module, str(tmp_path))
    images, loaded = make_images(), tf.saved_model.load(str(tmp_path))
    exported = loaded.detect(images)
    for key, value in detect(images).items():
        np.testing.assert_allclose(exported[key], value, atol=1e-4, err_msg=key)
