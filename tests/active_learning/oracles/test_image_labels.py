"""Classes of images from folders and lists."""

import os

import pytest

from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.active_learning.oracles.image_labels import read_image_labels
from tfodhelper.active_learning.structures import PoolImage

NAMES = ("cat/1.jpg", "cat/2.jpg", "dog/1.jpg", "dog/b.c.png", "loose.jpg")


def images(names=NAMES):
    return [PoolImage(name, f"/photos/{name}") for name in names]


def read_list(tmp_path, text, encoding="utf-8", names=NAMES):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode(encoding))
    return read_image_labels(path, images(names))


def test_folders(capsys):
    classes_of = read_image_labels("folder", images(("cat/1.jpg", "set/big dog/2.jpg", "loose.jpg")))
    assert classes_of == {"cat/1.jpg": ("cat",), "set/big dog/2.jpg": ("big dog",)}
    assert "1 image is not in a class folder, so its class is unknown: loose.jpg" in capsys.readouterr().err


def test_no_folder_at_all():
    with pytest.raises(errors.DatasetError, match="CLASS/IMAGE"):
        read_image_labels("folder", images(("a.jpg",)))


@pytest.mark.parametrize(
    "entry, name",
    [
        ("cat/1.jpg", "cat/1.jpg"),
        ("cat/1", "cat/1.jpg"),
        ("./cat/1.jpg", "cat/1.jpg"),
        ("cat\\1.jpg", "cat/1.jpg"),
        ("C:\\photos\\cat\\1.jpg", "cat/1.jpg"),
        ("/photos/cat/1.jpg", "cat/1.jpg"),
        ("/elsewhere/cat/1.jpg", "cat/1.jpg"),
        ("2.jpg", "cat/2.jpg"),
        ("2", "cat/2.jpg"),
        ("b.c.png", "dog/b.c.png"),
        ("b.c", "dog/b.c.png"),
    ],
)
def test_an_image_by_its_names(tmp_path, entry, name):
    assert read_list(tmp_path, f"image,classes\n{entry},cow\n") == {name: ("cow",)}


@pytest.mark.parametrize(
    "text, encoding",
    [
        ("image,classes\n2.jpg,dog|cat\n", "utf-8"),
        ("part,image,classes\npool,2.jpg,cat | dog\n", "utf-8-sig"),
        ("Filename;Class\r\n2.jpg;cat|dog|cat\r\n", "utf-8"),
        ('image\tlabel\n"2.jpg"\tcat|dog|\n\n', "utf-8"),
        ("image,classes\n2.jpg,cat|dog\n2,dog|cat\n", "utf-8"),  # twice the same
    ],
)
def test_forms_of_a_list(tmp_path, text, encoding):
    assert read_list(tmp_path, text, encoding) == {"cat/2.jpg": ("cat", "dog")}


def test_what_is_unclear_is_left_open_and_reported(tmp_path, capsys):
    rows = ["2.jpg,cat", "2.jpg,dog", "1.jpg,cat", "nowhere.jpg,cat", "dog/1.jpg,", "loose,cow"]
    assert read_list(tmp_path, "\n".join(["image,classes", *rows])) == {"loose.jpg": ("cow",)}
    said = capsys.readouterr().err
    assert "1 image has contradictory rows" in said and "cat/2.jpg (line 2: cat, line 3: dog)" in said
    assert "1 row is ignored, because several images fit" in said and "1.jpg (line 4: cat/1.jpg or dog/1.jpg)" in said
    assert "1 row names an image not in the folder: nowhere.jpg" in said
    assert "1 row is ignored, because there is no class: dog/1.jpg (line 6)" in said
    assert "3 images of the folder are not in the list" in said


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "lacks a column"),
        ("image,score\n1.jpg,3\n", "lacks a column"),
        ("image,classes\n2.jpg\n", "line 2: has too few columns"),
        ("image,classes\nnowhere.jpg,cat\n", "does not mention any of the 5 images"),
        ("image,classes\n", "does not mention any of the 5 images"),
        ('image,classes\n"2.jpg,cat\n' + "x" * 200_000, "is not a CSV file"),
    ],
)
def test_a_list_that_cannot_be_used(tmp_path, text, message):
    with pytest.raises(errors.DatasetError, match=message):
        read_list(tmp_path, text)


def test_a_list_that_does_not_exist_or_is_not_text(tmp_path):
    with pytest.raises(errors.DatasetError, match="cannot be read"):
        read_image_labels(tmp_path / "labels.csv", images())
    with pytest.raises(errors.DatasetError, match="UTF-8"):
        read_list(tmp_path, "image,classes\nä.jpg,cat\n", "latin-1")


def test_folders_and_list_of_a_real_set_agree(tmp_path):
    """The insects' images show one class each: the list of their classes agrees with class folders."""
    pictures = sorted(shared("data/insect").rglob("*.jpg"))
    known = [PoolImage(f"{'odd' if n % 2 else 'even'}/{path.name}", str(path)) for n, path in enumerate(pictures)]
    rows = "".join(f"pool,{os.path.basename(image.path)},{image.name.split('/')[0]}\n" for image in known)
    (tmp_path / "oracle.csv").write_text("part,image,classes\n" + rows, encoding="utf-8")
    assert read_image_labels(tmp_path / "oracle.csv", known) == read_image_labels("folder", known)
