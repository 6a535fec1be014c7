"""Checksums and framing of record files."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.records import framing


@pytest.mark.parametrize(
    ("data", "expected"),
    [  # RFC 3720, appendix B.4, and the usual check value
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
        (b"", 0),
    ],
)
def test_published_values(data, expected):
    assert framing.crc32c(data) == expected
    assert framing.compute_crc32c(data) == expected


@given(st.integers(0, 5000), st.integers(0, 255))
def test_the_fast_checksum_equals_the_plain_one(length, seed):
    data = bytes((seed + i * i * 7) & 0xFF for i in range(length))
    assert framing.crc32c(data) == framing.compute_crc32c(data)
    assert framing.compute_crc32c(data) == framing._advance_bytewise(0xFFFFFFFF, data) ^ 0xFFFFFFFF


def test_a_frame_is_header_content_and_checksum():
    header, content, footer = framing.frame(b"123456789")
    masked = (((0xE3069283 >> 15) | (0xE3069283 << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    assert (header[:8], content, footer) == (struct.pack("<Q", 9), b"123456789", struct.pack("<I", masked))
    assert header[8:] == struct.pack("<I", framing.masked_crc(header[:8]))
