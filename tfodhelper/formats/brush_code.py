"""The run-length code of Label Studio's brushes: the four channels of every pixel, row by row, as a stream of bits.

It begins with the number of values (32 bits), the bits of a value less one (5), and the bits of the four lengths of
counts less one (4 each). Then follow blocks: a bit that says whether one value is repeated, which of the four lengths
the count has (2), the count less one, and the value, or as many values as counted. A pixel belongs to the object if its
fourth channel, the opacity, is not 0. Source: the format of the npm package @thi.ng/rle-pack, as Label Studio uses it.
"""

import numpy as np

from tfodhelper import image_decoding

_CHANNELS = 4
_VALUE_BITS = 8
_COUNT_BITS = (3, 4, 8, 16)
_MOST_BYTES = 64 << 20
_MOST_BLOCKS = 2_000_000


class _Bits:
    """Reads numbers from a stream of bits."""

    def __init__(self, data):
        self._data, self._position, self._end = data, 0, 8 * len(data)

    def read(self, count):
        """The number in the next bits; raises ValueError at the end."""
        start, stop = self._position, self._position + count
        if stop > self._end:
            raise ValueError("its brush code ends too early")
        self._position = stop
        window = int.from_bytes(self._data[start // 8 : -(-stop // 8)], "big")
        return (window >> (-stop % 8)) & ((1 << count) - 1)


def decode(values, height, width):
    """The pixels of a brush.

    Args:
      values: list of bytes as numbers.
      height, width: of the image, pixels.

    Returns:
      bool [height, width].

    Raises:
      ValueError: with the reason in words.
    """
    if not isinstance(values, list) or len(values) > _MOST_BYTES:
        raise ValueError("its brush code is not a list of bytes")
    if height * width > image_decoding.MAX_PIXELS:
        raise ValueError(f"a brush on {width}x{height} pixels, more than any image has that is read")
    try:
        bits = _Bits(bytes(values))
    except (TypeError, ValueError):
        raise ValueError("its brush code is not a list of bytes") from None
    total, value_bits = bits.read(32), bits.read(5) + 1
    count_bits = [bits.read(4) + 1 for _ in range(4)]
    if total != _CHANNELS * height * width:
        raise ValueError(f"its brush code is of {total // _CHANNELS} pixels, the image has {height * width}")
    pixels, position, num_blocks = np.zeros(height * width, bool), 0, 0
    while position < total:
        is_run = bits.read(1)
        stop = min(position + 1 + bits.read(count_bits[bits.read(2)]), total)
        num_blocks += 1 if is_run else stop - position
        if num_blocks > _MOST_BLOCKS:
            raise ValueError("its brush code has more parts than a drawing can have")
        if is_run:
            if bits.read(value_bits):
                pixels[position // _CHANNELS : stop // _CHANNELS] = True  # pixels whose opacity is in the run
            position = stop
            continue
        for at in range(position, stop):
            if bits.read(value_bits) and at % _CHANNELS == _CHANNELS - 1:
                pixels[at // _CHANNELS] = True
        position = stop
    return pixels.reshape(height, width)


def encode(pixels):
    """The code of a mask, all four channels alike.

    Args:
      pixels: [height, width], 0 is background.

    Returns:
      List of bytes as numbers.
    """
    flat = np.asarray(pixels).ravel() != 0
    starts = np.concatenate([[0], np.flatnonzero(np.diff(flat)) + 1, [flat.size]])
    parts = [f"{flat.size * _CHANNELS:032b}", f"{_VALUE_BITS - 1:05b}", *(f"{bits - 1:04b}" for bits in _COUNT_BITS)]
    for start, stop in zip(starts[:-1].tolist(), starts[1:].tolist()):
        left = (stop - start) * _CHANNELS
        while left:
            count = min(left, 1 << _COUNT_BITS[-1])
            kind = next(kind for kind, bits in enumerate(_COUNT_BITS) if count <= 1 << bits)
            value = "1" * _VALUE_BITS if flat[start] else "0" * _VALUE_BITS
            parts.append(f"1{kind:02b}{count - 1:0{_COUNT_BITS[kind]}b}{value}")
            left -= count
    bits = "".join(parts)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
