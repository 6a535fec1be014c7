"""The flags of rounds, and the settings that they mean; `active init` keeps them, `round` and `run` may change some."""

import dataclasses
import os

from absl import flags

from tfodhelper import errors
from tfodhelper.active_learning.oracles import build
from tfodhelper.active_learning.selection import rules
from tfodhelper.cli import flagging

_TRAINING = (
    *("model", "pipeline_config_path", "num_steps", "batch_size", "learning_rate", "fine_tune_checkpoint", "set"),
    *("eval_every", "checkpoint_every", "sampling", "negatives", "strategy", "tpu_address", "cache_dir"),
    "ignore_unsupported_fields",
)
_NAMES = {"set": "overrides", "predict_batch_size": "batch_size", "predict_score_threshold": "score_threshold"}
_PREDICTION = ("predict_batch_size", "predict_score_threshold")
_SELECTION = ("rule", "aggregate", "uncertainty", "budget", "budget_unit", "class_balance")
_PATHS = ("pipeline_config_path", "cache_dir")
_DEFAULT_BUDGET = 100
_NO_LIMIT = ("image_label",)  # oracles that cost nothing are asked about the whole pool


def define_workspace(fv):
    """Which workspace."""
    flagging.define_path(fv, "workspace", None, "Folder of the workspace.")


def define_settings(fv):
    """How rounds are made."""
    flagging.define_model_flags(fv)
    flagging.define_pipeline_config_path(fv, "A pipeline.config of your own to start from, instead of the model's.")
    flagging.define_training_flags(fv)
    if "seed" not in fv:
        flagging.define_seed(fv)
    text = "How a round's training begins: continue, from the last round's model; scratch, from --fine_tune_checkpoint."
    flags.DEFINE_enum("retrain", "continue", ["continue", "scratch"], text, flag_values=fv)
    text = "Images a call when the pool is predicted; without a GPU, `active predict` and large pools find their own."
    flags.DEFINE_integer("predict_batch_size", 8, text, lower_bound=1, flag_values=fv)
    text = "Detections of a lower score are not kept when the pool is predicted."
    flags.DEFINE_float("predict_score_threshold", 0.05, text, 0.0, 1.0, flag_values=fv)
    _define_selection(fv)
    flags.DEFINE_enum("oracle", None, list(build.OPTIONS), "Who is asked about the chosen images.", flag_values=fv)
    for name, entries in _oracle_options().items():
        _define_option(fv, name, entries)


def _define_selection(fv):
    text = "How images of the pool are chosen. " + "; ".join(f"{rule}: {rules.explain(rule)}" for rule in rules.RULES)
    flags.DEFINE_enum("rule", rules.AUTO, list(rules.RULES), text + ".", flag_values=fv)
    text = "How the uncertainties of an image's detections become one number."
    flags.DEFINE_enum("aggregate", "sum", list(rules.AGGREGATES), text, flag_values=fv)
    text = "Which uncertainty the rule two-stage begins with."
    flags.DEFINE_enum("uncertainty", "dcus", list(rules.UNCERTAINTIES), text, flag_values=fv)
    text = "How many images, or boxes, the oracle is asked about in a round; 0 asks about the whole pool. "
    text += f"{_DEFAULT_BUDGET} when left out, 0 with --oracle=image_label."
    flags.DEFINE_integer("budget", None, text, lower_bound=0, flag_values=fv)
    flags.DEFINE_enum("budget_unit", "images", list(rules.BUDGET_UNITS), "What the budget counts.", flag_values=fv)
    text = "How strongly rare classes are preferred: 0 not at all, 1 in proportion to their rarity."
    flags.DEFINE_float("class_balance", 0.0, text, lower_bound=0.0, flag_values=fv)


def _oracle_options():
    """{option: [(oracle, dataclass field)]}; an option that several oracles know is one flag."""
    found = {}
    for oracle, kind in build.OPTIONS.items():
        for field in dataclasses.fields(kind):
            found.setdefault(field.name, []).append((oracle, field))
    return found


def _define_option(fv, name, entries):
    texts = [f"{oracle}: {field.metadata['help']} ({_shown(field.default)})" for oracle, field in entries]
    text = "; ".join(texts) + "."
    choices = sorted({choice for _, field in entries for choice in field.metadata.get("choices", ())})
    default = next((field.default for _, field in entries if field.default is not None), None)
    if choices:
        flags.DEFINE_enum(name, None, choices, text, flag_values=fv)
    elif name.endswith(("_dir", "_path")):
        flagging.define_path(fv, name, None, text)
    elif isinstance(default, bool):
        flags.DEFINE_bool(name, None, text, flag_values=fv)
    elif isinstance(default, str):
        flags.DEFINE_string(name, None, text, flag_values=fv)
    else:
        flags.DEFINE_float(name, None, text, flag_values=fv)


def _shown(default):
    return "no default" if default is None else f"default {default}"


def settings(fv):
    """All settings that the flags mean, complete; for `init`.

    Raises:
      UsageError: no oracle or no model is named, or an option does not fit the oracle.
      ZooError, ConfigError, CheckpointError: the model or a path is not known.
    """
    if fv.oracle is None:
        raise errors.UsageError(
            "it is not said who answers for the chosen images", expected="--oracle=" + " or ".join(build.OPTIONS)
        )
    if fv.model is None and fv.pipeline_config_path is None:
        raise errors.UsageError(
            "no model is named",
            expected="--model=NAME, or --pipeline_config_path=FILE",
            fix="tfodhelper zoo lists the models",
        )
    values = _collect(fv, lambda name: True)
    if values["selection"]["budget"] is None:
        values["selection"]["budget"] = 0 if fv.oracle in _NO_LIMIT else _DEFAULT_BUDGET
    build.build_oracle(**values["oracle"])
    _check_training(values["training"])
    return values


def _check_training(training):
    """What can be known to fail is said at once: names of models and fields, and paths."""
    from tfodhelper.config import generate

    base = generate.find_base(training["model"], training["pipeline_config_path"])
    generate.check_overrides(base, training["overrides"])
    if training["fine_tune_checkpoint"] != "zoo" or base.model is None:  # the zoo's may have to be fetched first
        generate.find_fine_tune_checkpoint(base, training["fine_tune_checkpoint"], training["cache_dir"])


def changes(fv):
    """The settings that were given on the command line, for a round from now on."""
    values = _collect(fv, lambda name: fv[name].present)
    return {part: value for part, value in values.items() if value not in ({}, None)}


def _collect(fv, is_wanted):
    def part(names):
        return {_NAMES.get(name, name): _plain(name, fv[name].value) for name in names if is_wanted(name)}

    oracle = {"name": fv.oracle} if fv.oracle else {}
    oracle |= {name: _plain(name, fv[name].value) for name in _oracle_options() if fv[name].value is not None}
    return {
        "training": part(_TRAINING),
        "retrain": fv.retrain if is_wanted("retrain") else None,
        "prediction": part(_PREDICTION),
        "selection": part(_SELECTION),
        "oracle": oracle,
        "seed": fv.seed if is_wanted("seed") else None,
    }


def _plain(name, value):
    is_path = name in _PATHS or name.endswith(("_dir", "_path"))
    if name == "fine_tune_checkpoint":
        is_path = value not in ("zoo", "none")
    return os.path.abspath(value) if is_path and value is not None else value
