"""Facts about an image file from its bytes: its real format, whether it is complete, and what goes into a record.

The extension and the XML's `<size>` and `<depth>` are never trusted. Bytes that TensorFlow can decode (grey and RGB
JPEG, grey and RGB PNG of 8 bits) go into a record as they are; everything else is decoded here and re-encoded, as JPEG
where the source was lossy and as PNG where it was not.
"""

import dataclasses
import hashlib
import io
import os
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

from tfodhelper.annotations.labelimg import LFS_MARK
from tfodhelper.annotations.structures import UnusableFile

EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
MAX_PIXELS = 178_956_970  # Pillow's own limit for decompression bombs: half a gigabyte of RGB
MAX_BYTES = 1 << 30  # of a file; a record can hold at most two gigabytes
JPEG_QUALITY = 95
_ORIENTATION = 0x0112  # EXIF tag
_DECODED_MODES = ("L", "RGB", "LA", "RGBA")
LOSSY_FORMATS = ("JPEG", "MPO", "WEBP")

# Images that are too large are rejected below, with our own message; for the others the warning would be noise.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """Facts derived from the bytes of an image.

    Attributes:
      format: Pillow's name of the real format: "JPEG", "PNG", "WEBP", ...
      width, height: stored pixels, before any EXIF rotation.
      mode: Pillow's mode.
      orientation: EXIF orientation, 1 to 8; 1 where it is missing or invalid.
      sha256: hex digest of the file.
      num_bytes: size of the file.
      reencode_reason: why the bytes cannot go into a record as they are; None when they can.
      is_blank: whether all pixels are equal.
    """

    format: str
    width: int
    height: int
    mode: str
    orientation: int
    sha256: str
    num_bytes: int
    reencode_reason: str | None = None
    is_blank: bool = False

    @property
    def is_quarter_turned(self):
        """Whether EXIF asks for a rotation that swaps width and height."""
        return self.orientation >= 5


def read_image_facts(path):
    """Reads and inspects a file; see `inspect_image`."""
    return inspect_image(read_image(path), path)


def read_image(path):
    """The bytes of an image file.

    Raises:
      UnusableFile: when it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            # Python allocates all that is requested, so request no more than the size; 0 means that it is not known.
            size = os.fstat(file.fileno()).st_size or MAX_BYTES
            data = file.read(min(size, MAX_BYTES) + 1)
    except OSError as error:
        raise UnusableFile("image-unreadable", path, f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise UnusableFile("image-too-large", path, "the file is too large", expected=f"at most {MAX_BYTES >> 20} MB")
    return data


def read_size(path):
    """(width, height, EXIF orientation) from the header of an image file; None when it cannot be read."""
    try:
        with Image.open(path) as image:
            return (*image.size, _orientation_of(image))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def inspect_image(data, path):
    """Inspects the bytes of an image, and decodes all of it once to verify that it is complete.

    A JPEG is decoded at an eighth of its size, which reads every coded coefficient and is several times faster.

    Args:
      data: the bytes.
      path: their source, for messages.

    Returns:
      `ImageFacts`.

    Raises:
      UnusableFile: empty, a git-lfs pointer, unreadable, truncated or too large.
    """
    image = _open(data, path)
    facts = ImageFacts(
        format=image.format,
        width=image.width,
        height=image.height,
        mode=image.mode,
        orientation=_orientation_of(image),
        sha256=hashlib.sha256(data).hexdigest(),
        num_bytes=len(data),
        reencode_reason=_reencode_reason(image, data),
    )
    if image.format in ("JPEG", "MPO"):
        image.draft(None, (1, 1))
    _load(image, path)
    return dataclasses.replace(facts, is_blank=_is_blank(image))


def is_plain_jpeg(data, path):
    """Whether the bytes begin like a JPEG that every decoder can read; they may be truncated.

    Raises:
      UnusableFile: empty, a git-lfs pointer, not an image, or too large.
    """
    image = _open(data, path)
    return image.format == "JPEG" and _reencode_reason(image, data) is None


def _open(data, path):
    if not data:
        raise UnusableFile("image-empty", path, "the file is empty", fix="copy the image again, or remove the file")
    if data.startswith(LFS_MARK):
        raise UnusableFile("git-lfs-pointer", path, "is a git-lfs pointer, not an image", fix="run: git lfs pull")
    try:
        image = Image.open(io.BytesIO(data))
    except Image.DecompressionBombError as error:
        raise _too_large(path, str(error)) from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, OverflowError) as error:
        reason = "unknown format" if isinstance(error, UnidentifiedImageError) else str(error)
        raise UnusableFile(
            "image-unreadable",
            path,
            "is not an image that can be decoded",
            expected="JPEG, PNG, WebP, BMP, GIF or TIFF",
            received=f"{reason}; the file starts with {data[:8]!r}",
            fix="copy or convert the image again, or remove the file",
        ) from None
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(path, f"{image.width}x{image.height}")
    return image


def _too_large(path, received):
    return UnusableFile(
        "image-too-large",
        path,
        "the image is too large",
        expected=f"at most {MAX_PIXELS} pixels",
        received=received,
        fix="cut it into tiles or scale it down, and label the result",
    )


def _load(image, path):
    try:
        image.load()
    except (OSError, ValueError, SyntaxError, OverflowError, MemoryError, EOFError, IndexError) as error:
        is_short = "truncated" in str(error) or isinstance(error, EOFError)
        raise UnusableFile(
            "image-truncated" if is_short else "image-unreadable",
            path,
            ("the image file ends too early" if is_short else "the image cannot be decoded"),
            received=str(error) or type(error).__name__,
            fix="copy the image again from its source",
        ) from None


def _orientation_of(image):
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError, AttributeError, ZeroDivisionError):
        return 1  # EXIF data that cannot be parsed is ignored
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _is_blank(image):
    extrema = image.getextrema()
    if image.mode == "P" or not extrema:
        return len(image.getcolors(256) or [0, 0]) == 1
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)


def _reencode_reason(image, data):
    if image.format == "JPEG":
        if image.mode not in ("L", "RGB"):
            return f"JPEG with {image.mode} colours"
        return _unusual_jpeg_process(data)
    if image.format == "PNG":
        depth, color_type = data[24], data[25]  # of the IHDR chunk
        if getattr(image, "n_frames", 1) > 1:
            return "animated PNG"
        if color_type == 3:
            return "PNG with a palette"
        if depth != 8 or image.mode not in _DECODED_MODES:
            return f"PNG with {depth} bits per sample"
        return None
    return f"not every TensorFlow decoder reads {image.format}"


def _unusual_jpeg_process(data):
    """Names a JPEG process other than the Huffman-coded baseline, extended and progressive ones; None for those."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return None if marker in (0xC0, 0xC1, 0xC2) else f"JPEG with process SOF{marker - 0xC0}"
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None


def encode_for_record(data, facts, turn=False):
    """The bytes to store in a record, and their format.

    Args:
      data: the bytes of the image file.
      facts: its `ImageFacts`.
      turn: whether to rotate the image according to its EXIF orientation.

    Returns:
      (bytes, "jpeg" or "png"); the bytes are unchanged where possible.
    """
    if facts.reencode_reason is None and not turn:
        return data, facts.format.lower()
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        if turn:
            image = ImageOps.exif_transpose(image)
        image = _to_rgb_or_grey(image)
    buffer = io.BytesIO()
    if facts.format in LOSSY_FORMATS:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return buffer.getvalue(), "jpeg"
    image.save(buffer, "PNG")
    return buffer.getvalue(), "png"


def _to_rgb_or_grey(image):
    """An 8-bit RGB or grey copy without metadata; 16-bit grey keeps its upper eight bits."""
    if image.mode.startswith("I;16"):
        plain = image.convert("I").point(lambda value: value / 256).convert("L")
    elif image.mode in ("I", "F"):
        low, high = image.getextrema()
        scale = 256 if high > 255 else 1
        plain = image.convert("I").point(lambda value: value / scale).convert("L")
    elif image.mode in ("L", "1", "LA"):
        plain = image.convert("L")
    else:
        plain = image.convert("RGB")
    bare = Image.new(plain.mode, plain.size)
    bare.paste(plain)
    return bare
