"""The flags of every verb, compared with those of the version that defined each of them by hand.

flag_table.json was written from the flags of commit f677f88: {verb: {flag: [type, default, choices]}}. Scripts rely on
all of it. Flags that were added since then are not in the table; verbs that were added have a row of their first
version. --batch_size was an integer and takes a word too, now; --from takes two more formats, --oracle
one more name, --several_boxes one more rule.
"""

import importlib
import json
import pathlib

import pytest

from tfodhelper import errors
from tfodhelper.cli import flagging, main

TABLE = json.loads(pathlib.Path(__file__).with_name("flag_table.json").read_text(encoding="utf-8"))
FORMER, RENAMED = "allow_unhonoured", "ignore_unsupported_fields"
ALLOWED = [verb for verb, flags in TABLE.items() if FORMER in flags]


def modules():
    """{verb: module}."""
    found = {}
    for verb, (path, _) in main.VERBS.items():
        module = importlib.import_module(path)
        parts = getattr(module, "VERBS", None)
        if parts is None:
            found[verb] = module
        else:
            found |= {f"{verb} {name}": importlib.import_module(part) for name, (part, _) in parts.items()}
    return found


def flags_of(verb):
    return flagging.make_flag_values(modules()[verb])


def row_of(flag):
    choices = sorted(flag.option.choices) if hasattr(flag, "option") else []
    return [flag.flag_type(), flag.default, *([choices] if choices else [])]


def test_the_table_has_every_verb():
    assert set(TABLE) == set(modules())


@pytest.mark.parametrize("verb", TABLE)
def test_flags_types_choices_and_defaults_are_those_of_the_former_version(verb):
    """A flag that is added since then is free to come; none may go or change."""
    fv = flags_of(verb)
    assert {name: row_of(fv[name]) for name in fv if name in TABLE[verb]} == TABLE[verb]


def test_the_former_name_of_a_flag_is_an_alias_wherever_it_was():
    assert ALLOWED == [
        "run",
        "config",
        "train",
        "eval",
        "export",
        "explain",
        "active init",
        "active round",
        "active run",
    ]
    for verb in TABLE:
        assert (FORMER in flags_of(verb)) == (RENAMED in flags_of(verb))
        assert (RENAMED in flags_of(verb)) == (verb in ALLOWED)


@pytest.mark.parametrize("verb", ALLOWED)
@pytest.mark.parametrize(
    ("argument", "value"),
    [(f"--{FORMER}", True), (f"--{FORMER}=true", True), (f"--no{FORMER}", False), (f"--no{RENAMED}", False)],
)
def test_the_alias_sets_the_flag(verb, argument, value):
    fv = flags_of(verb)
    flagging.parse(fv, [f"--{RENAMED}={not value}", argument])
    assert (fv[RENAMED].value, fv[RENAMED].present) == (value, 2)


def test_the_alias_is_in_the_help_as_a_former_name_only():
    text = flagging.format_help("train", modules()["train"], flags_of("train"))
    assert f"--[no]{RENAMED}\n" in text
    assert f"Former name: --{FORMER}." in " ".join(text.split())
    assert f"  --[no]{FORMER}" not in text


@pytest.mark.parametrize("verb", TABLE)
def test_flags_can_come_from_a_file_and_the_last_one_counts(verb, tmp_path):
    fv = flags_of(verb)
    name, flag = next(
        (name, fv[name]) for name in fv if hasattr(fv[name], "option") and fv[name].option.kind != "texts"
    )
    least = int(flag.option.least or 3)
    values = {"int": (str(least), str(least + 1)), "bool": ("true", "false")}.get(flag.option.kind, ("one", "two"))
    if flag.option.choices:
        values = tuple(flag.option.choices)[:2]
    (tmp_path / "flags.txt").write_text(f"--{name}={values[0]}\n", encoding="utf-8")
    flagging.parse(fv, [f"--flagfile={tmp_path / 'flags.txt'}", f"--{name}={values[1]}"])
    assert fv[name].value == flag.option.parse(values[1]) != flag.option.parse(values[0])


@pytest.mark.parametrize("verb", TABLE)
def test_every_number_refuses_a_word_and_every_choice_an_unknown_one(verb):
    fv = flags_of(verb)
    for name in fv:
        option = getattr(fv[name], "option", None)
        if option is not None and (option.choices or option.kind in ("int", "float", "bool")):
            with pytest.raises(errors.UsageError) as caught:
                flagging.parse(flags_of(verb), [f"--{name}=odd"])
            assert caught.value.what == f"--{name}=odd: invalid value"
            assert (caught.value.expected, caught.value.received) == (option.expected, "odd")


@pytest.mark.parametrize("verb", TABLE)
def test_the_help_of_a_verb_is_complete_and_fits_a_screen(verb):
    fv = flags_of(verb)
    text = flagging.format_help(verb, modules()[verb], fv)
    assert all(len(line) <= 120 for line in text.splitlines())
    for name in fv:
        option = getattr(fv[name], "option", None)
        if option is not None:
            assert f"  --{'[no]' if option.kind == 'bool' else ''}{name}" in text
            assert option.text.rstrip()[-1] == "." and option.title in text
