"""detections.npz: what a model found in a set of images, with the ground truth, from which all figures are recomputed.

The columns of `detection_set.DetectionSet` under their names, in numpy's format, and one entry `text`: UTF-8 JSON with
the names. It contains no Python objects, and none are read.
"""

import json
import math
import os
import pathlib
import struct
import tokenize
import zipfile
import zlib

import numpy as np

from tfodhelper import errors, json_shapes, limits, spelling, storage
from tfodhelper.metrics import analysis, analysis_file, collector, detection_set, mask_file, overlaps

_FORMAT = 1
_MOST_BYTES = 16 << 30  # of all columns; those of a million images with 100 detections each have 4.5 GB
_FIX = "evaluate again: tfodhelper eval"
_NUMBERS = {
    "class_ids": (np.int64, ()),
    "image_sizes": (np.int32, (2,)),
    "gt_starts": (np.int64, ()),
    "det_starts": (np.int64, ()),
    **detection_set.COLUMNS,
}
_STARTS = {"gt_starts": detection_set.GT_COLUMNS, "det_starts": detection_set.DET_COLUMNS}
_DAMAGED = (ValueError, KeyError, TypeError, OverflowError, EOFError, MemoryError, NotImplementedError, RuntimeError)
_DAMAGED += (SyntaxError, tokenize.TokenError, struct.error, zipfile.BadZipFile, zlib.error)
_TEXT = {"format": int, "names": [str], "image_ids": [str], "image_names": [str]}


def write_detections(path: str | os.PathLike[str], images: collector.ImageSet) -> None:
    """Writes a set, some images at a time; the file appears whole.

    Args:
      path: the file; an existing one is replaced.
      images: the set.
    """
    text = {"format": _FORMAT, **{name: list(getattr(images, name)) for name in _TEXT if name != "format"}}
    encoded = np.frombuffer(json.dumps(text).encode("utf-8"), np.uint8)
    with (
        storage.open_whole(path, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive,
    ):
        _write_column(archive, "text", np.uint8, (), len(encoded), [encoded])
        for name, (dtype, rest) in _NUMBERS.items():
            whole = getattr(images, name, None)
            length = images.num_rows(name) if whole is None else len(whole)
            _write_column(archive, name, dtype, rest, length, images.blocks_of(name) if whole is None else [whole])


def _write_column(archive, name, dtype, rest, length, blocks):
    """One array in numpy's format, [length, *rest], of consecutive blocks of its rows."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
        header = {"descr": np.lib.format.dtype_to_descr(np.dtype(dtype)), "fortran_order": False}
        np.lib.format.write_array_header_1_0(file, {**header, "shape": (length, *rest)})
        for block in blocks:
            file.write(np.ascontiguousarray(block, dtype).tobytes())


def read_detections(path: str | os.PathLike[str]) -> detection_set.DetectionSet:
    """Reads what `write_detections` wrote.

    Args:
      path: the file, or the folder that contains it as detections.npz.

    Raises:
      PredictionError: it cannot be read, or is another kind of file.
    """
    path = pathlib.Path(path)
    path = path / analysis_file.DETECTIONS if path.is_dir() else path
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MOST_BYTES:
                raise ValueError(f"more than {_MOST_BYTES >> 30} GiB")
            text = limits.parse_json(_read_column(archive, "text", np.uint8, ()).tobytes().decode("utf-8"))
            json_shapes.check(text, _TEXT, "text")
            columns = _read_columns(archive, text)
        _check(text, columns)
    except OSError as error:
        raise errors.PredictionError(f"{path}: cannot be read ({error.strerror or error})", fix=_FIX) from error
    except _DAMAGED as error:
        raise errors.PredictionError(
            f"{path}: does not hold the detections of an evaluation",
            expected="a detections.npz that tfodhelper wrote",
            received=str(error) or type(error).__name__,
            fix=_FIX,
        ) from error
    names = {name: tuple(text[name]) for name in _TEXT if name != "format"}
    return detection_set.DetectionSet(**names, **columns)


def _read_columns(archive, text):
    """{name: array}; one is read when it is known that it has as many rows as belong to it."""
    if text["format"] != _FORMAT:
        raise ValueError(f"format {text['format']}, not {_FORMAT}: another version of this program wrote it")
    num_images, columns = len(text["image_ids"]), {}
    lengths = {"class_ids": len(text["names"]), "image_sizes": num_images}
    lengths |= dict.fromkeys(_STARTS, num_images + 1)
    for name, (dtype, rest) in _NUMBERS.items():
        for starts, names in _STARTS.items():
            if name in names:
                lengths[name] = int(columns[starts][-1])
        columns[name] = _read_column(archive, name, dtype, rest, lengths.get(name))
    return columns


def _read_column(archive, name, dtype, rest, length=None):
    """One array in numpy's format, [length, *rest]; its header is checked before anything is read."""
    entry = archive.getinfo(f"{name}.npy")
    with archive.open(entry) as file:
        numpy_format = np.lib.format
        if numpy_format.read_magic(file) != (1, 0):
            raise ValueError(f"{name}: another version of numpy's format")
        shape, is_fortran, stored = numpy_format.read_array_header_1_0(file)
        if stored != dtype or len(shape) != 1 + len(rest) or shape[1:] != rest or shape[0] < 0:
            raise ValueError(f"{name}: {stored} {list(shape)}")
        if length is not None and shape[0] != length:
            raise ValueError(f"{name}: {spelling.count(shape[0], 'row')} instead of {length}")
        if shape[0] * math.prod(rest) * stored.itemsize != entry.file_size - file.tell():
            raise ValueError(f"{name}: {entry.file_size:,} bytes, which are not {list(shape)}")
        values = np.frombuffer(bytearray(file.read()), dtype)
    return values.reshape(shape, order="F" if is_fortran else "C")


def _check(text, columns):
    """Raises ValueError for columns that do not fit together."""
    for name, column in columns.items():
        if column.dtype == np.float64 and not np.isfinite(column).all():
            raise ValueError(f"{name}: numbers that are not finite")
    num_images, num_classes = len(text["image_ids"]), len(text["names"])
    for starts in _STARTS:
        if columns[starts][0] != 0 or (np.diff(columns[starts]) < 0).any():
            raise ValueError(f"{starts}: not the beginnings of {spelling.count(num_images, 'image')}")
    if len(columns["verified_class"]) != len(columns["verified_image"]):
        raise ValueError("verified_class and verified_image are not of one length")
    if len(text["image_names"]) != num_images:
        raise ValueError(
            f"{spelling.count(len(text['image_names']), 'name')} for {spelling.count(num_images, 'image')}"
        )
    rows = {"gt_class": num_classes, "det_class": num_classes, "verified_class": num_classes}
    for name, number in (rows | {"verified_image": num_images}).items():
        if len(columns[name]) and not (columns[name].min() >= 0 and columns[name].max() < number):
            raise ValueError(f"{name}: a row outside of 0..{number - 1}")


def write_evaluation(folder, overlapping, figures, step=None, model="", data="", masks_of=None):
    """Writes detections.npz, analysis.json and, of models with masks, masks.json into a folder, which is made.

    Args:
      folder: the folder.
      overlapping, figures, step, model, data: see `analysis.analyze`.
      masks_of: see `mask_file.write_masks`.

    Returns:
      The analysis.

    Raises:
      StorageError: the folder cannot be written to.
    """
    folder = storage.make_folder(folder)
    path = folder / analysis_file.DETECTIONS
    write_detections(path, overlapping.images)
    analyzed = analysis.analyze(overlapping, figures, step, model, data, storage.sha256_of(path))
    mask_file.write_masks(folder, analyzed, masks_of)
    analysis_file.write_analysis(folder, analyzed)
    return analyzed


def read_evaluation(folder):
    """Reads what `write_evaluation` wrote.

    Returns:
      (the analysis, the `overlaps.Overlaps` of the detections, all in memory).

    Raises:
      StorageError, PredictionError: a file is missing or damaged, or the two do not belong together.
    """
    analyzed = analysis_file.read_analysis(folder)
    return analyzed, overlaps.Overlaps(read_detections_of(folder, analyzed))


def read_detections_of(folder, analyzed):
    """The `DetectionSet` in a folder, from which its analysis was computed; errors as in `read_evaluation`."""
    path = pathlib.Path(folder) / analysis_file.DETECTIONS
    images = read_detections(path)
    if storage.sha256_of(path) != analyzed["detections"]["sha256"]:
        raise errors.PredictionError(
            f"{folder}: {analysis_file.ANALYSIS} was computed from other detections than {analysis_file.DETECTIONS}",
            fix=_FIX,
        )
    return images
