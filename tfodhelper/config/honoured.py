"""Which fields of a pipeline.config this program honours, so that nothing in one is ever silently ignored.

A field that is set to something else than its default is one of these:

* honoured: it is read, and what it says happens;
* a hint: it only chooses how the same numbers are computed, or concerns work that is done otherwise here;
* bound to certain values;
* not honoured, which is an error (or a warning, with --allow_unhonoured).

The rules stand by type of message in `honoured_rules`. What is not in them is not honoured.
"""

import dataclasses

from tfodhelper import console, errors
from tfodhelper.config import honoured_rules as rules
from tfodhelper.config import pipeline as pipelines

HONOURED = "honoured"
HINT = "hint"
UNHONOURED = "not honoured"


@dataclasses.dataclass(frozen=True)
class SetField:
    """One field that a configuration sets.

    Attributes:
      path: as in --set, with indices.
      value: a short text of what is set.
      status: HONOURED, HINT or UNHONOURED.
      reason: why it is a hint or not honoured; "" where there is nothing to say.
    """

    path: str
    value: str
    status: str
    reason: str = ""


def classify(pipeline):
    """Judges every field that is set to something else than its default.

    Args:
      pipeline: a TrainEvalPipelineConfig message.

    Returns:
      A list of `SetField`, in the order of the schema. A message that is not honoured stands for all its fields.
    """
    return list(_classify(pipeline, ""))


def check_honoured(pipeline, allow_unhonoured=False):
    """Checks that the program does all that a configuration asks for.

    Args:
      pipeline: a TrainEvalPipelineConfig message.
      allow_unhonoured: whether fields that are not honoured are only warned of.

    Returns:
      The `SetField`s that are hints; they are written to the process log.

    Raises:
      ConfigError: with all fields that are not honoured.
    """
    fields = classify(pipeline)
    unhonoured = [field for field in fields if field.status == UNHONOURED]
    lines = [f"{field.path}: {field.value}" + (f" ({field.reason})" if field.reason else "") for field in unhonoured]
    if unhonoured and not allow_unhonoured:
        raise errors.ConfigError(
            f"pipeline.config: {len(unhonoured)} field{'s' * (len(unhonoured) > 1)} that this program does not honour",
            received="\n    ".join(lines),
            way_out="take them out (--set 'FIELD=' sets one back), or --allow_unhonoured to go on without them",
        )
    for line in lines:
        console.warn(f"not honoured: {line}")
    hints = [field for field in fields if field.status == HINT]
    for field in hints:
        console.note(f"without effect here: {field.path}: {field.value} ({field.reason})")
    return hints


def _classify(message, prefix):
    own_rules = rules.rules_of(message)
    for field, value in message.ListFields():
        name = field.name
        path = f"{prefix}.{name}" if prefix else name
        rule = rules.PATHS.get(path) or own_rules.get(name, rules.Unhonoured())
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is None or is_map:
            repeated = pipelines.is_repeated(field)
            if repeated or value != field.default_value or rule.judges_default:
                yield _judge(path, rule, _text(field, value), message)
            continue
        judged = _judge(path, rule, _brief(value), message)
        if judged.status != HONOURED:
            yield judged
            continue
        if not pipelines.is_repeated(field):
            yield judged
            yield from _classify(value, path)
            continue
        for index, item in enumerate(value):
            item_path = f"{path}[{index}]"
            judged = _judge(item_path, rules.PATHS.get(item_path, rule), _brief(item), message)
            yield judged
            if judged.status == HONOURED:
                yield from _classify(item, item_path)


def _judge(path, rule, text, message):
    status, reason = rule.judge(text, message)
    return SetField(path, text, status, reason)


def _text(field, value):
    if pipelines.is_repeated(field):
        items = value.items() if hasattr(value, "items") else value
        return "[" + ", ".join(str(item) for item in items) + "]"
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _brief(value):
    """One line for a message: the names of what is set in it."""
    if not hasattr(value, "ListFields"):
        return f"{len(value)} elements"
    names = [field.name for field, _ in value.ListFields()]
    return "{" + ", ".join(names[:4]) + (", ..." if len(names) > 4 else "") + "}"
