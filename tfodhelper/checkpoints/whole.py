"""Which checkpoints are whole, and which one to go back to if the newest is damaged.

TensorFlow stores a checksum (CRC-32C) with each block of an index and with each tensor, and compares it whenever it
reads one. So a checkpoint is whole if all of its tensors can be read, which costs one pass over its files.
"""

import pathlib

import tensorflow as tf

from tfodhelper import console, errors
from tfodhelper.checkpoints import find

LAST, BEST = "last", "best"  # folders of a training with the weights of evaluations, without the optimizer
_UNREADABLE = (tf.errors.OpError, LookupError, RuntimeError, ValueError)


def describe_damage(prefix):
    """Why a checkpoint cannot be read, in one line; None if it is whole."""
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except _UNREADABLE as error:
        return str(error).partition("\n")[0].partition("[[")[0].strip()[:200]
    return None


def find_whole(path):
    """Finds the checkpoint that a path means; for a folder, the newest that is whole.

    If the newest checkpoint of a folder is damaged, a warning says which older one is taken. For a training, these are
    its other checkpoints, then the weights of its last and its best evaluation; for these weights, the checkpoint of
    the same step, then the others.

    Args:
      path: see `find.find_checkpoint`.

    Returns:
      The prefix, str.

    Raises:
      CheckpointError: there is none, it is damaged and was named by its prefix, or none of a folder is whole.
    """
    prefix = find.find_checkpoint(path)
    folder = pathlib.Path(prefix).parent
    missing = find.read_missing(folder)
    others = [other for other in _others_of(folder, find.number_of(missing or prefix)) if other != prefix]
    if not _is_folder(path):
        problem = describe_damage(prefix)
        if problem is not None:
            raise _damaged(prefix, problem, others)
        return prefix
    whole = _first_whole(prefix, others, missing)
    if whole is None:
        raise _damaged(prefix, describe_damage(prefix), [])
    return whole


def find_to_resume(folder):
    """The newest whole checkpoint of a training, or None if it has not written one yet.

    A process that was killed between a checkpoint and the file that names it leaves one that only its own files tell
    of; one that was killed while the first checkpoint was written may leave an index that cannot be read.

    Raises:
      CheckpointError: there are checkpoints, and all of them are damaged.
    """
    named, missing, own = find.read_state(folder), find.read_missing(folder), find.list_checkpoints(folder)
    first = named or missing or next(iter(own), None)
    if first is None:
        return None
    whole = _first_whole(first, [prefix for prefix in own if prefix != first], missing)
    if whole is None and (named or missing):
        raise _damaged(first, describe_damage(first), [])
    return whole


def _first_whole(prefix, others, missing=None):
    """A prefix, or the first of others that is whole, with a warning; None if there is none."""
    problem = describe_damage(prefix)
    if problem is None and missing is None:
        return prefix
    newest, reason = (missing, "its index does not exist") if missing else (prefix, problem)
    for other in ([prefix] if problem is None else []) + others:
        if other != missing and describe_damage(other) is None:
            console.warn(f"{newest}: this checkpoint is damaged ({reason}); going back to {other}")
            return other
    return None


def _others_of(folder, step):
    """Prefixes of the checkpoints that may replace one of a folder, in the order in which they are tried."""
    own = find.list_checkpoints(folder)
    if folder.name not in (LAST, BEST):
        return own + [prefix for name in (LAST, BEST) for prefix in find.list_checkpoints(folder / name)]
    of_training = find.list_checkpoints(folder.parent)
    same_step = [prefix for prefix in of_training if find.number_of(prefix) == step]
    siblings = [prefix for name in (LAST, BEST) for prefix in find.list_checkpoints(folder.parent / name)]
    return list(dict.fromkeys([*own, *same_step, *siblings, *of_training]))


def _is_folder(path):
    path = pathlib.Path(path)
    return path.is_dir() or path.name == find.STATE_FILE


def _damaged(prefix, problem, others):
    whole = next((other for other in others if describe_damage(other) is None), None)
    fix = "copy or unpack it again: the files .index and .data-00000-of-0000N belong together"
    if whole is not None:
        fix += f"; or use {whole}, which is whole"
    return errors.CheckpointError(
        f"{prefix}: this checkpoint is damaged, it cannot be read ({problem})",
        expected="files as TensorFlow has written them; the checksums in them do not match, or a part is missing",
        fix=fix,
    )
