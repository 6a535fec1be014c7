"""detections.npz: what is written is read back; what was damaged or made up is an error in words."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest

from tests.metrics import sets
from tests.metrics.by_hand import NOTHING, A, found_of
from tfodhelper import errors
from tfodhelper.metrics import analysis_file, coco, collector, detection_file, detection_set, overlaps


def equal(one_set, other):
    return all(
        np.array_equal(getattr(one_set, field.name), getattr(other, field.name))
        and np.asarray(getattr(one_set, field.name)).dtype == np.asarray(getattr(other, field.name)).dtype
        for field in dataclasses.fields(detection_set.DetectionSet)
    )


def write(folder, *images):
    overlapping = sets.collect(*images)
    figures = coco.CocoDetectionMetrics(sets.CATEGORIES).compute(overlapping)
    return overlapping, detection_file.write_evaluation(folder, overlapping, figures, 3, "a model", "some data")


@pytest.mark.parametrize("images", [(), ((NOTHING, NOTHING),), tuple(sets.random_images(1))])
def test_what_is_written_is_read_back(tmp_path, images):
    overlapping, analyzed = write(tmp_path / "evaluation", *images)
    again, read = detection_file.read_evaluation(tmp_path / "evaluation")
    assert equal(read.images, sets.in_one(overlapping).images)
    assert again == {"format": 1, **json.loads(json.dumps(analyzed))}
    assert {path.name for path in (tmp_path / "evaluation").iterdir()} == {"detections.npz", "analysis.json"}


def test_names_of_all_kinds(tmp_path):
    images = collector.Collector({1: "塩 \x00\ud800<b>"})
    images.add(b"\xff", {"boxes": [A], "classes": [1]}, found_of((A, 0.5)), name="../ü.jpg")
    detection_file.write_detections(tmp_path / "a.npz", images.finish())
    read = detection_file.read_detections(tmp_path / "a.npz")
    assert read.names == ("塩 \x00\ud800<b>",) and read.image_names == ("../ü.jpg",) and read.image_ids == ("\\xff",)


def test_two_files_that_do_not_belong_together(tmp_path):
    write(tmp_path, *sets.random_images(1))
    detection_file.write_detections(tmp_path / "detections.npz", sets.collect(*sets.random_images(2)).images)
    with pytest.raises(errors.PredictionError, match="other detections"):
        detection_file.read_evaluation(tmp_path)


def change(path, **changes):
    with np.load(path) as stored:
        columns = dict(stored)
    text = json.loads(columns["text"].tobytes()) | changes.pop("text", {})
    columns["text"] = np.frombuffer(json.dumps(text).encode(), np.uint8)
    np.savez(path, **{name: value for name, value in (columns | changes).items() if value is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"det_scores": None},
        {"det_scores": np.zeros(3)},
        {"det_scores": np.zeros([4, 1])},
        {"det_boxes": np.full([4, 4], np.nan)},
        {"det_class": np.full(4, 3, np.int32)},
        {"det_class": np.full(4, -1, np.int32)},
        {"det_class": np.zeros(4, np.int64)},
        {"det_starts": np.array([0, 5])},
        {"gt_starts": np.array([2, 2])},
        {"det_scores": np.array([None] * 4)},
        {"text": {"format": 2}},
        {"text": {"names": ["a"]}},
        {"text": {"image_names": []}},
        {"text": {"image_ids": 3}},
    ],
    ids=str,
)
def test_damaged_columns(tmp_path, changes):
    path = tmp_path / "detections.npz"
    gt = {"boxes": [A, A], "classes": [1, 2]}
    detection_file.write_detections(path, sets.collect((gt, found_of(*[(A, 0.5)] * 4))).images)
    detection_file.read_detections(path)
    change(path, **changes)
    with pytest.raises(errors.PredictionError, match="does not hold") as caught:
        detection_file.read_detections(tmp_path)
    assert str(path) in str(caught.value) and "tfodhelper eval" in str(caught.value)


def test_other_files(tmp_path):
    path = tmp_path / "detections.npz"
    with pytest.raises(errors.PredictionError, match="cannot be read"):
        detection_file.read_detections(path)
    path.write_bytes(b"PK nonsense")
    with pytest.raises(errors.PredictionError, match="does not hold"):
        detection_file.read_detections(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("text.npy", b"\x93NUMPY nonsense")
    with pytest.raises(errors.PredictionError, match="does not hold"):
        detection_file.read_detections(path)


def test_every_cut_is_noticed(tmp_path):
    write(tmp_path, *sets.random_images(1))
    path = tmp_path / "detections.npz"
    content = path.read_bytes()
    for size in range(0, len(content) - 1, 97):
        path.write_bytes(content[:size])
        with pytest.raises(errors.PredictionError):
            detection_file.read_detections(path)


def test_figures_are_recomputed_from_the_file(tmp_path):
    _, analyzed = write(tmp_path, *sets.random_images(3, num_images=20))
    images = detection_file.read_detections(tmp_path)
    figures = coco.CocoDetectionMetrics(sets.CATEGORIES).compute(overlaps.SetOverlaps(images))
    assert figures["DetectionBoxes_Precision/mAP"] == analyzed["summary"]["ap"]
    assert analysis_file.read_analysis(tmp_path)["figures"] == analyzed["figures"]
