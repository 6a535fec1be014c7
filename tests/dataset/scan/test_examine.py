"""Whole datasets: real problems, duplicates, class names, counts."""

import shutil

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair, save_set
from tests.shared_data import shared
from tfodhelper import errors
from tfodhelper.annotations import findings
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset.scan import class_names, discover, examine

# Real problems -> (number of usable images, {class: boxes}, relevant codes).
MUSEUM = {
    "01-png-in-jpg-size-0x0": (1, {"buoy": 8}, {"extension-differs", "size-missing", "image-reencoded"}),
    "02-webp-in-jpg": (1, {"sheep": 1}, {"extension-differs", "image-reencoded"}),
    "03-cmyk-jpeg": (1, {"saiga": 2}, {"image-reencoded"}),
    "04-one-band-jpeg-and-palette-png": (2, {"nike": 1, "starfish": 1}, {"image-reencoded"}),
    "05-exif-orientation-boxes-in-stored-frame": (2, {"Arma Real": 6, "penguin": 1}, set()),
    "06-zero-byte-xml-and-zero-byte-image": (0, {}, {"xml-empty", "image-empty"}),
    "08-filename-without-extension": (1, {"Starbucks": 1}, {"filename-bare"}),
    "09-filename-names-another-existing-image-stem-is-right": (1, {"horse": 1}, {"filename-differs", "unlabelled"}),
    "10-two-xml-for-one-image": (1, {"saiga": 1}, {"xml-copy"}),
    "11-filename-case-differs": (1, {"sau_rieng": 2}, {"filename-differs"}),
    "12-xml-stems-are-counters-images-share-a-stem": (2, {"helipad": 2}, set()),
    "13-class-name-variants-and-trailing-bytes": (
        1,
        {"Players Left": 1, "Remaining": 2, "TournamentClock": 1},
        set(),
    ),
    "14-xml-size-is-a-constant-boxes-in-real-pixels": (
        1,
        {"1": 1},
        {"extension-differs", "size-differs", "image-reencoded"},
    ),
    "15-no-filename-no-size": (
        1,
        {"buoy_green": 1, "buoy_red": 1, "buoy_yellow": 1, "qual_gate": 2},
        {"size-missing"},
    ),
    "16-verified-background-image": (1, {}, set()),
    "17-zero-width-box": (1, {"qual_gate": 1}, {"box-no-area", "size-missing"}),
    "18-negative-coordinate": (1, {"keyboard": 1, "mouse": 1}, {"box-clipped"}),
    "19-inverted-corners-three-versions": (0, {}, {"annotations-conflict"}),
    "20-bndbox-children-in-another-order": (1, {"Ball": 1, "Nike": 1}, set()),
    "21-float-coordinates-with-zero-origin": (1, {"dog": 1}, set()),
    "22-rotated-boxes": (1, {"cat": 1, "dog": 1}, {"box-missing", "filename-bare"}),
    "24-same-image-in-train-and-test-labelled-twice": (2, {"gun": 4}, {"images-disagree"}),
}


def examined(folder, **options):
    return examine.examine(discover.make_source(folder), show_progress=False, **options)


@pytest.mark.parametrize("case", sorted(MUSEUM))
def test_real_problems(case):
    usable, boxes, codes = MUSEUM[case]
    result = examined(shared("data/messy/dev") / case)
    assert len(result.images) == usable
    assert result.count_boxes() == boxes
    assert {finding.code for finding in result.findings} - {"class-few"} == codes


def test_the_three_versions_of_case_19_one_by_one():
    folder = shared("data/messy/dev") / "19-inverted-corners-three-versions"
    for name, usable in (("annots", 0), ("generate_annotations", 0), ("handin_annots", 1)):
        source = discover.make_source(image_dir=folder / "images", annotation_dir=folder / name)
        assert len(examine.examine(source, show_progress=False).images) == usable, name


def test_git_lfs_pointers_stop_everything():
    with pytest.raises(errors.DatasetError, match="git lfs pull"):
        examined(shared("data/messy/dev") / "07-git-lfs-pointers")


def test_foreign_files_alone_are_not_a_dataset():
    with pytest.raises(errors.DatasetError, match="no annotation files"):
        examined(shared("data/messy/dev") / "23-foreign-files-in-annotation-folder")


@pytest.mark.parametrize(
    ("name", "images", "boxes", "codes"),
    [
        ("bccd", 364, {"Platelets": 361, "RBC": 4153, "WBC": 372}, {"box-no-area": 2}),
        ("insect", 164, {"chan": 41, "chunchong": 61, "feie": 39, "huangchong": 43}, {"images-disagree": 6}),
    ],
)
def test_real_datasets(name, images, boxes, codes):
    result = examined(shared("data") / name)
    assert (len(result.images), result.count_boxes()) == (images, boxes)
    assert findings.count_codes(result.findings) == codes


def test_identical_files_with_equal_and_with_different_boxes(tmp_path):
    save_pair(tmp_path, "a", [Box("cat", 1, 1, 30, 30)], seed=1)
    save_pair(tmp_path, "b", [Box("cat", 1, 1, 30, 30)], seed=1)
    save_pair(tmp_path, "c", [Box("cat", 1, 1, 30, 30)], seed=2)
    save_pair(tmp_path, "d", [Box("cat", 9, 9, 30, 30)], seed=2)
    codes = [(f.code, f.file) for f in examined(tmp_path).findings if f.code.startswith("images")]
    assert codes == [("images-identical", "a.jpg"), ("images-disagree", "c.jpg")]


def test_a_constant_size_is_recognised_from_the_whole_dataset(tmp_path):
    given = {"width": 50, "height": 50}
    save_pair(tmp_path, "a", [Box("cat", 1, 1, 60, 40)], (64, 48), 1, **given)
    save_pair(tmp_path, "b", [Box("cat", 1, 1, 20, 20)], (80, 48), 2, **given)
    save_pair(tmp_path, "c", [Box("cat", 1, 1, 20, 20)], (64, 90), 3, **given)
    assert len(examined(tmp_path).images) == 3
    (tmp_path / "a.xml").unlink()
    assert len(examined(tmp_path).images) == 0


def test_broken_images_are_left_out_and_named(tmp_path):
    save_set(tmp_path, ["cat"], 3)
    cut = tmp_path / "cat_001.jpg"
    cut.write_bytes(cut.read_bytes()[:-50])
    result = examined(tmp_path)
    assert [image.name for image in result.images] == ["cat_000.jpg", "cat_002.jpg"]
    assert ("image-truncated", "cat_001.jpg") in [(f.code, f.file) for f in result.findings]


def test_the_error_says_why_no_image_is_left(tmp_path):
    save_pair(tmp_path, "a", [Box("cat", 1, 1, 1, 30)])
    with pytest.raises(errors.DatasetError, match="no-box-left") as caught:
        examine.check_usable(examined(tmp_path))
    assert "a.xml" in str(caught.value)


def test_the_fingerprint_depends_on_the_content_and_not_on_the_folder(tmp_path):
    save_set(tmp_path / "one", ["cat", "dog"], 2)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    first, second = (examined(tmp_path / name).fingerprint for name in ("one", "two"))
    assert first == second == examine.fingerprint_of(discover.make_source(tmp_path / "one"))
    with open(tmp_path / "two" / "cat_000.jpg", "ab") as file:
        file.write(b"x")
    changed = examined(tmp_path / "two").fingerprint
    assert changed != first
    save_image(tmp_path / "two" / "unlabelled.jpg")
    assert examined(tmp_path / "two").fingerprint not in (first, changed)


def test_twins_of_class_names():
    names = ["button", "buton", "Players Left", "PlayersLeft", "cat", "car", "box1", "box2", "Dog", "dog "]
    assert class_names.find_twins(names) == [
        ("Dog", "dog "),
        ("Players Left", "PlayersLeft"),
        ("buton", "button"),
    ]
