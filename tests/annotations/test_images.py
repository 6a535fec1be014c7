"""Facts about image files, and the bytes that go into records."""

import dataclasses
import hashlib
import io
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.dataset.scan.picture_set import save_image
from tfodhelper.annotations import headers, images
from tfodhelper.annotations.structures import UnusableFile


def encode(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def noise(mode="RGB", size=(40, 30)):
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def code_of(data):
    with pytest.raises(UnusableFile) as caught:
        images.inspect_image(data, "a.jpg")
    return caught.value.code


PLAIN = [("JPEG", "RGB"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "L"), ("PNG", "RGBA"), ("PNG", "LA")]


@pytest.mark.parametrize(("format", "mode"), PLAIN)
def test_bytes_that_tensorflow_reads_are_not_touched(format, mode):
    data = encode(noise(mode), format)
    facts = images.inspect_image(data, "a")
    assert (facts.format, facts.width, facts.height, facts.orientation) == (format, 40, 30, 1)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    encoded, name = images.encode_for_record(data, facts)
    assert encoded is data
    assert name == format.lower()


def test_a_progressive_jpeg_is_not_touched():
    assert images.inspect_image(encode(noise(), "JPEG", progressive=True), "a").reencode_reason is None


OTHERS = [
    *[("JPEG", "CMYK", "jpeg"), ("WEBP", "RGB", "jpeg"), ("PNG", "P", "png"), ("PNG", "1", "png")],
    *[("PNG", "I;16", "png"), ("GIF", "P", "png"), ("BMP", "RGB", "png"), ("TIFF", "RGB", "png")],
]


@pytest.mark.parametrize(("format", "mode", "result"), OTHERS)
def test_everything_else_is_reencoded(format, mode, result):
    image = noise("I").convert("I;16") if mode == "I;16" else noise(mode)
    data = encode(image, format)
    facts = images.inspect_image(data, "a")
    assert facts.reencode_reason
    encoded, name = images.encode_for_record(data, facts)
    assert name == result
    again = images.inspect_image(encoded, "a")
    assert (again.format.lower(), again.reencode_reason, again.width, again.height) == (result, None, 40, 30)


def test_a_palette_keeps_its_colours_exactly():
    source = noise("P")
    data = encode(source, "PNG")
    encoded, _ = images.encode_for_record(data, images.inspect_image(data, "a"))
    np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(encoded))), np.array(source.convert("RGB")))


def test_sixteen_bits_keep_their_upper_eight():
    values = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    data = encode(Image.fromarray(values), "PNG")
    encoded, _ = images.encode_for_record(data, images.inspect_image(data, "a"))
    np.testing.assert_allclose(np.array(Image.open(io.BytesIO(encoded))), values // 256, atol=1)


def test_a_rotated_image_loses_its_orientation_tag():
    source = noise(size=(40, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encode(source, "JPEG", exif=exif, quality=95)
    facts = images.inspect_image(data, "a")
    assert (facts.width, facts.height, facts.orientation, facts.is_quarter_turned) == (40, 30, 6, True)
    encoded, _ = images.encode_for_record(data, facts, turn=True)
    turned = images.inspect_image(encoded, "a")
    assert (turned.width, turned.height, turned.orientation) == (30, 40, 1)
    expected = np.array(Image.open(io.BytesIO(data)).transpose(Image.Transpose.ROTATE_270), int)
    difference = np.abs(np.array(Image.open(io.BytesIO(encoded)), int) - expected)
    assert difference.mean() < 4


def test_a_broken_orientation_counts_as_none():
    exif = Image.Exif()
    exif[0x0112] = 99
    assert images.inspect_image(encode(noise(), "JPEG", exif=exif), "a").orientation == 1


def test_a_jpeg_truncated_anywhere_is_detected():
    data = encode(noise(), "JPEG")
    for kept in [len(data) - 1, len(data) - 2, len(data) - 10, len(data) // 2]:
        assert code_of(data[:kept]) == "image-truncated"


def test_a_truncated_png_is_detected():
    data = encode(noise(), "PNG")
    assert code_of(data[: len(data) // 2]) in ("image-truncated", "image-unreadable")


def test_bytes_after_the_end_of_a_jpeg_are_harmless():
    data = encode(noise(), "JPEG") + b"\x00" * 1000
    assert images.inspect_image(data, "a").reencode_reason is None


@pytest.mark.parametrize(
    ("data", "code"),
    [(b"", "image-empty"), (b"no image", "image-unreadable"), (b"\xff\xd8\xff", "image-unreadable"),
     (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs-pointer")],
)  # fmt: skip
def test_files_that_are_not_images_are_named(data, code):
    assert code_of(data) == code


def test_a_decompression_bomb_is_rejected_by_its_header():
    data = bytearray(encode(noise(), "PNG"))
    data[16:24] = (60000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    assert code_of(bytes(data)) == "image-too-large"


def test_blank_images_are_recognised():
    assert images.inspect_image(encode(Image.new("RGB", (40, 30)), "JPEG"), "a").is_blank
    assert images.inspect_image(encode(Image.new("P", (40, 30), 3), "PNG"), "a").is_blank
    assert not images.inspect_image(encode(noise(), "JPEG"), "a").is_blank


def test_sizes_are_read_from_headers(tmp_path):
    assert images.read_size(save_image(tmp_path / "a.jpg", (31, 17))) == (31, 17, 1)
    (tmp_path / "b.jpg").write_bytes(b"x")
    assert images.read_size(tmp_path / "b.jpg") is None


@pytest.mark.parametrize("decode", [False, True])
def test_facts_are_of_their_bytes_alone(decode):
    data = encode(noise(), "JPEG")
    facts = headers.inspect(data, "a.jpg", decode)
    without_checksum = dataclasses.replace(facts, crc32=None)
    for changed in (data[:-3] + bytes([data[-3] ^ 1]) + data[-2:], data + b"\0", data[:-1], b""):
        assert not facts.are_of(changed) and not without_checksum.are_of(changed)
    assert facts.are_of(data) and without_checksum.are_of(data)
