"""Random configurations for property tests."""

from hypothesis import strategies as st

from tfodhelper import protos
from tfodhelper.config.pipeline import is_repeated

_TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x24F, exclude_characters="\x7f", exclude_categories=["C"])
)


def scalars(field):
    """Values of a scalar field."""
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values])
    return {
        field.CPPTYPE_BOOL: st.booleans(),
        field.CPPTYPE_STRING: _TEXT,
        field.CPPTYPE_FLOAT: st.floats(width=32, allow_nan=False, allow_infinity=False),
        field.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
        field.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    }[field.cpp_type]


@st.composite
def messages(draw, name, depth=4):
    """A message with some of its fields set, down to a depth."""
    message = protos.message(name)()
    fields = list(message.DESCRIPTOR.fields)
    if not fields:
        return message
    for field in draw(st.lists(st.sampled_from(fields), max_size=4, unique_by=lambda field: field.name)):
        if field.message_type is None:
            value = draw(st.lists(scalars(field), max_size=3) if is_repeated(field) else scalars(field))
            if is_repeated(field):
                getattr(message, field.name).extend(value)
            else:
                setattr(message, field.name, value)
            continue
        if depth == 0 or field.message_type.GetOptions().map_entry:
            continue
        inner = messages(field.message_type.full_name.removeprefix(protos.PACKAGE + "."), depth - 1)
        if is_repeated(field):
            for item in draw(st.lists(inner, max_size=2)):
                getattr(message, field.name).add().CopyFrom(item)
        else:
            child = getattr(message, field.name)
            child.CopyFrom(draw(inner))
            child.SetInParent()
    return message
