"""Fields of serialized messages, found by the bytes."""

import pytest
from google.protobuf import struct_pb2, wrappers_pb2
from hypothesis import given
from hypothesis import strategies as st

from tfodhelper.records import wire_format


def list_fields(data, start=0, end=None):
    end = len(data) if end is None else end
    return [(number, wire, data[a:b]) for number, wire, a, b in wire_format.iterate_fields(data, start, end)]


def test_fields_by_hand():
    # 1: 150; 2: "hi"; 3: four bytes; 4: eight bytes; 100: an empty text.
    data = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x1d\x00\x00\x80\x3f" + b"\x21" + b"\x01" * 8 + b"\xa2\x06\x00"
    assert list_fields(data) == [
        (1, wire_format.VARINT, b"\x96\x01"),
        (2, wire_format.BYTES, b"hi"),
        (3, wire_format.FIXED32, b"\x00\x00\x80\x3f"),
        (4, wire_format.FIXED64, b"\x01" * 8),
        (100, wire_format.BYTES, b""),
    ]
    assert list_fields(b"xx" + data + b"x", 2, 2 + len(data)) == list_fields(data)
    assert list_fields(b"") == []
    assert wire_format.read_varint(data, 1) == (150, 3)
    assert list(wire_format.read_varints(b"\x01\x96\x01\x00", 0, 4)) == [1, 150, 0]


@given(st.integers(0, 2**64 - 1))
def test_numbers_as_protobuf_writes_them(value):
    data = wrappers_pb2.UInt64Value(value=value).SerializeToString()
    if value:  # 0 is not written
        assert wire_format.read_varint(data, 1) == (value, len(data))
        assert list_fields(data) == [(1, wire_format.VARINT, data[1:])]


@given(st.lists(st.text(max_size=200), max_size=5))
def test_texts_as_protobuf_writes_them(texts):
    message = struct_pb2.ListValue(values=[struct_pb2.Value(string_value=text) for text in texts])
    entries = [content for _, _, content in list_fields(message.SerializeToString())]
    assert [list_fields(entry)[0][2].decode() for entry in entries] == texts


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x12\x05hi", id="a text that is cut off"),
        pytest.param(b"\x1d\x00", id="a fixed number that is cut off"),
        pytest.param(b"\x08\x96", id="a number that is cut off"),
        pytest.param(b"\x0b\x0c", id="a group"),
        pytest.param(b"\x08" + b"\xff" * 11 + b"\x01", id="an endless number"),
    ],
)
def test_what_is_not_a_message_is_refused(data):
    with pytest.raises((ValueError, IndexError)):
        list_fields(data)


def test_the_longest_number_has_ten_bytes():
    assert wire_format.read_varint(b"\xff" * 9 + b"\x01", 0) == (2**64 - 1, 10)
    with pytest.raises(ValueError, match="endless"):
        wire_format.read_varint(b"\xff" * 10 + b"\x01", 0)


def test_a_field_does_not_reach_beyond_its_message():
    with pytest.raises(ValueError, match="does not fit"):
        list_fields(b"\x12\x02hi", 0, 3)
