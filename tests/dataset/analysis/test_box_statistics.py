"""Statistics of a dataset, counted by hand; anchors and distances for shapes with a known answer."""

import csv

import numpy as np
import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_pair
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan
from tfodhelper.dataset.analysis import anchor_clusters, box_statistics, class_distances, plots


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three images of 200 x 100: a small and a twisted cat with a dog; a large dog; nothing."""
    data = tmp_path_factory.mktemp("described")
    boxes = [Box("cat", 0, 0, 20, 10), Box("cat", 0, 20, 100, 40), Box("dog", 100, 0, 200, 100)]
    save_pair(data, "a", boxes, (200, 100), seed=1)
    save_pair(data, "b", [Box("dog", 0, 0, 200, 100)], (200, 100), seed=2)
    save_pair(data, "c", [], (200, 100), seed=3)
    return data


@pytest.fixture(scope="module")
def table(folder):
    return box_statistics.make_table(
        plan.make_plan(plan.SetOptions(data_dir=folder, val_fraction=0.0), show_progress=False)
    )


def test_splits(table):
    rows = {row[0]: dict(zip(box_statistics.SPLIT_HEADER, row)) for row in box_statistics.describe_splits(table)}
    assert set(rows) == {"all", "train"}
    row = rows["all"]
    assert [row[name] for name in ("images", "without_objects", "boxes", "classes")] == [3, 1, 4, 2]
    assert row["boxes_per_image"] == pytest.approx(1.33)
    assert [row[name] for name in ("small", "medium", "large", "twisted")] == [0.25, 0.25, 0.5, 0.25]
    assert row["mean_object_share"] == pytest.approx((0.01 + 0.1 + 0.5 + 1.0) / 4)


def test_classes(table):
    rows = {row[:2]: dict(zip(box_statistics.CLASS_HEADER, row)) for row in box_statistics.describe_classes(table)}
    cat, dog = rows["all", "cat"], rows["all", "dog"]
    assert (cat["images"], cat["boxes"], cat["boxes_per_image"], cat["twisted"]) == (1, 2, 2.0, 0.5)
    assert (dog["images"], dog["boxes"], dog["median_width_px"], dog["median_height_px"]) == (2, 2, 150.0, 100.0)


def test_together(table):
    names, counts = box_statistics.count_together(table)
    assert (names, counts.tolist()) == (["cat", "dog"], [[1, 1], [1, 2]])
    assert box_statistics.count_classes_per_image(table) == {0: 1, 1: 1, 2: 1}


def test_iou_of_shapes():
    overlaps = anchor_clusters.iou_of_shapes(np.array([[2.0, 2.0], [4.0, 1.0]]), np.array([[2.0, 2.0], [1.0, 4.0]]))
    np.testing.assert_allclose(overlaps, [[1, 2 / 6], [2 / 6, 1 / 7]])


def test_clusters_find_the_existing_shapes():
    shapes = np.repeat([[0.1, 0.1], [0.5, 0.2], [0.2, 0.8]], 20, axis=0)
    advice = anchor_clusters.advise(shapes)
    assert sorted(advice) == list(range(1, 16))
    np.testing.assert_allclose(advice[3].shapes, [[0.1, 0.1], [0.5, 0.2], [0.2, 0.8]])
    assert advice[3].mean_iou == pytest.approx(1.0)
    means = [anchors.mean_iou for anchors in advice.values()]
    assert means == sorted(means)
    assert "aspect_ratios: 2.5" in anchor_clusters.to_ssd_config(advice[3].shapes)
    assert anchor_clusters.advise(np.zeros((0, 2))) == {}


def test_the_suggested_configuration_can_be_parsed():
    from google.protobuf import text_format

    from tfodhelper import protos

    shapes = anchor_clusters.cluster(np.array([[0.1, 0.1], [0.5, 0.2], [0.2, 0.8]]), 3).shapes
    ssd = text_format.Parse(anchor_clusters.to_ssd_config(shapes), protos.message("Ssd")())
    assert len(ssd.anchor_generator.ssd_anchor_generator.aspect_ratios) == 3
    grid = text_format.Parse(anchor_clusters.to_grid_config(shapes), protos.message("FasterRcnn")())
    assert len(grid.first_stage_anchor_generator.grid_anchor_generator.scales) == 3


def test_distances_by_hand():
    features = np.array([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    names, distances = class_distances.mean_distances(features, ["a", "a", "b", "c", "a"])
    half = 1 - 0.5**0.5
    np.testing.assert_allclose(distances, [[0, 1, half], [1, np.nan, half], [half, half, np.nan]], atol=1e-12)
    assert names == ["a", "b", "c"]
    assert class_distances.summarize(names, distances)[0][1:4] == (pytest.approx(0), "c", pytest.approx(half))


def test_the_verb(folder, tmp_path, capsys):
    assert main.main(["stats", f"--data_dir={folder}", f"--output_dir={tmp_path}", "--val_fraction=0"]) == 0
    assert "twisted" in capsys.readouterr().out
    with open(tmp_path / "classes.csv", encoding="utf-8") as file:
        assert {row["class"] for row in csv.DictReader(file)} == {"cat", "dog"}
    for name in ("classes", "boxes", "together", "anchors"):
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.width > 500


def test_a_set_without_boxes(tmp_path, capsys):
    save_pair(tmp_path / "data", "a", [])
    assert main.main(["stats", f"--data_dir={tmp_path / 'data'}", f"--output_dir={tmp_path / 'out'}"]) == 0
    assert "0" in capsys.readouterr().out


def test_the_table_of_classes_has_its_numbers_for_any_number_of_classes():
    names = [f"class {number}" for number in range(22)]
    figure = plots.plot_matrix(names, np.eye(22), "title", "{:.0%}")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert len(texts) == 22 * 22 and texts.count("100%") == 22
