"""Whole pipelines: batches of training and evaluation."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format

from tests.inputs import examples
from tfodhelper import errors, protos, resizers
from tfodhelper.fields import Groundtruth, Inputs
from tfodhelper.inputs import build, sampling

pytestmark = pytest.mark.slow

FIXED = "fixed_shape_resizer { height: 32 width: 48 }"
AUGMENTATION = "random_horizontal_flip {}", "ssd_random_crop {}", "random_adjust_brightness {}"


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """13 images of two sizes, the i-th with i boxes; the first has none."""
    folder = tmp_path_factory.mktemp("records")
    random = np.random.default_rng(0)
    serialized = []
    for i in range(13):
        image = random.integers(0, 256, (40, 60, 3) if i % 2 else (50, 30, 3), np.uint8)
        boxes = [(0.1, 0.2, 0.5 + 0.01 * j, 0.9) for j in range(i)]
        labels = [j % 3 + 1 for j in range(i)]
        encoded = examples.encode(image, "PNG" if i % 3 else "JPEG")
        name, source_id = f"{i}.jpg", str(i) if i else ""
        serialized.append(examples.make_example(encoded, boxes, labels, filename=name, source_id=source_id))
    return examples.write_records(folder / "a.record", serialized)


def pipeline(records, augmentation=(), train="", evaluation="shuffle: false", eval_config=""):
    path = f'tf_record_input_reader {{ input_path: "{records}" }}'
    text = f"""
        train_config {{ {" ".join(f"data_augmentation_options {{ {step} }}" for step in augmentation)} }}
        train_input_reader {{ {path} {train} }}
        eval_config {{ {eval_config} }}
        eval_input_reader {{ {path} {evaluation} }}
    """
    return text_format.Parse(text, protos.message("TrainEvalPipelineConfig")())


def resizer(text=FIXED):
    return resizers.build_resizer(text_format.Parse(text, protos.message("ImageResizer")()))


def train(config, count, resize=FIXED, **arguments):
    arguments = {"batch_size": 4, "seed": 1, **arguments}
    return list(build.build_train_dataset(config, resizer(resize), **arguments).take(count).as_numpy_iterator())


@pytest.mark.parametrize("prefetch", ["", "num_prefetch_batches: -1"])
def test_no_thread_tunes_that_an_iterator_would_wait_for(records, prefetch):
    config = pipeline(records, train=prefetch, evaluation=f"shuffle: false {prefetch}")
    datasets = (
        build.build_train_dataset(config, resizer(), batch_size=2, seed=0),
        build.build_eval_dataset(config, resizer(), batch_size=2),
    )
    for dataset in datasets:
        assert dataset.options().autotune.enabled is False
        assert len(list(dataset.take(3))) == 3


def evaluate(config, batch_size=1, resize=FIXED, **arguments):
    return list(build.build_eval_dataset(config, resizer(resize), batch_size, **arguments).as_numpy_iterator())


def assert_equal_batches(first, second):
    assert len(first) == len(second)
    for a, b in zip(first, second):
        tf.nest.map_structure(np.testing.assert_array_equal, a, b)


def test_training_batch_has_static_shapes_and_the_fields_dtypes(records):
    dataset = build.build_train_dataset(pipeline(records, AUGMENTATION), resizer(), batch_size=4, seed=0)
    features, labels = dataset.element_spec
    assert {key: (spec.shape, spec.dtype) for key, spec in (features | labels).items()} == {
        Inputs.IMAGE: ((4, 32, 48, 3), tf.float32),
        Inputs.TRUE_IMAGE_SHAPE: ((4, 3), tf.int32),
        Inputs.ORIGINAL_IMAGE_SHAPE: ((4, 2), tf.int32),
        Inputs.FILENAME: ((4,), tf.string),
        Inputs.SOURCE_ID: ((4,), tf.string),
        Groundtruth.BOXES: ((4, 100, 4), tf.float32),
        Groundtruth.CLASSES: ((4, 100), tf.int32),
        Groundtruth.WEIGHTS: ((4, 100), tf.float32),
        Groundtruth.LOCATION_WEIGHTS: ((4, 100), tf.float32),
        Groundtruth.DIFFICULT: ((4, 100), tf.bool),
        Groundtruth.IS_CROWD: ((4, 100), tf.bool),
        Groundtruth.GROUP_OF: ((4, 100), tf.bool),
        Groundtruth.AREA: ((4, 100), tf.float32),
        Groundtruth.NUM_BOXES: ((4,), tf.int32),
    }


def test_padding_and_cutting_of_labels(records):
    for _, labels in train(pipeline(records, train="max_number_of_boxes: 5"), 4):
        for i, count in enumerate(labels[Groundtruth.NUM_BOXES]):
            assert count <= 5
            assert np.all(labels[Groundtruth.CLASSES][i, :count] == np.arange(count) % 3)
            assert np.all(labels[Groundtruth.CLASSES][i, count:] == -1)
            for key in (Groundtruth.WEIGHTS, Groundtruth.LOCATION_WEIGHTS):
                assert np.all(labels[key][i] == (np.arange(5) < count))
            assert not np.any(labels[Groundtruth.BOXES][i, count:])


def test_in_evaluation_an_ignored_region_need_not_be_found(tmp_path):
    encoded = examples.encode(np.zeros((40, 60, 3), np.uint8), "PNG")
    boxes, weights = [(0.1, 0.2, 0.5, 0.9), (0.2, 0.2, 0.5, 0.9)], [0.5, 0.0]
    record = examples.make_example(encoded, boxes, [1, 1], weight=weights)
    config = pipeline(examples.write_records(tmp_path / "a.record", [record] * 4))
    for (_, labels), expected in ((evaluate(config)[0], [False, True]), (train(config, 1)[0], [False, False])):
        for key in (Groundtruth.IS_CROWD, Groundtruth.DIFFICULT):
            assert labels[key][0, :2].tolist() == expected


@pytest.mark.parametrize(
    ("train_config", "reader", "expected"), [(None, None, 100), (7, None, 7), (None, 5, 5), (7, 5, 7), (100, 120, 120)]
)
def test_the_number_of_boxes_may_be_asked_for_in_two_places(records, train_config, reader, expected):
    config = pipeline(records, train="" if reader is None else f"max_number_of_boxes: {reader}")
    if train_config is not None:
        config.train_config.max_number_of_boxes = train_config
    [(_, labels)] = train(config, 1)
    assert labels[Groundtruth.CLASSES].shape[1] == expected


def test_batches_follow_from_the_seed(records):
    config = pipeline(records, AUGMENTATION)
    first = train(config, 5)
    tf.random.set_seed(77)
    assert_equal_batches(train(config, 5), first)
    assert np.any(train(config, 1, seed=2)[0][0][Inputs.IMAGE] != first[0][0][Inputs.IMAGE])


@pytest.mark.parametrize("start", [1, 3, 4])
def test_a_resumed_stream_goes_on_where_it_stopped(records, start):
    """13 records in batches of 4: the fourth batch reaches over the end of an epoch."""
    config = pipeline(records, AUGMENTATION)
    assert_equal_batches(train(config, 6 - start, start_step=start), train(config, 6)[start:])


@pytest.mark.parametrize(("negatives", "expected"), [(0.0, {False}), (0.5, {False, True})])
def test_training_reads_what_is_sampled(records, negatives, expected):
    chosen = sampling.Sampling("balanced", negatives)
    batches = train(pipeline(records, train="shuffle: false"), 12, sampling=chosen)
    counts = np.concatenate([labels[Groundtruth.NUM_BOXES] for _, labels in batches])
    assert set((counts == 0).tolist()) == expected
    assert np.mean(counts == 0) == pytest.approx(negatives, abs=0.05)
    plain = train(pipeline(records, train="shuffle: false"), 12, sampling=sampling.Sampling())
    assert_equal_batches(plain, train(pipeline(records, train="shuffle: false"), 12))
    assert [labels[Groundtruth.NUM_BOXES].tolist() for _, labels in plain][:2] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_sampled_stream_resumes_where_it_stopped(records):
    chosen = sampling.Sampling("random", 0.2)
    whole = train(pipeline(records, AUGMENTATION), 6, sampling=chosen)
    assert_equal_batches(whole[4:], train(pipeline(records, AUGMENTATION), 2, sampling=chosen, start_step=4))


def test_the_same_image_is_augmented_anew_in_each_epoch(records):
    first, second = train(pipeline(records, AUGMENTATION), 2, batch_size=13)
    images = [dict(zip(b[0][Inputs.FILENAME], b[0][Inputs.IMAGE])) for b in (first, second)]
    assert sum(np.array_equal(images[0][name], images[1][name]) for name in images[0]) <= 1


def test_pipelines_divide_the_images(records):
    contexts = [tf.distribute.InputContext(2, i, 2) for i in range(2)]
    config = pipeline(records, train="num_epochs: 1 drop_remainder: false")
    names = [
        [name for features, _ in train(config, -1, input_context=context) for name in features[Inputs.FILENAME]]
        for context in contexts
    ]
    assert sorted(names[0] + names[1]) == sorted(b"%d.jpg" % i for i in range(13))


def test_evaluation_sees_every_image_once_and_every_box(records):
    batches = evaluate(pipeline(records), 4)
    assert [len(features[Inputs.IMAGE]) for features, _ in batches] == [4, 4, 4, 1]
    names = np.concatenate([features[Inputs.FILENAME] for features, _ in batches])
    np.testing.assert_array_equal(names, [b"%d.jpg" % i for i in range(13)])
    counts = np.concatenate([labels[Groundtruth.NUM_BOXES] for _, labels in batches])
    np.testing.assert_array_equal(counts, range(13))
    ids = np.concatenate([features[Inputs.SOURCE_ID] for features, _ in batches])
    np.testing.assert_array_equal(ids, [b"%d" % i for i in range(13)])
    features, labels = batches[0]
    np.testing.assert_array_equal(features[Inputs.ORIGINAL_IMAGE_SHAPE], [[50, 30], [40, 60]] * 2)
    np.testing.assert_allclose(labels[Groundtruth.BOXES][3, 2], [0.1, 0.2, 0.52, 0.9])
    np.testing.assert_array_equal(labels[Groundtruth.CLASSES][1], [0, -1, -1])


def test_evaluation_obeys_the_config(records):
    batches = evaluate(pipeline(records, eval_config="num_examples: 5"), 2)
    assert sum(len(features[Inputs.IMAGE]) for features, _ in batches) == 5
    batches = evaluate(pipeline(records, evaluation="max_number_of_boxes: 3 drop_remainder: true"), 5)
    assert [labels[Groundtruth.BOXES].shape for _, labels in batches] == [(5, 3, 4)] * 2
    shuffled = [features[Inputs.FILENAME][0] for features, _ in evaluate(pipeline(records, evaluation=""))]
    assert shuffled != sorted(shuffled)
    assert len(set(shuffled)) == 13


def test_boxes_are_normalized_to_the_padded_input(records):
    """A 50 x 30 image in a square of 50: widths shrink by 30 / 50."""
    text = "keep_aspect_ratio_resizer { min_dimension: 50 max_dimension: 50 pad_to_max_dimension: true }"
    features, labels = evaluate(pipeline(records), 3, text)[0]
    np.testing.assert_array_equal(features[Inputs.TRUE_IMAGE_SHAPE][2], [50, 30, 3])
    np.testing.assert_allclose(labels[Groundtruth.BOXES][2, 0], [0.1, 0.2 * 0.6, 0.5, 0.9 * 0.6], rtol=1e-6)


def test_images_of_different_sizes_are_padded_to_the_largest_of_the_batch(records):
    features, labels = evaluate(pipeline(records), 3, "identity_resizer {}")[0]
    assert features[Inputs.IMAGE].shape == (3, 50, 60, 3)
    assert not np.any(features[Inputs.IMAGE][1, 40:])
    np.testing.assert_allclose(labels[Groundtruth.BOXES][1, 0], [0.1 * 0.8, 0.2, 0.5 * 0.8, 0.9], rtol=1e-6)


def test_original_images_come_with_the_first_ones_only(records):
    batches = evaluate(pipeline(records), 2, keep_original_images=3)
    shapes = [features[Inputs.ORIGINAL_IMAGE].shape for features, _ in batches[:3]]
    assert shapes == [(2, 50, 60, 3), (2, 50, 30, 3), (2, 1, 1, 3)]
    assert batches[0][0][Inputs.ORIGINAL_IMAGE].dtype == np.uint8
    assert Inputs.ORIGINAL_IMAGE not in evaluate(pipeline(records), 2)[0][0]


def test_an_image_with_no_box_trains_too(records):
    for features, labels in train(pipeline(records, AUGMENTATION), 7):
        assert np.all(np.isfinite(features[Inputs.IMAGE]))
        assert np.all(np.isfinite(labels[Groundtruth.BOXES]))


def test_label_map_of_the_reader_counts(records, tmp_path):
    path = tmp_path / "label_map.pbtxt"
    path.write_text('item { id: 1 name: "a" } item { id: 2 name: "b" }', encoding="utf-8")
    batches = evaluate(pipeline(records, evaluation=f'shuffle: false label_map_path: "{path}"'))
    assert [int(labels[Groundtruth.NUM_BOXES][0]) for _, labels in batches[:4]] == [0, 1, 2, 2]


def test_what_cannot_be_read_is_an_error(records):
    with pytest.raises(errors.ConfigError, match="num_keypoints"):
        train(pipeline(records, train="num_keypoints: 3"), 1)
    with pytest.raises(errors.ConfigError, match="sequence"):
        train(pipeline(records, train="input_type: TF_SEQUENCE_EXAMPLE"), 1)
    config = pipeline(records)
    del config.eval_input_reader[:]
    with pytest.raises(errors.ConfigError, match="eval_input_reader"):
        evaluate(config)
