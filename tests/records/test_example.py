"""The serialized example equals what TensorFlow itself would write."""

import pytest
import tensorflow as tf

from tfodhelper.annotations.label_map import make_label_map
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.dataset.scan import entry
from tfodhelper.records import example, framing

ANNOTATION = Annotation(
    "a.jpg", 200, 100, (Box("cat", 0, 10, 50, 100), Box("dog", 20.5, 1, 200, 99, True, True, "Left"))
)


def example_of(annotation, encoded=b"\xff\xd8 not really"):
    label_map = make_label_map(["cat", "dog"])
    boxes, size = entry.pack_annotation(annotation)[3], (annotation.width, annotation.height)
    return example.make_example(boxes, *size, encoded, "jpeg", 300, "ab" * 32, label_map, "x/ä.jpg")


def test_values_by_hand():
    parsed = tf.train.Example.FromString(example_of(ANNOTATION)).features.feature
    assert list(parsed["image/width"].int64_list.value) == [200]
    assert list(parsed["image/source_id"].bytes_list.value) == [b"300"]
    assert list(parsed["image/filename"].bytes_list.value) == ["x/ä.jpg".encode()]
    assert list(parsed["image/object/bbox/xmin"].float_list.value) == pytest.approx([0, 0.1025])
    assert list(parsed["image/object/bbox/xmax"].float_list.value) == [0.25, 1]
    assert list(parsed["image/object/bbox/ymin"].float_list.value) == pytest.approx([0.1, 0.01])
    assert list(parsed["image/object/area"].float_list.value) == [4500, 179.5 * 98]
    assert list(parsed["image/object/class/label"].int64_list.value) == [1, 2]
    assert list(parsed["image/object/truncated"].int64_list.value) == [0, 1]
    assert list(parsed["image/object/view"].bytes_list.value) == [b"Unspecified", b"Left"]
    assert len(parsed) == 19


WEIGHTED = (Box("cat", 0, 10, 50, 100, weight=0.25), Box("dog", 20, 1, 200, 99), Box("dog", 1, 1, 9, 9, weight=0))
DOUBTFUL = (*WEIGHTED[:2], Box("dog", 1, 1, 9, 9, weight=0.5, location_weight=0.0))


def test_weights_by_hand():
    parsed = tf.train.Example.FromString(example_of(Annotation("a.jpg", 200, 100, WEIGHTED))).features.feature
    assert list(parsed["image/object/weight"].float_list.value) == [0.25, 1, 0]
    assert len(parsed) == 19  # no other than those of the Object Detection API
    parsed = tf.train.Example.FromString(example_of(Annotation("a.jpg", 200, 100, DOUBTFUL))).features.feature
    assert list(parsed["image/object/weight"].float_list.value) == [0.25, 1, 0.5]
    assert list(parsed["image/object/bbox/weight"].float_list.value) == [1, 1, 0]
    assert "image/object/mask" not in parsed


def test_the_bytes_are_those_of_tensorflow():
    others = (Annotation("a.jpg", 200, 100, boxes) for boxes in ((), WEIGHTED, DOUBTFUL))
    for annotation in (ANNOTATION, *others):
        serialized = example_of(annotation, b"x" * 70000)
        assert tf.train.Example.FromString(serialized).SerializeToString(deterministic=True) == serialized


def test_empty_lists_keep_their_type():
    parsed = tf.train.Example.FromString(example_of(Annotation("a.jpg", 200, 100, ())))
    kinds = {name: feature.WhichOneof("kind") for name, feature in parsed.features.feature.items()}
    assert kinds["image/object/bbox/xmin"] == "float_list"
    assert kinds["image/object/class/label"] == "int64_list"
    assert kinds["image/object/class/text"] == "bytes_list"


def test_a_file_equals_the_one_that_tensorflow_writes(tmp_path):
    contents = [example_of(ANNOTATION, bytes(range(256)) * n) for n in (0, 1, 33)]
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for content in contents:
            writer.write(content)
    with open(tmp_path / "ours", "wb") as file:
        for content in contents:
            file.writelines(framing.frame(content))
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
