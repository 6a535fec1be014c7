"""The verb `explain`, on a small detector with random weights."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from PIL import Image

import tfodhelper
from tests.models import variants
from tfodhelper.checkpoints import save
from tfodhelper.cli import main
from tfodhelper.config import pipeline
from tfodhelper.explaining import explain_images

EVIL = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint with its pipeline.config and label map, and two images, one with a name that is HTML."""
    folder = tmp_path_factory.mktemp("explain")
    message = pipeline.new_pipeline()
    text_format.Parse(text_format.MessageToString(variants.parse_variant("plain")), message.model)
    names = ("one", EVIL, "three")
    items = "".join(f"item {{ id: {i} name: '{name}' }}\n" for i, name in enumerate(names, 1))
    (folder / "map.pbtxt").write_text(items)
    view = save.ModelView(variants.build_variant("plain", is_training=False))
    tf.train.Checkpoint(model=view).save(str(folder / "model" / "checkpoint" / "ckpt"))
    pipeline.write_pipeline(folder / "model" / "pipeline.config", message)
    (folder / "images").mkdir()
    for number, name in enumerate(("a.png", "b & <b>.png")):
        pixels = np.random.RandomState(number).randint(0, 256, [50, 70, 3]).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / name)
    return folder


def test_it_writes_pictures_numbers_and_a_page(folder, tmp_path, capsys):
    where, images = f"--trained_checkpoint_dir={folder / 'model/checkpoint'}", str(folder / "images")
    argv = ["explain", where, f"--output_dir={tmp_path / 'out'}", f"--label_map={folder / 'map.pbtxt'}"]
    argv += ["--score_threshold=0", "--max_detections=2", "--layer=backbone.blocks.2", "--filter=1", "--filter_steps=2"]
    assert main.main([*argv, images]) == 0
    out = capsys.readouterr().out
    assert "explained: 4 detections in 2 images, 1 filter" in out
    content = json.loads((tmp_path / "out" / explain_images.EXPLANATIONS).read_text())
    assert len(content["explanations"]) == 4 and len(content["filters"]) == 1
    for entry in content["explanations"]:
        assert entry["layer"] == "backbone.blocks.2" and entry["origin"]["kind"] == "anchor"
        assert set(entry["deletion"]) == {"whole", "hottest", "random"}
        for name in entry["pictures"].values():
            with Image.open(tmp_path / "out" / name) as picture:
                assert picture.size == (70, 50)
    with Image.open(tmp_path / "out" / content["filters"][0]["picture"]) as picture:
        assert picture.size == (64, 64)
    page = (tmp_path / "out" / explain_images.PAGE).read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 4 * 2 + 2 + 1
    assert "<script" not in page and "<b>.png" not in page and not re.search(r"(src|href)=.http", page)
    assert main.main([*argv, images]) == 0  # the same command finds its result
    assert "already made this" in capsys.readouterr().out


def test_layers_are_listed_in_their_order(folder, capsys):
    assert main.main(["explain", f"--trained_checkpoint_dir={folder / 'model/checkpoint'}", "--list_layers"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    assert names.index("backbone.blocks.0") < names.index("backbone.blocks.1") < names.index("neck:0")
    assert any(line.split() == ["backbone.blocks.0", "1x32x48x8"] for line in lines if line.strip())


def test_from_python(folder, tmp_path):
    result = tfodhelper.explain(
        trained_checkpoint_dir=folder / "model/checkpoint",
        output_dir=tmp_path / "out",
        images=[folder / "images" / "a.png"],
        score_threshold=0.0,
        max_detections=1,
        method="grad_cam",
    )
    assert result.page.is_file() and not result.filters and not result.layers
    (entry,) = result.explanations
    assert entry["method"] == "grad_cam" and entry["image"].endswith("a.png")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--output_dir={0}"], "no image given"),
        (["{1}/images/a.png"], "missing: --output_dir"),
        (["--output_dir={0}", "--filter=1", "{1}/images/a.png"], "--filter has no effect without --layer"),
        (["--output_dir={0}", "--layer=neck", "--filter=-1"], "--filter=-1: invalid value"),
        (["--output_dir={0}", "--layer=nose", "{1}/images/a.png"], "--layer=nose: the model has no such layer"),
        (["--output_dir={0}", "{1}/nothing"], "nothing: no such file or folder"),
    ],
)
def test_what_cannot_be_explained_is_refused(folder, tmp_path, capsys, flags, words):
    where = f"--trained_checkpoint_dir={folder / 'model/checkpoint'}"
    argv = ["explain", where, *(flag.format(tmp_path / "out", folder) for flag in flags)]
    assert main.main(argv) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
