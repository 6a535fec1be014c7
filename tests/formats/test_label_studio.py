"""Label Studio's tasks: read as it exports them, written and read back; what is lost is said."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_exchange import NAMES, make_listed
from tfodhelper import errors
from tfodhelper.annotations import masks
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.formats import brush_code, label_studio, studio_regions
from tfodhelper.formats.collection import PredictedImage

SIZE = {"original_width": 200, "original_height": 100, "image_rotation": 0}


def rectangle(label, x, y, width, height, key="r1", rotation=0, **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": rotation, "rectanglelabels": [label]}
    entry = {"id": key, "type": "rectanglelabels", "from_name": "label", "to_name": "image", "origin": "manual"}
    return entry | SIZE | {"value": value} | more


def chosen(key, *choices, **more):
    value = {"x": 1, "y": 1, "width": 1, "height": 1, "rotation": 0, "choices": list(choices)}
    return {"id": key, "type": "choices", "from_name": "flags", "to_name": "image", **SIZE, "value": value} | more


def task(*annotations, image="/data/upload/3/0a1b2c3d-photo_1.jpg", predictions=(), **more):
    """A task as an export contains it."""
    value = {"id": 7, "data": {"image": image}, "annotations": list(annotations), "predictions": list(predictions)}
    return value | {"file_upload": image.rpartition("/")[2], "drafts": [], "meta": {}, "project": 3} | more


def answer(*result, **more):
    value = {"id": 1, "completed_by": 1, "result": list(result), "was_cancelled": False, "ground_truth": False}
    return value | {"lead_time": 4.2, "created_at": "2026-01-02T03:04:05.000000Z", "result_count": len(result)} | more


def read(tmp_path, *tasks):
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps(list(tasks)), encoding="utf-8")
    return label_studio.read_tasks(path)


def codes_of(found):
    return [finding.code for finding in found.findings]


def test_an_export_by_hand(tmp_path):
    result = [
        rectangle("cat", 10, 20, 30, 40),
        chosen("r1", "difficult"),
        rectangle("dog", 0, 0, 50, 100, key="r2", score=0.5),
        {"from_id": "r1", "to_id": "r2", "type": "relation", "direction": "right"},
    ]
    found = read(tmp_path, task(answer(*result)), task(answer(), image="http://host/a%20b/c.jpg?x=1"))
    boxes = Box("cat", 20, 20, 80, 60, difficult=True), Box("dog", 0, 0, 100, 100)
    assert [image.name for image in found.images] == ["photo_1.jpg", "/a b/c.jpg"]
    assert found.images[0].annotation == Annotation("photo_1.jpg", 200, 100, boxes)
    assert found.images[1].annotation == Annotation("c.jpg", None, None, ())
    assert codes_of(found) == ["detail-dropped"] and found.is_upright


@pytest.mark.parametrize(
    "address, name",
    [
        ("/data/upload/12/deadbeef-my-photo.png", "my-photo.png"),
        ("/data/local-files/?d=photos/sub/a%20b.jpg", "photos/sub/a b.jpg"),
        ("s3://bucket/folder/a.jpg", "/folder/a.jpg"),
        ("photos\\sub\\a.jpg", "photos/sub/a.jpg"),
        ("http://[", ""),
    ],
)
def test_the_name_of_the_image_is_in_its_address(address, name):
    assert label_studio.image_name({"data": {"image": address}}) == name
    assert label_studio.image_name({"data": {"text": "x", "picture": address, "n": 1}}) == name
    assert label_studio.image_name({"data": {"image": address, "file_name": "own/a.jpg"}}) == "own/a.jpg"


def test_uploaded_images_keep_their_own_names(tmp_path):
    tasks = [task(answer(), image=f"/data/upload/1/0a1b2c3d-{name}") for name in ("a_b_1.jpg", "x_y.jpg", "z.jpg")]
    (tmp_path / "t.json").write_text(json.dumps(tasks))
    images = ["sub/a b (1).jpg", "x y.jpg", "other/x_y.jpg", "z.jpg"]
    names = [image.name for image in label_studio.read_tasks(tmp_path / "t.json", images).images]
    assert names == ["sub/a b (1).jpg", "x_y.jpg", "z.jpg"]  # of several that fit, none is guessed


def test_several_annotators(tmp_path):
    cat, moved = rectangle("cat", 10, 20, 30, 40), rectangle("cat", 11, 20, 30, 40)
    agree = read(tmp_path, task(answer(cat), answer(cat | {"id": "other"}, completed_by=2)))
    assert len(agree.images) == 1 and not agree.findings
    conflict = read(tmp_path, task(answer(cat), answer(moved, completed_by=2)))
    assert not conflict.images and codes_of(conflict) == ["annotations-conflict"]
    assert "ground truth" in conflict.findings[0].fix
    truth = read(tmp_path, task(answer(cat), answer(moved, ground_truth=True)))
    assert truth.images[0].annotation.boxes[0].xmin == 22 and truth.images[0].annotation.verified
    skipped = read(tmp_path, task(answer(cat), answer(moved, was_cancelled=True)))
    assert skipped.images[0].annotation.boxes[0].xmin == 20 and not skipped.findings
    nobody = read(tmp_path, task(answer(was_cancelled=True)), task(), task())
    assert not nobody.images and codes_of(nobody) == ["entry-unusable", "unlabelled"]
    assert "2 tasks" in nobody.findings[1].what


def test_predictions_are_no_annotations(tmp_path):
    old = {"model_version": "a", "id": 1, "result": [rectangle("dog", 0, 0, 1, 1)], "created_at": "2026-01-01"}
    new = {"model_version": "b", "id": 2, "result": [rectangle("cat", 10, 20, 30, 40, score=0.25)]}
    found = read(tmp_path, task(predictions=[new | {"created_at": "2026-01-02"}, old]))
    assert not found.images and codes_of(found) == ["detail-dropped", "unlabelled"]
    assert found.predicted == (PredictedImage("photo_1.jpg", 200, 100, (Box("cat", 20, 20, 80, 60),), (0.25,)),)


def test_numbers_of_predictions_are_said(tmp_path):
    found = read(tmp_path, task(answer(), predictions=[50]), task(answer(), image="b.jpg", predictions=[51]))
    assert not found.predicted and codes_of(found) == ["detail-dropped"]
    assert "2 tasks" in found.findings[0].what and "snapshot" in found.findings[0].fix


def test_rotated_rectangles_are_approximated_and_rotated_images_refused(tmp_path):
    quarter = rectangle("cat", 50, 50, 10, 10, rotation=90)  # 20 x 10 pixels at (100, 50), clockwise
    turned = rectangle("dog", 10, 10, 10, 10, key="r2", image_rotation=90)
    found = read(tmp_path, task(answer(quarter, turned, rectangle("cow", 0, 0, 5, 5, key="r3", rotation=360))))
    (image,) = found.images
    assert image.annotation.boxes == (Box("cat", 90, 50, 100, 70), Box("cow", 0, 0, 10, 5))
    assert codes_of(found) == ["box-approximated"]
    assert [finding.code for finding in image.lost] == ["entry-unusable"] and "turn the image" in image.lost[0].what


def test_outlines_brushes_and_ellipses_are_masks(tmp_path):
    pixels = np.zeros([100, 200], bool)
    pixels[30:50, 40:90] = True
    pixels[35, 60] = False
    outline = {"id": "p", "type": "polygonlabels", **SIZE}
    outline |= {"value": {"points": [[10, 10], [20, 10], [20, 30]], "polygonlabels": ["cat"], "closed": True}}
    brush = {"id": "b", "type": "brushlabels", **SIZE}
    brush |= {"value": {"format": "rle", "rle": brush_code.encode(pixels), "brushlabels": ["dog"]}}
    ellipse = {"id": "e", "type": "ellipselabels", **SIZE}
    ellipse |= {"value": {"x": 50, "y": 50, "radiusX": 10, "radiusY": 20, "rotation": 0, "ellipselabels": ["cow"]}}
    found = read(tmp_path, task(answer(outline, brush, ellipse)))
    cat, dog, cow = found.images[0].annotation.boxes
    assert cat.mask.polygons == ((20, 10, 40, 10, 40, 30),) and (cat.xmin, cat.ymax) == (20, 30)
    np.testing.assert_array_equal(dog.mask.to_array(), pixels)
    assert (dog.xmin, dog.ymin, dog.xmax, dog.ymax) == (40, 30, 90, 50)
    assert (cow.xmin, cow.ymin, cow.xmax, cow.ymax) == (80, 30, 120, 70)
    assert masks.measure(cow.mask, 100, 200)[0] == pytest.approx(math.pi * 400, rel=0.02) and not found.findings
    with_box = [rectangle("cat", 0, 0, 50, 50), outline | {"parentID": "r1"}, brush | {"parentID": "r1"}]
    found = read(tmp_path, task(answer(*with_box)))
    boxes = {box.name: box for box in found.images[0].annotation.boxes}
    assert (boxes["cat"].xmax, boxes["cat"].mask.polygons) == (100, cat.mask.polygons) and len(boxes) == 2


@pytest.mark.parametrize(
    "entry, code",
    [
        ({}, "entry-unusable"),
        (None, "entry-unusable"),
        (rectangle("cat", 1, 2, "x", 4), "entry-unusable"),
        (rectangle("cat", 1, 2, math.inf, 4), "entry-unusable"),
        (rectangle("cat", 1, 2, 3, 4, original_width=None), "entry-unusable"),
        (rectangle("", 1, 2, 3, 4), "box-unnamed"),
        (rectangle("cat", 1, 2, 3, 4, rotation="x"), "entry-unusable"),
        ({"id": "p", "type": "polygonlabels", **SIZE, "value": {"polygonlabels": ["a"]}}, "entry-unusable"),
        ({"id": "b", "type": "brushlabels", **SIZE, "value": {"rle": [1, 2], "brushlabels": ["a"]}}, "entry-unusable"),
        ({"id": "b", "type": "brushlabels", **SIZE, "value": {"rle": ["x"], "brushlabels": ["a"]}}, "entry-unusable"),
    ],
)
def test_regions_that_are_no_object_are_said(tmp_path, entry, code):
    found = read(tmp_path, task(answer(entry)))
    assert [finding.code for finding in found.images[0].lost] == [code] and not found.images[0].annotation.boxes


def test_two_sizes_or_two_labels_are_not_guessed():
    entry = rectangle("cat", 1, 2, 3, 4)
    entry["value"]["rectanglelabels"] = ["cat", "dog"]
    other = rectangle("cat", 1, 2, 3, 4, key="r2", original_width=300)
    regions = studio_regions.read_result([entry, other])
    assert not regions.boxes and {problem.code for problem in regions.lost} == {"box-unnamed", "entry-unusable"}
    assert "300x100" in regions.lost[0].what


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "not JSON"),
        ("[]", "no tasks"),
        ("{}", "no tasks"),
        ('[{"data": 1}]', "no tasks"),
        ('[{"image": "a.jpg", "annotation_id": 3, "label": []}]', "JSON-MIN"),
        ("[" * 100000, "not JSON"),
    ],
)
def test_files_that_are_no_tasks_are_refused(tmp_path, text, words):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(errors.AnnotationError, match=words):
        label_studio.read_tasks(tmp_path / "a.json")


def round_trip(tmp_path, annotation, suggestion=None):
    size = annotation.width, annotation.height
    made = label_studio.make_task("sub/a b.jpg", "/x/a.jpg", size, annotation, suggestion)
    label_studio.write_tasks(tmp_path / "t.json", [made])
    found = label_studio.read_tasks(tmp_path / "t.json")
    assert not found.findings and not found.images[0].lost
    return found


@given(make_listed())
def test_whole_pixels_read_back_exactly(tmp_path_factory, listed):
    found = round_trip(tmp_path_factory.mktemp("studio"), listed.annotation)
    expected = listed.annotation
    assert found.images[0].name == listed.name and found.images[0].annotation.boxes == expected.boxes
    assert found.images[0].annotation.verified == expected.verified


@given(st.floats(-10, 60000, allow_nan=False), st.integers(1, 60000), st.integers(0, 60_000_000))
def test_no_corner_moves_by_a_billionth_of_a_pixel(corner, side, thousandths):
    """Nor at all, if it has at most nine digits: those of `predict` have three."""
    for value in (corner, thousandths / 1000):
        box = Box("cat", value, value, value + 7.125, value + 1)
        (entry,) = studio_regions.to_regions(box, side, side, "a", studio_regions.ControlNames())
        (back,) = studio_regions.read_result([json.loads(json.dumps(entry))]).boxes
        assert max(abs(back.xmin - box.xmin), abs(back.ymax - box.ymax), abs(back.xmax - box.xmax)) < 1e-9
    assert (back.xmin, back.ymin) == (value, value)


@given(
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.floats(0, 1), *[st.integers(0, 2_000_000)] * 2),
        max_size=5,
    )
)
def test_predictions_read_back_exactly(tmp_path_factory, rows):
    boxes = tuple(Box(name, x / 1000, y / 1000, x / 1000 + 5.25, y / 1000 + 3) for name, _, x, y in rows)
    boxes = tuple(Box(b.name, b.xmin, b.ymin, round(b.xmax, 3), round(b.ymax, 3)) for b in boxes)
    suggestion = PredictedImage("sub/a b.jpg", 1999, 2001, boxes, tuple(row[1] for row in rows))
    found = round_trip(tmp_path_factory.mktemp("studio"), Annotation("a b.jpg", 1999, 2001, ()), suggestion)
    expected = suggestion if rows else PredictedImage(suggestion.name, None, None, (), ())
    assert found.predicted == (expected,)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32))
def test_brushes_read_back_exactly(height, width, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.random([height, width]) < rng.random()
    np.testing.assert_array_equal(brush_code.decode(brush_code.encode(pixels), height, width), pixels)


def test_a_brush_by_hand():
    """Two pixels: the first one drawn in single values, the second one as a run of zeros."""
    bits = f"{8:032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    bits += "000" + f"{3:03b}" + "".join(f"{value:08b}" for value in (9, 9, 9, 255)) + "100" + f"{3:03b}" + "0" * 8
    bits += "0" * (-len(bits) % 8)
    values = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert brush_code.decode(values, 1, 2).tolist() == [[True, False]]
    for damaged in (values[:-3], values[:3] + [9] + values[4:], values + [300]):
        with pytest.raises(ValueError, match="brush"):
            brush_code.decode(damaged, 1, 2)


def test_the_configuration_names_classes_and_flags():
    text = label_studio.make_config(["cat", 'a "<b>" & c'])
    assert '<Label value="a &quot;&lt;b&gt;&quot; &amp; c"/>' in text and "BrushLabels" not in text
    assert '<Choice value="difficult"/>' in text and 'perRegion="true"' in text
    assert "BrushLabels" in label_studio.make_config(["cat"], with_masks=True)
