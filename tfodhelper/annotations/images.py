"""Facts about an image file from its bytes: its real format, whether it is complete, and what goes into a record.

The extension and the XML's `<size>` and `<depth>` are never trusted. Bytes that TensorFlow can decode (grey and RGB
JPEG, grey and RGB PNG of 8 bits) go into a record as they are; everything else is decoded here and re-encoded, as JPEG
where the source was lossy and as PNG where it was not. An image is usable only if one of the two works: the judge is
the decoder that training uses.
"""

import contextlib
import dataclasses
import hashlib
import io
import zlib

from tfodhelper import image_decoding, user_files
from tfodhelper.annotations import jpeg_segments, perceptual_hash, png_chunks
from tfodhelper.annotations.labelimg import LFS_MARK
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.image_decoding import MAX_BYTES, MAX_PIXELS, MAX_SIDE, UndecodableImageError

EXTENSIONS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".mpo": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
JPEG_QUALITY = 95
NO_HASH = -1  # of an image with hardly any contrast
LOSSY_FORMATS = ("JPEG", "WEBP")
_DECODED_MODES = ("L", "RGB", "LA", "RGBA")
_PLAIN_PROCESSES = (0, 1, 2)  # Huffman-coded: baseline, extended, progressive


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """Facts derived from the bytes of an image.

    Attributes:
      format: the real format, one of `image_decoding.FORMATS`.
      width, height: stored pixels, before any EXIF rotation.
      mode: Pillow's mode.
      orientation: EXIF orientation, 1 to 8; 1 where it is missing or invalid.
      sha256: hex digest of the file.
      num_bytes: size of the file.
      reencode_reason: why the bytes cannot go into a record as they are; None when they can.
      is_blank: whether all pixels are equal.
      perceptual_hash: see `perceptual_hash.hash_image`, or NO_HASH where that returns None; None if the image was not
        decoded.
      crc32: checksum of the file, to notice a change of it at a fraction of the cost of `sha256`; None: not computed.
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
    perceptual_hash: int | None = None
    crc32: int | None = None

    def are_of(self, data):
        """Whether these are the bytes that the facts were derived from."""
        if self.crc32 is None:
            return hashlib.sha256(data).hexdigest() == self.sha256
        return len(data) == self.num_bytes and zlib.crc32(data) == self.crc32

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
    return read_with_status(path)[0]


def read_with_status(path):
    """(the bytes of an image file, its `os.fstat`).

    Raises:
      UnusableFile: when it cannot be read.
    """
    try:
        data, status = user_files.read_bytes(path, MAX_BYTES)
    except OSError as error:
        raise UnusableFile("image-unreadable", path, f"cannot be read ({error.strerror})") from error
    if len(data) > MAX_BYTES:
        raise UnusableFile("image-too-large", path, "the file is too large", expected=f"at most {MAX_BYTES >> 20} MB")
    return data, status


def read_size(path):
    """(width, height, EXIF orientation) from the header of an image file; None when it cannot be read."""
    try:
        with image_decoding.opened(path) as image:
            return (*image.size, image_decoding.orientation_of(image))
    except (OSError, UndecodableImageError):
        return None


def inspect_image(data, path):
    """Inspects the bytes of an image, and decodes all of it once to verify that it is complete.

    A JPEG is decoded at a fraction of its size, which reads every coded coefficient and is several times faster.

    Args:
      data: the bytes.
      path: their source, for messages.

    Returns:
      `ImageFacts`.

    Raises:
      UnusableFile: empty, a git-lfs pointer, unreadable, truncated or too large.
    """
    with _as_unusable(data, path):
        image = image_decoding.open_image(data)
        format_, mode, (width, height) = image_decoding.format_of(image), image.mode, image.size
        reason = _reencode_reason(image, data)
        if format_ == "JPEG" and reason is None:
            image.draft(None, perceptual_hash.DRAFT_SIZE)
        image_decoding.load(image)
        if reason is not None:
            image_decoding.to_rgb_or_grey(image.crop((0, 0, 1, 1)))
        orientation, is_blank = image_decoding.orientation_of(image), _is_blank(image)
        look = perceptual_hash.hash_image(image)
    digest, look = hashlib.sha256(data).hexdigest(), NO_HASH if look is None else look
    return ImageFacts(
        *(format_, width, height, mode, orientation, digest, len(data), reason, is_blank, look), zlib.crc32(data)
    )


def is_plain_jpeg(data, path):
    """Whether the bytes begin like a JPEG that every decoder can read; they may be truncated.

    Raises:
      UnusableFile: empty, a git-lfs pointer, not an image, or too large.
    """
    with _as_unusable(data, path):
        image = image_decoding.open_image(data)
        return image_decoding.format_of(image) == "JPEG" and _reencode_reason(image, data) is None


@contextlib.contextmanager
def _as_unusable(data, path):
    """Turns an `UndecodableImageError` into the error that says what the file is instead."""
    if not data:
        raise UnusableFile("image-empty", path, "the file is empty", fix="copy the image again, or remove the file")
    if data.startswith(LFS_MARK):
        raise UnusableFile("git-lfs-pointer", path, "is a git-lfs pointer, not an image", fix="run: git lfs pull")
    try:
        yield
    except UndecodableImageError as error:
        raise _EXPLANATIONS[error.kind](path, error.reason, data) from None


def _explain_unknown(path, reason, data):
    return UnusableFile(
        "image-unreadable",
        path,
        "is not an image that can be decoded",
        expected=image_decoding.FORMATS_IN_WORDS,
        received=f"{reason}; the file starts with {data[:8]!r}",
        fix="copy or convert the image again, or remove the file",
    )


def _explain_too_large(path, reason, data):
    return UnusableFile(
        "image-too-large",
        path,
        "the image is too large",
        expected=f"at most {MAX_PIXELS} pixels, and {MAX_SIDE} in a row or column",
        received=reason,
        fix="cut it into tiles or scale it down, and label the result",
    )


def _explain_truncated(path, reason, data):
    fix = "copy the image again from its source"
    return UnusableFile("image-truncated", path, "the image file ends too early", received=reason, fix=fix)


def _explain_damaged(path, reason, data):
    fix = "copy the image again from its source"
    return UnusableFile("image-unreadable", path, "the image cannot be decoded", received=reason, fix=fix)


_EXPLANATIONS = {
    image_decoding.UNKNOWN: _explain_unknown,
    image_decoding.TOO_LARGE: _explain_too_large,
    image_decoding.TRUNCATED: _explain_truncated,
    image_decoding.DAMAGED: _explain_damaged,
}


def _is_blank(image):
    extrema = image.getextrema()
    if image.mode == "P" or not extrema:
        return len(image.getcolors(256) or [0, 0]) == 1
    bands = extrema if isinstance(extrema[0], tuple) else (extrema,)
    return all(low == high for low, high in bands)


def _reencode_reason(image, data):
    """Why the bytes cannot go into a record, or None.

    Raises:
      UndecodableImageError: damage that Pillow overlooks.
    """
    format_ = image_decoding.format_of(image)
    if format_ == "JPEG":
        if image.mode not in ("L", "RGB"):
            return f"JPEG with {image.mode} colours"
        return _jpeg_reason(jpeg_segments.read_structure(data))
    if format_ == "PNG":
        return _png_reason(image, data)
    return f"not every TensorFlow decoder reads {format_}"


def _jpeg_reason(structure):
    if structure.process is None:
        return "JPEG with damaged segments"
    if structure.process not in _PLAIN_PROCESSES:
        return f"JPEG with process SOF{structure.process}"
    return None if structure.has_end else "JPEG without its end"


def _png_reason(image, data):
    structure = png_chunks.read_structure(data, inflate=True)
    if structure is None or structure.damage:
        reason = structure.damage if structure else "the header is damaged"
        raise UndecodableImageError(image_decoding.DAMAGED, reason)
    if getattr(image, "n_frames", 1) > 1:
        return "animated PNG"
    if structure.color_type == png_chunks.PALETTE:
        return "PNG with a palette"
    if structure.depth != 8 or image.mode not in _DECODED_MODES:
        return f"PNG with {structure.depth} bits per sample"
    return structure.oddity


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
    image = image_decoding.open_image(data)
    image_decoding.load(image)
    if turn:
        image = image_decoding.turn_upright(image, facts.orientation)
    image = image_decoding.to_rgb_or_grey(image)
    buffer = io.BytesIO()
    if facts.format in LOSSY_FORMATS:
        image.save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
        return buffer.getvalue(), "jpeg"
    image.save(buffer, "PNG")
    return buffer.getvalue(), "png"
