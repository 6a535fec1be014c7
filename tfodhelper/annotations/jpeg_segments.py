"""The segments of a JPEG file, checked as libjpeg checks them, which TensorFlow and Pillow decode with.

Whatever the coded data says, libjpeg decodes it, at worst to grey or to noise. It rejects wrong tables, headers of
frames and scans, and markers, so that these few bytes tell, without decoding, whether an image can stop training.

Source: ITU-T T.81, annex B; libjpeg-turbo 3, jdmarker.c, jdinput.c, jdhuff.c and jdphuff.c.
"""

import functools
import itertools
import re
import typing

_EOI, _SOS, _DQT, _DHT, _DRI, _COM = 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
_FRAMES = (0xC0, 0xC1, 0xC2)  # Huffman-coded: baseline, extended, progressive
_PROGRESSIVE = 0xC2
_NOT_FRAMES = (0xC4, 0xC8, 0xCC)  # among 0xC0 to 0xCF: tables and a reserved code
_CODED_UNTIL = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # stuffed zeros, fill bytes and restarts belong to coded data
_MAX_BLOCKS = 10  # in a unit of an interleaved scan
_MAX_BIT_POSITION = 13
_MAX_SIDE = 65_500  # JPEG_MAX_DIMENSION


class Structure(typing.NamedTuple):
    """What the segments of a JPEG file say.

    Attributes:
      process: the number n of the frame header SOFn, or None without one.
      width, height: pixels.
      num_components: of the frame.
      applications: first bytes of the application segments before the first scan, such as b"Exif".
      has_end: whether the end marker follows the last scan.
      is_sound: whether libjpeg decodes the file for certain; False also where only decoding can tell.
    """

    process: int | None = None
    width: int = 0
    height: int = 0
    num_components: int = 0
    applications: tuple = ()
    has_end: bool = False
    is_sound: bool = False


class _UnsoundError(Exception):
    """Something that libjpeg may reject."""


def read_structure(data):
    """The `Structure` of a JPEG file; of several images in one file, that of the first.

    Args:
      data: the bytes of the whole file.
    """
    walk = _Walk(data)
    walk.run()
    return walk.structure()


class _Walk:
    """Reads segment after segment and remembers what later ones refer to."""

    def __init__(self, data):
        self._data, self._frame, self._applications = data, None, []
        self._quantizers, self._codes, self._num_scans = set(), set(), 0
        self._is_sound, self._has_end = True, False

    def structure(self):
        process, _, height, width, components = self._frame or (None, 8, 0, 0, ())
        is_sound = self._is_sound and self._has_end and self._num_scans > 0
        return Structure(*(process, width, height, len(components), tuple(self._applications), self._has_end, is_sound))

    def run(self):
        """Reads until the end marker, or until the file breaks off."""
        data, position = self._data, 2
        while position + 1 < len(data) and data[position] == 0xFF:
            marker = data[position + 1]
            if marker == 0xFF:
                position += 1  # a fill byte
                continue
            if marker == _EOI:
                self._has_end = True
                return
            length = int.from_bytes(data[position + 2 : position + 4], "big")
            end = position + 2 + length
            if length < 2 or end > len(data):
                return
            try:
                self._read_segment(marker, data[position + 4 : end])
            except (_UnsoundError, IndexError):
                self._is_sound = False
            position = self._find_end_of_scan(end) if marker == _SOS else end

    def _find_end_of_scan(self, start):
        match = _CODED_UNTIL.search(self._data, start)
        return match.start() if match else len(self._data)

    def _read_segment(self, marker, payload):
        if 0xE0 <= marker <= 0xEF:
            self._applications.append(payload[:6])
        elif marker == _DQT:
            self._quantizers.update(_check_quantizers(payload))
        elif marker == _DHT:
            self._codes.update(_check_codes(payload))
        elif marker == _DRI:
            _require(len(payload) == 2)
        elif marker == _SOS:
            self._check_scan(payload)
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            self._check_frame(marker, payload)
        else:
            _require(marker == _COM)

    def _check_frame(self, marker, payload):
        _require(self._frame is None and len(payload) >= 6)
        bits, height, width, count = payload[0], payload[1] << 8 | payload[2], payload[3] << 8 | payload[4], payload[5]
        components = [tuple(payload[6 + 3 * i : 9 + 3 * i]) for i in range(count)]
        self._frame = marker - 0xC0, bits, height, width, components
        _require(marker in _FRAMES and bits == 8 and 1 <= height <= _MAX_SIDE and 1 <= width <= _MAX_SIDE)
        _require(len(payload) == 6 + 3 * count and 1 <= count <= 4 and len({c[0] for c in components}) == count)
        factors = [(c[1] >> 4, c[1] & 15) for c in components]
        _require(all(1 <= h <= 4 and 1 <= v <= 4 for h, v in factors))
        # A fraction between the samples of two components is not implemented.
        _require(all(max(f[side] for f in factors) % f[side] == 0 for f in factors for side in (0, 1)))

    def _check_scan(self, payload):
        _require(self._frame is not None and payload and len(payload) == 4 + 2 * payload[0] and 1 <= payload[0] <= 4)
        process, *_, components = self._frame
        known, count = {c[0]: c for c in components}, payload[0]
        chosen = [known.get(payload[1 + 2 * i]) for i in range(count)]
        _require(None not in chosen and len(set(chosen)) == count)
        tables = [(payload[2 + 2 * i] >> 4, payload[2 + 2 * i] & 15) for i in range(count)]
        _require(all(c[2] in self._quantizers for c in chosen))
        _require(count == 1 or sum((c[1] >> 4) * (c[1] & 15) for c in chosen) <= _MAX_BLOCKS)
        first, last, high, low = *payload[-3:-1], payload[-1] >> 4, payload[-1] & 15
        if process == _PROGRESSIVE - 0xC0:
            self._check_progress(count, tables, first, last, high, low)
        else:
            # Several scans of a sequential image are rare, and rejected if they repeat a component.
            _require(count == len(components) and not self._num_scans)
            _require(all((0, dc) in self._codes and (1, ac) in self._codes for dc, ac in tables))
        self._num_scans += 1

    def _check_progress(self, count, tables, first, last, high, low):
        _require(last == 0 if first == 0 else count == 1 and first <= last <= 63)
        _require(low <= _MAX_BIT_POSITION and high in (0, low + 1))
        if first == 0:
            _require(high or all((0, dc) in self._codes for dc, _ in tables))
        else:
            _require(all((1, ac) in self._codes for _, ac in tables))


def _require(condition):
    if not condition:
        raise _UnsoundError


@functools.lru_cache(maxsize=256)
def _check_quantizers(payload):
    """The numbers of the tables of a DQT segment."""
    numbers, position = [], 0
    while position < len(payload):
        precision, number = payload[position] >> 4, payload[position] & 15
        _require(number < 4 and precision < 2)
        position += 1 + 64 * (1 + precision)
        numbers.append(number)
    _require(position == len(payload))
    return tuple(numbers)


@functools.lru_cache(maxsize=256)
def _check_codes(payload):
    """(0 for DC or 1 for AC, number) of the tables of a DHT segment."""
    numbers, position = [], 0
    while position < len(payload):
        kind, number = payload[position] >> 4, payload[position] & 15
        counts = payload[position + 1 : position + 17]
        symbols = payload[position + 17 : position + 17 + sum(counts)]
        _require(number < 4 and kind < 2 and len(counts) == 16 and len(symbols) == sum(counts) <= 256)
        _require(kind or max(symbols, default=0) <= 15)
        # Codes of one length are consecutive, and none consists of ones alone.
        for length, code in enumerate(itertools.accumulate(counts, lambda code, count: 2 * code + count), start=1):
            _require(code < 1 << length)
        position += 17 + len(symbols)
        numbers.append((kind, number))
    _require(position == len(payload))
    return tuple(numbers)
