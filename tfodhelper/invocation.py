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


def as_typed(text):
    """A message with its commands as the user has to type them."""
    return text if program() == NAME else text.replace(f"`{NAME} ", f"`{program()} ")


def command_as_typed(command):
    """A command, as in "tfodhelper check ...", as the user has to type it."""
    return program() + command.removeprefix(NAME) if command.startswith(f"{NAME} ") else command
