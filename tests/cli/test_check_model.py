"""`check --model`: an exported detector compared with the labels, up to the drafts and the page."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.exporting import fake_detector
from tfodhelper.annotations import labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A detector that finds a "cat" as large as the image, with the share of red as its score."""
    folder = tmp_path_factory.mktemp("model")
    fake_detector.save_model(folder, fake_detector.FakeDetector(gain=1.0))
    (folder / "label_map.pbtxt").write_text('item { id: 1 name: "cat" }', encoding="utf-8")
    return folder


def save(folder, name, red, *boxes):
    image = np.random.default_rng(red).integers(0, 9, [20, 40, 3], dtype=np.uint8)
    image[..., 0] = red
    folder.mkdir(exist_ok=True)
    Image.fromarray(image).save(folder / f"{name}.png")
    labelimg.write_labelimg(folder / f"{name}.xml", Annotation(f"{name}.png", 40, 20, boxes))


def test_suspicions_are_ranked_drafted_and_shown(exported, tmp_path, capsys):
    data, out = tmp_path / "data", tmp_path / "out"
    whole = Box("cat", 0, 0, 40, 20)
    save(data, "good", 250, whole)
    save(data, "forgotten", 204)
    save(data, "more", 240)
    save(data, "wrong", 0, whole)
    save(data, "other", 230, Box("dog", 0, 0, 40, 20))
    assert main.main(["check", f"--data_dir={data}", f"--model={exported}", f"--output_dir={out}"]) == 0
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    found = [(entry["image"], entry["suspects"][0]["kind"]) for entry in report["suspects"]]
    assert found == [
        ("more.png", "missing"),
        ("other.png", "other class"),
        ("forgotten.png", "missing"),
        ("wrong.png", "unfound"),
    ]
    drafts = sorted(path.name for path in (out / "suspects").glob("*.xml"))
    assert drafts == ["0001_more.xml", "0002_other.xml", "0003_forgotten.xml", "0004_wrong.xml"]
    assert labelimg.read_labelimg(out / "suspects" / "0003_forgotten.xml").boxes == (whole,)
    assert "Suspected labels: 4 images" in (out / "report.html").read_text(encoding="utf-8")
    assert "the model does not know dog" in capsys.readouterr().err


def test_a_model_of_other_classes_and_missing_folders_are_refused(exported, tmp_path, capsys):
    save(tmp_path / "data", "a", 200, Box("horse", 1, 1, 20, 15))
    command = ["check", f"--data_dir={tmp_path / 'data'}"]
    assert main.main([*command, f"--model={exported}", f"--output_dir={tmp_path / 'out'}"]) == 1
    assert "knows none of the classes" in capsys.readouterr().err
    assert main.main([*command, f"--model={exported}"]) == 2
    assert main.main([*command, f"--model={tmp_path}", f"--output_dir={tmp_path / 'out'}"]) == 1
