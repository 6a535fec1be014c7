"""Which fields of a pipeline.config this program supports, so that none is ever silently ignored.

A field that is set to a value other than its default is one of these:

* supported: it is read and applied;
* a hint: it only chooses how the same numbers are computed, or concerns work that is done differently here;
* done differently, with other results, which a warning says;
* limited to certain values;
* not supported, which is an error (or a warning, with --ignore_unsupported_fields).

This module applies the rules. The rules themselves are data, by type of message: those of the model's family
(`families`), those that families share, and those of training and reading (`supported_rules`). A field without a rule
is not supported.
"""

import dataclasses
import textwrap

from tfodhelper import console, errors, families, protos, spelling
from tfodhelper.config import pipeline as pipelines
from tfodhelper.config import supported_rules
from tfodhelper.families import rules, shared_rules

SUPPORTED = "supported"
HINT = "hint"
DIFFERENT = "different"
UNSUPPORTED = "not supported"


@dataclasses.dataclass(frozen=True)
class SetField:
    """One field that a configuration sets.

    Attributes:
      path: as in --set, with indices.
      value: a short text of what is set.
      status: SUPPORTED, HINT, DIFFERENT or UNSUPPORTED.
      reason: why it is a hint, or not supported, or what is done instead; "" if there is nothing to add.
      untrainable: the `families.rules.Untrainable` that forbids the whole model, or None.
    """

    path: str
    value: str
    status: str
    reason: str = ""
    untrainable: rules.Untrainable | None = None


def classify(pipeline):
    """Judges every field that is set to a value other than its default.

    Args:
      pipeline: a TrainEvalPipelineConfig message.

    Returns:
      A list of `SetField`, in the order of the schema. A message that is not supported is listed instead of its fields.
    """
    return list(_classify(pipeline, "", Rules(families.find_family(pipeline.model))))


def check_supported(pipeline, ignore_unsupported_fields=False, says=True):
    """Checks that the program supports everything that a configuration sets.

    Args:
      pipeline: a TrainEvalPipelineConfig message.
      ignore_unsupported_fields: whether fields that are not supported only cause a warning.
      says: whether to print warnings and hints.

    Returns:
      The `SetField`s that are hints; they are written to the process log.

    Raises:
      ConfigError: with all fields that are not supported; or the model is of a kind that cannot be trained here at
        all, whatever its fields.
    """
    fields = classify(pipeline)
    _check_kind_of_model(fields)
    unsupported = [field for field in fields if field.status == UNSUPPORTED]
    lines = [f"{field.path}: {field.value}" + (f" ({field.reason})" if field.reason else "") for field in unsupported]
    if unsupported and not ignore_unsupported_fields:
        raise errors.ConfigError(
            f"pipeline.config: {spelling.count(len(unsupported), 'field')} that tfodhelper does not support",
            received="\n    ".join(lines),
            fix="remove them (--set 'FIELD=' resets one), or use --ignore_unsupported_fields to ignore them",
        )
    hints = [field for field in fields if field.status == HINT]
    if says:
        _say_differences(fields)
    for line in lines if says else ():
        console.warn(f"not supported: {line}")
    for field in hints if says else ():
        console.note(f"without effect here: {field.path}: {field.value} ({field.reason})")
    return hints


def _say_differences(fields):
    for field in fields:
        if field.status == DIFFERENT:
            console.warn(f"{field.path}: {field.value}: {field.reason}")


def _check_kind_of_model(fields):
    """Raises an error for a model that no change of single fields makes trainable."""
    for field in fields:
        if field.untrainable is not None:
            known = field.untrainable.known
            near = spelling.nearest(field.value, known, count=1)
            raise errors.ConfigError(
                f"pipeline.config: {field.reason}",
                expected="one of\n" + _in_lines(known) if known else None,
                received=f"{field.path}: {field.value}",
                fix=(f"did you mean {near[0]}? " if near else "")
                + "`tfodhelper zoo --trainable` lists the models that can be trained",
            )


def _in_lines(names):
    """Names separated by commas, in lines that a terminal does not break."""
    return textwrap.fill(", ".join(names), 100, initial_indent=" " * 4, subsequent_indent=" " * 4)


class Rules:
    """The rules for the configuration of one family.

    Args:
      family: a `families.spec.Family`, or None if the configuration has no model or one that is not supported.
    """

    def __init__(self, family):
        self._by_type = supported_rules.RULES | shared_rules.RULES
        self._by_type["DetectionModel"] = _rules_of_families()
        self._by_path = dict(supported_rules.RULES_BY_PATH)
        self._feature_extractors = {}
        if family is not None:
            self._by_type |= family.rules
            below_family = {f"model.{family.name}.{path}": rule for path, rule in family.rules_by_path.items()}
            self._by_path |= below_family
            self._feature_extractors = family.feature_extractors

    def of_message(self, message):
        """{field: rule} of a message; for a feature extractor those of its type."""
        name = message.DESCRIPTOR.full_name.removeprefix(f"{protos.PACKAGE}.")
        if "type" in message.DESCRIPTOR.fields_by_name and name.endswith("FeatureExtractor"):
            return self._feature_extractors.get(message.type) or self._rules_of_unknown_extractor(message)
        return self._by_type.get(name, {})

    def of_path(self, path, otherwise):
        """The rule for one path; `otherwise` if the rule of the type applies."""
        return self._by_path.get(path, otherwise)

    def _rules_of_unknown_extractor(self, message):
        """Only the type is reported; the other fields depend on it."""
        others = {field.name: rules.Unjudged() for field in message.DESCRIPTOR.fields}
        known = sorted({name.removesuffix("_keras") for name in self._feature_extractors})
        reason = f"the feature extractor {message.type} cannot be trained here yet"
        return others | {"type": rules.Untrainable(reason, tuple(known))}


def _rules_of_families():
    """Rules of DetectionModel: a family without a row cannot be trained."""
    known = tuple(sorted(families.names()))
    return {
        field.name: rules.Supported()
        if field.name in known
        else rules.Untrainable(f"models of the family {field.name} cannot be trained here yet", known)
        for field in protos.message("DetectionModel").DESCRIPTOR.fields
    }


def _classify(message, prefix, own_rules):
    of_fields = own_rules.of_message(message)
    for field, value in message.ListFields():
        name = field.name
        path = f"{prefix}.{name}" if prefix else name
        rule = own_rules.of_path(path, of_fields.get(name, rules.Unsupported()))
        if isinstance(rule, rules.Unjudged):
            continue
        is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
        if field.message_type is None or is_map:
            repeated = pipelines.is_repeated(field)
            if repeated or value != field.default_value or rule.judges_default:
                yield _judge(path, rule, _text(field, value), message)
            continue
        judged = _judge(path, rule, _brief(value), message)
        if judged.status != SUPPORTED:
            yield judged
            continue
        if not pipelines.is_repeated(field):
            yield judged
            yield from _classify(value, path, own_rules)
            continue
        for index, item in enumerate(value):
            item_path = f"{path}[{index}]"
            judged = _judge(item_path, own_rules.of_path(item_path, rule), _brief(item), message)
            yield judged
            if judged.status == SUPPORTED:
                yield from _classify(item, item_path, own_rules)


def _judge(path, rule, text, message):
    status, reason = rule.judge(text, message)
    return SetField(path, text, status, reason, rule if isinstance(rule, rules.Untrainable) else None)


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
