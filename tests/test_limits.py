"""Small inputs that ask for much: each ends with a result or an error in words, and nothing large is computed."""

import itertools

import numpy as np
import pytest

from tfodhelper import box_geometry, errors, limits, spelling
from tfodhelper.annotations import checks, images, label_map, labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.config import pipeline as pipelines
from tfodhelper.dataset.scan import class_names
from tfodhelper.formats import yaml_text, yolo
from tfodhelper.prediction import detections

FACTS = images.ImageFacts("JPEG", 4000, 4000, "RGB", 1, "0" * 64, 1)


def check_boxes(boxes):
    """The findings about boxes in an image of 4000 x 4000 pixels."""
    return checks.check_annotation(Annotation("a.jpg", 4000, 4000, tuple(boxes)), FACTS, "a.jpg").findings


# Boxes


def random_boxes(rng, count, spread):
    low = rng.uniform(0, 100, (count, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 60, (count, 2))], axis=1)
    return boxes + rng.normal(0, spread, boxes.shape)


@pytest.mark.parametrize("seed", range(20))
def test_coinciding_boxes_are_those_of_all_pairs(seed):
    rng = np.random.default_rng(seed)
    few = random_boxes(rng, 25, 0)
    boxes = np.concatenate([few, few + rng.normal(0, 0.3, few.shape), few, few[:, [2, 3, 0, 1]]])
    i, j, iou = box_geometry.coinciding(boxes, 0.8)
    expected = np.triu(box_geometry.pairwise_iou(boxes, boxes), k=1)
    pairs = np.argwhere(expected > 0.8)
    assert len(pairs) > 20
    np.testing.assert_array_equal(np.stack([i, j], axis=1), pairs)
    np.testing.assert_allclose(iou, expected[tuple(pairs.T)])


def test_no_boxes_coincide_with_nothing():
    assert [len(column) for column in box_geometry.coinciding(np.zeros((0, 4)), 0.9)] == [0, 0, 0]


def test_ten_thousand_boxes_in_an_image_are_compared():
    boxes = [Box("a", x, y, x + 30.0, y + 30.0) for x, y in itertools.product(range(0, 3900, 39), repeat=2)]
    boxes.append(Box("b", 39, 39, 69, 69.5))
    assert [finding.code for finding in check_boxes(boxes)] == ["box-class-conflict"]


def test_stacked_boxes_have_one_finding_each():
    boxes = [Box("a", 10, 10, 50 + 0.001 * number, 50) for number in range(300)]
    assert [finding.code for finding in check_boxes(boxes)] == ["box-duplicate"] * 299


def test_more_stacked_boxes_than_can_be_compared_are_said():
    boxes = [Box("a", 10, 10, 50 + 0.0001 * number, 50) for number in range(20_000)]
    assert [finding.code for finding in check_boxes(boxes)] == ["overlaps-unchecked"]


# Names


def test_similar_names_of_very_long_or_very_many_names():
    known = ["cat", *(f"dog{number}" for number in range(50_000)), "c" * 10**6]
    assert spelling.nearest("Catt", known) == ["cat"]
    assert spelling.nearest("d" * 10**6, known) == [] == spelling.nearest("", known)
    assert spelling.nearest("buton", ["button", "bottom"], 1, cutoff=0.8) == ["button"]


def test_twins_among_many_names_are_those_of_all_pairs():
    words = [
        "button",
        "buton",
        "Button",
        "butt on",
        "bottom",
        "cat",
        "car",
        "class1",
        "class2",
        "kitten",
        "kittens",
        "-",
    ]
    expected = [pair for pair in itertools.combinations(sorted(words), 2) if class_names._are_twins(*pair)]
    assert class_names.find_twins(words) == expected and len(expected) == 7
    many = [f"class {number}" for number in range(200_000)]
    assert class_names.find_twins([*many, "button", "buton"]) == [("buton", "button")]


def test_number_of_twins_is_bounded():
    letters = [chr(0x4E00 + number) for number in range(3000)]
    assert len(class_names.find_twins(["name" + letter for letter in letters])) == 1000
    assert class_names.find_twins(letters) == []


def test_unknown_classes_of_one_file_get_few_suggestions():
    known = label_map.make_label_map(f"class {number}" for number in range(1000))
    boxes = tuple(Box(f"clas {number}", 10.0 * number, 0, 10.0 * number + 9, 9) for number in range(50))
    result = checks.check_annotation(Annotation("a.jpg", 4000, 4000, boxes), FACTS, "a.jpg", known)
    suggestions = ["did you mean" in finding.what for finding in result.findings]
    assert suggestions == [True] * 20 + [False] * 30


# Label maps


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("item { id: 2147483647 name: 'a' }", "the id is too large"),
        ("item { id: 1 name: '" + "x" * 501 + "' }", "class name of 501 characters"),
        ("item { id: 1 name: 'a' display_name: '" + "x" * 501 + "' }", "class name of 501 characters"),
        ("item { id: 1 name: '" + "x" * (5 << 20) + "' }", "too large"),
        ("".join(f"item {{ id: {n} name: 'c{n}' }}\n" for n in range(1, 50_000)), "too many classes"),
        ("item{}" * 700_000, "too large|too many"),
        ("item {" * 50_000, "nested too deeply|too many"),
        ("x: [" * 50_000, "nested too deeply"),
        ("x" * 100_000 + ": 1", "not a label map"),
    ],
)
def test_hostile_label_map_is_an_error_in_words(text, problem, tmp_path):
    (tmp_path / "a.pbtxt").write_text(text, encoding="utf-8")
    with pytest.raises(errors.AnnotationError, match=problem) as caught:
        label_map.read_label_map(tmp_path / "a.pbtxt")
    assert len(str(caught.value)) < 2000


def test_label_maps_that_are_made_obey_the_same_limits(tmp_path):
    with pytest.raises(errors.AnnotationError, match="too many classes"):
        label_map.make_label_map(map(str, range(limits.MAX_CLASSES + 1)))
    with pytest.raises(errors.AnnotationError, match="too many classes"):
        label_map.number_names(map(str, range(limits.MAX_CLASSES + 1)))
    with pytest.raises(errors.AnnotationError, match="id is too large"):
        label_map.write_label_map(tmp_path / "a", label_map.LabelMap((label_map.LabelMapItem(10**12, "a"),)))


def test_as_many_classes_as_allowed_are_read():
    names = [f"class {number:05d}" for number in range(limits.MAX_CLASSES)]
    made = label_map.make_label_map(names)
    assert label_map.parse_label_map(label_map.format_label_map(made), "a") == made


# pipeline.config


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("model { ssd {" + "feature_extractor { batch_norm_trainable: true }\n" * 3000 + "} }", "batch_norm_trainable"),
        ("model {" * 10_000, "nested too deeply"),
        ("#" + "x" * (5 << 20), "too large"),
        ("train_config { batch_size: " + "9" * 100_000 + " }", "batch_size|range|nteger"),
        ("x" * 1_000_000 + ": 1", "no field named"),
    ],
)
def test_hostile_pipeline_is_an_error_in_words(text, problem, tmp_path):
    (tmp_path / "pipeline.config").write_text(text, encoding="utf-8")
    with pytest.raises(errors.ConfigError, match=problem) as caught:
        pipelines.read_pipeline(tmp_path)
    assert len(str(caught.value)) < 12_000


def test_a_few_retired_fields_are_ignored(capsys):
    text = "model { ssd { feature_extractor { " + "batch_norm_trainable: true\n" * 5 + "} } }"
    assert pipelines.parse_pipeline(text).model.ssd.HasField("feature_extractor")
    assert capsys.readouterr().err.count("batch_norm_trainable is ignored") == 5


# YAML


def bomb(levels, width=9):
    lines = ["a0: &a0 [lol, lol]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [" + ", ".join([f"*a{level - 1}"] * width) + "]")
    return "\n".join([*lines, f"names: *a{levels - 1}\n"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(12), "alias"),
        ("a: &a {x: 1}\nb: &b {<<: [*a, *a]}\nnames: [b]\n", "alias"),
        ("a: &a [*a]\nnames: [x]\n", "alias"),
        ("[" * 100_000, "nested too deeply|as YAML"),
        ("{a: " * 100_000, "nested too deeply|as YAML"),
        ("names: [" + "a, " * 150_000 + "]", "too many entries|too large"),
        ("names:\n" + "".join(f"  - c{n}\n" for n in range(40_000)), "too many classes"),
        ("names: {0: a, 2147483647: b}", "nearly all"),
        ("names: {0: a, " + "9" * 5000 + ": b}", "as YAML|nearly all|no class names"),
        ("names: [" + "x" * 600 + "]", "names are invalid"),
        ("names: 2026-99-99", "as YAML|no class names"),
        ("? [a]\n: b\n", "as YAML|no class names"),
        ("!!python/object/apply:os.system [ls]", "as YAML"),
        ("names: !!binary x", "as YAML|no class names"),
        ("names: !!int x", "as YAML"),
        ("\x00", "as YAML"),
    ],
)
def test_hostile_names_are_an_error_in_words(text, problem, tmp_path):
    (tmp_path / "data.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(errors.AnnotationError, match=problem):
        yolo.read_names(tmp_path / "data.yaml")


def test_an_alias_of_a_text_is_read():
    assert yaml_text.parse("a: &x train\nb: *x\n", "a") == {"a": "train", "b": "train"}


def test_a_list_of_many_names_is_compared_once(tmp_path):
    (tmp_path / "classes.txt").write_text("".join(f"c{n}\n" for n in range(limits.MAX_CLASSES)), encoding="utf-8")
    assert len(yolo.read_names(tmp_path / "classes.txt")[0]) == limits.MAX_CLASSES
    (tmp_path / "classes.txt").write_text("".join(f"c{n}\n" for n in range(200_000)), encoding="utf-8")
    with pytest.raises(errors.AnnotationError, match="too many classes"):
        yolo.read_names(tmp_path / "classes.txt")


# JSON and XML


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000, "1" * 5000, "", "{", b"\xff"])
def test_json_that_cannot_be_read_is_a_value_error(text):
    with pytest.raises(ValueError):
        limits.parse_json(text)


@pytest.mark.parametrize("pose", ["", "<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>"])
def test_an_object_with_an_endless_name_is_left_out(pose):
    size = "<size><width>9</width><height>9</height></size>"
    corners = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox>"
    objects = "".join(f"<object><name>{name}</name>{pose}{corners}</object>" for name in ("cat", "x" * 100_000))
    text = f"<annotation><filename>a.jpg</filename>{size}{objects}</annotation>"
    annotation = labelimg.parse_labelimg(text.encode(), "a.xml")
    assert [box.name for box in annotation.boxes] == ["cat"]
    assert "100000 characters" in annotation.skipped[0].what and len(annotation.skipped[0].where) < 200


# Archives within files, detections


def test_a_file_of_labels_that_unpacks_to_much_counts_as_none(tmp_path):
    pytest.importorskip("flatbuffers")
    from tfodhelper.tflite import metadata

    for names, expected in ((["cat", "dog"], ("cat", "dog")), (["x" * (6 << 20)], ()), ([""] * 40_000, ())):
        (tmp_path / "a.tflite").write_bytes(metadata.append_labels(b"model", names))
        assert metadata.read_labels(tmp_path / "a.tflite") == expected


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e999", "null", "[]", '"x"'])
def test_detections_that_are_no_numbers_are_an_error_in_words(number, tmp_path):
    box = f'{{"xmin": 1, "ymin": 2, "xmax": 3, "ymax": {number}}}'
    found = f'[{{"class": "c", "id": 1, "score": 0.5, "box": {box}}}]'
    line = f'{{"path": "a", "width": 9, "height": 9, "detections": {found}}}\n'
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    with pytest.raises(errors.PredictionError, match="a.jsonl, line 1"):
        list(detections.read_json_lines(tmp_path / "a.jsonl"))
