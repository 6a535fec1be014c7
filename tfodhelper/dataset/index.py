"""What lies in the folders: images, annotation files, and which belongs to which.

Names are given relative to the folder that is searched, in POSIX form, and always in the same order, so that nothing
depends on the order in which a file system lists a folder.
"""

import dataclasses
import hashlib
import os
import pathlib

from tfodhelper import errors
from tfodhelper.annotations import images, labelimg
from tfodhelper.annotations.findings import Finding, from_unusable
from tfodhelper.annotations.structures import Annotation, UnusableFile
from tfodhelper.dataset import pairing

_IGNORED_FOLDERS = ("__MACOSX",)


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the images and the annotations lie.

    Attributes:
      image_dir: searched for images, with its folders.
      annotation_dir: searched for XML files, with its folders; may be the same.
    """

    image_dir: pathlib.Path
    annotation_dir: pathlib.Path


@dataclasses.dataclass(frozen=True)
class Pair:
    """An annotation file and its image.

    Attributes:
      xml: name of the annotation file, relative to the annotation folder.
      xml_sha256: hex digest of its content.
      annotation: its content; None when it cannot be used.
      image: name of the image, relative to the image folder; None when there is none.
      by_stem: whether the image was found by the annotation file's own name.
    """

    xml: str
    xml_sha256: str
    annotation: Annotation | None
    image: str | None
    by_stem: bool = False


@dataclasses.dataclass(frozen=True)
class Index:
    """All that was found in a `Source`.

    Attributes:
      source: the folders.
      pairs: one for every annotation file that is used or could not be used, sorted by its name.
      unlabelled: names of the images that no annotation file claims, sorted.
      findings: what was found while pairing.
    """

    source: Source
    pairs: tuple[Pair, ...]
    unlabelled: tuple[str, ...]
    findings: tuple[Finding, ...]


def make_source(data_dir=None, image_dir=None, annotation_dir=None):
    """A `Source` from the flags of the command line.

    Args:
      data_dir: one tree with images and XML files.
      image_dir, annotation_dir: two trees, instead of `data_dir`.

    Raises:
      UsageError: neither or both ways are used.
      DatasetError: a folder is not there.
    """
    way_out = "give --data_dir=FOLDER, or --image_dir=FOLDER with --annotation_dir=FOLDER"
    if data_dir and (image_dir or annotation_dir):
        raise errors.UsageError("--data_dir does not go with --image_dir and --annotation_dir", way_out=way_out)
    if not data_dir and not (image_dir and annotation_dir):
        given = [name for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)) if value]
        received = f"only --{given[0]}" if given else None
        raise errors.UsageError(
            "it is not said where the images and annotations lie", received=received, way_out=way_out
        )
    source = Source(pathlib.Path(data_dir or image_dir), pathlib.Path(data_dir or annotation_dir))
    for folder in (source.image_dir, source.annotation_dir):
        if not folder.is_dir():
            state = "is a file" if folder.exists() else "does not exist"
            raise errors.DatasetError(f"{folder}: {state}", expected="a folder", way_out="check the path")
    return source


def list_files(folder):
    """Names of all files below a folder, sorted; hidden files and folders are left out, links are followed once.

    Raises:
      DatasetError: when a folder cannot be listed.
    """
    names, seen, waiting = [], set(), [pathlib.PurePosixPath()]
    while waiting:
        relative = waiting.pop()
        real = os.path.realpath(os.path.join(folder, relative))
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(os.path.join(folder, relative)) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        waiting += [] if entry.name in _IGNORED_FOLDERS else [relative / entry.name]
                    elif entry.is_file():
                        names.append(str(relative / entry.name))
        except OSError as error:
            raise errors.DatasetError(
                f"{os.path.join(folder, relative)}: the folder cannot be listed ({error.strerror})",
                way_out="change its permissions, or move it elsewhere",
            ) from error
    return sorted(names)


def make_index(source):
    """Finds images and annotation files and pairs them.

    Returns:
      An `Index`.

    Raises:
      DatasetError: no annotation file, a folder that cannot be listed, or git-lfs pointers instead of files.
    """
    image_files = list_files(source.image_dir)
    xml_files = image_files if source.annotation_dir == source.image_dir else list_files(source.annotation_dir)
    image_names = [name for name in image_files if os.path.splitext(name)[1].lower() in images.EXTENSIONS]
    xml_names = [name for name in xml_files if name.lower().endswith(".xml")]
    if not xml_names:
        raise errors.DatasetError(
            f"{source.annotation_dir}: no annotation file in it or its folders",
            expected="XML files as LabelImg writes them (format PascalVOC)",
            received=f"{len(image_names)} images and no file with the ending .xml",
            way_out="label the images with LabelImg, or name the folder of the XML files with --annotation_dir",
        )
    documents, findings = _read_documents(source, xml_names)
    choices, more = pairing.pair(documents, image_names, _SizeReader(source.image_dir))
    pairs = tuple(
        Pair(d.name, d.sha256, d.annotation, c.image, c.by_stem) for d, c in zip(documents, choices) if c.is_used
    )
    more += _find_bare_filenames(pairs)
    claimed = {choice.image for choice in choices}
    unlabelled = tuple(name for name in image_names if name not in claimed)
    return Index(source, pairs, unlabelled, tuple(findings + more))


def refuse_pointers(findings):
    """Stops when git-lfs pointers were met: the set is not there, and the rest of it would be trained on quietly.

    Raises:
      DatasetError: naming the first pointers.
    """
    pointers = [finding.file for finding in findings if finding.code == "git-lfs-pointer"]
    if pointers:
        raise errors.DatasetError(
            f"{len(pointers)} files are git-lfs pointers, not the files themselves: " + ", ".join(pointers[:3]),
            expected="the content of the files",
            received="text that begins with: version https://git-lfs.github.com/spec/v1",
            way_out="run `git lfs pull` in the repository of the data",
        )


def _read_documents(source, names):
    """Reads all annotation files; those that are none are left out."""
    documents, findings = [], []
    for name in names:
        path = source.annotation_dir / name
        try:
            data = path.read_bytes()
        except OSError as error:
            data = b""
            trouble = UnusableFile("xml-unreadable", path, f"cannot be read ({error.strerror})")
            findings.append(from_unusable(trouble, name))
            documents.append(pairing.Document(name, None, hashlib.sha256(data).hexdigest()))
            continue
        digest = hashlib.sha256(data).hexdigest()
        try:
            documents.append(pairing.Document(name, labelimg.parse_labelimg(data, path), digest))
        except UnusableFile as error:
            findings.append(from_unusable(error, name))
            if error.code != "not-an-annotation":
                documents.append(pairing.Document(name, None, digest))
    return documents, findings


def _find_bare_filenames(pairs):
    """One finding for the whole set: some tools never write the extension."""
    bare = [
        p
        for p in pairs
        if p.image and p.annotation and p.annotation.filename and not os.path.splitext(p.annotation.filename)[1]
    ]
    if not bare:
        return []
    what = f"<filename> has no extension here and in {len(bare) - 1} other files; the image is found all the same"
    received = bare[0].annotation.filename
    return [Finding("filename-bare", bare[0].xml, what, None, os.path.basename(bare[0].image), received)]


class _SizeReader:
    """Sizes from image headers, each read once."""

    def __init__(self, folder):
        self._folder, self._sizes = folder, {}

    def __call__(self, name):
        if name not in self._sizes:
            self._sizes[name] = images.read_size(self._folder / name)
        return self._sizes[name]
