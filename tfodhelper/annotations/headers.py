"""Facts about an image from its header alone, for conversions that copy images without decoding them.

Only unambiguous files are handled: plain JPEG (grey or YCbCr, Huffman-coded, without EXIF) and plain PNG (grey or RGB,
8 bits, not animated) that are not cut off. For everything else `read_header` returns None, and the caller decodes the
image; see `images.inspect_image`.
"""

import hashlib
import struct

from tfodhelper.annotations.images import MAX_PIXELS, ImageFacts, inspect_image

_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PNG_MODES = {0: "L", 2: "RGB", 4: "LA", 6: "RGBA"}
_TAIL_BYTES = 64  # some cameras append zeros after the end marker of a JPEG; if there are more, the image is decoded
_FRAME_STARTS = (0xC0, 0xC1, 0xC2)  # baseline, extended, progressive; all Huffman-coded
_OTHER_FRAMES = frozenset(range(0xC3, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DOUBTFUL = (b"Exif", b"MPF\0", b"Adobe")  # a rotation, several images, another colour space
_SIZES = struct.Struct(">HBHHB")  # length of the segment, bits, height, width, components


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
    elif data[:8] == _PNG_MAGIC:
        header = _read_png(data)
    else:
        return None
    if header is None or not 0 < header[1] * header[2] <= MAX_PIXELS:
        return None
    return ImageFacts(*header, 1, hashlib.sha256(data).hexdigest(), len(data))


def _read_jpeg(data):
    """(format, width, height, mode), or None."""
    if data[-2:] != b"\xff\xd9" and data[-_TAIL_BYTES:].rstrip(b"\0")[-2:] != b"\xff\xd9":
        return None
    position, end = 2, len(data) - 9
    while position < end:
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker in _FRAME_STARTS:
            _, bits, height, width, components = _SIZES.unpack_from(data, position + 2)
            if bits != 8 or components not in (1, 3):
                return None
            return "JPEG", width, height, "L" if components == 1 else "RGB"
        if marker in _OTHER_FRAMES or marker in (0xDA, 0xFF):
            return None
        if 0xE1 <= marker <= 0xEF and data.startswith(_DOUBTFUL, position + 4):
            return None
        position += 2 + (data[position + 2] << 8 | data[position + 3])
    return None


def _read_png(data):
    """(format, width, height, mode), or None."""
    if data[-8:] != _PNG_END or data[12:16] != b"IHDR" or b"acTL" in data[:1024] or b"eXIf" in data[:1024]:
        return None
    width, height, bits, color_type = struct.unpack_from(">IIBB", data, 16)
    mode = _PNG_MODES.get(color_type)
    if bits != 8 or mode is None or (b"tRNS" in data[:4096]):
        return None
    return "PNG", width, height, mode
