"""Which checkpoint a path means. The only place that decides it; TensorFlow is not needed.

A checkpoint is named by its prefix: `FOLDER/ckpt-0` for the files `ckpt-0.index` and `ckpt-0.data-00000-of-00001`.
"""

import os
import pathlib
import re

from google.protobuf import text_encoding

from tfodhelper import errors

STATE_FILE = "checkpoint"  # names the newest checkpoint of its folder
_SUBFOLDER = "checkpoint"  # of an export and of an archive of the second generation
_SUFFIX = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_NAMED = re.compile(r'^model_checkpoint_path:\s*"(.*)"', re.MULTILINE)
_MOST_NAME_BYTES = 200  # file systems allow 255, and the names of the checkpoint's files are longer
_NUMBER = re.compile(r"-([0-9]{1,18})$")


def find_checkpoint(path):
    """Finds the checkpoint that a user means.

    A folder's own checkpoints come before those of its subfolder `checkpoint`, so a training in the folder of
    an archive resumes from what it trained.

    Args:
      path: a prefix (`.../ckpt-0`, `.../model.ckpt`), one of its files, the file `checkpoint`, or a folder with
        checkpoints or with a subfolder `checkpoint`: of a training, an export or an unpacked archive. Either kind of
        slash serves.

    Returns:
      The prefix, str.

    Raises:
      CheckpointError: there is none; the message says what is there.
    """
    text = str(path)
    for candidate in (text, text.replace("\\", "/")):
        prefix = _find_prefix(pathlib.Path(candidate))
        if prefix is not None:
            return prefix
    raise errors.CheckpointError(
        f"{path}: no checkpoint found",
        expected="a prefix such as FOLDER/ckpt-0 or FOLDER/model.ckpt, with a file of that name and .index, or a "
        "folder with checkpoints",
        received=_describe_contents(pathlib.Path(text)),
        fix="name the folder that holds the file `checkpoint`, or unpack the archive first",
    )


def list_checkpoints(folder):
    """Prefixes of all checkpoints in a folder that have an index file, the highest number first; str."""
    indices = pathlib.Path(folder).glob("*.index")
    ordered = sorted(indices, key=lambda index: (number_of(index.stem), index.stem), reverse=True)
    return [str(index).removesuffix(".index") for index in ordered]


def find_newest_in(folder):
    """The checkpoint that a folder's state file names, else the one with the highest number; None: there is none."""
    named = read_state(folder)
    return named if named is not None else next(iter(list_checkpoints(folder)), None)


def read_state(folder):
    """The prefix that the state file of a folder names, or None; str.

    Only the last part of the name counts: a folder that was moved names files elsewhere, and a Windows machine wrote
    backslashes.
    """
    prefix = _read_named(folder)
    return prefix if prefix and pathlib.Path(f"{prefix}.index").is_file() else None


def read_missing(folder):
    """The prefix that the state file of a folder names, if its index does not exist; else None."""
    prefix = _read_named(folder)
    return prefix if prefix and not pathlib.Path(f"{prefix}.index").is_file() else None


def number_of(prefix):
    """The step at the end of a checkpoint's name; -1 where it has none."""
    match = _NUMBER.search(str(prefix))
    return int(match[1]) if match else -1


def checkpoint_version(prefix):
    """ "V2" for an object-graph checkpoint (ckpt-N), "V1" for one of the first generation (model.ckpt)."""
    return "V1" if pathlib.Path(prefix).name.startswith("model.ckpt") else "V2"


def _read_named(folder):
    """The prefix that the state file of a folder names, whether its files exist or not; None: there is no such name."""
    state = pathlib.Path(folder) / STATE_FILE
    if not state.is_file():
        return None
    match = _NAMED.search(state.read_text(encoding="utf-8", errors="replace"))
    try:
        text = text_encoding.CUnescape(match[1]).decode("utf-8", "replace") if match else ""
    except ValueError:  # an escape sequence that is cut off
        return None
    name = re.split(r"[\\/]+", text)[-1]
    is_possible = name not in ("", ".", "..") and "\0" not in name and len(os.fsencode(name)) <= _MOST_NAME_BYTES
    return str(state.with_name(name)) if is_possible else None


def _find_prefix(path):
    """The prefix that a path stands for, or None."""
    if path.is_dir():
        subfolder = path / _SUBFOLDER
        return find_newest_in(path) or (find_newest_in(subfolder) if subfolder.is_dir() else None)
    if path.name == STATE_FILE and path.is_file():
        return find_newest_in(path.parent)
    for prefix in (str(path), _SUFFIX.sub("", str(path))):
        if pathlib.Path(f"{prefix}.index").is_file():
            return prefix
    return None


def _describe_contents(path):
    """What is at a path that has no checkpoint, in words."""
    if not path.exists():
        parent = path.parent
        if not parent.is_dir():
            return f"neither {path} nor the folder {parent} exists"
        path = parent
    if path.is_file():
        return "a file that is not part of a checkpoint"
    names = sorted(entry.name for entry in path.iterdir())
    return f"{path} holds " + (", ".join(names[:10]) + (" ..." if len(names) > 10 else "") if names else "nothing")
