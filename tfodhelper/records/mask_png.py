"""Masks as the smallest PNGs that every reader knows: gray, one bit per pixel, 0 is background."""

import struct
import zlib

import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_LEVEL = 6  # of compression; a mask is mostly runs of equal bytes


def encode(array):
    """The bytes of a PNG.

    Args:
      array: [height, width], 0 is background.
    """
    height, width = array.shape
    rows = np.packbits(array != 0, axis=1)
    lines = np.concatenate([np.zeros([height, 1], np.uint8), rows], axis=1)  # each begins with its filter: none
    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = zlib.compress(lines.tobytes(), _LEVEL)
    return _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", content) + _chunk(b"IEND", b"")


def empty(height, width):
    """A mask without a pixel: uint8 [height, width]."""
    return np.zeros([height, width], np.uint8)


def _chunk(name, content):
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)
