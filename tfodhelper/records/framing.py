"""The TFRecord file format: the framing of records in a file, and their checksums. TensorFlow is not needed.

A record consists of its length (8 bytes, little endian), the masked CRC-32C of the length (4), the content, and the
masked CRC-32C of the content (4). The checksum of an image is computed in many short lanes at once: the CRC is linear,
so that lanes that start at zero are joined by shifting the left one over the length of the right one.
"""

import functools
import struct

import numpy as np

try:
    import google_crc32c
except ImportError:  # no wheel for this platform; the code below is slower but has no dependencies
    google_crc32c = None

HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
_LENGTH = struct.Struct("<Q")
_MASK_DELTA = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78  # CRC-32C (Castagnoli), reflected
_LANE_BYTES = 64


def _make_table():
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, (values >> 1) ^ np.uint32(_POLYNOMIAL), values >> 1)
    return values


_TABLE = _make_table()
_TABLE_LIST = _TABLE.tolist()


def frame(content):
    """A record as stored in a file: a tuple of bytes (header, content, checksum) to be written in this order."""
    length = _LENGTH.pack(len(content))
    return length + FOOTER.pack(masked_crc(length)), content, FOOTER.pack(masked_crc(content))


def masked_crc(data):
    """The CRC-32C of bytes, masked as in record files: rotated right by 15 bits, plus a constant."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def crc32c(data):
    """The CRC-32C of bytes (RFC 3720, appendix B.4), with the processor's own instruction if available."""
    return google_crc32c.value(data) if google_crc32c is not None else compute_crc32c(data)


def compute_crc32c(data):
    """The CRC-32C of bytes, computed with numpy."""
    if len(data) < 4 * _LANE_BYTES:
        return _advance_bytewise(0xFFFFFFFF, data) ^ 0xFFFFFFFF
    num_lanes = -(-len(data) // _LANE_BYTES)
    lanes = np.zeros(num_lanes * _LANE_BYTES, np.uint8)
    lanes[-len(data) :] = np.frombuffer(data, np.uint8)  # leading zeros do not change a CRC that starts at zero
    lanes[-len(data) :][:4] ^= 0xFF  # equivalent to starting with all ones
    crcs = np.zeros(num_lanes, np.uint32)
    for column in np.ascontiguousarray(lanes.reshape(num_lanes, _LANE_BYTES).T):
        crcs = _TABLE[(crcs ^ column) & 0xFF] ^ (crcs >> 8)
    return _join(crcs) ^ 0xFFFFFFFF


def _advance_bytewise(crc, data):
    for byte in data:
        crc = _TABLE_LIST[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc


def _join(crcs):
    """The CRC of all lanes concatenated, computed by joining pairs."""
    level = 0
    while len(crcs) > 1:
        if len(crcs) % 2:
            crcs = np.concatenate([np.zeros(1, np.uint32), crcs])
        crcs = _shift(crcs[0::2], level) ^ crcs[1::2]
        level += 1
    return int(crcs[0])


def _shift(crcs, level):
    """CRCs after 2**level lanes of zeros."""
    tables = _shift_tables(level)
    return functools.reduce(np.bitwise_xor, (tables[i][(crcs >> (8 * i)) & 0xFF] for i in range(4)))


@functools.cache
def _shift_tables(level):
    """[4, 256]: for each byte of a CRC, what it becomes after 2**level lanes of zeros."""
    values = (np.arange(256, dtype=np.uint32)[None, :] << (8 * np.arange(4, dtype=np.uint32))[:, None]).reshape(-1)
    if level == 0:
        for _ in range(_LANE_BYTES):
            values = _TABLE[values & 0xFF] ^ (values >> 8)
    else:
        values = _shift(_shift(values, level - 1), level - 1)
    return values.reshape(4, 256)
