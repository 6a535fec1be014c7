"""Files and folders as other tools write them: labelme2voc, the VOC devkit, X-AnyLabeling, CVAT, VoTT, Roboflow."""

import os
import sys

import pytest

from tests.dataset.scan.picture_set import save_image
from tfodhelper.annotations.structures import Box
from tfodhelper.cli import main
from tfodhelper.dataset import plan

# Facts of each tool's output; sizes are those of the drawn image, 64 x 48.
X_ANYLABELING = """<?xml version="1.0" ?>
<annotation>
  <folder/>
  <filename>a.jpg</filename>
  <size>
    <width>64</width>
    <height>48</height>
    <depth>3</depth>
  </size>
  <source>
    <database>https://github.com/CVHub520/X-AnyLabeling</database>
  </source>
  <object>
    <name>cat</name>
    <pose>Unspecified</pose>
    <truncated>0</truncated>
    <occluded>0</occluded>
    <difficult>1</difficult>
    <bndbox>
      <xmin>4</xmin>
      <ymin>5</ymin>
      <xmax>30</xmax>
      <ymax>40</ymax>
    </bndbox>
  </object>
</annotation>
"""
LABELME2VOC = """<annotation>
  <folder/>
  <filename>a.jpg</filename>
  <database/>
  <annotation/>
  <image/>
  <size>
    <height>48</height>
    <width>64</width>
    <depth>3</depth>
  </size>
  <segmented/>
  <object>
    <name>cat</name>
    <pose/>
    <truncated/>
    <difficult/>
    <bndbox>
      <xmin>4.25</xmin>
      <ymin>5.5</ymin>
      <xmax>30.0</xmax>
      <ymax>40.75</ymax>
    </bndbox>
  </object>
</annotation>
"""
CVAT = """<annotation>
  <folder></folder>
  <filename>sub/a.jpg</filename>
  <source><database>Unknown</database><annotation>Unknown</annotation><image>Unknown</image></source>
  <size><width>64</width><height>48</height><depth></depth></size>
  <segmented>0</segmented>
  <object>
    <name>cat</name>
    <truncated>0</truncated>
    <occluded>0</occluded>
    <difficult>0</difficult>
    <bndbox><xmin>4.83</xmin><ymin>5.0</ymin><xmax>30.98</xmax><ymax>40.5</ymax></bndbox>
    <attributes><attribute><name>rotation</name><value>0.0</value></attribute></attributes>
  </object>
</annotation>
"""
DEVKIT = """<annotation>
  <folder>VOC2012</folder>
  <filename>a.jpg</filename>
  <source><database>The VOC2008 Database</database><annotation>PASCAL VOC2008</annotation><image>flickr</image></source>
  <size><width>64</width><height>48</height><depth>3</depth></size>
  <segmented>1</segmented>
  <object>
    <name>cat</name>
    <pose>Left</pose>
    <truncated>1</truncated>
    <difficult>0</difficult>
    <bndbox><xmin>4</xmin><ymin>5.70000076293945</ymin><xmax>30</xmax><ymax>40</ymax></bndbox>
    <part><name>head</name><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>10</xmax><ymax>11</ymax></bndbox></part>
  </object>
</annotation>
"""
ROBOFLOW = """<annotation>
  <folder></folder>
  <filename>a.jpg</filename>
  <path>a.jpg</path>
  <source><database>roboflow.com</database></source>
  <size><width>64</width><height>48</height><depth>3</depth></size>
  <segmented>0</segmented>
  <object>
    <name>cat</name><pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult><occluded>0</occluded>
    <bndbox><xmin>4</xmin><xmax>30</xmax><ymin>5</ymin><ymax>40</ymax></bndbox>
    <polygon><x1>4</x1><y1>5</y1><x2>30</x2><y2>40</y2></polygon>
  </object>
</annotation>
"""
LABELIMG_WINDOWS = """<annotation verified="yes">
\t<folder>bilder</folder>
\t<filename>C:\\Users\\me\\bilder\\a.jpg</filename>
\t<path>C:\\Users\\me\\bilder\\a.jpg</path>
\t<source>
\t\t<database>Unknown</database>
\t</source>
\t<size>
\t\t<width>64</width>
\t\t<height>48</height>
\t\t<depth>3</depth>
\t</size>
\t<segmented>0</segmented>
\t<object>
\t\t<name>cat</name>
\t\t<pose>Unspecified</pose>
\t\t<truncated>0</truncated>
\t\t<difficult>0</difficult>
\t\t<bndbox>
\t\t\t<xmin>4</xmin>
\t\t\t<ymin>5</ymin>
\t\t\t<xmax>30</xmax>
\t\t\t<ymax>40</ymax>
\t\t</bndbox>
\t</object>
</annotation>
"""


def make_plan(folder, **options):
    return plan.make_plan(plan.SetOptions(data_dir=folder, val_fraction=0, **options), show_progress=False)


@pytest.mark.parametrize(
    ("text", "box"),
    [
        (X_ANYLABELING, Box("cat", 4, 5, 30, 40, difficult=True)),
        (LABELME2VOC, Box("cat", 4.25, 5.5, 30, 40.75)),
        (CVAT, Box("cat", 4.83, 5, 30.98, 40.5)),
        (DEVKIT, Box("cat", 4, 5.70000076293945, 30, 40, truncated=True, pose="Left")),
        (ROBOFLOW, Box("cat", 4, 5, 30, 40)),
        (LABELIMG_WINDOWS, Box("cat", 4, 5, 30, 40)),
    ],
    ids=["x-anylabeling", "labelme2voc", "cvat", "devkit", "roboflow", "labelimg"],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_files_of_each_tool_are_read_without_findings(tmp_path, text, box, encoding):
    save_image(tmp_path / "JPEGImages" / "a.jpg")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(text, encoding=encoding)
    planned = make_plan(tmp_path)
    (image,) = planned.examination.images
    assert image.annotation.boxes == (box,)
    assert image.annotation.verified == ("verified" in text)
    assert [finding.code for finding in planned.findings] == ["class-few"]


@pytest.mark.parametrize(
    "made", ["AnnotationsVisualization/a.jpg", "SegmentationClass/a.png", "SegmentationObject/a.png"]
)
def test_images_that_tools_draw_are_not_mistaken_for_images_of_the_dataset(tmp_path, made):
    save_image(tmp_path / "JPEGImages" / "a.jpg")
    save_image(tmp_path / made, seed=9, format="PNG" if made.endswith("png") else "JPEG")
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Annotations" / "a.xml").write_text(LABELME2VOC, encoding="utf-8")
    planned = make_plan(tmp_path)
    assert [image.name for image in planned.examination.images] == ["JPEGImages/a.jpg"]
    assert planned.examination.unlabelled == ()


def test_such_a_folder_alone_is_treated_like_any_other(tmp_path):
    save_image(tmp_path / "SegmentationClass" / "a.jpg")
    (tmp_path / "SegmentationClass" / "a.xml").write_text(CVAT, encoding="utf-8")
    assert len(make_plan(tmp_path).examination.images) == 1


def test_two_years_of_the_devkit_with_its_lists(tmp_path):
    for seed, year in enumerate(("VOC2007", "VOC2012")):
        save_image(tmp_path / year / "JPEGImages" / "a.jpg", seed=seed)
        save_image(tmp_path / year / "JPEGImages" / f"{year}.jpg", seed=10 + seed)
        (tmp_path / year / "Annotations").mkdir()
        for name in ("a", year):
            (tmp_path / year / "Annotations" / f"{name}.xml").write_text(
                DEVKIT.replace("a.jpg", f"{name}.jpg"), encoding="utf-8"
            )
    (tmp_path / "trainval.txt").write_text("VOC2007/JPEGImages/a\nVOC2007  1\n", encoding="utf-8")
    planned = make_plan(tmp_path, train_list=tmp_path / "trainval.txt")
    assert planned.sides == {
        "VOC2007/JPEGImages/VOC2007.jpg": "train",
        "VOC2007/JPEGImages/a.jpg": "train",
        "VOC2012/JPEGImages/VOC2012.jpg": "validate",
        "VOC2012/JPEGImages/a.jpg": "validate",
    }


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_a_name_that_is_not_valid_text_is_reported_and_harmless(tmp_path, capsys):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "a.xml").write_text(X_ANYLABELING, encoding="utf-8")
    with open(os.path.join(os.fsencode(tmp_path), b"gr\xfcn.jpg"), "wb") as file:
        file.write(b"x")
    assert main.main(["check", f"--data_dir={tmp_path}", f"--output_dir={tmp_path.parent / 'out'}"]) == 1
    assert "gr\\xfcn.jpg: the file name is not valid UTF-8" in capsys.readouterr().out
