"""Each kind of damage at each byte: rejected in words, or what goes into the record decodes as training decodes it.

The images are so small that every byte of each can be damaged. TensorFlow is the judge.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfodhelper.annotations import headers, images, png_chunks
from tfodhelper.annotations.structures import UnusableFile
from tfodhelper.inputs import pixels

WIDTH, HEIGHT = 7, 5
ANIMATED = {"save_all": True, "append_images": [Image.new("RGB", (WIDTH, HEIGHT))]}


def noise(mode="RGB"):
    values = np.random.default_rng(3).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    if mode == "I;16":
        return Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(values).convert(mode)


def encode(format_, mode="RGB", **options):
    buffer = io.BytesIO()
    noise(mode).save(buffer, format_, **options)
    return buffer.getvalue()


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def make_png(rows, *, width=WIDTH, height=HEIGHT, interlace=0, before=b"", compress=zlib.compress, end=b"IEND"):
    """A PNG in RGB of its decompressed rows."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlace))
    return png_chunks.SIGNATURE + header + before + chunk(b"IDAT", compress(rows)) + (chunk(end, b"") if end else b"")


def rows_of(image):
    return b"".join(b"\0" + row.tobytes() for row in np.asarray(image))


def interlaced_rows(image):
    """The rows of the seven passes of Adam7 (PNG specification, section 8.2)."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    parts = [np.asarray(image)[y::dy, x::dx] for x, y, dx, dy in passes]
    return b"".join(rows_of(part) for part in parts if part.size)


EXIF = Image.Exif()
EXIF[0x0112] = 6
IMAGES = {
    "jpeg": encode("JPEG", exif=EXIF),
    "grey jpeg": encode("JPEG", "L"),
    "progressive jpeg": encode("JPEG", progressive=True, quality=30),
    "cmyk jpeg": encode("JPEG", "CMYK"),
    "mpo": encode("MPO", **ANIMATED),
    "png": encode("PNG"),
    "grey png": encode("PNG", "L"),
    "png with alpha": encode("PNG", "RGBA"),
    "png with a palette": encode("PNG", "P"),
    "png of 16 bits": encode("PNG", "I;16"),
    "png of 1 bit": encode("PNG", "1"),
    "png with exif": encode("PNG", exif=EXIF),
    "interlaced png": make_png(interlaced_rows(noise()), interlace=1),
    "animated png": encode("PNG", **ANIMATED),
    "gif": encode("GIF", "P"),
    "bmp": encode("BMP"),
    "tiff": encode("TIFF"),
    "webp": encode("WEBP"),
}


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def decode_as_training_does(encoded):
    """The whole image, and a window of it."""
    picture = pixels.make_picture_from_bytes(encoded)
    return pixels.read_pixels(picture), pixels.read_pixels(pixels.crop(picture, 0, 0, 1, 1))


def is_usable(data, decode=True):
    """Whether an image is taken; if it is, training must be able to decode it at the size that was found."""
    try:
        facts = headers.inspect(data, "a", decode)
    except UnusableFile as error:
        assert error.reason
        return False
    encoded, _ = images.encode_for_record(data, facts)
    assert decode_as_training_does(encoded)[0].shape == (facts.height, facts.width, 3)
    return True


@pytest.mark.parametrize("name", IMAGES)
def test_whole_images_are_usable(name):
    assert is_usable(IMAGES[name]) and is_usable(IMAGES[name], decode=False)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_with_any_byte_damaged_is_rejected_or_trains(name):
    data = IMAGES[name]
    for position in range(len(data)):
        is_usable(data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :])


@pytest.mark.parametrize("name", [name for name in IMAGES if name.endswith(("png", "jpeg"))])
def test_headers_and_checksums_suffice_for_damaged_bytes(name):
    data = IMAGES[name]
    for position in range(len(data)):
        is_usable(data[:position] + bytes([data[position] ^ 0x11]) + data[position + 1 :], decode=False)


@pytest.mark.parametrize("name", IMAGES)
def test_an_image_cut_anywhere_is_rejected_or_trains(name):
    for length in range(len(IMAGES[name])):
        is_usable(IMAGES[name][:length])


RIGHT = rows_of(noise())


WIDE = noise().resize((97, HEIGHT))


def compress_with_small_window(rows):
    """A header that declares 256 bytes of history for data that looks back further."""
    compressed = bytearray(zlib.compress(rows))
    compressed[0] = 0x08
    compressed[1] = 31 - (compressed[0] << 8) % 31
    return bytes(compressed)


@pytest.mark.parametrize(
    ("data", "usable"),
    [
        (make_png(RIGHT), True),
        (make_png(RIGHT, height=HEIGHT + 1), False),  # Pillow takes what is there for the whole image
        (make_png(RIGHT[: len(RIGHT) // 2]), False),
        (make_png(RIGHT + b"\0" * 50), True),
        (make_png(b"\x07" + RIGHT[1:]), False),  # there are five filters
        (make_png(RIGHT, interlace=2), False),
        (make_png(RIGHT, compress=lambda rows: zlib.compress(rows)[:-4]), True),  # the stream has no end
        (make_png(RIGHT, end=None), True),
        (make_png(RIGHT)[:-1], True),
        (make_png(RIGHT, before=chunk(b"XRAY", b"1")), True),  # a critical chunk that nobody knows
        (make_png(RIGHT, before=chunk(b"teSt", b"x" * 8_000_001)), True),
        (make_png(RIGHT, before=chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))), False),
        (make_png(RIGHT)[:-12] + chunk(b"teSt", b"") + chunk(b"IDAT", b"") + chunk(b"IEND", b""), False),
        (make_png(rows_of(WIDE) * 9, width=97, height=9 * HEIGHT, compress=compress_with_small_window), True),
    ],
)  # fmt: skip
def test_png_files_with_right_checksums_and_wrong_contents(data, usable):
    assert is_usable(data) == usable


def test_a_second_scan_of_a_sequential_jpeg_is_left_to_the_decoder():
    data = IMAGES["grey jpeg"]
    scan = data[data.index(b"\xff\xda") : -2]
    assert not is_usable(data[:-2] + scan + data[-2:], decode=False)


def test_damage_is_found_before_exif_is_read():
    data = bytearray(encode("PNG", exif=EXIF))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    for decode in (True, False):
        assert not is_usable(bytes(data), decode)


def test_an_mpo_is_copied_as_the_jpeg_that_it_is():
    data = IMAGES["mpo"]
    facts = images.inspect_image(data, "a")
    assert (facts.format, facts.reencode_reason) == ("JPEG", None)
    encoded, format_ = images.encode_for_record(data, facts)
    assert encoded is data and format_ == "jpeg"
    first = np.asarray(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(decode_as_training_does(encoded)[0], first)
