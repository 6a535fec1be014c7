"""Reads and writes pipeline.config files, with errors that name the line and similar names.

A file is protobuf text of the message TrainEvalPipelineConfig (see tfodhelper/protos). Reading is stricter than in the
OD API in one respect: repeating a field that is not repeated is an error, instead of the last value being used.
"""

import itertools
import pathlib
import re
import unicodedata

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor

from tfodhelper import console, errors, limits, plain_text, protos, spelling, storage
from tfodhelper.families import roles

_CURLY_QUOTES = "\u201c\u201d\u201e\u2018\u2019\u00ab\u00bb"
_NO_FIELD = re.compile(r'Message type "([\w.]+)" has no field named "(\w+)"')
_NO_VALUE = re.compile(r'Enum type "([\w.]+)" has no value named (\S+?)\.?$')

_MOST_CORRECTIONS = 100  # after each of which the text is parsed again

# Fields of previous versions of the schema that published files still contain.
_RETIRED = {
    ("SsdFeatureExtractor", "batch_norm_trainable"): "it was removed from the schema; see Ssd.freeze_batchnorm",
}
_RENAMED = {
    ("DeepMACMaskEstimation", f"color_consistency_{name}"): f"feature_consistency_{name}"
    for name in ("threshold", "dilation", "loss_weight", "warmup_steps", "warmup_start")
}


def new_pipeline():
    """An empty TrainEvalPipelineConfig."""
    return protos.message("TrainEvalPipelineConfig")()


def read_pipeline(path):
    """Reads a pipeline.config.

    Args:
      path: the file, or a folder that contains a `pipeline.config`.

    Returns:
      A TrainEvalPipelineConfig message.

    Raises:
      ConfigError: it cannot be read or parsed; the message names the line and what was expected.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        path = path / "pipeline.config"
    try:
        with open(path, "rb") as file:
            data = file.read(limits.MAX_TEXT_BYTES + 1)
    except FileNotFoundError:
        raise errors.ConfigError(
            f"{path}: does not exist", fix="write a pipeline.config with `tfodhelper config --model=NAME`"
        ) from None
    except OSError as error:
        raise errors.ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    limits.check_size(data, path, errors.ConfigError)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise errors.ConfigError(
            f"{path}: byte {error.start} is not UTF-8",
            expected="protobuf text, as in the published pipeline.config files",
            fix="save the file as UTF-8; checkpoints and SavedModels cannot be used as pipeline.config",
        ) from None
    return parse_pipeline(text, path)


def find_pipeline(path):
    """Finds the pipeline.config that belongs to checkpoints: in their folder or in one of the two folders around it.

    Args:
      path: folder of a training, of an export or of an archive, or the prefix of a checkpoint.

    Returns:
      pathlib.Path.

    Raises:
      ConfigError: there is none.
    """
    path = pathlib.Path(path)
    for folder in (path, *path.absolute().parents[:2]):
        if (folder / "pipeline.config").is_file():
            return folder / "pipeline.config"
    raise errors.ConfigError(
        f"{path}: no pipeline.config in this folder or around it", fix="name the file with --pipeline_config_path"
    )


def parse_pipeline(text, source="pipeline.config"):
    """Parses the text of a pipeline.config.

    Args:
      text: protobuf text.
      source: name of the source, for errors.

    Returns:
      A TrainEvalPipelineConfig message.

    Raises:
      ConfigError: names the line and what was expected.
    """
    return parse_message(new_pipeline(), text, source)


def parse_message(message, text, source):
    """Parses protobuf text into a message of the schema; errors as in `parse_pipeline`.

    Returns:
      The message that was given, filled in.
    """
    limits.check_text(text, source, errors.ConfigError)
    for attempt in itertools.count():
        try:
            text_format.Parse(text, message)
            break
        except text_format.ParseError as error:
            corrected = _without_retired_field(text, error, source)
            if corrected is None:
                raise explain(error, text, source) from None
            if attempt >= _MOST_CORRECTIONS or attempt * len(text) > limits.MAX_TEXT_BYTES:
                raise _too_many_corrections(error, text, source, attempt) from None
            text = corrected
            message.Clear()
        except (UnicodeError, ValueError, OverflowError, RecursionError) as error:
            raise errors.ConfigError(f"{source}: {error}") from error
    _check_control_characters(message, text, source)
    return message


def _too_many_corrections(error, text, source, count):
    """The error for the field after `count` fields of previous versions; a published file has one or two."""
    explained = explain(error, text, source)
    removed = spelling.count(count, "field that was", "fields that were")
    fix = f"remove them: {removed} removed from the schema have already been ignored"
    return errors.ConfigError(explained.what, received=explained.received, fix=fix)


def format_pipeline(pipeline):
    """The text of a pipeline.config, fields in the order of the schema."""
    return text_format.MessageToString(pipeline, as_utf8=True)


def write_pipeline(path, pipeline):
    """Writes a pipeline.config atomically."""
    storage.write_text(path, format_pipeline(pipeline))


def fine_tune_checkpoint_type(train_config):
    """Which weights to restore from the fine-tuning checkpoint: "classification", "detection" or "full".

    Older files specify it only by from_detection_checkpoint; their load_all_detection_checkpoint_vars turns "detection"
    into "full".

    Raises:
      ConfigError: the type is none of these.
    """
    kind = train_config.fine_tune_checkpoint_type
    if not kind:
        kind = "detection" if train_config.from_detection_checkpoint else "classification"
    roles.restored_by(kind)
    return "full" if kind == "detection" and train_config.load_all_detection_checkpoint_vars else kind


def walk_strings(message, prefix=""):
    """Yields (path, value) of every string that is set in a message, depth first."""
    for field, value in message.ListFields():
        path = f"{prefix}.{field.name}" if prefix else field.name
        if _is_map(field):
            continue
        values = list(value) if is_repeated(field) else [value]
        for index, item in enumerate(values):
            item_path = f"{path}[{index}]" if is_repeated(field) else path
            if field.message_type is not None:
                yield from walk_strings(item, item_path)
            elif isinstance(item, str):
                yield item_path, item


def is_repeated(field):
    """Whether a field is repeated; protobuf 6.31 and later have a property for it."""
    repeated = getattr(field, "is_repeated", None)
    return field.label == FieldDescriptor.LABEL_REPEATED if repeated is None else repeated


def _is_map(field):
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _check_control_characters(message, text, source):
    """Rejects Windows paths with single backslashes, in which `\\t`, `\\n` and digits were parsed as escapes."""
    for path, value in walk_strings(message):
        if any(unicodedata.category(character) == "Cc" for character in value):
            line = _line_of_field(text, path)
            raise errors.ConfigError(
                f"{source}{f':{line}' if line else ''}: {path} contains a control character; probably a backslash of "
                "a Windows path was parsed as an escape",
                received=repr(value),
                fix="use / in paths (works on Windows too), or double each backslash",
            )


def _line_of_field(text, path):
    """The 1-based number of the first line with the field's last name and a backslash, or None."""
    name = re.sub(r"\[\d+\]$", "", path).rpartition(".")[2]
    for number, line in enumerate(text.splitlines(), 1):
        if re.search(rf"\b{name}\b", line) and "\\" in line:
            return number
    return None


def _without_retired_field(text, error, source):
    """The text without a field that was removed from the schema, or with its new name; None for other errors."""
    match = _NO_FIELD.search(str(error))
    if not match:
        return None
    key = (match[1].rpartition(".")[2], match[2])
    lines = text.split("\n")
    index = (error.GetLine() or 1) - 1
    if key in _RENAMED:
        column = (error.GetColumn() or 1) - 1
        head, tail = lines[index][:column], lines[index][column:]
        lines[index] = head + tail.replace(key[1], _RENAMED[key], 1)
        return "\n".join(lines)
    if key not in _RETIRED:
        return None
    lines[index], removed = re.subn(rf"\b{key[1]}\s*:\s*[\w.+-]+\s*[,;]?", "", lines[index], count=1)
    if not removed:
        return None
    console.warn(f"{source}:{index + 1}: {key[1]} is ignored: {_RETIRED[key]}")
    return "\n".join(lines)


def explain(error, text, source):
    """Converts a `text_format.ParseError` to a `ConfigError` with the line and how to fix it.

    Args:
      error: the error raised by protobuf.
      text: the parsed text.
      source: name of the source, for the error.
    """
    number = error.GetLine()
    lines = text.splitlines()
    line = lines[number - 1].strip() if number and number <= len(lines) else ""
    where = f"{source}:{number}" if number else f"{source}"
    reason = re.sub(r"^\d+:\d+ : ", "", str(error))
    reason = reason.removeprefix(f"'{lines[number - 1]}': ") if line else reason
    reason = reason.replace(protos.PACKAGE + ".", "")
    facts = {"received": plain_text.shorten(line, 200) or None}
    if any(quote in line for quote in _CURLY_QUOTES):
        reason = "curly quotes"
        facts["fix"] = 'replace them by straight quotes: "..."; word processors and web pages insert curly ones'
    elif _NO_FIELD.search(str(error)):
        facts.update(_explain_field(*_NO_FIELD.search(str(error)).groups()))
    elif _NO_VALUE.search(str(error)):
        enum, value = _NO_VALUE.search(str(error)).groups()
        facts.update(_explain_value(enum, value))
    elif "\\" in line and ("escape" in reason or "utf-8" in reason.lower()):
        reason = "a backslash in a string starts an escape sequence"
        facts["fix"] = "use / in paths (works on Windows too), or double each backslash"
    elif reason == 'Expected "}".':
        facts["fix"] = "close the block with }"
    elif reason.startswith("Field ") and "another member of oneof" in reason:
        facts["fix"] = "remove one of the two"
    elif "should not have multiple" in reason:
        facts["fix"] = "keep only one of them"
    return errors.ConfigError(f"{where}: {reason}", **facts)


def _explain_field(type_name, name):
    """What to write instead of a field that does not exist in a message."""
    descriptor = protos.pool().FindMessageTypeByName(type_name)
    known = [field.name for field in descriptor.fields]
    near = spelling.nearest(name, known)
    if near:
        return {"fix": f"did you mean {' or '.join(near)}?"}
    owners = sorted(owner for owner in protos.message_names() if name in _fields_of(owner))
    facts = {
        "expected": "one of " + ", ".join(sorted(known)) if known else f"no fields, because {descriptor.name} has none"
    }
    if owners:
        facts["fix"] = f"{name} is a field of {', '.join(owners[:3])}; check the braces"
    return facts


def _fields_of(message_name):
    return protos.message(message_name).DESCRIPTOR.fields_by_name


def _explain_value(enum_name, value):
    known = [item.name for item in protos.pool().FindEnumTypeByName(enum_name).values]
    near = spelling.nearest(value, known, count=1)
    facts = {"expected": "one of " + ", ".join(known)}
    if near:
        facts["fix"] = f"did you mean {near[0]}?"
    return facts
