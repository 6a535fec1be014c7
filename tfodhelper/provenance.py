"""What made a folder of results: the verb, its settings and the state of its inputs.

A record of it in the folder is how the same command, started again, knows its own result from somebody else's files.
"""

import dataclasses
import glob
import hashlib
import json
import os
import pathlib

from tfodhelper import limits, user_files
from tfodhelper import options as described
from tfodhelper.version import __version__

NAME = ".command.json"  # in the folder of the results
_SETS = (("import", None), ("check", "fixed"))  # (verb, name of the folder): results that are labelled images


@dataclasses.dataclass(frozen=True)
class Maker:
    """A command that makes a folder of results.

    Attributes:
      verb: of the command line.
      settings: {option: plain value}, apart from the folder of the results.
      inputs: hex digest of names, sizes and times of all files that are read.
    """

    verb: str
    settings: dict
    inputs: str

    def record(self, folder):
        """Writes the record to a folder."""
        text = json.dumps(self._to_json(), indent=2, ensure_ascii=True) + "\n"
        (pathlib.Path(folder) / NAME).write_text(text, encoding="utf-8")

    def compare(self, folder):
        """{name: (recorded value, own value)} of what differs from the record of a folder; None without a record."""
        try:
            value = limits.parse_json((pathlib.Path(folder) / NAME).read_text(encoding="utf-8"))
            recorded = _flatten(value)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        own = _flatten(self._to_json())
        names = [name for name in {**own, **recorded} if own.get(name) != recorded.get(name)]
        return {name: (recorded.get(name), own.get(name)) for name in names}

    def _to_json(self):
        return {"verb": self.verb, "version": __version__, "settings": self.settings, "inputs": self.inputs}


def holds_results(folder):
    """Whether a folder holds results that are not labelled images: those of a run, a workspace, or of a verb."""
    if user_files.is_folder_of_results(folder):
        return True
    try:
        verb = json.loads((pathlib.Path(folder) / NAME).read_text(encoding="utf-8"))["verb"]
    except (OSError, ValueError, TypeError, KeyError):
        return False
    return (verb, None) not in _SETS and (verb, os.path.basename(folder)) not in _SETS


def _flatten(value):
    """The parts of a record under the names that a message shows."""
    settings = {f"--{name}": setting for name, setting in value["settings"].items()}
    return {"tfodhelper": value["verb"], "version": value["version"], **settings, "files": value["inputs"][:12]}


def of_command(verb, chosen, output, inputs=()):
    """The `Maker` of a command that is about to run.

    Args:
      verb: its name.
      chosen: its `options.Options`.
      output: name of the option that names the folder of the results.
      inputs: further paths of what is read, which are not options.

    Returns:
      A `Maker`; options that say how much is printed, and with how many processes, are left out.
    """
    kept = [each for each in described.options_of(type(chosen)) if each.name not in (output, *_WITHOUT_EFFECT)]
    values = {each.flag: _to_plain(each, getattr(chosen, each.name)) for each in kept}
    paths = [each.flag for each in kept if each.kind == "path" and values[each.flag] is not None]
    if inputs:
        values["images"] = [os.path.abspath(os.fspath(path)) for path in inputs]
    stamped = [path for flag in paths for path in _expand(values[flag])] + [os.fspath(path) for path in inputs]
    return Maker(verb, values, _stamp(stamped, os.path.abspath(getattr(chosen, output))))


_WITHOUT_EFFECT = ("max_shown", "num_workers")


def _to_plain(each, value):
    plain = each.to_json(value)
    if each.kind == "path" and plain is not None and os.path.exists(plain):
        return each.absolute(plain)
    return plain


def _expand(text):
    """The paths that the value of an option means: itself, several with commas between them, or a pattern."""
    if os.path.exists(text):
        return [text]
    return [path for part in str(text).split(",") for path in ([part] if os.path.exists(part) else glob.glob(part))]


def _stamp(paths, output):
    """Digest of names, sizes and times of all files under some paths, but for those in `output`."""
    digest = hashlib.sha256()
    for path in sorted(set(paths)):
        for name, size, time_ns in sorted(_list_files(path, output)):
            digest.update(os.fsencode(f"{name}\0{size}\0{time_ns}\n"))
    return digest.hexdigest()


def _list_files(path, output):
    """Yields (path, bytes, time) of a file, or of all files below a folder."""
    if not os.path.isdir(path):
        yield from _facts_of(path)
        return
    seen = set()
    for parent, folders, names in os.walk(path, followlinks=True):
        here = os.stat(parent)
        is_known = (here.st_dev, here.st_ino) in seen or os.path.abspath(parent) == output
        if is_known:
            folders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        folders[:] = [name for name in folders if not name.endswith(".partial")]  # results that are being made
        for name in names:
            yield from _facts_of(os.path.join(parent, name))


def _facts_of(path):
    try:
        facts = os.stat(path)
    except OSError:  # a link that leads nowhere
        yield path, -1, -1
        return
    yield path, facts.st_size, facts.st_mtime_ns
