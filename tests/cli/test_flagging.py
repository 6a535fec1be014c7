import pathlib
import types

import pytest
from absl import flags

from tfodhelper import errors
from tfodhelper.cli import flagging

GROUPS = (
    flagging.define_data_flags,
    flagging.define_seed,
    flagging.define_model_flags,
    flagging.define_training_flags,
    flagging.define_pipeline_config_path,
)


@pytest.fixture
def fv():
    module = types.ModuleType("verb", "Try something.")
    module.define_flags = lambda values: [group(values) for group in GROUPS]
    return flagging.make_flag_values(module)


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


def test_arguments_after_a_double_dash_are_no_flags(fv):
    assert flagging.parse(fv, ["--seed=1", "--", "--strange.jpg"]) == ["--strange.jpg"]


def test_a_tilde_is_the_home_folder(fv):
    flagging.parse(fv, ["--data_dir=~/images"])
    assert fv.data_dir == str(pathlib.Path.home() / "images")


def test_two_verbs_do_not_share_values(fv):
    other = types.ModuleType("other", "Other.")
    other.define_flags = flagging.define_seed
    flagging.parse(fv, ["--seed=7"])
    values = flagging.make_flag_values(other)
    flagging.parse(values, [])
    assert values.seed == 0


@pytest.mark.parametrize(
    ("argument", "parts"),
    [
        ("--seed=x", ["--seed", "non-negative integer", "received: x"]),
        ("--seed=-1", ["--seed", "non-negative integer", "received: -1"]),
        ("--num_steps=0", ["--num_steps", "received: 0"]),
        ("--val_fraction=1.5", ["--val_fraction", "[0.0, 1.0]", "received: 1.5"]),
        ("--strategy=tpus", ["--strategy", "one of auto, cpu, gpu, mirrored, multi_worker, tpu", "received: tpus"]),
        ("--strict=maybe", ["--strict", "true or false", "received: maybe"]),
        ("--data_dir=", ["--data_dir is given without a value"]),
        ("--data_dir", ["--data_dir"]),
        ("--flagfile=nowhere.txt", ["nowhere.txt"]),
    ],
)
def test_a_value_that_cannot_be_meant_is_told_in_words(fv, argument, parts):
    text = message(fv, argument)
    for part in parts:
        assert part in text


def test_a_forgotten_value_does_not_swallow_the_next_flag(fv):
    assert "--data_dir is given without a value" in message(fv, "--data_dir", "--seed=1")


@pytest.mark.parametrize(
    ("argument", "near"),
    [("--num_stpes=3", "--num_steps"), ("--data=x", "--data_dir"), ("--steps=3", "--num_steps"), ("-lr=1", "--help")],
)
def test_an_unknown_flag_is_told_with_near_ones(fv, argument, near):
    assert near in message(fv, argument)


def test_data_options_are_those_of_a_conversion():
    from tfodhelper.records import convert

    values = flags.FlagValues()
    flagging.define_data_flags(values)
    flagging.define_check_flags(values)
    flagging.define_num_shards(values)
    flagging.parse(values, ["--data_dir=images", "--strict", "--swap_inverted"])
    options = convert.ConvertOptions(output_dir="out", seed=3, **flagging.data_options(values))
    assert options == convert.ConvertOptions(
        output_dir="out", data_dir="images", seed=3, strict=True, swap_inverted=True
    )


def test_require_names_all_that_is_missing(fv):
    flagging.parse(fv, ["--seed=1"])
    flagging.require(fv, "seed")
    with pytest.raises(errors.UsageError, match="missing: --model, --data_dir"):
        flagging.require(fv, "model", "seed", "data_dir")


def test_refuse_arguments():
    flagging.refuse_arguments([])
    with pytest.raises(errors.UsageError, match="'images'"):
        flagging.refuse_arguments(["images"])


def test_help_shows_body_flags_and_defaults(fv):
    module = types.ModuleType("verb", "Try something.\n\nHow it is done:\n  tfodhelper probe --seed=1\n")
    text = flagging.format_help("probe", module, fv)
    assert text.startswith(
        "tfodhelper probe: Try something.\n\nHow it is done:\n  tfodhelper probe --seed=1\n\nFlags:\n"
    )
    assert "  --seed=N\n      Seed of all that is drawn at random. Default: 0.\n" in text
    assert "  --[no]strict\n" in text
    assert "  --strategy=auto|cpu|gpu|mirrored|multi_worker|tpu\n      Which devices train. Default: auto.\n" in text
    assert "repeat this option" not in text
    assert all(len(line) <= 100 for line in text.splitlines())


def test_help_shows_flags_of_plain_absl_definitions():
    values = flags.FlagValues()
    flags.DEFINE_list("sizes", ["1", "2"], "Some sizes.", flag_values=values)
    text = flagging.format_help("probe", types.ModuleType("verb", "Try."), values)
    assert "--sizes=" in text
    assert "Some sizes." in text
