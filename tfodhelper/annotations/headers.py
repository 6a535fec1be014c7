"""Facts about an image from its header alone, for conversions that copy images without decoding them.

Only unambiguous files are handled: plain JPEG (grey or YCbCr, Huffman-coded, without EXIF) and plain PNG (grey or RGB,
8 bits, not animated, with correct checksums) that are not cut off. For everything else `read_header` returns None, and
the caller decodes the image; see `images.inspect_image`.
"""

import hashlib
import zlib

from tfodhelper.annotations import jpeg_segments, png_chunks
from tfodhelper.annotations.images import ImageFacts, inspect_image
from tfodhelper.image_decoding import MAX_PIXELS, MAX_SIDE

_JPEG_MODES = {1: "L", 3: "RGB"}  # by the number of components
_PNG_DOUBTFUL = frozenset((b"acTL", b"eXIf", b"tRNS"))  # several images, a rotation, transparency
_PNG_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}
_DOUBTFUL = (b"Exif", b"MPF\0", b"Adobe")  # a rotation, several images, another colour space


def inspect(data, path, decode=True):
    """Inspects the bytes of an image.

    Args:
      data: the bytes.
      path: their source, for messages.
      decode: whether to decode the whole image, which detects damage; otherwise only if the header is ambiguous.

    Returns:
      `ImageFacts`; `is_blank` is False if the image was not decoded.

    Raises:
      UnusableFile: see `images.inspect_image`.
    """
    facts = None if decode else read_header(data)
    return inspect_image(data, path) if facts is None else facts


def read_header(data):
    """The `ImageFacts` of a plain JPEG or PNG; None for everything that has to be decoded."""
    if data[:3] == b"\xff\xd8\xff":
        header = _read_jpeg(data)
    elif data[:8] == png_chunks.SIGNATURE:
        header = _read_png(data)
    else:
        return None
    if header is None or not 0 < header[1] * header[2] <= MAX_PIXELS or max(header[1:3]) > MAX_SIDE:
        return None
    return ImageFacts(*header, 1, hashlib.sha256(data).hexdigest(), len(data), crc32=zlib.crc32(data))


def _read_jpeg(data):
    """(format, width, height, mode), or None."""
    structure = jpeg_segments.read_structure(data)
    if not structure.is_sound or structure.num_components not in _JPEG_MODES:
        return None
    if any(application.startswith(_DOUBTFUL) for application in structure.applications):
        return None
    return "JPEG", structure.width, structure.height, _JPEG_MODES[structure.num_components]


def _read_png(data):
    """(format, width, height, mode), or None."""
    structure = png_chunks.read_structure(data, inflate=False)
    if structure is None or structure.damage or structure.oddity or structure.names & _PNG_DOUBTFUL:
        return None
    mode = _PNG_MODES.get(structure.color_type)
    if structure.depth != 8 or mode is None:
        return None
    return "PNG", structure.width, structure.height, mode
