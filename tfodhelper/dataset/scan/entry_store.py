"""Stores the results of a scan in files, so that memory does not grow with the number of images.

The file also serves as notes for a later conversion, see `scan_notes.py`.
"""

import array
import contextlib
import itertools
import json
import os
import pathlib
import tempfile
import typing
import weakref
import zlib

from tfodhelper import own_files, storage
from tfodhelper.dataset.scan import scan_notes
from tfodhelper.dataset.scan.entry import FAULTLESS, NUM_BYTES, Entry, add_image, check_entry, labels_of, make_entry
from tfodhelper.outofcore import columns

# Flags: what is known about an entry without reading its line.
HAS_CONTENT = 1  # the annotation can be used
HAS_FACTS = 2  # an image was scanned, and can be used
IS_USABLE = 4  # its boxes go into a record, if it is paired with its image
HAS_FINDINGS = 8  # there are findings
IS_NAMED = 16  # `<filename>` is the name of the image that was scanned
IS_FOREIGN = 32  # not an annotation at all
IS_FAULTLESS = 64  # the content goes into the record unchanged
HAS_PROBLEM = 128  # the annotation file cannot be used
DIGEST_BYTES = 16  # enough to distinguish files
NO_SIZE = -1
_MOST_PX = 1 << 62
_BUFFER_BYTES = 1 << 18
_BLOCK = 1 << 8  # entries
_KNOWN_KINDS = 1 << 12  # that are kept in memory at a time
_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, check_circular=False).encode
_decoder = json.JSONDecoder()


class EntryBatch(typing.NamedTuple):
    """Some entries as returned by a worker process: their lines, and columns of numbers.

    Attributes:
      lines: as bytes, concatenated.
      lengths: of the lines, in bytes.
      flags: HAS_CONTENT etc., one byte per entry.
      kinds, kind_of: the distinct values of `entry.labels_of`, as text, and which of them each entry has.
      sizes: for each entry width and height in the XML, width and height of the image, or NO_SIZE.
      num_bytes: of the image files.
      digests: of the annotation files and of the images, `DIGEST_BYTES` each.
    """

    lines: bytes
    lengths: array.array
    flags: bytes
    kinds: list
    kind_of: array.array
    sizes: array.array
    num_bytes: array.array
    digests: bytes


def make_batch(entries):
    """Makes an `EntryBatch` of some `Entry`s."""
    lines, flags, digests, kinds = [], bytearray(), [], {}
    lengths, kind_of, sizes, num_bytes = (array.array(code) for code in "IIqQ")
    for entry in entries:
        line = (_encode(entry) + "\n").encode("ascii")
        lines.append(line)
        lengths.append(len(line))
        flags.append(_flags_of(entry))
        kind_of.append(kinds.setdefault(labels_of(entry), len(kinds)))
        facts = entry.facts or (None, None, None)
        for side in (entry.width, entry.height, facts[1], facts[2]):
            sizes.append(NO_SIZE if side is None else max(NO_SIZE, min(side, _MOST_PX)))
        num_bytes.append(facts[NUM_BYTES] if entry.facts else 0)
        digests.append(entry.sha256[: 2 * DIGEST_BYTES])
        digests.append(entry.image_sha256[: 2 * DIGEST_BYTES] or "0" * 2 * DIGEST_BYTES)
    return EntryBatch(
        *(b"".join(lines), lengths, bytes(flags), [_encode(kind) for kind in kinds], kind_of, sizes, num_bytes),
        bytes.fromhex("".join(digests)),
    )


def _flags_of(entry):
    if entry.checked is FAULTLESS and not entry.findings:
        named = IS_NAMED if entry.content[0] == entry.image.rpartition("/")[2] else 0
        return HAS_CONTENT | HAS_FACTS | IS_USABLE | IS_FAULTLESS | named
    flags = HAS_CONTENT if entry.content is not None else HAS_PROBLEM
    flags |= HAS_FACTS if entry.facts is not None else 0
    flags |= IS_USABLE if entry.checked is not None else 0
    flags |= HAS_FINDINGS if entry.findings or entry.image_problem else 0
    flags |= IS_FOREIGN if entry.problem and entry.problem[0] == "not-an-annotation" else 0
    if entry.image is not None and entry.filename == entry.image.rpartition("/")[2]:
        flags |= IS_NAMED
    return flags


def scan_files(task):
    """Scans some annotation files and their likely images; runs in a worker process.

    Args:
      task: (`ScanOptions`, names of annotation files, names of images or None, locations of known lines or None); a
        location is (path, offset, bytes).

    Returns:
      A `EntryBatch`.
    """
    options, names, images, known = task
    return make_batch(
        [
            make_entry(options, name, image, location and _read_known(location))
            for name, image, location in zip(names, images, known or [None] * len(names))
        ]
    )


def _read_known(location):
    path, offset, length = location
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            return to_entry(file.read(length))
    except (OSError, ValueError, TypeError):
        return None  # notes are only an optimization


def rescan_images(task):
    """Scans other images for some entries; see `scan_files`."""
    options, path, spans, images = task
    return make_batch([add_image(options, entry, image) for entry, image in zip(read_entries(path, spans), images)])


def recheck_entries(task):
    """Checks some entries again; see `scan_files`."""
    options, path, spans = task
    return make_batch([check_entry(options, entry) if entry.facts else entry for entry in read_entries(path, spans)])


def read_entries(path, spans):
    """Yields the entries at the given (offset, bytes) spans of a file."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    try:
        with open(descriptor, "rb", 0, closefd=False) as file:
            for offset, length in spans:
                file.seek(offset)
                yield to_entry(file.read(length))
    finally:
        os.close(descriptor)


def to_entry(line):
    """Parses the `Entry` of one line."""
    return Entry(*_decoder.raw_decode(line.decode("ascii"))[0])


class EntryStore:
    """Entries of annotation files, in order, stored in a file and some columns.

    Args:
      folder: folder of the file; by default a temporary folder.
      identity: plain values that the entries depend on, compared by a later `read_notes`.

    Attributes:
      folder: as given.
      path: of the file, for worker processes; call `flush` before they read it.
      flags: HAS_CONTENT etc., one byte per entry.
      lengths, kind_of, sizes, num_bytes, digests: see `EntryBatch`.
      offsets: of the lines in the file.
    """

    def __init__(self, folder=None, identity=None):
        self.folder = folder
        try:
            own_folder = None if folder else own_files.TemporaryFolder()
            # In the folder of a conversion, `result.begin` recognizes files of this name as leftovers of a killed run.
            temporary = own_files.TemporaryFile(pathlib.Path(folder or own_folder.path) / ".inputs.jsonl")
            self.path = str(temporary.path)
            self._file = open(temporary.descriptor, "wb", _BUFFER_BYTES)  # noqa: SIM115
            self._reader = open(self.path, "rb", 0)  # noqa: SIM115
        except OSError as error:
            raise storage.explain_os_error(error, folder or tempfile.gettempdir()) from error
        self._discard = weakref.finalize(self, _discard, self._file, self._reader, temporary, own_folder)
        self._head = scan_notes.head_of(identity)
        self._end, self._is_ordered, self._checksum = 0, True, 0
        self.flags, self.digests = (columns.Column("B", folder=folder) for _ in range(2))
        self.lengths, self.kind_of = (columns.Column("I", folder=folder) for _ in range(2))
        self.offsets, self.num_bytes = (columns.Column("Q", folder=folder) for _ in range(2))
        self.sizes = columns.Column("q", folder=folder)
        self._kinds, self._kind_numbers, self._read_kinds = columns.Texts(folder=folder), {}, {}
        self._write(self._head)

    def __len__(self):
        return len(self.flags)

    def __getitem__(self, position):
        """The `Entry` at a position."""
        self.flush()
        self._reader.seek(self.offsets[position])
        return to_entry(self._reader.read(self.lengths[position]))

    def span_of(self, position):
        """(offset, bytes) of the line of an entry."""
        return self.offsets[position], self.lengths[position]

    def digest_pairs(self):
        """Yields the first bytes of the digests of (annotation file, image) of all entries, in order.

        For an image that could not be read they are zeros.
        """
        width = 2 * DIGEST_BYTES
        for _, block in self.digests.blocks(width * _BLOCK):
            data = block.tobytes()
            for start in range(0, len(data), width):
                yield data[start : start + DIGEST_BYTES], data[start + DIGEST_BYTES : start + width]

    def sizes_of(self, position):
        """(width and height in the XML, width and height of the image); NO_SIZE where unknown."""
        return tuple(self.sizes[4 * position : 4 * position + 4])

    def kind(self, number):
        """(class names, size letters) of the usable boxes, see `entry.labels_of`."""
        known = self._read_kinds.get(number)
        if known is None:
            if len(self._read_kinds) >= _KNOWN_KINDS:
                self._read_kinds.clear()
            labels, letters = _decoder.decode(self._kinds[number])
            known = self._read_kinds[number] = tuple(labels), letters
        return known

    def labels_of(self, position):
        """Class names of the usable boxes."""
        return self.kind(self.kind_of[position])[0]

    def flush(self):
        """Makes everything that was added readable for worker processes."""
        try:
            self._file.flush()
        except OSError as error:
            raise storage.explain_os_error(error, self.path) from error

    def add(self, batch):
        """Appends the entries of an `EntryBatch`."""
        offset = self._write(batch.lines)
        for length in batch.lengths:
            self.offsets.append(offset)
            offset += length
        self.lengths.extend(batch.lengths)
        self.flags.extend(batch.flags)
        self.sizes.extend(batch.sizes)
        self.num_bytes.extend(batch.num_bytes)
        self.digests.extend(batch.digests)
        numbers = [self._number_of(kind) for kind in batch.kinds]
        self.kind_of.extend(array.array("I", [numbers[number] for number in batch.kind_of]))

    def replace(self, positions, batch):
        """Replaces the entries at the given positions by those of an `EntryBatch`."""
        self._is_ordered = False
        offset, width = self._write(batch.lines), 2 * DIGEST_BYTES
        numbers = [self._number_of(kind) for kind in batch.kinds]
        for source, target in enumerate(positions):
            self.offsets[target], self.lengths[target] = offset, batch.lengths[source]
            offset += batch.lengths[source]
            self.flags[target], self.num_bytes[target] = batch.flags[source], batch.num_bytes[source]
            self.kind_of[target] = numbers[batch.kind_of[source]]
            for column, values, per_entry in ((self.sizes, batch.sizes, 4), (self.digests, batch.digests, width)):
                for i in range(per_entry):
                    column[per_entry * target + i] = values[per_entry * source + i]

    def _number_of(self, kind):
        """The number of a kind; a kind that did not occur for long may get another number."""
        number = self._kind_numbers.get(kind)
        if number is None:
            if len(self._kind_numbers) >= _KNOWN_KINDS:
                self._kind_numbers.clear()
            number = self._kind_numbers[kind] = len(self._kinds)
            self._kinds.append(kind)
        return number

    def save_as(self, path):
        """Keeps the file permanently under the given path; it appears there atomically."""
        if self._is_ordered:
            try:
                self._file.write(scan_notes.seal(self._checksum))
                self.flush()
                os.fsync(self._file.fileno())
                os.replace(self.path, path)
            except OSError as error:
                raise storage.explain_os_error(error, path) from error
            self.path = str(path)
            return
        self.flush()
        with storage.open_whole(path, "wb") as file:
            scan_notes.write_sealed(file, itertools.chain((self._head,), self._read_lines()))

    def _read_lines(self):
        """Yields the lines of all entries, in order."""
        for offset, length in zip(self.offsets, self.lengths):
            self._reader.seek(offset)
            yield self._reader.read(length)

    def _write(self, data):
        start = self._end
        try:
            self._file.write(data)
        except OSError as error:
            raise storage.explain_os_error(error, self.path) from error
        self._end += len(data)
        self._checksum = zlib.crc32(data, self._checksum)
        return start


def _discard(file, reader, temporary, own_folder):
    for handle in (file, reader):
        with contextlib.suppress(OSError):
            handle.close()
    temporary.discard()
    if own_folder is not None:
        own_folder.remove()
