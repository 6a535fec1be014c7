"""The standard metadata of a .tflite file, which MediaPipe and the Android libraries read.

A description of inputs and outputs is in the file, as another flatbuffer, and files that it refers to are in a ZIP
archive at its end. The numbers of the slots are those of the schema (google-ai-edge/mediapipe,
mediapipe/tasks/metadata/metadata_schema.fbs, version 1.5.0). The package that has a writer for it, mediapipe, is twenty
times as large as what is needed here and requires other versions than the Model Garden.
"""

import contextlib
import io
import lzma
import struct
import zipfile
import zlib

import flatbuffers
from flatbuffers import number_types, table

from tfodhelper import limits

NAME = "TFLITE_METADATA"  # of the entry in the file's metadata
LABELS = "labels.txt"
GAP = "???"  # stands for a class id that is not used

# What `zipfile` raises for damaged archives, encrypted ones, and unknown kinds of compression.
_UNREADABLE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)
_UNREADABLE += (OSError, struct.error, OverflowError)

_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.2.0"  # the first that knows groups of tensors
_FEATURES, _IMAGE, _BOXES = 1, 2, 3  # kinds of content
_NORMALIZATION = 1  # kind of processing
_RGB, _BOUNDARIES, _RATIO = 1, 1, 0
_VALUE_LABELS = 3  # labels of the values of a tensor
_BOX_ORDER = (1, 0, 3, 2)  # where left, top, right and bottom are in ymin, xmin, ymax, xmax
_EPOCH = (1980, 1, 1, 0, 0, 0)  # time of files in the archive, so that the same export gives the same bytes


def make_metadata(name, description, size, mean, std, is_detecting):
    """Makes the description.

    Args:
      name: of the model.
      description: text.
      size: (height, width) of the input.
      mean, std: three numbers each; the input is (pixel - mean) / std.
      is_detecting: whether the outputs are those of TFLite_Detection_PostProcess; otherwise raw boxes and scores.

    Returns:
      bytes.
    """
    builder = flatbuffers.Builder(1024)
    if is_detecting:
        outputs = [
            _tensor(builder, "location", "ymin, xmin, ymax, xmax, 1 is the whole image", _boxes(builder)),
            _tensor(builder, "category", "numbers of lines in the file of labels, from 0", _features(builder), LABELS),
            _tensor(builder, "score", "from 0 to 1", _features(builder)),
            _tensor(
                builder, "number of detections", "how many rows of the other outputs count", _features(builder, ())
            ),
        ]
        groups = [_group(builder, "detection_result", ("location", "category", "score"))]
    else:
        outputs = [
            _tensor(builder, "location", "ymin, xmin, ymax, xmax of all anchors", _boxes(builder)),
            _tensor(builder, "score", "of all anchors and classes", _features(builder)),
        ]
        groups = []
    inputs = [_image(builder, size, mean, std)]
    fields = {2: _vector(builder, inputs), 3: _vector(builder, outputs)}
    if groups:
        fields[8] = _vector(builder, groups)
    graph = _table(builder, 10, fields)
    texts = {0: name, 1: description, 7: _PARSER_VERSION}
    fields = {slot: builder.CreateString(text) for slot, text in texts.items()}
    model = _table(builder, 8, fields | {3: _vector(builder, [graph])})
    builder.Finish(model, file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _image(builder, size, mean, std):
    """The metadata of the input."""
    numbers = _table(builder, 2, {0: _floats(builder, mean), 1: _floats(builder, std)})
    unit = _table(builder, 2, {0: ("uint8", _NORMALIZATION), 1: numbers})
    limits = [[(pixel - m) / s for m, s in zip(mean, std)] for pixel in (255, 0)]
    stats = _table(builder, 2, {slot: _floats(builder, values) for slot, values in enumerate(limits)})
    shape = _table(builder, 2, {0: ("uint32", size[1]), 1: ("uint32", size[0])})
    properties = _table(builder, 2, {0: ("int8", _RGB), 1: shape})
    content = _table(builder, 3, {0: ("uint8", _IMAGE), 1: properties})
    return _tensor(builder, "image", "RGB image", content, more={4: _vector(builder, [unit]), 5: stats})


def _tensor(builder, name, description, content, labels=None, more=None):
    fields = {0: builder.CreateString(name), 1: builder.CreateString(description), 3: content, **(more or {})}
    if labels:
        file = _table(builder, 5, {0: builder.CreateString(labels), 2: ("int8", _VALUE_LABELS)})
        fields[6] = _vector(builder, [file])
    return _table(builder, 7, fields)


def _features(builder, dimensions=(2, 2)):
    """Content of numbers, one for each row where `dimensions` says so."""
    return _content(builder, _FEATURES, _table(builder, 0, {}), dimensions)


def _boxes(builder):
    builder.StartVector(4, len(_BOX_ORDER), 4)
    for position in reversed(_BOX_ORDER):
        builder.PrependUint32(position)
    fields = {0: builder.EndVector(), 1: ("int8", _BOUNDARIES), 2: ("int8", _RATIO)}
    return _content(builder, _BOXES, _table(builder, 3, fields), (2, 2))


def _content(builder, kind, properties, dimensions):
    fields = {0: ("uint8", kind), 1: properties}
    if dimensions:
        fields[2] = _table(builder, 2, {slot: ("int32", value) for slot, value in enumerate(dimensions)})
    return _table(builder, 3, fields)


def _group(builder, name, members):
    texts = _vector(builder, [builder.CreateString(member) for member in members])
    return _table(builder, 2, {0: builder.CreateString(name), 1: texts})


def _table(builder, num_slots, fields):
    """Offset of a table; `fields` is {slot: offset, or (type, number)}."""
    builder.StartObject(num_slots)
    for slot, value in fields.items():
        if isinstance(value, tuple):
            kind, number = value
            getattr(builder, f"Prepend{kind.capitalize()}Slot")(slot, number, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, value, 0)
    return builder.EndObject()


def _vector(builder, offsets):
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return builder.EndVector()


def _floats(builder, values):
    builder.StartVector(4, len(values), 4)
    for value in reversed(values):
        builder.PrependFloat32(value)
    return builder.EndVector()


def read_normalization(metadata):
    """What `make_metadata`, or another program, says about the input.

    Args:
      metadata: bytes of the description.

    Returns:
      (mean, std), three numbers each; None if there is nothing about it.
    """
    with contextlib.suppress(IndexError, TypeError, ValueError, struct.error):
        root = table.Table(metadata, flatbuffers.encode.Get(flatbuffers.packer.uoffset, metadata, 0))
        for graph in _tables(root, 3)[:1]:
            for unit in (unit for tensor in _tables(graph, 2)[:1] for unit in _tables(tensor, 4)):
                if _number(unit, 0) == _NORMALIZATION:
                    options = table.Table(metadata, unit.Indirect(unit.Pos + unit.Offset(_position(1))))
                    mean, std = _read_floats(options, 0), _read_floats(options, 1)
                    if len(mean) in (1, 3) and len(std) in (1, 3) and all(std):
                        return tuple(mean * (3 // len(mean))), tuple(std * (3 // len(std)))
    return None


def _position(slot):
    """Position of a slot in the list of a table's slots."""
    return 4 + 2 * slot


def _number(owner, slot):
    return owner.GetSlot(_position(slot), 0, number_types.Uint8Flags)


def _tables(owner, slot):
    """The tables of a vector; empty if it does not exist."""
    offset = owner.Offset(_position(slot))
    if not offset:
        return []
    start = owner.Vector(offset)
    return [table.Table(owner.Bytes, owner.Indirect(start + 4 * number)) for number in range(owner.VectorLen(offset))]


def _read_floats(owner, slot):
    offset = owner.Offset(_position(slot))
    if not offset:
        return []
    start = owner.Vector(offset)
    return [owner.Get(number_types.Float32Flags, start + 4 * number) for number in range(owner.VectorLen(offset))]


def append_labels(data, names):
    """Appends the file of labels to the content of a .tflite file.

    Args:
      data: bytes.
      names: the names of the classes, the first one that of class 0.

    Returns:
      bytes.
    """
    content = io.BytesIO(data)
    content.seek(0, io.SEEK_END)
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr(zipfile.ZipInfo(LABELS, _EPOCH), format_labels(names))
    return content.getvalue()


def format_labels(names):
    """A file of labels: one name per line, the first one that of class 0."""
    return "".join(" ".join(name.split()) + "\n" for name in names)


def read_labels(path):
    """The names in the file of labels that is in a .tflite file, the first one that of class 0; () without any.

    A file of labels that is larger than any real one (`limits`) counts as none.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            texts = [name for name in archive.namelist() if name.endswith(".txt")]
            named = [name for name in texts if "label" in name.lower()] or texts[:1]
            data = _read_bounded(archive, named[0]) if named else b""
            names = tuple(data.decode("utf-8").splitlines())
            return names if len(names) <= limits.MAX_CLASSES else ()
    except _UNREADABLE:
        return ()


def _read_bounded(archive, name):
    """The content of a file in an archive; b"" if it is too large, whatever size the archive announces."""
    with archive.open(name) as file:
        data = file.read(limits.MAX_TEXT_BYTES + 1)
    return data if len(data) <= limits.MAX_TEXT_BYTES else b""
