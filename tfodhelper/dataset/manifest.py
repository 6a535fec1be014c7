"""manifest.json: what a converted folder contains, and how it was made.

It is written last and marks the folder as complete. Its paths are relative: those of images to the image folder, those
of files to the folder of the manifest.
"""

import collections.abc
import dataclasses
import json
import pathlib

from tfodhelper import errors, json_shapes, limits, spelling, state_files, storage
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.dataset.split.split import SPLITS, TRAIN, VALIDATE
from tfodhelper.outofcore import columns
from tfodhelper.version import __version__

NAME = "manifest.json"
FORMAT = 2
# The lists with one line per element, which are read from the file on demand, and the shapes of their elements.
_LONG = {"images": {}, "left_out": {}, "unlabelled": str}
_SHOWN = 5  # classes in a message
_FIX = "restore the file from a copy, or remove the folder and convert the images again"
_FORM = state_files.StateForm(
    content="the manifest of a converted folder",
    keys={
        "fingerprint": str,
        "options": dict,
        "classes": [{"id": int, "name": str, TRAIN: int, VALIDATE: int}],
        "shards": {str: [{"name": str, "records": int, "bytes": int}]},
        "files": {"train_csv": str, "validate_csv": str, "label_map": str, str: str},
        "findings": {str: int},
        **dict.fromkeys(_LONG, collections.abc.Sequence),
    },
    fix=_FIX,
    format=FORMAT,
    error=errors.DatasetError,
)
_TAIL = 16  # characters, enough for the last comma of the images and the blanks after it


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of manifest.json.

    Attributes:
      fingerprint: of the input files.
      options: everything that the result depends on besides the files, as plain values: seed, fraction, ...
      classes: one dict per class: id, name, train, validate (numbers of boxes), and test if there are test images.
      shards: {side: list of {name, records, bytes, checksums}}, see `records.reader.digest_checksums`; test only if
        there are test images.
      files: {"label_map", "train_csv", "validate_csv", "test_csv": name}.
      images: one dict per image: path, xml, sha256, split, source_id, width, height, boxes, content (a digest of the
        content of the record), record ([shard, position in it]), fixes.
      left_out: one dict per image, or per annotation file without an image: path, code, message; sha256 and
        more_reasons if there are any.
      unlabelled: names of images without an annotation file.
      findings: {code: count}.
      digests: {name of a file in `files`: {"bytes", "sha256"}}; empty in manifests of earlier versions.
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
    digests: dict = dataclasses.field(default_factory=dict)
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
      shape: of its elements, see `json_shapes`.
    """

    def __init__(self, path, shape):
        self._path, self._stamp, self._shape = path, _stamp_of(path), shape
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
        line = file.readline()
        try:
            value = limits.parse_json(line.rstrip(b",\n"))
            json_shapes.check(value, self._shape)
            return value
        except ValueError as error:
            raise errors.DatasetError(f"{self._path}: has changed: {line[:100]!r} is not JSON", fix=_FIX) from error


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
                lists[name] = StoredList(path, _LONG[name])
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
        value = limits.parse_json(head)
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
    value = state_files.read_state(path, _FORM) if value is None else state_files.check_state(path, value, _FORM)
    names = {field.name for field in dataclasses.fields(Manifest)} - {"version", "digests"}
    manifest = Manifest(
        version=value.get("tfodhelper", ""),
        digests=value.get("digests", {}),
        **{name: value[name] for name in names},
    )
    _check_form(path, manifest)
    return manifest


def _check_form(path, manifest):
    """Refuses a manifest that was edited so that its parts are of other types."""
    try:
        shards = [shard for side in SPLITS for shard in manifest.shards.get(side, [])]
        is_good = all(isinstance(shard["name"], str) and shard["records"] >= 0 <= shard["bytes"] for shard in shards)
        is_good &= all(isinstance(entry["id"], int) and isinstance(entry["name"], str) for entry in manifest.classes)
        is_good &= all(isinstance(name, str) and pathlib.Path(name).name == name for name in manifest.files.values())
        is_good &= all(digest["bytes"] >= 0 and digest["sha256"] for digest in manifest.digests.values())
        is_good &= "label_map" in manifest.files
    except (AttributeError, KeyError, TypeError):
        is_good = False
    if not is_good:
        raise errors.DatasetError(
            f"{path}: has changed: its shards, classes or files are not what `convert` writes", fix=_FIX
        )


def digest_files(folder, names):
    """{name: {"bytes", "sha256"}} of small files in a folder, for `Manifest.digests`."""
    paths = {name: pathlib.Path(folder) / name for name in names}
    return {name: {"bytes": path.stat().st_size, "sha256": storage.sha256_of(path)} for name, path in paths.items()}


def check_files(folder, manifest):
    """Checks that the files named in the manifest are as they were written: all but the content of the record files.

    Raises:
      DatasetError: names the first file that is not, and what has changed in it.
    """
    folder = pathlib.Path(folder)
    for shard in [shard for side in SPLITS for shard in manifest.shards.get(side, [])]:
        _check_size(folder / shard["name"], shard["bytes"])
    check_label_map(folder, manifest)
    for name in manifest.files.values():
        _check_digest(folder / name, manifest.digests.get(name))


def check_label_map(folder, manifest):
    """Checks that the label map has the classes whose ids are in the records.

    Raises:
      DatasetError: says which classes differ.
    """
    path = pathlib.Path(folder) / manifest.files["label_map"]
    if not _is_file(path):
        raise _changed(path, None, "it is missing")
    written = {entry["id"]: entry["name"] for entry in manifest.classes}
    present = {item.id: item.name for item in label_maps.read_label_map(path)}
    if written and written != present:
        expected = f"the {spelling.count(len(written), 'class')} of the records"
        raise _changed(path, expected, "; ".join(_compare(written, present)))


def _compare(written, present):
    """Texts that say how a label map differs from the one that was written; both {id: name}."""
    differing = [id for id in sorted({*written, *present}) if written.get(id) != present.get(id)]
    texts = []
    for id in differing[:_SHOWN]:
        if id not in present:
            texts.append(f"without id {id}, {written[id]!r}")
        elif id not in written:
            texts.append(f"with id {id}, {present[id]!r}, which is new")
        else:
            texts.append(f"id {id} is {present[id]!r} instead of {written[id]!r}")
    return texts + ([f"and {len(differing) - _SHOWN} more"] if len(differing) > _SHOWN else [])


def _is_file(path):
    """Whether there is such a file; no file has a name that the file system does not allow."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _check_size(path, num_bytes):
    size = path.stat().st_size if _is_file(path) else None
    if size != num_bytes:
        expected = spelling.count(num_bytes, "byte")
        raise _changed(path, expected, "it is missing" if size is None else spelling.count(size, "byte"))


def _check_digest(path, digest):
    """Compares a file with an entry of `Manifest.digests`; without one, only that it exists."""
    if digest is None:
        if not _is_file(path):
            raise _changed(path, None, "it is missing")
        return
    _check_size(path, digest["bytes"])
    if storage.sha256_of(path) != digest["sha256"]:
        raise _changed(path, f"the content that was written, SHA-256 {digest['sha256'][:12]}...", "other content")


def _changed(path, expected, received):
    return errors.DatasetError(
        f"{path}: has changed since the conversion",
        expected=expected,
        received=received,
        fix=_FIX,
    )
