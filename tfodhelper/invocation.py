"""How the user called this program, so that the commands in its messages can be typed as they are.

Messages name commands as `tfodhelper VERB`, in backticks or at the end under "Next"; `console` and the command line
pass them through here.
"""

import functools
import os
import shlex
import shutil
import sys

NAME = "tfodhelper"


@functools.cache
def program():
    """What the user typed before the verb: `tfodhelper`, its path, or `python -m tfodhelper`."""
    typed = list(sys.orig_argv)
    for position in range(1, len(typed) - 1):
        if typed[position : position + 2] == ["-m", NAME]:
            return shlex.join(typed[: position + 2])
        if not typed[position].startswith("-"):
            break
    script = sys.argv[0] if sys.argv else ""
    if os.path.basename(script) != NAME or shutil.which(NAME) == script:
        return NAME
    return shlex.quote(script)


def format_command(verb, *arguments, **flags):
    """A command that a shell reads as it is meant, whatever characters are in its paths.

    Args:
      verb: as in "active round".
      *arguments: what follows the flags.
      **flags: {flag: value}; those that are None are left out, True stands for a flag without a value.

    Returns:
      The command, beginning with "tfodhelper"; see `command_as_typed`.
    """
    given = [
        f"--{flag}" if value is True else f"--{flag}={shlex.quote(str(value))}"
        for flag, value in flags.items()
        if value is not None
    ]
    return " ".join([NAME, verb, *given, *(shlex.quote(str(argument)) for argument in arguments)])


def tensorboard_command(folder):
    """The command that shows the curves of a folder."""
    return f"tensorboard --logdir={shlex.quote(str(folder))}"


def as_typed(text):
    """A message with its commands as the user has to type them."""
    return text if program() == NAME else text.replace(f"`{NAME} ", f"`{program()} ")


def command_as_typed(command):
    """A command, as in "tfodhelper check ...", as the user has to type it."""
    return program() + command.removeprefix(NAME) if command.startswith(f"{NAME} ") else command
