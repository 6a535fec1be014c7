"""The chunks of a PNG file, checked as libpng checks them, which TensorFlow decodes with.

Pillow is more lenient: it ignores checksums of the image data and a missing end. What it alone can read must not go
into a record as it is, or training would stop at that image.

Source: PNG specification, third edition, sections 5 and 11; libpng 1.6, pngrutil.c and pngread.c.
"""

import struct
import typing
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PALETTE = 3  # colour type
_KNOWN_CRITICAL = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_MAX_ANCILLARY_BYTES = 8_000_000  # PNG_USER_CHUNK_MALLOC_MAX; libpng rejects a file with a longer chunk
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of each colour type
# Of interlaced images: x, y of the first pixel and the steps to the next.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_PIECE_BYTES = 1 << 20  # decompressed at a time
_SMALL_PIECE_BYTES = 64  # in which zlib uses the declared window, not its output, as it does row by row in libpng
_FULL_WINDOW = 7  # of zlib: 32 KB, with which both decoders read everything
_HEAD = struct.Struct(">I4s")
_IHDR = struct.Struct(">IIBBBBB")


class Structure(typing.NamedTuple):
    """What the chunks of a PNG file say.

    Attributes:
      width, height: pixels.
      depth: bits per sample.
      color_type: of the header: 0 grey, 2 RGB, 3 palette, 4 grey with alpha, 6 RGB with alpha.
      names: of all chunks, as a set.
      damage: why no decoder can get the right pixels, or None.
      oddity: why libpng rejects a file whose pixels may be complete, or None.
    """

    width: int
    height: int
    depth: int
    color_type: int
    names: frozenset
    damage: str | None
    oddity: str | None


def read_structure(data, inflate):
    """The `Structure` of a PNG file; None if it does not begin like one.

    Args:
      data: the bytes of the whole file.
      inflate: whether to decompress the pixels. Otherwise only their checksums are verified, and `oddity` is given
        where only decompressing can tell.
    """
    if data[:8] != SIGNATURE or data[8:16] != b"\0\0\0\rIHDR" or len(data) < 33:
        return None
    width, height, depth, color_type, compression, filter_, interlace = _IHDR.unpack_from(data, 16)
    damage, oddity, names, parts = _walk(data)
    if compression or filter_ or interlace > 1 or not width or not height or color_type not in _CHANNELS:
        damage = damage or "the header has values that no PNG file may have"
    if not damage and inflate:
        damage, fault = _inflate(parts, _count_bytes(width, height, depth * _CHANNELS[color_type], interlace))
        oddity = oddity or fault
    elif not damage and not _has_full_window(parts):
        oddity = oddity or "PNG with a small window"
    return Structure(width, height, depth, color_type, names, damage, oddity)


def _walk(data):
    """(damage or None, oddity or None, names of all chunks, contents of the IDAT chunks)."""
    names, position, last, oddity, parts = set(), 8, None, None, []
    view = memoryview(data)
    while last != b"IEND":
        if position + 12 > len(data):
            return None, oddity or "PNG without its end", frozenset(names), parts
        length, name = _HEAD.unpack_from(data, position)
        end = position + 12 + length
        if end > len(data):
            if name == b"IDAT":
                return "the file ends within its pixels", oddity, frozenset(names), parts
            return None, oddity or f"PNG that ends within its chunk {_show(name)}", frozenset(names | {name}), parts
        is_whole = zlib.crc32(view[position + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")
        damage = _find_damage(name, last, names, is_whole)
        if damage:
            return damage, oddity, frozenset(names), parts
        oddity = oddity or _find_oddity(name, length, is_whole)
        if name == b"IDAT":
            parts.append(view[position + 8 : end - 4])
        names.add(name)
        last, position = name, end
    return None, oddity, frozenset(names), parts


def _find_damage(name, last, names, is_whole):
    if not name.isalpha():
        return f"a chunk has the impossible name {_show(name)}"
    if not is_whole and name in (b"IHDR", b"PLTE", b"IDAT"):
        return f"the checksum of its chunk {_show(name)} is wrong"
    if (name == b"IHDR") != (last is None):
        return "its chunks are in an impossible order"
    if name == b"IDAT" and last != b"IDAT" and b"IDAT" in names:
        return "its image data is interrupted"
    return None


def _find_oddity(name, length, is_whole):
    is_critical = not name[0] & 0x20
    if is_critical and name not in _KNOWN_CRITICAL:
        return f"PNG with the unknown chunk {_show(name)}"
    if is_critical and not is_whole:
        return f"PNG whose chunk {_show(name)} has a wrong checksum"
    if not is_critical and length > _MAX_ANCILLARY_BYTES:
        return f"PNG with a chunk {_show(name)} of {length} bytes"
    return None


def _inflate(parts, num_expected):
    """(damage or None, oddity or None) of the compressed pixels, decompressed as libpng does.

    Pillow takes a stream that ends early for a whole image, and reads one that exceeds the window that it declares.

    Args:
      parts: the contents of the IDAT chunks.
      num_expected: bytes of pixels, with one more for each row.
    """
    decompressor, total = zlib.decompressobj(0), 0
    piece = _PIECE_BYTES if _has_full_window(parts) else _SMALL_PIECE_BYTES
    try:
        for part in parts:
            while part and total <= num_expected and not decompressor.eof:
                total += len(decompressor.decompress(part, piece))
                part = decompressor.unconsumed_tail
    except zlib.error as error:
        return None, f"PNG whose pixels are not compressed correctly ({error})"
    if total < num_expected:
        return f"only {total} of {num_expected} bytes of its pixels exist", None
    return None, None if decompressor.eof else "PNG whose compressed pixels have no end"


def _has_full_window(parts):
    return bool(parts and parts[0]) and parts[0][0] >> 4 == _FULL_WINDOW


def _count_bytes(width, height, bits_per_pixel, is_interlaced):
    """Bytes of all rows, each with one more for its filter."""
    if not is_interlaced:
        return height * (1 + -(-width * bits_per_pixel // 8))
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in _PASSES]
    return sum(h * (1 + -(-w * bits_per_pixel // 8)) for w, h in sizes if w > 0 and h > 0)


def _show(name):
    return name.decode("ascii", "backslashreplace")
