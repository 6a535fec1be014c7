"""Finds the record files of a pattern and counts their records. TensorFlow is not needed."""

import difflib
import glob
import hashlib
import os
import pathlib
import re

from tfodhelper import errors
from tfodhelper.records import framing, labels

_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<total>\d{5})")


def list_shards(pattern_or_paths):
    """The files that match one or several patterns, sorted.

    Args:
      pattern_or_paths: a path, a glob pattern, several of them separated by commas, or a sequence of these.

    Returns:
      List of paths as strings.

    Raises:
      DatasetError: a pattern matches no file, or a set of shards is incomplete.
    """
    if isinstance(pattern_or_paths, (str, os.PathLike)):
        pattern_or_paths = [pattern_or_paths]
    patterns = [part.strip() for item in pattern_or_paths for part in os.fspath(item).split(",") if part.strip()]
    if not patterns:
        raise errors.DatasetError("no record file is given", fix="set input_path of the input reader")
    paths = [path for pattern in patterns for path in _expand(pattern)]
    _check_complete(paths)
    return sorted(dict.fromkeys(paths))


def _expand(pattern):
    if os.path.isfile(pattern):
        return [pattern]
    paths = [path for path in glob.glob(pattern) if os.path.isfile(path)]
    if paths:
        return paths
    folder = pathlib.Path(pattern).parent
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    near = difflib.get_close_matches(os.path.basename(pattern), names, n=2)
    received = "nothing" if folder.is_dir() else f"the folder {folder} does not exist"
    fix = f"did you mean {' or '.join(near)}?" if near else "run `tfodhelper convert`, or correct the path"
    raise errors.DatasetError(f"{pattern}: no such record file", expected="a file", received=received, fix=fix)


def _check_complete(paths):
    """Checks that no shard is missing, using the total in their names; otherwise nobody would notice."""
    families = {}
    for path in paths:
        match = _SHARD.fullmatch(path)
        if match:
            families.setdefault((match["stem"], int(match["total"])), set()).add(int(match["number"]))
    for (stem, total), numbers in families.items():
        missing = sorted(set(range(total)) - numbers)
        if missing and len(numbers) > 1:
            raise errors.DatasetError(
                f"{stem}-{missing[0]:05d}-of-{total:05d}: the shard is missing",
                expected=f"{total} shards",
                received=f"{len(numbers)}",
                fix="copy the missing files, or convert the images again",
            )


def count_records(paths):
    """Counts the records in files by their headers; no record is read or decoded.

    Args:
      paths: a pattern or paths, see `list_shards`.

    Raises:
      DatasetError: a file ends inside a record, or is not a record file.
    """
    return sum(sum(1 for _ in iterate_spans(path)) for path in list_shards(paths))


def iterate_spans(path):
    """Yields (offset, length) of the content of each record in a file; errors as in `count_records`."""
    size = os.path.getsize(path)
    offset = number = 0
    with open(path, "rb") as file:
        while offset < size:
            number += 1
            file.seek(offset)
            header = file.read(framing.HEADER.size)
            if len(header) < framing.HEADER.size:
                raise _truncated(path, number, size)
            length, checksum = framing.HEADER.unpack(header)
            if checksum != framing.masked_crc(header[:8]):
                raise errors.DatasetError(
                    f"{path}: record {number} at byte {offset} does not begin with a record header",
                    expected="an uncompressed TFRecord file",
                    fix="copy the file again, or convert the images again",
                )
            start = offset + framing.HEADER.size
            offset = start + length + framing.FOOTER.size
            if offset > size:
                raise _truncated(path, number, size)
            yield start, length


def digest_checksums(path):
    """Hex digest of the lengths and checksums of all records of a file, of which no content is read.

    A file whose records were changed, exchanged, added or removed has another digest; damage to the content of a record
    does not change it, and is found by the record's own checksum (`check_contents`, and whatever reads the record).
    """
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for offset, length in iterate_spans(path):
            file.seek(offset - framing.HEADER.size)
            digest.update(file.read(framing.HEADER.size))
            file.seek(offset + length)
            digest.update(file.read(framing.FOOTER.size))
    return digest.hexdigest()


def check_contents(path):
    """Reads a file and compares the content of each record with its checksum.

    Raises:
      DatasetError: the first record that does not fit is named.
    """
    with open(path, "rb") as file:
        for number, (offset, length) in enumerate(iterate_spans(path)):
            file.seek(offset)
            content, checksum = file.read(length), file.read(framing.FOOTER.size)
            if framing.FOOTER.pack(framing.masked_crc(content)) != checksum:
                raise labels.explain_damage(path, number)


def _truncated(path, number, size):
    return errors.DatasetError(
        f"{path}: the file ends inside record {number}",
        expected="a complete file",
        received=f"{size} bytes",
        fix="copy the file again, or convert the images again",
    )
