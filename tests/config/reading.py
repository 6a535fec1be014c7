"""Records which fields of a configuration a piece of code reads.

A test hands the recorder to the builders and holds what they read against `supported.classify`: a field that is called
supported and that nobody reads is a lie.
"""

import re


def record_reads(message):
    """Wraps a message so that each field that is read is written down.

    Args:
      message: a message of the schema.

    Returns:
      (recorder, reads): the recorder stands for the message (fields, HasField, WhichOneof, ListFields), read only;
      `reads` is a set that fills with the paths of the fields, without indices.
    """
    reads = set()
    return Recorder(message, "", reads), reads


def without_indices(path):
    """A path without the indices of repeated fields."""
    return re.sub(r"\[\d+\]", "", path)


class Recorder:
    """Stands for a message; see `record_reads`."""

    def __init__(self, message, path, reads):
        object.__setattr__(self, "_recorded", (message, path, reads))

    def __getattr__(self, name):
        message, path, reads = self._recorded
        descriptor = message.DESCRIPTOR
        if name not in descriptor.fields_by_name:
            return getattr(message, name)
        reads.add(_join(path, name))
        return _wrap(getattr(message, name), descriptor.fields_by_name[name], _join(path, name), reads)

    def __setattr__(self, name, value):
        raise AttributeError(f"{name}: a recorded configuration is only read")

    def HasField(self, name):  # noqa: N802 - as protobuf calls it
        """Whether a field is set; counts as reading it."""
        message, path, reads = self._recorded
        reads.add(_join(path, name))
        return message.HasField(name)

    def WhichOneof(self, name):  # noqa: N802
        """Which member of a oneof is set; counts as reading that member."""
        message, path, reads = self._recorded
        chosen = message.WhichOneof(name)
        if chosen:
            reads.add(_join(path, chosen))
        return chosen

    def ListFields(self):  # noqa: N802
        """The fields that are set; counts as reading them."""
        message, path, reads = self._recorded
        fields = []
        for field, value in message.ListFields():
            reads.add(_join(path, field.name))
            fields.append((field, _wrap(value, field, _join(path, field.name), reads)))
        return fields

    def __repr__(self):
        return f"Recorder({self._recorded[1] or 'pipeline.config'})"


def _join(path, name):
    return f"{path}.{name}" if path else name


def _wrap(value, field, path, reads):
    if field.message_type is None or field.message_type.GetOptions().map_entry:
        return value
    if hasattr(value, "DESCRIPTOR"):
        return Recorder(value, path, reads)
    return [Recorder(item, path, reads) for item in value]
