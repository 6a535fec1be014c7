"""Commands and flags in README.md and docs/ exist: they are parsed as the program would, without running them."""

import re
import shlex

import pytest

from tests.cli.test_flag_table import modules
from tests.docs import pages
from tests.shared_data import REPOSITORY
from tfodhelper import errors
from tfodhelper.cli import flagging

PAGES = pages.read_pages()
COMMANDS = [
    (block.page, command)
    for name, text in PAGES.items()
    for block in pages.find_blocks(name, text)
    if block.language in ("", "sh")
    for command in pages.find_commands(block.text)
]
MODULES = modules()
FLAGS = {verb: set(flagging.make_flag_values(module)) for verb, module in MODULES.items()}
# Flags of pip and TensorBoard, and of the programs of the Object Detection API.
FOREIGN = {"upgrade", "logdir"}
FOREIGN |= {"num_train_steps", "checkpoint_dir", "checkpoint_every_n", "use_tpu", "tpu_name", "config_override"}
FOREIGN |= {"ssd_use_regular_nms"}
PLACEHOLDERS = {"flags", "name"}


def split_verb(words):
    """(verb, the words after it); the verb is None if there is none."""
    for count in (2, 1):
        if " ".join(words[:count]) in MODULES:
            return " ".join(words[:count]), words[count:]
    return None, words


def parse(command):
    """Parses a command, in which `...` stands for flags that are left out; raises if it would be refused."""
    words = shlex.split(command, comments=True)
    is_whole = "..." not in words and "--help" not in words
    verb, words = split_verb([word for word in words if word not in ("...", "--help")])
    if verb is None:
        raise errors.UsageError(f"no verb in {command!r}")
    fv = flagging.make_flag_values(MODULES[verb])
    flagging.parse(fv, words)
    missing = [
        name for name in fv if hasattr(fv[name], "option") and fv[name].option.is_required and not fv[name].value
    ]
    if missing and is_whole:
        raise errors.UsageError(f"{command!r} lacks --{missing[0]}")
    return verb


def unknown_flags(code):
    """Flags in a piece of inline code that no verb has, or not the one that the code begins with."""
    words = code.split()
    verb, rest = split_verb(words[1:] if words[:1] == ["tfodhelper"] else words)
    known = FLAGS[verb] if verb else set().union(*FLAGS.values()) | script_flags() | FOREIGN | PLACEHOLDERS
    names = re.findall(r"(?<![\w-])--(?:no(?=\w))?([a-z]\w*)", " ".join(rest))
    full = re.findall(r"(?<![\w-])--([a-z]\w*)", " ".join(rest))
    return [
        name for name, spelled in zip(names, full, strict=True) if not {name, spelled} & (known | {"help", "flagfile"})
    ]


def script_flags():
    """The flags of the programs in scripts/."""
    texts = [path.read_text(encoding="utf-8") for path in (REPOSITORY / "scripts").iterdir() if path.is_file()]
    return set(re.findall(r"--(\w+)", "\n".join(texts)))


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_a_command_is_accepted(page, command):
    assert parse(command) in MODULES


def test_every_verb_is_shown_in_a_command():
    shown = {parse(command) for _, command in COMMANDS}
    assert sorted(set(MODULES) - shown) == []


@pytest.mark.parametrize("page", PAGES)
def test_flags_in_sentences_exist(page):
    assert [(code, names) for code in pages.find_inline_code(PAGES[page]) if (names := unknown_flags(code))] == []


@pytest.mark.parametrize(
    "command",
    ["train --pipline_config_path=a --model_dir=b", "learn", "convert --data_dir=a", "train --num_steps=many"],
)
def test_what_does_not_exist_is_found(command):
    with pytest.raises(errors.UsageError):
        parse(command)
    assert unknown_flags("convert --batch_size") == ["batch_size"]
    assert unknown_flags("tfodhelper run --nostrict --batch_size=4") == []
