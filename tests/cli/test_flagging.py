import dataclasses
import pathlib
import types

import pytest

from tfodhelper import errors, options
from tfodhelper.cli import flagging, option_flags
from tfodhelper.config.options import ConfigOptions, WriteConfigOptions
from tfodhelper.dataset.options import SetOptions
from tfodhelper.training.options import TrainOptions

GROUPS = (SetOptions, ConfigOptions)


def make_flag_values(*kinds):
    module = types.ModuleType("verb", "Try something.")

    def define_flags(values):
        for kind in kinds:
            option_flags.define_flags(values, kind)
        option_flags.define_flags(values, TrainOptions, without=("seed",))

    module.define_flags = define_flags
    return flagging.make_flag_values(module)


@pytest.fixture
def fv():
    return make_flag_values(*GROUPS)


def message(fv, *argv):
    with pytest.raises(errors.UsageError) as caught:
        flagging.parse(fv, list(argv))
    return str(caught.value)


def test_the_flags_that_scripts_rely_on_are_there(fv):
    names = "data_dir image_dir annotation_dir train_list val_list label_map val_fraction seed model num_steps"
    names += " batch_size learning_rate eval_every fine_tune_checkpoint set strategy pipeline_config_path strict"
    assert set(names.split()) <= set(fv)


def test_defaults(fv):
    assert flagging.parse(fv, []) == []
    assert (fv.val_fraction, fv.seed, fv.fine_tune_checkpoint, fv.strategy) == (0.2, 0, "zoo", "auto")
    assert (fv.data_dir, fv.num_steps, fv.set, fv.strict) == (None, None, [], False)


def test_values_are_converted_and_arguments_are_kept(fv):
    argv = ["a.jpg", "--num_steps=5", "--learning_rate", "0.5", "--strict", "--set=a=1", "--set=b.c=2", "b.jpg"]
    assert flagging.parse(fv, argv) == ["a.jpg", "b.jpg"]
    assert (fv.num_steps, fv.learning_rate, fv.strict, fv.set) == (5, 0.5, True, ["a=1", "b.c=2"])


def test_arguments_after_a_double_dash_are_not_flags(fv):
    assert flagging.parse(fv, ["--seed=1", "--", "--strange.jpg"]) == ["--strange.jpg"]


def test_a_tilde_is_the_home_folder(fv):
    flagging.parse(fv, ["--data_dir=~/images"])
    assert fv.data_dir == str(pathlib.Path.home() / "images")


def test_two_verbs_do_not_share_values(fv):
    other = types.ModuleType("other", "Other.")
    other.define_flags = lambda values: option_flags.define_flags(values, SetOptions)
    flagging.parse(fv, ["--seed=7"])
    values = flagging.make_flag_values(other)
    flagging.parse(values, [])
    assert values.seed == 0


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("--seed=x", ["--seed=x: invalid value", "expected: a whole number, at least 0", "received: x"]),
        ("--seed=-1", ["--seed=-1: invalid value", "expected: a whole number, at least 0", "received: -1"]),
        ("--num_steps=-1", ["--num_steps", "expected: a whole number, at least 0", "received: -1"]),
        ("--val_fraction=1.5", ["--val_fraction", "expected: a number from 0 to 1", "received: 1.5"]),
        ("--val_fraction=nan", ["--val_fraction", "expected: a number from 0 to 1", "received: nan"]),
        ("--strategy=tpus", ["--strategy", "one of auto, cpu, gpu, mirrored, multi_worker, tpu", "received: tpus"]),
        ("--strategy=tpus", ["did you mean tpu?"]),
        ("--strict=maybe", ["--strict", "true or false", "received: maybe"]),
        ("--data_dir=", ["--data_dir is given without a value"]),
        ("--data_dir", ["--data_dir is given without a value", "expected: a path", "fix: --data_dir=VALUE"]),
        ("--flagfile=nowhere.txt", ["nowhere.txt"]),
    ],
)
def test_an_invalid_value_is_explained(fv, argument, parts):
    text = message(fv, argument)
    for part in parts:
        assert part in text


def test_a_forgotten_value_does_not_swallow_the_next_flag(fv):
    assert "--data_dir is given without a value" in message(fv, "--data_dir", "--seed=1")


@pytest.mark.parametrize(
    ("argument", "near"),
    [("--num_stpes=3", "--num_steps"), ("--data=x", "--data_dir"), ("--steps=3", "--num_steps"), ("-lr=1", "--help")],
)
def test_an_unknown_flag_is_answered_with_similar_ones(fv, argument, near):
    assert near in message(fv, argument)


def test_options_are_made_from_the_flags_that_a_verb_has():
    values = make_flag_values(SetOptions)
    flagging.parse(values, ["--data_dir=images", "--strict", "--swap_inverted", "--seed=3"])
    made = option_flags.read_options(values, SetOptions)
    assert made == SetOptions(data_dir="images", seed=3, strict=True, swap_inverted=True)
    assert option_flags.read_options(values, SetOptions, data_dir="x", fold="1/2").data_dir == "x"


def test_what_was_given_is_told_from_what_was_left_out(fv):
    flagging.parse(fv, ["--seed=0", "--set=a=1", "--allow_unhonoured"])
    assert option_flags.read_given(fv, SetOptions) == {"seed": 0}
    assert option_flags.read_given(fv, ConfigOptions) == {"overrides": ("a=1",), "ignore_unsupported_fields": True}


def test_all_flags_that_are_missing_are_named():
    class Needy(WriteConfigOptions):
        output_dir: options.Path = options.option(options.REQUIRED, "A folder.")

    needy = dataclasses.dataclass(frozen=True, kw_only=True)(Needy)
    values = make_flag_values(needy)
    flagging.parse(values, ["--model=x"])
    with pytest.raises(errors.UsageError, match="missing: --data_dir, --output_dir") as caught:
        option_flags.read_options(values, needy)
    assert "; --output_dir: A folder" in caught.value.expected
    flagging.parse(values, ["--data_dir=d", "--output_dir=o"])
    assert option_flags.read_options(values, needy).output_dir == "o"


def test_refuse_arguments():
    flagging.refuse_arguments([])
    with pytest.raises(errors.UsageError, match="'images'"):
        flagging.refuse_arguments(["images"])


def test_help_shows_body_flags_by_subject_and_defaults(fv):
    module = types.ModuleType("verb", "Try something.\n\nHow it is done:\n  tfodhelper probe --seed=1\n")
    text = flagging.format_help("probe", module, fv)
    assert text.startswith(
        "tfodhelper probe: Try something.\n\nHow it is done:\n  tfodhelper probe --seed=1\n\n"
        "Images and annotations:\n  --data_dir=PATH"
    )
    titles = [line for line in text.splitlines() if line and line[0] != " " and line[-1] == ":"]
    assert titles == [
        *("How it is done:", "Images and annotations:", "Split:", "Faults in the data:", "Processing:"),
        *("Model and configuration:", "Training:", "Devices:"),
    ]
    words = " ".join(text.split())
    assert "--seed=N Seed of everything that is drawn at random. (default: 0)" in words
    assert "\n  --[no]strict  " in text
    assert "--strategy=auto|cpu|gpu|mirrored|multi_worker|tpu Which devices are used. (default: auto) auto all" in words
    assert "--fine_tune_checkpoint=PATH|zoo|none Where training starts" in words
    assert text.count("--set=TEXT") == 1
    assert all(len(line) <= 100 for line in text.splitlines())
    assert text.endswith("--flagfile=FILE reads flags from a file, one per line.\n")
