"""The search for images and annotation files in the folders of users, the same for every verb."""

import os
import re

from tfodhelper import image_decoding, user_files
from tfodhelper.annotations import images, mask_files, weight_files
from tfodhelper.annotations.findings import Finding, from_skipped

IMAGE, XML, BESIDE_XML, UNREAD_IMAGE, OTHER = (
    "image",
    "xml",
    "beside xml",
    "unread image",
    "other",
)  # kinds of files, by their extension

# Formats of photos and scans that this program does not read.
UNREAD_EXTENSIONS = {
    **dict.fromkeys((".heic", ".heif", ".heics", ".hif"), "HEIC"),
    **dict.fromkeys((".avif", ".avifs"), "AVIF"),
    **dict.fromkeys((".jp2", ".j2k", ".jpf", ".jpx"), "JPEG 2000"),
    **dict.fromkeys((".jxr", ".wdp"), "JPEG XR"),
    **dict.fromkeys((".ppm", ".pgm", ".pbm", ".pnm", ".pfm"), "PNM"),
    **dict.fromkeys((".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".raf", ".srw", ".pef"), "camera raw"),
    **dict.fromkeys((".psd", ".psb"), "PSD"),
    **{"." + name.lower(): name for name in ("TGA", "PCX", "ICO", "DDS", "XCF", "FITS")},
    ".jxl": "JPEG XL",
    ".exr": "OpenEXR",
    ".hdr": "Radiance HDR",
    ".dcm": "DICOM",
}
_KINDS = {
    **dict.fromkeys(images.EXTENSIONS, IMAGE),
    **dict.fromkeys(UNREAD_EXTENSIONS, UNREAD_IMAGE),
    ".xml": XML,
}


# JPEG, PNG, GIF, WebP, TIFF, and BMP with its unused bytes
_MARKS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|II\*\0|MM\0\*|BM.{4}\0\0\0\0", re.DOTALL)
_MARK_BYTES = 16


def kind_of(name):
    """IMAGE, XML, BESIDE_XML (masks and weights), UNREAD_IMAGE or OTHER, by the extension of a file name."""
    if name.endswith((mask_files.ENDING, weight_files.ENDING)):
        return BESIDE_XML
    dot = name.rfind(".")
    return _KINDS.get(name[dot:].lower(), OTHER) if dot >= 0 else OTHER


def search(folder, report):
    """Finds all files in a folder and its subfolders; see `user_files.find_files` for the rules.

    A file whose name has no extension is an image if it begins like one.

    Args:
      folder: the path.
      report: called with a `Finding` for each subfolder that cannot be listed, and for each entry that is named like an
        image or an annotation file but cannot be used as one.

    Yields:
      (kind, name relative to the folder).

    Raises:
      DatasetError: when the folder cannot be listed.
    """

    def take(skipped):
        if skipped.code == user_files.FOLDER_UNREADABLE or kind_of(skipped.name) != OTHER:
            report(from_skipped(skipped))

    for name in user_files.find_files(folder, take):
        kind = kind_of(name)
        if kind == OTHER and "." not in name.rpartition("/")[2] and _begins_like_an_image(os.path.join(folder, name)):
            kind = IMAGE
        yield kind, name


def _begins_like_an_image(path):
    """Whether a file without an extension begins with the mark of a format that is read."""
    try:
        with open(path, "rb") as file:
            return _MARKS.match(file.read(_MARK_BYTES)) is not None
    except OSError:
        return False


def list_images(folder):
    """(names of the images in a folder and its subfolders, findings about those that cannot be used), both sorted."""
    names, unread, findings = [], [], []
    for kind, name in search(folder, findings.append):
        if kind == IMAGE:
            names.append(name)
        elif kind == UNREAD_IMAGE:
            unread.append(name)
    findings += explain_all_unread(sorted(unread))
    return sorted(names), sorted(findings, key=lambda finding: finding.file)


def explain_unread(name, count=1):
    """The `Finding` for an UNREAD_IMAGE, or for several of one format, named after the first.

    Args:
      name: of the file.
      count: how many images have this format.
    """
    extension = os.path.splitext(name)[1].lower()
    kind = "is an image" if count == 1 else f"is one of {count} images"
    return Finding(
        "format-not-read",
        name,
        f"{kind} in the format {UNREAD_EXTENSIONS[extension]}, which is not read",
        expected=image_decoding.FORMATS_IN_WORDS,
        fix=f"convert to JPEG or PNG, for example with ImageMagick: magick mogrify -format jpg *{extension}",
    )


def explain_all_unread(names):
    """A `Finding` for each format among UNREAD_IMAGEs.

    Args:
      names: of the files, sorted.
    """
    of_format = {}
    for name in names:
        of_format.setdefault(UNREAD_EXTENSIONS[os.path.splitext(name)[1].lower()], []).append(name)
    return [explain_unread(some[0], len(some)) for some in of_format.values()]
