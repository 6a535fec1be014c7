"""The bytes of serialized protobuf messages, read without protobuf: where each field stands.

Source: protobuf.dev/programming-guides/encoding.
"""

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
_SIZES = {FIXED64: 8, FIXED32: 4}
_MOST_BITS = 70  # of a varint: ten bytes of seven


def iterate_fields(data, start, end):
    """Yields where the fields of a message stand.

    Args:
      data: bytes, or a map of a file.
      start, end: of the message in them.

    Yields:
      (field number, wire type, start and end of the content). A field of type BYTES begins after its length.

    Raises:
      ValueError, IndexError: it is not a message.
    """
    position = start
    while position < end:
        key, position = read_varint(data, position)
        wire = key & 7
        if wire == BYTES:
            length, position = read_varint(data, position)
            stop = position + length
        elif wire == VARINT:
            stop = read_varint(data, position)[1]
        elif wire in _SIZES:
            stop = position + _SIZES[wire]
        else:
            raise ValueError(f"a field of wire type {wire} at byte {position}")
        if stop > end:
            raise ValueError(f"a field of wire type {wire} at byte {position} that does not fit")
        yield key >> 3, wire, position, stop
        position = stop


def read_varint(data, position):
    """Returns (unsigned whole number of variable length, position after it).

    Raises:
      ValueError, IndexError: there is none.
    """
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= _MOST_BITS:
            raise ValueError(f"an endless number at byte {position}")


def read_varints(data, start, end):
    """Yields the whole numbers that stand one after the other."""
    position = start
    while position < end:
        value, position = read_varint(data, position)
        yield value
