"""The page, its pictures, and the whole of `check`: report, fixed copies, exit status."""

import base64
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.pages import Page
from tfodhelper.annotations import labelimg, perceptual_hash
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.config import model_scale
from tfodhelper.dataset import plan
from tfodhelper.dataset.analysis import object_size
from tfodhelper.dataset.analysis.object_size import ModelScale
from tfodhelper.render import palette, thumbnails
from tfodhelper.review import page
from tfodhelper.review.options import ReviewOptions
from tfodhelper.review.suspects import Suspect

EVIL = '<script>alert("x")</script>'


def make_wild_set(folder):
    """A set with an example of nearly every problem."""
    save_set(folder, ["cat", "dog"], 6)
    save_pair(folder, "bad", [Box("cat", 50, 5, 10, 40), Box(EVIL, 5, 5, 20, 20)], seed=90)
    save_pair(folder, "beyond", [Box("cat", 40, 5, 66, 40)], seed=91)
    save_pair(folder, "size", [Box("cat", 4, 5, 30, 40)], seed=92, width=None, height=None)
    image = save_image(folder / "turned.jpg", (64, 48), 93, exif=make_exif(6))
    labelimg.write_labelimg(image.with_suffix(".xml"), Annotation("turned.jpg", 48, 64, (Box("dog", 4, 30, 40, 60),)))
    image = save_image(folder / "really.jpg", (64, 48), 94, format="PNG", mode="P")
    labelimg.write_labelimg(image.with_suffix(".xml"), Annotation("old.jpg", 64, 48, (Box("dog", 4, 5, 30, 40),)))
    (folder / "empty.xml").write_bytes(b"")
    return folder


def make_exif(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def test_check_writes_a_report_a_page_and_fixed_copies(tmp_path, capsys):
    folder, out = make_wild_set(tmp_path / "data"), tmp_path / "out"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main.main(["check", f"--data_dir={folder}", f"--output_dir={out}", "--fix"]) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    assert {"box-inverted", "box-clipped", "size-missing", "image-turned", "xml-empty"} <= set(report["counts"])
    assert report["box_sizes"]["classes"]["all boxes"]
    fixed = {entry["image"]: entry for entry in report["fixed"]}
    assert fixed["really.jpg"]["fixed"] == "really.png"
    assert "image-turned" in fixed["turned.jpg"]["codes"]
    assert Image.open(out / "fixed" / "turned.jpg").size == (48, 64)
    capsys.readouterr()
    assert main.main(["check", f"--data_dir={out / 'fixed'}", "--strict"]) == 0
    assert "0 errors" in capsys.readouterr().out


def test_a_second_fix_does_not_overwrite_the_first(tmp_path, capsys):
    folder = save_set(tmp_path / "data", ["cat"])
    command = ["check", f"--data_dir={folder}", f"--output_dir={tmp_path / 'out'}", "--fix"]
    assert main.main(command) == 0
    fixed = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "fixed").iterdir()}
    assert main.main(command) == 0
    assert "left as it is" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "fixed").iterdir()} == fixed
    assert main.main([*command, "--swap_inverted"]) == 1
    error = capsys.readouterr().err
    assert "not empty" in error and "--swap_inverted True" in error
    assert main.main(["check", f"--data_dir={folder}", f"--output_dir={folder}", "--fix"]) == 1
    assert "originals" in capsys.readouterr().err
    assert main.main(["check", f"--data_dir={folder}", "--fix"]) == 2


def test_the_page_is_one_file_with_escaped_text_and_pictures(tmp_path):
    folder = make_wild_set(tmp_path / "data")
    planned = plan.make_plan(plan.SetOptions(data_dir=folder), show_progress=False)
    page.write_page(tmp_path / "a.html", planned)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert "script" not in parsed.tags and "<script" not in text and "alert" in text
    assert all(address.startswith(("data:image/jpeg;base64,", "#")) for address in parsed.addresses)
    pictures = re.findall(r"base64,([^\"]+)", text)
    assert len(pictures) >= 5
    assert all(max(Image.open(io.BytesIO(base64.b64decode(match))).size) <= thumbnails.LONG_SIDE for match in pictures)


def test_names_of_files_and_classes_are_text(tmp_path):
    names = ['"><img src=x onerror=alert(1)>&amp;', "it's 红细胞 Käfer", "{{ 7 * 7 }} <!--"]
    for number, name in enumerate(names):
        save_pair(tmp_path / "a<b>", name, [Box(name, 50, 5, 10, 40), Box("cat", 4, 5, 30, 40)], seed=number)
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path / "a<b>"), show_progress=False)
    suspected = [Suspect("missing", Box(name, 1, 1, 20, 20), 0.9) for name in names]
    by_image = {image.name: suspected for image in planned.examination.images}
    assert len(by_image) == 3
    page.write_page(tmp_path / "a.html", planned, by_image)
    parsed = Page((tmp_path / "a.html").read_text(encoding="utf-8"))
    assert "Check of a<b>" in parsed.texts["h1"]
    assert {f"{name}.jpg" for name in names} <= set(parsed.texts["code"])
    lines = "\n".join(parsed.texts["li"])
    for name in names:
        assert f"missing: {name} 90% (xmin 1, ymin 1, xmax 20, ymax 20)" in lines
        assert f"object 1 ({name})" in lines
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]
    assert parsed.tags.count("b") == 6  # those of the tiles
    assert parsed.tags.count("img") == sum(address.startswith("data:image/jpeg") for address in parsed.addresses) == 6


def test_the_page_is_bounded(tmp_path):
    for number in range(20):
        save_pair(tmp_path, f"i{number:02d}", [Box("cat", 50, 5, 10, 40), Box("cat", 4, 5, 30, 40)], seed=number)
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path), show_progress=False)
    page.write_page(tmp_path / "a.html", planned)
    text = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert text.count("<img") == page.MAX_OF_A_CODE and "8 more images" in text


def look(folder, scale=None, **options):
    planned = plan.make_plan(plan.SetOptions(data_dir=folder, **options), show_progress=False)
    return {f.code: f for f in object_size.check_whole_set(planned, scale or ModelScale(300, 300))}


def test_small_boxes_are_pointed_out(tmp_path):
    for number in range(4):
        save_pair(tmp_path, f"i{number}", [Box("cat", 1, 1, 21, 20)], size=(1000, 1000), seed=number)
    findings = look(tmp_path)
    assert set(findings) == {"box-tiny", "boxes-too-small"}
    assert "4 of 4 boxes (100%), less than 8 px wide or high at the model input of 300x300" in (
        findings["boxes-too-small"].message
    )
    assert set(look(tmp_path, ModelScale(1000, 1000, smallest_anchor=20.0))) == {"box-tiny"}
    assert set(look(tmp_path, ModelScale(800, 1333, True, 32.0))) == {"box-tiny", "boxes-too-small"}


def test_the_histogram_counts_sides_at_the_input(tmp_path):
    save_pair(tmp_path, "a", [Box("cat", 0, 0, 50, 50), Box("dog", 0, 0, 99, 100)], size=(100, 100))
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path, val_fraction=0), show_progress=False)
    rows = dict(object_size.size_histogram(planned, ModelScale(300, 300)))
    assert object_size.bin_names() == ["<4", "4-8", "8-16", "16-32", "32-64", "64-128", "128-256", ">=256"]
    assert rows == {
        "cat": [0, 0, 0, 0, 0, 0, 1, 0],
        "dog": [0, 0, 0, 0, 0, 0, 0, 1],
        "all boxes": [0, 0, 0, 0, 0, 0, 1, 1],
    }


def test_an_export_that_lost_its_objects_is_noticed(tmp_path):
    save_set(tmp_path, ["cat"], 5)
    for number in range(12):
        save_pair(tmp_path, f"e{number}", [], seed=500 + number, verified=number < 2)
    planned = plan.make_plan(plan.SetOptions(data_dir=tmp_path), show_progress=False)
    (noticed,) = [finding for finding in planned.findings if finding.code == "no-objects"]
    assert "10 of 17 annotation files have no object" in noticed.message


def test_fractions_are_noticed(tmp_path):
    save_pair(tmp_path, "a", [Box("cat", 1.5, 1, 30, 30)])
    assert look(tmp_path)["box-fraction"].file == "a.xml"


def save_look_alikes(folder):
    """A training image and two that look the same, in another size; returns a list of the first."""
    save_pair(folder, "a", [Box("cat", 1, 1, 30, 30)])
    rough = Image.fromarray(np.random.default_rng(4).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    for number, size in enumerate(((320, 240), (300, 220), (330, 250))):
        rough.resize(size, Image.Resampling.BICUBIC).save(folder / f"f{number}.png")
        boxes = (Box("cat", 1, 1, 100, 100),)
        labelimg.write_labelimg(folder / f"f{number}.xml", Annotation(f"f{number}.png", *size, boxes))
    path = folder / "train.txt"
    path.write_text("f0\na\n", encoding="utf-8")
    return path


NEAR_LEAK = "(train) is nearly identical to f1.png (validate), f2.png (validate)"


@pytest.mark.parametrize(("options", "decodes_again"), [({}, False), ({"validate": "header"}, True)])
def test_images_that_look_alike_on_both_sides_are_reported(tmp_path, monkeypatch, options, decodes_again):
    train_list = save_look_alikes(tmp_path)
    hashed, hash_file = [], perceptual_hash.hash_file
    monkeypatch.setattr(perceptual_hash, "hash_file", lambda path: (hashed.append(path), hash_file(path))[1])
    given = {"data_dir": tmp_path, "train_list": train_list, **options}
    planned = plan.make_plan(ReviewOptions(**given), show_progress=False)
    (leak,) = [finding for finding in planned.findings if finding.code == "split-near-leak"]
    assert leak.what == NEAR_LEAK
    assert bool(hashed) == decodes_again
    planned = plan.make_plan(ReviewOptions(**given, near_duplicates=False), show_progress=False)
    assert "split-near-leak" not in {finding.code for finding in planned.findings}


def test_convert_reports_images_that_look_alike_or_says_that_it_did_not_look(tmp_path, capsys):
    train_list = save_look_alikes(tmp_path / "data")
    command = ["convert", f"--data_dir={tmp_path / 'data'}", f"--train_list={train_list}"]
    assert main.main([*command, f"--output_dir={tmp_path / 'full'}", "--validate=full"]) == 0
    said = capsys.readouterr()
    assert NEAR_LEAK in said.err and "look almost the same" not in said.out
    assert main.main([*command, f"--output_dir={tmp_path / 'header'}"]) == 0
    said = capsys.readouterr()
    assert NEAR_LEAK not in said.err
    assert "not checked: whether images on different sides of the split look almost the same" in said.out


def test_the_scale_of_a_pipeline_config(tmp_path):
    head = "model { ssd { image_resizer { fixed_shape_resizer { height: 300 width: 320 } } anchor_generator { "
    for anchors, side in (
        ("ssd_anchor_generator { min_scale: 0.2 }", 30.0),
        ("ssd_anchor_generator { min_scale: 0.2 reduce_boxes_in_lowest_layer: false }", 60.0),
        ("multiscale_anchor_generator { min_level: 3 anchor_scale: 4.0 }", 32.0),
        ("grid_anchor_generator { scales: [0.25, 0.5] }", 64.0),
    ):
        (tmp_path / "pipeline.config").write_text(head + anchors + " } } }", encoding="utf-8")
        scale = model_scale.read_model_scale(tmp_path)
        assert (scale.height, scale.width, scale.keeps_aspect) == (300, 320, False)
        assert scale.smallest_anchor == pytest.approx(side)
    assert model_scale.default_scale(640) == ModelScale(640, 640)


def marks_of_page(folder, monkeypatch, path, by_image=None):
    """Lists of (class name, colour) of the marks on the pictures of a page."""
    drawn = []
    monkeypatch.setattr(
        thumbnails, "make_thumbnail", lambda path, marks, turn: drawn.append([(m.text, m.color) for m in marks])
    )
    planned = plan.make_plan(plan.SetOptions(data_dir=folder), show_progress=False)
    page.write_page(path, planned, by_image)
    return drawn


def test_boxes_without_a_finding_have_their_class_names_too(tmp_path, monkeypatch):
    save_pair(tmp_path / "data", "a", [Box("cat", 4, 5, 70, 40), Box("dog", 4, 5, 30, 40)])
    by_image = {"a.jpg": [Suspect("missing", Box("bird", 1, 1, 20, 20), 0.9)]}
    pictures = marks_of_page(tmp_path / "data", monkeypatch, tmp_path / "a.html", by_image)
    assert [("cat", palette.BAD), ("dog", palette.GOOD)] in pictures
    assert [("bird 90%", palette.BAD), ("cat", palette.GOOD), ("dog", palette.GOOD)] in pictures


def test_names_do_not_cover_a_picture_with_many_boxes(tmp_path, monkeypatch):
    boxes = [Box("cat", x, 5, x + 4, 40) for x in range(50)]
    save_pair(tmp_path / "data", "a", [Box("dog", 4, 5, 70, 40), *boxes])
    (first, *_) = marks_of_page(tmp_path / "data", monkeypatch, tmp_path / "a.html")
    assert first[0] == ("dog", palette.BAD) and {text for text, _ in first[1:]} == {""}
