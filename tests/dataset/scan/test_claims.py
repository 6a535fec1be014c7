"""Which annotation file keeps an image that several claim, and images from unrelated folders."""

import pytest

from tests.dataset.scan.picture_set import save_image, save_pair
from tests.dataset.scan.test_discover import BOX, pairs, save_xml
from tests.shared_data import shared
from tfodhelper.annotations.structures import Box
from tfodhelper.dataset.scan import claims, examine

OTHER = Box("dog", 5, 5, 20, 20)


def examined(folder):
    return examine.examine(pairs(folder)[2].source, show_progress=False)


def codes_of(findings):
    return sorted(finding.code for finding in findings if finding.code != "class-few")


def test_a_file_far_away_does_not_spoil_a_good_pair(tmp_path):
    save_pair(tmp_path / "new", "1", [BOX])
    save_pair(tmp_path / "new", "2", [BOX], seed=2)
    save_xml(tmp_path / "old" / "xml" / "1.xml", "1.png", (640, 480), [OTHER])
    image_of, _, index = pairs(tmp_path)
    assert image_of == {"new/1.xml": "new/1.jpg", "new/2.xml": "new/2.jpg", "old/xml/1.xml": None}
    (finding,) = index.findings
    assert "new/1.jpg belongs to new/1.xml, which is in the same folder" in finding.what


def test_of_the_same_stem_in_two_folders_the_file_beside_the_image_wins(tmp_path):
    save_pair(tmp_path / "b", "1", [BOX])
    save_xml(tmp_path / "a" / "1.xml", "1.jpg", boxes=[OTHER])
    image_of, codes, _ = pairs(tmp_path)
    assert image_of == {"a/1.xml": None, "b/1.xml": "b/1.jpg"}
    assert codes == ["image-missing"]


@pytest.mark.parametrize(("size", "filename"), [((640, 480), "1.jpg"), ((64, 48), "other.jpg"), ((64, 48), "1.png")])
def test_at_equal_distance_size_and_filename_decide(tmp_path, size, filename):
    save_image(tmp_path / "images" / "1.jpg")
    save_xml(tmp_path / "right" / "1.xml", "1.jpg")
    save_xml(tmp_path / "another" / "1.xml", filename, size, boxes=[OTHER])
    image_of, codes, _ = pairs(tmp_path)
    assert image_of == {"another/1.xml": None, "right/1.xml": "images/1.jpg"}
    assert "image-missing" in codes and "annotations-conflict" not in codes


def test_if_nothing_decides_between_two_files_both_are_left_out(tmp_path):
    save_image(tmp_path / "images" / "1.jpg")
    save_xml(tmp_path / "first" / "1.xml", "1.jpg")
    save_xml(tmp_path / "second" / "1.xml", "1.jpg", boxes=[OTHER])
    image_of, codes, index = pairs(tmp_path)
    assert (image_of, codes, len(index.unlabelled)) == ({}, ["annotations-conflict"], 0)


def test_a_size_that_contradicts_the_folders_leaves_both_out(tmp_path):
    save_pair(tmp_path / "b", "1", [BOX], width=640, height=480)
    save_pair(tmp_path / "b", "2", [BOX])
    save_xml(tmp_path / "a" / "1.xml", "1.jpg", boxes=[OTHER])
    image_of, codes, _ = pairs(tmp_path)
    assert (image_of, codes) == ({"b/2.xml": "b/2.jpg"}, ["annotations-conflict"])


def test_an_unreadable_file_beside_the_image_keeps_it(tmp_path):
    save_pair(tmp_path / "b", "1", [BOX])
    (tmp_path / "b" / "1.xml").write_text("<annotation>")
    save_xml(tmp_path / "a" / "1.xml", "1.jpg", boxes=[OTHER])
    assert pairs(tmp_path)[0] == {"a/1.xml": None, "b/1.xml": "b/1.jpg"}


def test_a_stray_file_beside_the_images_does_not_replace_those_of_the_usual_folder(tmp_path):
    for number in range(3):
        save_image(tmp_path / "images" / f"{number}.jpg", seed=number)
        save_xml(tmp_path / "labels" / f"{number}.xml", f"{number}.jpg")
    save_xml(tmp_path / "images" / "1 (copy).xml", "1.jpg", boxes=[OTHER])
    image_of, codes, _ = pairs(tmp_path)
    assert image_of == {f"labels/{number}.xml": f"images/{number}.jpg" for number in range(3)}
    assert codes == ["xml-conflict"]


def test_an_image_from_an_unrelated_folder_is_reported(tmp_path):
    save_image(tmp_path / "b" / "1.jpg")
    save_pair(tmp_path / "b", "2", [BOX], seed=2)
    save_xml(tmp_path / "a" / "1.xml", "1.jpg")
    image_of, codes, index = pairs(tmp_path)
    assert image_of["a/1.xml"] == "b/1.jpg"
    assert codes == ["image-elsewhere"]
    assert "b/1.jpg" in index.findings[0].message and index.findings[0].file == "a/1.xml"


def test_files_of_a_folder_whose_images_are_with_them_are_reported_if_theirs_is_elsewhere(tmp_path):
    save_pair(tmp_path / "a", "9", [BOX])
    for number in range(8):
        save_image(tmp_path / "unlabelled" / f"{number}.jpg", seed=number)
        save_xml(tmp_path / "a" / f"{number}.xml", f"{number}.jpg")
    _, codes, index = pairs(tmp_path)
    assert codes == ["image-elsewhere"]
    assert "likewise 7 files: a/1.xml" in index.findings[0].what


def test_the_images_of_one_project_are_not_silently_those_of_another(tmp_path):
    for number in range(3):
        for project in ("p", "q"):
            if (project, number) != ("p", 0):
                save_image(tmp_path / project / "images" / f"{number}.jpg", seed=number)
            if (project, number) != ("q", 0):
                save_xml(tmp_path / project / "labels" / f"{number}.xml", f"{number}.jpg")
    image_of, codes, _ = pairs(tmp_path)
    assert image_of["p/labels/0.xml"] == "q/images/0.jpg"
    assert codes == ["image-elsewhere"]


def test_usual_layouts_are_not_reported(tmp_path):
    for side, numbers in (("train", range(3)), ("val", range(3, 5))):
        for number in numbers:
            save_image(tmp_path / "x" / "images" / side / f"{number}.jpg", seed=number)
            save_xml(tmp_path / "x" / "labels" / f"{number}.xml", f"{number}.jpg")
            save_image(tmp_path / "y" / "images" / side / f"y{number}.jpg", seed=number + 10)
            save_xml(tmp_path / "y" / "labels" / side / f"y{number}.xml", f"y{number}.jpg")
    assert pairs(tmp_path)[1] == []


def test_an_image_of_an_ambiguous_file_is_not_called_unlabelled(tmp_path):
    save_image(tmp_path / "1.jpg", seed=1)
    save_image(tmp_path / "2.jpg", seed=2)
    save_image(tmp_path / "3.jpg", seed=3)
    save_xml(tmp_path / "1.xml", "2.jpg")
    assert codes_of(examined(tmp_path).findings) == ["image-ambiguous", "unlabelled"]
    assert list(examined(tmp_path).unlabelled) == ["3.jpg"]


def test_of_two_names_the_one_in_the_same_folder_is_used(tmp_path):
    save_image(tmp_path / "here" / "1.jpg", seed=1)
    save_image(tmp_path / "there" / "2.jpg", seed=2)
    save_xml(tmp_path / "here" / "1.xml", "2.jpg")
    image_of, codes, index = pairs(tmp_path)
    assert (image_of, codes) == ({"here/1.xml": "here/1.jpg"}, ["filename-differs"])
    assert "its folder is nearer" in index.findings[0].what


def test_a_message_about_two_names_does_not_compare_equal_ones(tmp_path):
    save_image(tmp_path / "b" / "1.jpg", (64, 48))
    save_image(tmp_path / "c" / "1.png", (32, 24), format="PNG")
    save_xml(tmp_path / "c" / "1.xml", "1.jpg", (64, 48))
    _, codes, index = pairs(tmp_path)
    assert "filename-differs" in codes
    message = index.findings[codes.index("filename-differs")].message
    assert "its own name leads to c/1.png, but b/1.jpg is used" in message and "expected" not in message


@pytest.mark.parametrize(
    ("case", "image_of", "codes"),
    [
        (
            "20-orphan-xml-far-away-spoils-a-good-pair",
            {
                "old/annotations/1.xml": None,
                "new/images/1.xml": "new/images/1.jpg",
                "new/images/2.xml": "new/images/2.jpg",
            },
            ["image-missing"],
        ),
        (
            "21-same-stem-in-two-folders",
            {"a/1.xml": None, "b/1.xml": "b/1.jpg", "b/2.xml": "b/2.jpg"},
            ["image-missing"],
        ),
        (
            "22-xml-of-a-lost-image-lands-on-a-stranger",
            {"a/1.xml": "b/1.jpg", "b/2.xml": "b/2.jpg"},
            ["image-elsewhere"],
        ),
        ("28-ambiguous-xml-called-unlabelled", {"1.xml": None}, ["image-ambiguous"]),
    ],
)
def test_reported_cases(case, image_of, codes):
    folder = shared(f"cases/{case}")
    assert pairs(folder)[0] == image_of
    assert codes_of(examined(folder).findings) == codes


def test_nearness_counts_common_parts_at_both_ends():
    assert claims.nearness("a/b", "a/b") == float("inf")
    assert claims.nearness("p/labels/train", "p/images/train") == 2
    assert claims.nearness("a", "b") == 0
