"""Ways to damage files with arrays; see `mutators`."""

import io
import re
import tokenize
import zipfile
import zlib

import numpy as np

from tests.mutation import mutators

_UNREADABLE = (zipfile.BadZipFile, zlib.error, tokenize.TokenError, OSError, ValueError, EOFError)
_UNREADABLE += (IndexError, NotImplementedError, MemoryError, OverflowError, AttributeError, SyntaxError, RuntimeError)


def change_npz(rng, data):
    """Replaces an array of a .npz file: another shape or kind, another header, Python objects, other values."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(list(files))
        array = np.load(io.BytesIO(files[name]), allow_pickle=False)
        files[name] = _change_array(rng, files[name], array)
    except _UNREADABLE:
        return mutators.mutate(rng, data, mutators.BYTES)
    if rng.random() < 0.05:
        del files[name]
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in files.items():
            archive.writestr(name, value)
    return content.getvalue()


def _change_array(rng, data, array):
    kind = rng.randrange(7)
    if kind == 0:  # a header that promises more than there is
        shape = rng.choice((f"({10 ** rng.randrange(1, 30)},)", "(-1,)", "(100000, 100000, 100000)", "()", "(0, 4)"))
        return re.sub(rb"\([0-9, ]*\)", shape.encode(), data, count=1)
    if kind == 1:
        names = (b"<U1000000000", b"|O", b"<f8", b"<i8", b"|V4000000000", b"<c16", b"<M8[s]", b">f8", b"|b1")
        return re.sub(rb"'descr': '[^']*'", b"'descr': '" + rng.choice(names) + b"'", data, count=1)
    if kind == 2:
        return mutators.mutate(rng, data, mutators.BYTES)
    if kind == 3:
        array = np.array([None, {}], object)
    elif kind == 4:
        array = array.astype(rng.choice((np.int8, np.float32, np.float64, np.int64, np.complex64)))
    elif kind == 5:
        array = np.concatenate([array] * rng.choice((2, 50))) if len(array) < 10_000 else array[:0]
    elif array.size:
        array = array.copy()
        with np.errstate(all="ignore"):
            values = np.array(rng.choice((-1, 0, 1, 10**6, 2**31 - 1, 2**62, np.nan, np.inf, 1e308)))
            array.flat[rng.randrange(array.size)] = values.astype(array.dtype)
    content = io.BytesIO()
    np.save(content, array, allow_pickle=True)
    return content.getvalue()
