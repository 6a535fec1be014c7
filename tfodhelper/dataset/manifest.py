"""manifest.json: what a converted folder contains, and how it was made.

It is written last and marks the folder as complete. Its paths are relative: those of images to the image folder, those
of files to the folder of the manifest.
"""

import collections.abc
import dataclasses
import json
import pathlib

from tfodhelper import errors, spelling, storage
from tfodhelper.dataset.split.split import SPLITS, TRAIN, VALIDATE
from tfodhelper.outofcore import columns
from tfodhelper.version import __version__

NAME = "manifest.json"
FORMAT = 2
_LONG = ("images", "left_out", "unlabelled")  # one line per element; they are read from the file on demand
_TAIL = 16  # characters, enough for the last comma of the images and the blanks after it


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    Attributes:
      fingerprint: of the input files.
      options: everything that the result depends on besides the files, as plain values: seed, fraction, ...
      classes: one dict per class: id, name, train, validate (numbers of boxes), and test if there are test images.
      shards: {side: list of {name, records, bytes}}; test only if there are test images.
      files: {"label_map", "train_csv", "validate_csv", "test_csv": name}.
      images: one dict per image: path, xml, sha256, split, source_id, width, height, boxes, content (a digest of the
        content of the record), record ([shard, position in it]), fixes.
      left_out: one dict per image, or per annotation file without an image: path, code, message; sha256 and
        more_reasons if there are any.
      unlabelled: names of images without an annotation file.
      findings: {code: count}.
      version: of the program that wrote it.
    """

    fingerprint: str
    options: dict
    classes: list
    shards: dict
    files: dict
    images: collections.abc.Sequence
    left_out: collections.abc.Sequence
    unlabelled: collections.abc.Sequence
    findings: dict
    version: str = __version__

    def count_images(self, side):
        """Number of images on a side."""
        return sum(shard["records"] for shard in self.shards.get(side, []))

    @property
    def num_train(self):
        """Number of training images."""
        return self.count_images(TRAIN)

    @property
    def num_validate(self):
        """Number of validation images."""
        return self.count_images(VALIDATE)

    def shard_names(self, side):
        """Names of the record files of a side, in order."""
        return [shard["name"] for shard in self.shards.get(side, [])]

    def record_pattern(self, side):
        """A pattern that matches the record files of a side, for tf_record_input_reader; None if there are none."""
        names = self.shard_names(side)
        return f"{side}.record-?????-of-{len(names):05d}" if names else None


def write_manifest(folder, manifest, image_lines=None):
    """Writes manifest.json atomically; long lists are written with one line per element, never as a whole.

    Args:
      folder: folder of the file.
      manifest: a `Manifest`.
      image_lines: blocks of text to write instead of its images: JSON objects, each followed by a comma and blanks.
    """
    fields = {field.name: getattr(manifest, field.name) for field in dataclasses.fields(manifest)}
    fields = {"tfodhelper": fields.pop("version"), "format": FORMAT, **fields}
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with storage.open_whole(pathlib.Path(folder) / NAME) as file:
        between = "{\n"
        for name, value in fields.items():
            file.write(f"{between}  {encode(name)}: ")
            between = ",\n"
            if name == "images" and image_lines is not None:
                _write_text_lines(file, image_lines)
            elif isinstance(value, (str, int, dict)):
                file.write(json.dumps(value, indent=2, ensure_ascii=False).replace("\n", "\n  "))
            else:
                _write_lines(file, value, encode)
        file.write("\n}\n")


def _write_text_lines(file, blocks):
    """Writes blocks of text; the last comma is superfluous, but is known to be the last only at the end."""
    held = ""
    file.write("[\n    ")
    for block in blocks:
        held += block
        file.write(held[:-_TAIL])
        held = held[-_TAIL:]
    file.write(held.rstrip().removesuffix(",") + "\n  ]")


def _write_lines(file, values, encode):
    start = "[\n    "
    for value in values:
        file.write(start + encode(value))
        start = ",\n    "
    file.write("[]" if start.startswith("[") else "\n  ]")


class StoredList(columns.ComparedByElement):
    """A long list in a manifest, whose elements are read on demand.

    Args:
      path: of the manifest.
    """

    def __init__(self, path):
        self._path, self._stamp = path, _stamp_of(path)
        self._offsets = columns.Column("Q")

    def __len__(self):
        return len(self._offsets)

    def __getitem__(self, position):
        if isinstance(position, slice):
            return [self[number] for number in range(*position.indices(len(self)))]
        with self._open() as file:
            return self._read(file, self._offsets[position])

    def __iter__(self):
        with self._open() as file:
            for offset in self._offsets:
                yield self._read(file, offset)

    def add(self, offset):
        """Adds the element whose line starts at a byte offset of the file."""
        self._offsets.append(offset)

    def _open(self):
        if _stamp_of(self._path) != self._stamp:
            raise errors.StorageError(f"{self._path}: was changed by another process while it was being read")
        return open(self._path, "rb")

    def _read(self, file, offset):
        file.seek(offset)
        return json.loads(file.readline().rstrip(b",\n"))


def _stamp_of(path):
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _read_parts(path):
    """The content of a manifest, long lists as `StoredList`s; None if its lines differ from those of `write_manifest`.

    The lines of a list are only scanned for the offsets of its elements; the elements are parsed later.
    """
    head, lists, name = bytearray(), {}, None
    opening = {f'  "{name}": [\n'.encode(): name for name in _LONG}
    with open(path, "rb") as file:
        offset = 0
        for line in file:
            if name is None and line in opening:
                name = opening[line]
                lists[name] = StoredList(path)
                head += line
            elif name is not None and line.startswith(b"    ") and line[4:5] not in b" \n":
                lists[name].add(offset)
            elif name is not None and line.strip() not in (b"],", b"]"):
                return None
            else:
                name = None
                head += line
            offset += len(line)
    try:
        value = json.loads(head)
    except ValueError:
        return None
    return value | lists if isinstance(value, dict) else None


def read_manifest(folder):
    """Reads the manifest of a converted folder; the lists of images and files are read on demand.

    Raises:
      DatasetError: there is no manifest, or its format is not supported.
    """
    path = pathlib.Path(folder) / NAME
    if not path.is_file():
        raise errors.DatasetError(
            f"{folder}: is not a converted folder",
            expected=f"a folder with {NAME}",
            received=f"no {NAME}",
            fix="run `tfodhelper convert` first, with this folder as --output_dir",
        )
    try:
        value = _read_parts(path)
    except OSError as error:
        raise errors.StorageError(f"{path}: cannot be read ({error.strerror})") from error
    if value is None:
        value = storage.read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        received = value.get("format", "none") if isinstance(value, dict) else type(value).__name__
        raise errors.DatasetError(
            f"{path}: the format of the manifest is not supported by this version",
            expected=f"format {FORMAT}",
            received=received,
            fix="convert the images again into another folder",
        )
    names = {field.name for field in dataclasses.fields(Manifest)} - {"version"}
    missing = sorted(names - set(value))
    if missing:
        raise errors.DatasetError(f"{path}: lacks {', '.join(missing)}", fix="convert the images again")
    return Manifest(version=value.get("tfodhelper", ""), **{name: value[name] for name in names})


def check_files(folder, manifest):
    """Checks that all files named in the manifest exist and have the recorded size.

    Raises:
      DatasetError: names the first file that does not.
    """
    folder = pathlib.Path(folder)
    fix = "remove the folder and convert the images again"
    for shard in [shard for side in SPLITS for shard in manifest.shards.get(side, [])]:
        path = folder / shard["name"]
        size = path.stat().st_size if path.is_file() else None
        if size != shard["bytes"]:
            received = "it is missing" if size is None else f"{spelling.count(size, 'byte')}"
            expected = f"{shard['bytes']} bytes"
            raise errors.DatasetError(f"{path}: has changed", expected=expected, received=received, fix=fix)
    for name in manifest.files.values():
        if not (folder / name).is_file():
            raise errors.DatasetError(f"{folder / name}: is missing", fix=fix)
