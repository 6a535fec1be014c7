"""The lines of the lists and of the manifest for each image, made by worker processes in the order of names."""

import contextlib
import json
import tempfile
import typing

from tfodhelper import storage
from tfodhelper.annotations import findings
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import discover, entry_store
from tfodhelper.dataset.scan.entry import content_digest
from tfodhelper.outofcore import workers
from tfodhelper.records import writer

_CHUNK = 500  # images per task
_BLOCK_BYTES = 1 << 16
_encode = json.JSONEncoder(ensure_ascii=False).encode


class _Row(typing.NamedTuple):
    """An image: its line in the notes, side, source id, shard and position of its record, digest if re-encoded."""

    offset: int
    length: int
    side: str
    source_id: int
    shard: int
    record: int
    encoded_sha256: str | None


@contextlib.contextmanager
def open_lists(paths, header):
    """Opens a list for each side; all of them are written atomically.

    Args:
      paths: {side: path}.
      header: their first line.

    Yields:
      {side: open file}.
    """
    with contextlib.ExitStack() as stack:
        files = {side: stack.enter_context(storage.open_whole(path)) for side, path in paths.items()}
        for file in files.values():
            file.write(header)
        yield files


@contextlib.contextmanager
def write_lists(folder, files, planned, content, num_workers=0):
    """Writes the lists of all sides, and buffers the lines for the manifest in a temporary file.

    Args:
      folder: folder of the temporary file.
      files: {side: open file}.
      planned: a `plan.Plan`.
      content: a `folder.Content`.
      num_workers: number of processes; 0 chooses automatically.

    Yields:
      A function that yields blocks of text: JSON objects, one per image, for `manifest.write_manifest`.
    """
    entries = planned.examination.index.entries
    entries.flush()
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n", dir=folder) as lines:
        with discover.run_in_parallel(len(planned.sides), False, num_workers) as (run, _):
            tasks = (
                (entries.path, rows, planned.label_map) for rows in workers.chunks(_list_rows(planned, content), _CHUNK)
            )
            for text, lists in run(describe, tasks):
                lines.write(text)
                for side, more in lists.items():
                    files[side].write(more)

        def read():
            lines.seek(0)
            while block := lines.read(_BLOCK_BYTES):
                yield block

        yield read


def _list_rows(planned, content):
    """Yields a `_Row` for each image that has a side, in the order of names."""
    positions, entries = planned.examination.images.positions, planned.examination.index.entries
    known = zip(positions, planned.sides.in_order(), content.ids, content.shard_of, content.record_of)
    for number, (position, side, *record) in enumerate(known):
        if side is not None:
            yield _Row(*entries.span_of(position), side, *record, content.encoded[number])


def describe(task):
    """Makes the lines of some images; runs in a worker process.

    Args:
      task: (path of the notes, list of `_Row`s, label map).

    Returns:
      (JSON objects for the manifest, {side: lines for its list}).
    """
    path, rows, label_map = task
    objects, lists = [], {}
    for row, entry in zip(rows, entry_store.read_entries(path, [row[:2] for row in rows])):
        objects.append(_to_json(entry, row))
        lists.setdefault(row.side, []).append(writer.to_csv(entry.image, entry.usable, label_map))
    return ",\n    ".join(objects) + ",\n    ", {side: "".join(lines) for side, lines in lists.items()}


def _to_json(entry, row):
    """One image as a JSON object of the manifest; see `manifest.Manifest`."""
    _, width, height, boxes, *_ = entry.usable
    encoded = f', "encoded_sha256": "{row.encoded_sha256}"' if row.encoded_sha256 else ""
    fixes = []
    if entry.findings:
        own = [Finding(*values) for values in entry.findings]
        fixes = [{"code": f.code, "message": f.message} for f in own if f.action != findings.KEPT]
    return (
        f'{{"path": {_encode(entry.image)}, "xml": {_encode(entry.name)}, "sha256": "{entry.image_sha256}", '
        f'"split": "{row.side}", "source_id": "{row.source_id}", "width": {width}, "height": {height}, '
        f'"boxes": {len(boxes)}, "content": "{content_digest(entry)}", "record": [{row.shard}, {row.record}]'
        f'{encoded}, "fixes": {_encode(fixes)}}}'
    )
