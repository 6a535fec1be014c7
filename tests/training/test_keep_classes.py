"""Classes that the real checkpoint of COCO knows are found before the first step, and after the usual restoring not."""

import json

import pytest
import tensorflow as tf

from tests.shared_data import shared, unpack_shared
from tfodhelper import run_folder, run_options
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.zoo import base_configs

pytestmark = pytest.mark.slow

MODEL = "ssd_mobilenet_v1_0.75_depth_300x300_coco"
OURS = {"person": "Person", "dog": "dog", "kite": "drone"}  # names that COCO has, and what the data calls them
LEAST_SCORE = 0.5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return unpack_shared(f"zoo/{MODEL}.tar.gz", tmp_path_factory.mktemp("zoo"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Three photos, labelled with what the reference detects there, and twice the pixels of each for training."""
    folder = tmp_path_factory.mktemp("photos")
    names = {item.id: item.name for item in label_maps.read_label_map(base_configs.label_map_path("mscoco"))}
    detected = json.loads(shared("zoo/reference_detections.json").read_text(encoding="utf-8"))
    for file, image in detected.items():
        boxes = []
        for each in image["top40"]:
            name = OURS.get(names[each["class"]])
            if name is not None and each["score"] >= LEAST_SCORE:
                top, left, bottom, right = each["box_yxyx"]
                sides = (left * image["width"], top * image["height"], right * image["width"], bottom * image["height"])
                boxes.append(Box(name, *(max(0.0, side) for side in sides)))
        encoded = shared(f"zoo/photos/{file}").read_bytes()
        (folder / file).write_bytes(encoded)
        again = tf.io.encode_jpeg(tf.io.decode_jpeg(encoded), quality=80).numpy()
        (folder / f"train_{file}").write_bytes(again)
        for stem in (file, f"train_{file}"):
            annotation = Annotation(stem, image["width"], image["height"], tuple(boxes))
            labelimg.write_labelimg((folder / stem).with_suffix(".xml"), annotation)
    for side, prefix in (("train", "train_"), ("val", "")):
        stems = [prefix + file.removesuffix(".jpg") for file in detected]
        (folder / f"{side}.txt").write_text("\n".join(stems) + "\n", encoding="utf-8")
    return folder


def run(photos, checkpoint, folder, **others):
    """The evaluations of a run, oldest first, and what is printed of it."""
    options = run_options.RunOptions(
        data_dir=photos,
        train_list=photos / "train.txt",
        val_list=photos / "val.txt",
        model="ssd_mobilenet_v1_0.75_depth",
        output_dir=folder,
        fine_tune_checkpoint=checkpoint,
        **others,
    )
    run_folder.run(options)
    return [json.loads(line) for line in (folder / "checkpoints" / "evaluations.jsonl").read_text().splitlines()]


MAP_50 = "DetectionBoxes_Precision/mAP@.50IOU"


def test_known_classes_are_found_at_step_0_whatever_the_number_and_the_order_of_ours(
    photos, checkpoint, tmp_path, capsys
):
    """The new one, a third of the mean, is not: 2/3 is the most that can be reached."""
    (evaluation,) = run(photos, checkpoint, tmp_path / "kept", num_steps=0, keep_classes=True)
    assert evaluation["step"] == 0 and evaluation["metrics"][MAP_50] > 0.6
    printed = capsys.readouterr().out
    assert "classes: 2 of 3 kept from the checkpoint (mscoco_label_map.pbtxt, of COCO): Person, dog" in printed
    assert "1 new, with initial values: drone" in printed
    assert (tmp_path / "kept" / "export" / "best" / "saved_model").is_dir()


def test_without_it_nothing_is_found_at_step_0(photos, checkpoint, tmp_path):
    (evaluation,) = run(photos, checkpoint, tmp_path / "usual", num_steps=0)
    assert evaluation["step"] == 0 and evaluation["metrics"][MAP_50] < 0.1


def test_a_training_begins_with_the_evaluation_of_what_is_kept_and_is_resumed(photos, checkpoint, tmp_path):
    folder = tmp_path / "trained"
    chosen = {"num_steps": 2, "keep_classes": True, "eval_every": 2, "batch_size": 1}
    first, last = run(photos, checkpoint, folder, **chosen)
    assert (first["step"], last["step"]) == (0, 2) and first["metrics"][MAP_50] > 0.6
    assert first["train"] == {} and last["train"]
    assert len((folder / "checkpoints" / "results.csv").read_text().splitlines()) == 3
    assert len(run(photos, checkpoint, folder, **chosen)) == 2
