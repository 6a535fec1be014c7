"""Sets of any size: figures do not depend on the parts in which they are read, nor memory on the number of images."""

import tracemalloc

import numpy as np
import pytest

from tests.metrics import sets
from tests.metrics.test_build import config
from tfodhelper.metrics import analysis, build, collector, detection_file, eval_values
from tfodhelper.outofcore import rows

BOXES = tuple(name for name in eval_values.COMPUTED if name != eval_values.COCO_MASKS)


def group_of(images, order=None):
    group = build.build_metrics(config(include_metrics_per_category=True), sets.CATEGORIES, always=BOXES)
    for index in range(len(images)) if order is None else order:
        groundtruth, detections = images[index]
        verified = {**groundtruth, "verified": [1, 5]} if index % 3 else groundtruth
        group.update(int(index), verified, detections, name=f"{index}.jpg", size=(200, 300))
    return group


def evaluate(images, order=None):
    group = group_of(images, order)
    figures = group.result()
    return group.overlapping(), figures, analysis.analyze(group.overlapping(), figures)


def assert_alike(one, other):
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            assert_alike(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other):
            assert_alike(mine, theirs)
    elif isinstance(one, float):
        assert one == pytest.approx(other, abs=1e-12, nan_ok=True)
    else:
        assert one == other


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("part_images, part_rows", [(1, 1 << 15), (3, 1 << 15), (512, 7)])
def test_parts_change_nothing(monkeypatch, tmp_path, ties, part_images, part_rows):
    images = sets.random_images(3, 40, ties)
    whole, figures, analyzed = evaluate(images)
    detection_file.write_detections(tmp_path / "whole.npz", whole.images)
    monkeypatch.setattr(collector, "PART_IMAGES", part_images)
    monkeypatch.setattr(collector, "PART_ROWS", part_rows)
    monkeypatch.setattr(rows, "_RUN", 16)
    monkeypatch.setattr(rows, "_BLOCK", 16)
    monkeypatch.setattr(rows, "_LEAST_WINDOW", 2)
    monkeypatch.setattr(rows, "_HELD_BYTES", 64)
    in_parts, figures_in_parts, analyzed_in_parts = evaluate(images, np.random.default_rng(0).permutation(40))
    assert len(list(in_parts.parts())) > 10
    assert_alike(figures_in_parts, figures)
    assert_alike(analyzed_in_parts, analyzed)
    detection_file.write_detections(tmp_path / "parts.npz", in_parts.images)
    with np.load(tmp_path / "whole.npz") as expected, np.load(tmp_path / "parts.npz") as found:
        assert expected.files == found.files
        for name in expected.files:
            np.testing.assert_array_equal(found[name], expected[name])


def test_memory_does_not_grow_with_the_detections(tmp_path):
    def peak_of(num_images):
        images = sets.random_images(0, 10)
        for _, found in images:
            for name in found:
                found[name] = np.repeat(found[name], 8, axis=0)
        group = group_of([])
        tracemalloc.start()
        try:
            for index in range(num_images):
                group.update(index, *images[index % 10])
            detection_file.write_evaluation(tmp_path, group.overlapping(), group.result())
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak_of(20)  # what is needed once
    assert (peak_of(2400) - peak_of(1200)) / 1200 < 1000  # bytes per image, which has 80 detections on the average
