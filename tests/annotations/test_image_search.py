"""The search that all verbs share: what is used, and what is said about the rest."""

import os

import pytest

from tfodhelper.annotations import image_search


def touch(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("a.JPG", "image"), ("d.x/a.jpeg", "image"), ("a.mpo", "image"), ("a.Xml", "xml"), ("a.HEIC", "unread image"),
     ("a.jpg.txt", "other"), ("noextension", "other"), ("folder.jpg/a", "other")],
)  # fmt: skip
def test_kinds_follow_from_the_extension(name, kind):
    assert image_search.kind_of(name) == kind


def test_only_what_is_named_like_an_image_or_an_annotation_is_reported(tmp_path):
    touch(tmp_path, "a.jpg", "a.xml", "notes.txt")
    (tmp_path / "latest").symlink_to("nowhere")
    os.mkfifo(tmp_path / "agent.pipe")
    (tmp_path / "b.png").symlink_to("nowhere.png")
    (tmp_path / "b.xml").symlink_to("b.xml")
    os.mkfifo(tmp_path / "c.heic")
    reports = []
    found = sorted(image_search.search(tmp_path, reports.append))
    assert found == [("image", "a.jpg"), ("other", "notes.txt"), ("xml", "a.xml")]
    reported = {finding.file: finding.code for finding in reports}
    assert reported == {"b.png": "link-broken", "b.xml": "link-broken", "c.heic": "not-a-file"}
    assert all(finding.fix for finding in reports)


def test_images_in_other_formats_are_counted_with_what_to_do(tmp_path):
    touch(tmp_path, "a.jpg", "phone/1.HEIC", "phone/2.heic", "x.avif")
    names, findings = image_search.list_images(tmp_path)
    assert names == ["a.jpg"]
    assert [(finding.code, finding.file) for finding in findings] == [
        ("format-not-read", "phone/1.HEIC"),
        ("format-not-read", "x.avif"),
    ]
    assert "one of 2 images in the format HEIC" in findings[0].what
    assert "magick mogrify -format jpg *.avif" in findings[1].fix
