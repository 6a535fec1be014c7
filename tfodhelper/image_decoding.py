"""Opens image files with Pillow, and nothing but the formats that this program reads; the only place that does.

Pillow knows dozens of formats, some of which start other programs: an EPS file named photo.jpg would be given to
Ghostscript. Whatever a damaged file makes Pillow raise leaves this module as `UndecodableImageError`.
"""

import contextlib
import io
import warnings

from PIL import Image, UnidentifiedImageError

from tfodhelper import user_files

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
FORMATS_IN_WORDS = "JPEG, PNG, WebP, BMP, GIF or TIFF"
MAX_BYTES = 1 << 30  # of a file; a record can hold at most two gigabytes
MAX_PIXELS = 178_956_970  # Pillow's own limit for decompression bombs: half a gigabyte of RGB
MAX_SIDE = 1_000_000  # pixels; libpng, and so TensorFlow, reads no longer row or column
UNKNOWN, TOO_LARGE, TRUNCATED, DAMAGED = "unknown", "too large", "truncated", "damaged"

_ORIENTATION = 0x0112  # EXIF tag
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Pillow warns about metadata that it cannot parse and about large images. Metadata does not matter here, and too large
# images are rejected below with our own message. A filter per call would not be safe: scans decode in threads.
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


class UndecodableImageError(Exception):
    """Bytes that are not an image of a known format, or not a whole one.

    Attributes:
      kind: UNKNOWN, TOO_LARGE, TRUNCATED or DAMAGED.
      reason: what the decoder said.
    """

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind, self.reason = kind, reason


def open_image(data):
    """Opens an image; of most formats only the header is read.

    Args:
      data: its bytes.

    Returns:
      A `PIL.Image.Image`, whose pixels `load` decodes.

    Raises:
      UndecodableImageError: the format is unknown, the header is damaged, or the image is too large.
    """
    return _open(io.BytesIO(data))


@contextlib.contextmanager
def opened(source):
    """Opens an image file for a block, without reading more of it than is needed.

    Args:
      source: the path of a regular file, or a binary file.

    Yields:
      A `PIL.Image.Image`, as `open_image` returns it.

    Raises:
      UndecodableImageError: see `open_image`.
      OSError, StorageError: the file cannot be read; see `user_files.open_regular`.
    """
    if hasattr(source, "read"):
        yield _open(source)
        return
    descriptor, _ = user_files.open_regular(source)
    with open(descriptor, "rb") as file:
        yield _open(file)


def _open(file):
    with _explained(UNKNOWN):
        image = Image.open(file, formats=FORMATS)
    if min(image.size) < 1:
        raise UndecodableImageError(DAMAGED, f"it has no pixels ({image.width}x{image.height})")
    if image.width * image.height > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise UndecodableImageError(TOO_LARGE, f"{image.width}x{image.height}")
    return image


def load(image):
    """Decodes all pixels of an opened image.

    Raises:
      UndecodableImageError: it is truncated or damaged.
    """
    with _explained(DAMAGED):
        image.load()


@contextlib.contextmanager
def _explained(kind):
    """Turns whatever Pillow raises into an `UndecodableImageError`.

    Its decoders let almost every kind of exception escape from damaged files, so no list of them would be complete.
    """
    try:
        yield
    except Image.DecompressionBombError as error:
        raise UndecodableImageError(TOO_LARGE, str(error)) from None
    except UnidentifiedImageError:
        raise UndecodableImageError(UNKNOWN, "unknown format") from None
    except Exception as error:
        reason = str(error) or type(error).__name__
        is_short = kind == DAMAGED and ("truncated" in reason or isinstance(error, EOFError))
        raise UndecodableImageError(TRUNCATED if is_short else kind, reason) from None


def format_of(image):
    """The real format of an opened image, one of `FORMATS`.

    An MPO file is a JPEG with further pictures behind it, which decoders of JPEG ignore.
    """
    return "JPEG" if image.format == "MPO" else image.format


def orientation_of(image):
    """The EXIF orientation of an image, 1 to 8; 1 where it is missing, invalid or cannot be parsed.

    To find the EXIF data of a PNG, Pillow decodes the image, and damage to it would be taken for damage to the EXIF
    data. Where damage matters, call `load` first.
    """
    try:
        with _explained(DAMAGED):
            value = image.getexif().get(_ORIENTATION, 1)
    except UndecodableImageError:
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def turn_upright(image, orientation):
    """The decoded image as its EXIF orientation asks for it to be shown."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def to_rgb_or_grey(image):
    """An 8-bit RGB or grey copy without metadata; 16-bit grey keeps its upper eight bits.

    Raises:
      UndecodableImageError: Pillow cannot convert its colours.
    """
    with _explained(DAMAGED):
        plain = _convert(image)
        bare = Image.new(plain.mode, plain.size)
        bare.paste(plain)
        return bare


def _convert(image):
    if image.mode.startswith("I;16"):
        return image.convert("I").point(lambda value: value / 256).convert("L")
    if image.mode in ("I", "F"):
        _, high = image.getextrema()
        scale = 256 if high > 255 else 1
        return image.convert("I").point(lambda value: value / scale).convert("L")
    return image.convert("L" if image.mode in ("L", "1", "LA") else "RGB")
