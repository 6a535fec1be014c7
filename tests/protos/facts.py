"""The facts of a schema, whatever files it is written in."""

import hashlib

from google.protobuf import descriptor_pb2

_FLOATS = (descriptor_pb2.FieldDescriptorProto.TYPE_FLOAT, descriptor_pb2.FieldDescriptorProto.TYPE_DOUBLE)


def facts_of(files):
    """Every name, number, type, label, default, oneof and range of a FileDescriptorSet, as sorted lines."""
    lines = []
    for file in files.file:
        for message in file.message_type:
            lines += _of_message(message, message.name)
        for enum in file.enum_type:
            lines += [f"enum {enum.name}.{value.name} {value.number}" for value in enum.value]
    return sorted(lines)


def digest(lines):
    """Hex sha256 of the lines."""
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _of_message(message, name):
    lines = [f"message {name} map={message.options.map_entry}"]
    lines += [f"extensions {name} {part.start} {part.end}" for part in message.extension_range]
    lines += [f"reserved {name} {part.start} {part.end}" for part in message.reserved_range]
    lines += [_of_field(message, field, name) for field in message.field]
    for enum in message.enum_type:
        lines += [f"enum {name}.{enum.name}.{value.name} {value.number}" for value in enum.value]
    for nested in message.nested_type:
        lines += _of_message(nested, f"{name}.{nested.name}")
    return lines


def _of_field(message, field, name):
    default = "none"
    if field.HasField("default_value"):
        default = repr(float(field.default_value)) if field.type in _FLOATS else repr(field.default_value)
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
    return " ".join(
        str(part)
        for part in (
            "field",
            f"{name}.{field.name}",
            field.number,
            field.type,
            field.type_name,
            field.label,
            default,
            oneof,
            field.options.deprecated,
        )
    )
