"""Whatever is in the JSON of masks, the result is masks or words."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.formats.test_exchange import _JSON
from tfodhelper import errors
from tfodhelper.annotations import mask_files, masks
from tfodhelper.annotations.structures import Annotation, UnusableFile
from tfodhelper.formats import coco, labelme

_NUMBERS = st.lists(st.floats(-50, 50) | st.none() | st.integers(-3, 60), max_size=8)
_SEGMENTATION = (
    _JSON
    | st.lists(_NUMBERS, max_size=3)
    | st.fixed_dictionaries(
        {"size": _NUMBERS, "counts": st.text(max_size=5) | st.lists(st.integers(-5, 30), max_size=5)}
    )
)


@given(_SEGMENTATION)
def test_segmentations(tmp_path_factory, segmentation):
    mask, findings = coco._read_mask(segmentation, tmp_path_factory.getbasetemp() / "a.json", "annotation 1")
    assert mask is None or not findings
    if mask is not None:
        area, _ = masks.measure(mask, mask.height or 20, mask.width or 30)
        assert area >= 0


@given(st.fixed_dictionaries({"version": st.just(1), "objects": st.lists(_JSON, max_size=3) | _JSON}))
def test_files_of_masks(content):
    try:
        stored = mask_files.parse(json.dumps(content).encode(), "a.masks.json")
    except UnusableFile as error:
        assert "a.masks.json" in str(error)
        return
    mask_files.attach([("cat", 0.0, 0.0, 1.0, 1.0)], stored)


_SHAPE = st.dictionaries(
    st.sampled_from(["label", "points", "shape_type", "group_id", "mask", "difficult"]),
    _JSON | st.lists(_NUMBERS, max_size=4) | st.sampled_from(["polygon", "circle", "rectangle", "mask", "cat"]),
    max_size=6,
)


@given(st.lists(_SHAPE | _JSON, max_size=4), _JSON, _JSON)
def test_shapes(tmp_path_factory, shapes, image_path, side):
    folder = tmp_path_factory.mktemp("shapes")
    content = {"shapes": shapes, "imagePath": image_path, "imageHeight": side, "imageWidth": side}
    (folder / "a.json").write_text(json.dumps(content))
    read = labelme.read_folder(folder, ["a.jpg"])
    for image in read.images:
        annotation = Annotation("a.jpg", 64, 48, image.annotation.boxes)
        mask_files.write(folder / "a.xml", annotation)
        assert mask_files.attach_to(annotation, folder / "a.xml").boxes == annotation.boxes or not annotation.boxes


@given(st.binary(max_size=60))
def test_any_bytes(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "a.json").write_bytes(data)
    (folder / "b.masks.json").write_bytes(data)
    with pytest.raises(errors.DatasetError):
        labelme.read_folder(folder, ["a.jpg"])
    with pytest.raises(UnusableFile):
        mask_files.attach_to(Annotation("a.jpg", 1, 1, ()), folder / "b.xml")
