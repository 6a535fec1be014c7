"""Features of objects from a SavedModel; classes that look different are far from each other."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfodhelper import errors, features
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan
from tfodhelper.dataset.analysis import class_distances


class _Means(tf.Module):
    """The mean colour of each quarter, as a map of features."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
    def __call__(self, images):
        return {"maps": tf.image.resize(images + 1.0, [2, 2], method="area"), "detection_scores": images[:, 0, :, 0]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four images, each with a red and a blue object."""
    folder = tmp_path_factory.mktemp("colours")
    for number in range(4):
        pixels = np.zeros((40, 80, 3), np.uint8)
        pixels[:, :40, 0], pixels[:, 40:, 2] = 200 + number, 220 - number
        Image.fromarray(pixels).save(folder / f"{number}.png")
        boxes = (Box("red", 2, 2, 38, 38), Box("blue", 42, 2, 78, 38))
        labelimg.write_labelimg(folder / f"{number}.xml", Annotation(f"{number}.png", 80, 40, boxes))
    tf.saved_model.save(_Means(), str(folder / "model"))
    return folder


def test_classes_that_look_different_are_far_apart(folder):
    planned = plan.make_plan(plan.SetOptions(data_dir=folder), show_progress=False)
    extract = features.build_extractor(folder / "model", size_px=16)
    vectors, labels = features.extract_features(extract, planned.examination.images, per_class=3)
    assert vectors.shape == (6, 3) and sorted(set(labels)) == ["blue", "red"]
    names, distances = class_distances.mean_distances(vectors, labels)
    assert names == ["blue", "red"]
    assert distances[0, 0] < 1e-4 and distances[1, 1] < 1e-4 and distances[0, 1] == pytest.approx(1.0, abs=1e-3)


def test_the_verb_writes_them(folder, tmp_path, capsys):
    flags = [f"--data_dir={folder}", f"--output_dir={tmp_path}", f"--features={folder / 'model'}"]
    assert main.main(["stats", *flags]) == 0
    assert "distance of features" in capsys.readouterr().out
    assert (tmp_path / "distances.csv").read_text().startswith("class,blue,red\n")
    assert (tmp_path / "distances.png").exists()


def test_a_model_without_features_is_refused(tmp_path):
    class Detections(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8)])
        def __call__(self, images):
            return {"detection_scores": tf.zeros([1, 10])}

    tf.saved_model.save(Detections(), str(tmp_path / "model"))
    with pytest.raises(errors.PredictionError, match="no output of features"):
        features.build_extractor(tmp_path / "model")
