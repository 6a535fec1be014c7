"""Problems of files and datasets without an example in the collection of real cases; the files are made here."""

import shutil
import unicodedata

import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image, save_pair
from tfodhelper import errors
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset import plan, report

SIZE = "<size><width>64</width><height>48</height><depth>3</depth></size>"
OBJECT = "<object><name>cat</name><bndbox>{}</bndbox></object>"
CORNERS = "<xmin>4</xmin><ymin>5</ymin><xmax>30</xmax><ymax>40</ymax>"
CAT = OBJECT.format(CORNERS)
BOX = Box("cat", 4, 5, 30, 40)


def write(path, filename="a.jpg", size=SIZE, objects=CAT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"<annotation><filename>{filename}</filename>{size}{objects}</annotation>", encoding="utf-8")
    return path


def make(folder):
    """(usable images, {code: its first finding}, the plan)."""
    planned = plan.make_plan(plan.SetOptions(data_dir=folder), show_progress=False)
    by_code = {}
    for finding in planned.findings:
        by_code.setdefault(finding.code, finding)
    by_code.pop("class-few", None), by_code.pop("class-no-validation", None)
    return list(planned.examination.images), by_code, planned


@pytest.mark.parametrize("format_", ["WEBP", "GIF", "BMP", "TIFF", "PNG", "MPO"])
def test_a_jpg_that_is_something_else(tmp_path, format_):
    more = {"save_all": True, "append_images": [Image.new("RGB", (64, 48))]} if format_ == "MPO" else {}
    save_image(tmp_path / "a.jpg", format=format_, **more)
    write(tmp_path / "a.xml")
    (image,), by_code, _ = make(tmp_path)
    assert image.annotation.boxes == (BOX,)
    assert ("extension-differs" in by_code) == (format_ != "MPO")  # which is a JPEG followed by a second image
    assert ("image-reencoded" in by_code) == (format_ not in ("PNG", "MPO"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("given", ["stored", "turned"])
def test_both_conventions_of_exif(tmp_path, orientation, given):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save_image(tmp_path / "a.jpg", exif=exif)
    width, height = (64, 48) if given == "stored" else (48, 64)
    write(tmp_path / "a.xml", size=f"<size><width>{width}</width><height>{height}</height></size>")
    images, by_code, _ = make(tmp_path)
    if given == "stored":
        assert not images[0].turn and ("orientation-undecided" in by_code) == (2 <= orientation <= 4)
    elif orientation >= 5:
        assert images[0].turn and (images[0].annotation.width, images[0].annotation.height) == (48, 64)
    else:
        assert not images and "size-undecided" in by_code


def test_editor_backups_and_foreign_files_are_ignored_and_counted(tmp_path):
    save_pair(tmp_path, "a", [BOX])
    shutil.copytree(tmp_path, tmp_path / ".history")
    (tmp_path / ".history" / "a.xml").rename(tmp_path / ".history" / "a_20200101.xml")
    for name in ("desktop.ini", "Thumbs.db", "classes.txt"):
        (tmp_path / name).write_text("x")
    images, by_code, planned = make(tmp_path)
    assert (len(images), by_code) == (1, {})
    assert "ignored: 3 files" in "\n".join(report.format_report(planned))


@pytest.mark.parametrize(
    ("before", "after"), [(b"", b"\0\0\0"), (b"\n \n<?xml version='1.0'?>", b"\n\n"), (b"\0", b"")]
)
def test_padding_around_a_file_is_ignored(tmp_path, before, after):
    save_image(tmp_path / "a.jpg")
    path = write(tmp_path / "a.xml")
    path.write_bytes(before + path.read_bytes() + after)
    assert make(tmp_path)[0][0].annotation.boxes == (BOX,)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("annotation>", "Annotation>"),
        ("<annotation>", '<annotation xmlns="http://x">'),
        ("object>", "Object>"),
        ("</annotation>", "</annotation></annotation>"),
        ("<object>", "<<<<<<< HEAD\n<object>"),
    ],
)
def test_another_spelling_is_an_error_and_not_a_negative(tmp_path, old, new):
    save_image(tmp_path / "a.jpg")
    path = write(tmp_path / "a.xml")
    path.write_text(path.read_text().replace(old, new))
    images, by_code, planned = make(tmp_path)
    assert not images and "xml-unreadable" in by_code and planned.has_errors


def test_the_native_format_of_cvat_suggests_its_import(tmp_path):
    save_image(tmp_path / "a.jpg")
    (tmp_path / "annotations.xml").write_text('<annotations><image name="a.jpg"/></annotations>')
    assert "tfodhelper import --from=cvat" in make(tmp_path)[1]["not-an-annotation"].message


def test_no_box_is_lost_silently(tmp_path):
    objects = CAT.replace("</object>", f"<bndbox>{CORNERS}</bndbox></object>")
    objects += "<object><name>cat</name><polygon><x1>1</x1></polygon></object>"
    objects += OBJECT.format(CORNERS.replace(">4<", ">4,5<"))
    save_image(tmp_path / "a.jpg")
    write(tmp_path / "a.xml", objects=objects)
    (image,), _, planned = make(tmp_path)
    assert image.annotation.boxes == (BOX,)
    lost = [f.code for f in planned.findings if f.action == "box left out"]
    assert lost == ["box-missing", "box-missing", "box-not-a-number"]


def test_fractions_of_the_image_are_recognised(tmp_path):
    save_image(tmp_path / "a.jpg")
    corners = "<xmin>0.1</xmin><ymin>0.1</ymin><xmax>0.5</xmax><ymax>0.8</ymax>"
    write(tmp_path / "a.xml", objects=OBJECT.format(corners))
    assert "fractions of the image" in make(tmp_path)[1]["box-no-area"].fix


def test_accents_stored_in_two_ways(tmp_path):
    save_image(tmp_path / unicodedata.normalize("NFD", "café.jpg"))
    write(tmp_path / "café.xml", unicodedata.normalize("NFC", "café.jpg"))
    images, by_code, _ = make(tmp_path)
    assert len(images) == 1 and "accents" in by_code["filename-differs"].message


def save_tile(folder, number, xmax=50, factor=10):
    save_image(folder / f"t{number}.jpg", seed=number)
    size = f"<size><width>{64 * factor}</width><height>{48 * factor}</height></size>"
    write(folder / f"t{number}.xml", f"t{number}.jpg", size, OBJECT.format(CORNERS.replace(">30<", f">{xmax}<")))


def test_tiles_that_keep_the_size_of_the_original_image(tmp_path):
    for number in range(3):
        save_tile(tmp_path, number)
    images, by_code, _ = make(tmp_path)
    assert (len(images), set(by_code)) == (3, {"size-differs"})


def test_a_box_beyond_its_tile_or_chance_leaves_the_size_undecided(tmp_path):
    for number in range(3):
        save_tile(tmp_path / "few", number, factor=1.5)  # three boxes in four ninths of the frame may be chance
        save_tile(tmp_path / "beyond", number, 50 + 100 * (number == 2))
    for name in ("few", "beyond"):
        images, by_code, _ = make(tmp_path / name)
        assert not images and "size-undecided" in by_code


def test_a_dataset_is_rejected_even_if_only_one_image_is_a_pointer(tmp_path):
    save_pair(tmp_path, "a", [BOX])
    (tmp_path / "b.jpg").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 3\n")
    write(tmp_path / "b.xml", "b.jpg")
    with pytest.raises(errors.DatasetError, match="git lfs pull"):
        make(tmp_path)
