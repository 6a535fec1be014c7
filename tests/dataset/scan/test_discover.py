"""Finding and pairing files."""

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.shared_data import shared
from tfodhelper import errors, image_decoding
from tfodhelper.annotations import images, labelimg
from tfodhelper.annotations.structures import Annotation, Box
from tfodhelper.cli import main
from tfodhelper.dataset.scan import discover

BOX = Box("cat", 1, 2, 30, 40)


def save_xml(path, filename, size=(64, 48), boxes=(BOX,)):
    path.parent.mkdir(parents=True, exist_ok=True)
    labelimg.write_labelimg(path, Annotation(filename, *size, tuple(boxes)))


def pairs(folder, annotation_dir=None):
    if annotation_dir:
        source = discover.make_source(image_dir=folder, annotation_dir=annotation_dir)
    else:
        source = discover.make_source(folder)
    index = discover.make_index(source)
    return {pair.xml: pair.image for pair in index.pairs}, [finding.code for finding in index.findings], index


def test_a_tree_is_searched_and_hidden_folders_are_not(tmp_path):
    save_pair(tmp_path / "x" / "y", "a", [BOX])
    save_pair(tmp_path / ".history", "b", [BOX])
    save_pair(tmp_path / "__MACOSX", "c", [BOX])
    save_image(tmp_path / "pool" / "d.jpg")
    image_of, codes, index = pairs(tmp_path)
    assert (image_of, codes, index.unlabelled) == ({"x/y/a.xml": "x/y/a.jpg"}, [], ("pool/d.jpg",))


def test_links_are_followed_once(tmp_path):
    save_pair(tmp_path / "real", "a", [BOX])
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "back").symlink_to(tmp_path / "data")
    assert pairs(tmp_path / "data")[0] == {"link/a.xml": "link/a.jpg"}


def test_two_folders_and_the_nearest_image_with_a_name(tmp_path):
    for side in ("train", "test"):
        save_image(tmp_path / "data" / side / "JPEGImages" / "1.jpg", seed=len(side))
        save_xml(tmp_path / "data" / side / "Annotations" / "1.xml", "1.jpg")
    image_of, codes, _ = pairs(tmp_path / "data")
    assert image_of == {f"{side}/Annotations/1.xml": f"{side}/JPEGImages/1.jpg" for side in ("test", "train")}
    assert codes == []
    image_of, _, _ = pairs(tmp_path / "data" / "train" / "JPEGImages", tmp_path / "data" / "train" / "Annotations")
    assert image_of == {"1.xml": "1.jpg"}


def test_the_same_folder_is_nearest(tmp_path):
    save_image(tmp_path / "a" / "1.jpg", seed=1)
    save_image(tmp_path / "a" / "b" / "1.jpg", seed=2)
    save_xml(tmp_path / "a" / "1.xml", "1.jpg")
    assert pairs(tmp_path)[:2] == ({"a/1.xml": "a/1.jpg"}, [])


def test_stem_first_then_filename_then_case(tmp_path):
    save_image(tmp_path / "a.b.JPG")
    save_xml(tmp_path / "a.b.xml", "renamed.jpg")
    save_image(tmp_path / "Other.png", format="PNG")
    save_xml(tmp_path / "7.xml", "C:\\data\\other.PNG")
    save_image(tmp_path / "c.jpg")
    save_xml(tmp_path / "c.jpg.xml", "c.jpg")
    image_of, codes, _ = pairs(tmp_path)
    assert image_of == {"7.xml": "Other.png", "a.b.xml": "a.b.JPG", "c.jpg.xml": "c.jpg"}
    assert codes == ["filename-differs"]


def test_if_stem_and_filename_differ_the_size_decides(tmp_path):
    save_image(tmp_path / "stem.jpg", (64, 48))
    save_image(tmp_path / "name.jpg", (32, 24))
    save_xml(tmp_path / "stem.xml", "name.jpg", (32, 24))
    image_of, codes, _ = pairs(tmp_path)
    assert (image_of, codes) == ({"stem.xml": "name.jpg"}, ["filename-differs"])


def test_if_nothing_decides_the_image_is_left_out(tmp_path):
    save_image(tmp_path / "stem.jpg", seed=1)
    save_image(tmp_path / "name.jpg", seed=2)
    save_xml(tmp_path / "stem.xml", "name.jpg")
    image_of, codes, _ = pairs(tmp_path)
    assert (image_of, codes) == ({"stem.xml": None}, ["image-ambiguous"])


def test_copies_and_contradictions(tmp_path):
    save_pair(tmp_path, "a", [BOX])
    save_xml(tmp_path / "a(1).xml", "a.jpg")
    save_xml(tmp_path / "a(2).xml", "a.jpg", boxes=[Box("dog", 1, 2, 3, 4)])
    image_of, codes, _ = pairs(tmp_path)
    assert image_of == {"a.xml": "a.jpg"}
    assert sorted(codes) == ["xml-conflict", "xml-copy"]
    save_xml(tmp_path / "other" / "a.xml", "a.jpg", boxes=[Box("dog", 1, 2, 3, 4)])
    save_xml(tmp_path / "third" / "b.xml", "none.jpg")
    assert pairs(tmp_path)[0] == {"a.xml": "a.jpg", "other/a.xml": None, "third/b.xml": None}
    assert "image-missing" in pairs(tmp_path)[1]


def test_foreign_xml_is_ignored(tmp_path):
    save_pair(tmp_path, "a", [BOX])
    (tmp_path / "pom.xml").write_text("<project/>")
    (tmp_path / "desktop.ini").write_text("x")
    image_of, codes, _ = pairs(tmp_path)
    assert (image_of, codes) == ({"a.xml": "a.jpg"}, ["not-an-annotation"])


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "folders of the images and annotations are not given"),
        ({"image_dir": "x"}, "only --image_dir"),
        ({"data_dir": "x", "image_dir": "y"}, "cannot be combined with --image_dir"),
    ],
)
def test_flags_that_cannot_be_combined(flags, words):
    with pytest.raises(errors.UsageError) as caught:
        discover.make_source(**flags)
    assert words in str(caught.value)


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(errors.DatasetError, match="does not exist"):
        discover.make_source(tmp_path / "none")
    save_image(tmp_path / "a.jpg")
    with pytest.raises(errors.DatasetError, match="no annotation files"):
        pairs(tmp_path)


def test_a_dataset_with_git_lfs_pointers_is_rejected(tmp_path):
    save_set(tmp_path, ["cat"])
    (tmp_path / "z.xml").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    _, _, index = pairs(tmp_path)
    with pytest.raises(errors.DatasetError, match="git lfs pull"):
        discover.check_no_pointers(index.findings)


def test_an_image_without_an_extension_is_one_if_it_begins_like_one(tmp_path):
    save_image(tmp_path / "a.b" / "noext")
    save_xml(tmp_path / "a.b" / "noext.xml", "noext")
    save_image(tmp_path / "other", format="PNG", seed=2)
    save_xml(tmp_path / "1.xml", "other")
    (tmp_path / "README").write_text("BMW")
    image_of, codes, index = pairs(tmp_path)
    assert (image_of, codes) == ({"a.b/noext.xml": "a.b/noext", "1.xml": "other"}, [])
    assert index.num_foreign == 1


def test_the_reported_image_without_an_extension(tmp_path):
    image_of, codes, _ = pairs(shared("cases/08-image-file-without-extension/data"))
    assert image_of == {"noext.xml": "noext", "x.jpg.xml": "x.jpg.jpg"}
    assert codes == []


@pytest.mark.parametrize("format_", image_decoding.FORMATS)
def test_a_corrected_copy_of_an_image_without_an_extension_gets_one(tmp_path, format_):
    save_image(tmp_path / "set" / "frame", format=format_)
    save_xml(tmp_path / "set" / "frame.xml", "frame")
    (tmp_path / "set" / "empty").touch()
    flags = [f"--data_dir={tmp_path / 'set'}", f"--output_dir={tmp_path / 'out'}"]
    assert main.main(["check", *flags, "--fix"]) == 0
    ending = "jpg" if format_ in images.LOSSY_FORMATS else "png"
    assert sorted(path.name for path in (tmp_path / "out" / "fixed").glob("[!.]*")) == [f"frame.{ending}", "frame.xml"]
