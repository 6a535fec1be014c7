"""Changes of single fields, as in --set train_config.batch_size=4, checked against the schema.

A path consists of field names from the outside in, joined by dots. An element of a repeated field is given by its
index, as in `train_config.data_augmentation_options[0]`; the index may be omitted if there is only one element. The
right-hand side may be:

* a number, a boolean (true, false), the name of an enum value, or a string (quotes may be omitted);
* `{...}` (protobuf text) for a message, which replaces the whole message;
* `[a, b]` or `[{...}, {...}]` for a repeated field, which replaces all elements;
* nothing, which resets the field to its default.

`path+=value` adds an element to a repeated field.
"""

import re

from google.protobuf import text_format
from google.protobuf.descriptor import FieldDescriptor as _Kind

from tfodhelper import errors, limits, plain_text, protos, spelling
from tfodhelper.config import pipeline as pipelines

_OVERRIDE = re.compile(r"\s*([\w.\[\]]+?)\s*(\+?=)\s*(.*?)\s*", re.DOTALL)
_STEP = re.compile(r"(\w+)(?:\[([0-9]{1,9})\])?")
_INDEX = re.compile(r"[0-9]{1,9}")


def apply_overrides(pipeline, overrides):
    """Changes single fields of a pipeline.

    Args:
      pipeline: a TrainEvalPipelineConfig message; it is not changed.
      overrides: strings "path=value" or "path+=value", applied in this order.

    Returns:
      A changed copy.

    Raises:
      ConfigError: names the override and the nearest field, value or type.
    """
    result = type(pipeline)()
    result.CopyFrom(pipeline)
    for override in overrides:
        match = _OVERRIDE.fullmatch(override)
        if not match:
            raise _error(override, expected="path=value, as in train_config.batch_size=4")
        _apply(result, override, _split_path(override, match[1]), match[2], match[3])
    return result


def _error(override, problem="is not a valid change", **facts):
    return errors.ConfigError(f"--set {plain_text.shorten(override)}: {problem}", **facts)


def _split_path(override, path):
    """[(name, index or None), ...]; `name.0` is the same as `name[0]`."""
    steps = []
    for part in path.split("."):
        match = _STEP.fullmatch(part)
        if not match:
            raise _error(
                override, f"{plain_text.shorten(part, 40)!r} is not a field name", expected="name, or name[index]"
            )
        if steps and _INDEX.fullmatch(part):
            steps[-1] = (steps[-1][0], int(part))
        else:
            steps.append((match[1], None if match[2] is None else int(match[2])))
    return steps


def _apply(pipeline, override, steps, operator, text):
    message, walked = pipeline, []
    for name, index in steps[:-1]:
        field = _field(message, name, walked, override)
        _check_oneof(message, field, walked, override)
        walked.append(name if index is None else f"{name}[{index}]")
        message = _enter(message, field, index, ".".join(walked), override)
    name, index = steps[-1]
    field = _field(message, name, walked, override)
    if operator == "+=":
        if not pipelines.is_repeated(field) or index is not None:
            raise _error(override, "+= needs a repeated field", received=f"{name}, which is not repeated", fix="use =")
        _append(message, field, text, override)
    elif not text:
        _clear(message, field, index, override)
    elif pipelines.is_repeated(field):
        _set_repeated(message, field, index, text, override)
    else:
        _set_single(message, field, text, override)


def _field(message, name, walked, override):
    """The field with this name.

    Raises:
      ConfigError: suggests similar names, and other paths that end with the name.
    """
    descriptor = message.DESCRIPTOR
    if name in descriptor.fields_by_name:
        return descriptor.fields_by_name[name]
    near = spelling.nearest(name, descriptor.fields_by_name)
    if near:
        fix = "did you mean " + " or ".join(".".join([*walked, other]) for other in near) + "?"
    else:
        paths = [] if walked else _paths_that_end_with(name)
        fix = "did you mean " + " or ".join(paths[:4]) + "?" if paths else None
    known = ", ".join(sorted(descriptor.fields_by_name)) or "none"
    where = ".".join(walked) or "pipeline.config"
    raise _error(override, f"{where} has no field {name!r}", expected=f"one of {known}", fix=fix)


def _paths_that_end_with(name):
    """Paths of at most four names in the configuration that end with the given name."""
    paths = []

    def visit(descriptor, path):
        for field in descriptor.fields:
            if field.name == name:
                paths.append(".".join([*path, name]))
            elif field.message_type is not None and len(path) < 3:
                visit(field.message_type, [*path, field.name])

    visit(protos.message("TrainEvalPipelineConfig").DESCRIPTOR, [])
    return sorted(paths, key=lambda path: (path.count("."), path))


def _check_oneof(message, field, walked, override):
    """Checks that a field is the set member of its oneof; entering another would silently drop the settings."""
    oneof = field.containing_oneof
    chosen = message.WhichOneof(oneof.name) if oneof is not None else None
    if chosen not in (None, field.name):
        path = ".".join([*walked, field.name])
        raise _error(
            override,
            f"{'.'.join(walked) or 'pipeline.config'} contains {chosen}, not {field.name}",
            fix=f"to replace {chosen}, set the whole message: --set '{path}={{...}}'",
        )


def _enter(message, field, index, path, override):
    """The message inside a field, created if it is not set yet."""
    if field.message_type is None:
        raise _error(override, f"{path} is a value and has no fields", expected=_kind(field))
    if field.message_type.GetOptions().map_entry:
        raise _error(override, f"{path} is a map", fix=f"set the whole map: --set '{path}=[{{key: ... value: ...}}]'")
    if not pipelines.is_repeated(field):
        if index is not None:
            raise _error(override, f"{path}: {field.name} is not repeated and takes no index")
        child = getattr(message, field.name)
        child.SetInParent()
        return child
    items = getattr(message, field.name)
    if index is None:
        if len(items) > 1:
            raise _error(
                override,
                f"{path} has {len(items)} elements",
                fix=f"select one of {path}[0] to {path}[{len(items) - 1}]",
            )
        return items[0] if items else items.add()
    _check_index(items, index, path, override)
    return items[index]


def _check_index(items, index, path, override):
    if index >= len(items):
        raise _error(
            override,
            f"{path}: there is no element {index}",
            expected=f"an index below {len(items)}" if items else "no index, because there are no elements yet",
            fix="+= adds an element",
        )


def _clear(message, field, index, override):
    if index is None:
        message.ClearField(field.name)
        return
    items = getattr(message, field.name)
    _check_index(items, index, field.name, override)
    del items[index]


def _set_single(message, field, text, override):
    if field.message_type is None:
        setattr(message, field.name, _value(field, text, override))
        return
    child = _parse_block(field, text, override)
    getattr(message, field.name).CopyFrom(child)
    getattr(message, field.name).SetInParent()


def _set_repeated(message, field, index, text, override):
    items = getattr(message, field.name)
    if index is not None:
        _check_index(items, index, field.name, override)
        if field.message_type is not None:
            items[index].CopyFrom(_parse_block(field, text, override))
        else:
            items[index] = _value(field, text, override)
        return
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        _set_map(message, field, text, override)
        return
    elements = _split_list(text) if text.startswith("[") else [text]
    fresh = type(message)()
    for element in elements:
        _append(fresh, field, element, override)
    message.ClearField(field.name)
    getattr(message, field.name).MergeFrom(getattr(fresh, field.name))


def _set_map(message, field, text, override):
    fresh = type(message)()
    for element in _split_list(text) if text.startswith("[") else [text]:
        _merge_text(fresh, f"{field.name} {element}", override, field)
    message.ClearField(field.name)
    message.MergeFrom(fresh)


def _append(message, field, text, override):
    if field.message_type is not None:
        getattr(message, field.name).add().CopyFrom(_parse_block(field, text, override))
    else:
        getattr(message, field.name).append(_value(field, text, override))


def _split_list(text):
    """The elements of "[a, b]"; commas inside brackets and quotes are not separators."""
    elements, depth, quote, current = [], 0, None, ""
    for character in text.strip()[1:].removesuffix("]"):
        if quote:
            quote = None if character == quote else quote
        elif character in "\"'":
            quote = character
        elif character in "{[<":
            depth += 1
        elif character in "}]>":
            depth -= 1
        elif character == "," and depth == 0:
            elements.append(current.strip())
            current = ""
            continue
        current += character
    elements.append(current.strip())
    return [element for element in elements if element]


def _parse_block(field, text, override):
    """A message from "{...}", or from "name {...}", which names the member of a oneof."""
    message = protos.message(field.message_type.full_name.removeprefix(protos.PACKAGE + "."))()
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    if not text.startswith("{") and "{" not in text and ":" not in text:
        raise _error(override, f"{field.name} is a message", expected="{field: value ...}", received=text)
    return _merge_text(message, inner, override, field)


def _merge_text(message, text, override, field):
    limits.check_text(text, override, errors.UsageError)
    try:
        return text_format.Parse(text, message)
    except text_format.ParseError as error:
        explained = pipelines.explain(error, text, field.name)
        raise _error(
            override,
            explained.what,
            expected=explained.expected,
            received=explained.received,
            fix=explained.fix,
        ) from None


def _kind(field):
    """A description of the values of a scalar field."""
    if field.enum_type is not None:
        return "one of " + ", ".join(value.name for value in field.enum_type.values)
    words = {
        _Kind.CPPTYPE_BOOL: "true or false",
        _Kind.CPPTYPE_STRING: "text",
        _Kind.CPPTYPE_FLOAT: "a number",
        _Kind.CPPTYPE_DOUBLE: "a number",
        _Kind.CPPTYPE_UINT32: "an integer from 0",
        _Kind.CPPTYPE_UINT64: "an integer from 0",
    }
    return words.get(field.cpp_type, "an integer")


def _value(field, text, override):
    """Parses a scalar."""
    unquoted = text[1:-1] if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'" else text
    try:
        if field.enum_type is not None:
            return field.enum_type.values_by_name[unquoted].number
        if field.cpp_type == _Kind.CPPTYPE_STRING:
            return unquoted
        if field.cpp_type == _Kind.CPPTYPE_BOOL:
            return {"true": True, "false": False}[unquoted.lower()]
        if field.cpp_type in (_Kind.CPPTYPE_FLOAT, _Kind.CPPTYPE_DOUBLE):
            number = float(unquoted)
            if number == number:  # not nan
                return number
            raise ValueError
        number = int(unquoted)
        low, high = (0, 2**32) if field.cpp_type == _Kind.CPPTYPE_UINT32 else (-(2**31), 2**31)
        if low <= number < high:
            return number
    except (KeyError, ValueError):
        pass
    near = []
    if field.enum_type is not None:
        near = spelling.nearest(unquoted, field.enum_type.values_by_name, count=1)
    fix = f"did you mean {near[0]}?" if near else None
    raise _error(
        override, f"the value of {field.name} is invalid", expected=_kind(field), received=text or "nothing", fix=fix
    )
