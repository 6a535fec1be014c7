"""Writes checkpoints with the keys of the OD API, so that they load there."""

import contextlib
import pathlib
import re
import shutil

import tensorflow as tf

from tfodhelper import storage
from tfodhelper.checkpoints import find, keys

_UNFINISHED = re.compile(r"checkpoint\.tmp[0-9a-f]{32}|ckpt-\d+_temp|ckpt-\d+\.[\w.-]+\.tempstate\d+")
_STEP_KEYS = ("step/.ATTRIBUTES/VARIABLE_VALUE", "global_step/.ATTRIBUTES/VARIABLE_VALUE")


class ModelView(tf.Module):
    """A tree of the detector's variables whose branches have the names of the OD API.

    `tf.train.Checkpoint(model=ModelView(detector))` saves `model/_feature_extractor/...`, and a tree like it is what
    the OD API's own model looks like to `restore`.

    Args:
      detector: a `Detector`.
    """

    def __init__(self, detector):
        super().__init__(name="model_view")
        for key, variable in detector.checkpoint_keys().items():
            *branches, leaf = key.removesuffix(keys.SUFFIX).removeprefix(f"{keys.ROOT}/").split("/")
            node = self
            for branch in branches:
                if not hasattr(node, branch):
                    setattr(node, branch, tf.Module())
                node = getattr(node, branch)
            setattr(node, leaf, variable)


def save_weights(model, folder, step):
    """Saves a model's weights under the keys of the published checkpoints; former ones in the folder are removed.

    Args:
      model: a detector.
      folder: gets `ckpt-STEP` and the file `checkpoint` that names it.
      step: the training step of the weights.

    Returns:
      The prefix of the new checkpoint.
    """
    checkpoint = tf.train.Checkpoint(model=ModelView(model), step=tf.Variable(step, dtype=tf.int64, trainable=False))
    return tf.train.CheckpointManager(checkpoint, str(folder), max_to_keep=1).save(checkpoint_number=step)


def copy_weights(prefix, folder):
    """Copies a checkpoint into a folder of its own; the former one is removed when the new one is complete.

    Args:
      prefix: of the checkpoint.
      folder: created if it does not exist.

    Returns:
      The prefix of the copy.
    """
    prefix, folder = pathlib.Path(prefix), storage.make_folder(folder)
    files = sorted(prefix.parent.glob(f"{prefix.name}.*"), key=lambda path: path.suffix == ".index")
    for path in files:  # the index last: without it there is no checkpoint
        with open(path, "rb") as source, storage.open_whole(folder / path.name, "wb") as copy:
            shutil.copyfileobj(source, copy)
    tf.compat.v1.train.update_checkpoint_state(str(folder), str(folder / prefix.name))
    for path in folder.glob("ckpt-*"):
        if path.name.partition(".")[0] != prefix.name:
            path.unlink()
    return str(folder / prefix.name)


def name_newest(prefix):
    """Makes a checkpoint the newest that the state file of its folder names, with those before it; files stay.

    Whoever saves the next checkpoints then continues from this one, and later ones that are damaged are written again.
    """
    folder, number = pathlib.Path(prefix).parent, find.number_of(prefix)
    earlier = [other for other in find.list_checkpoints(folder) if find.number_of(other) < number]
    tf.compat.v1.train.update_checkpoint_state(
        str(folder), str(prefix), all_model_checkpoint_paths=[*reversed(earlier), str(prefix)]
    )


def remove_leftovers(folder):
    """Removes what TensorFlow leaves in a folder when it is killed while it writes a checkpoint there."""
    folder = pathlib.Path(folder)
    paths = [path for path in folder.iterdir() if _UNFINISHED.fullmatch(path.name)] if folder.is_dir() else []
    for path in paths:
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def step_of(prefix):
    """The training step of a checkpoint: what it says itself, else the number in its name, else 0."""
    reader = tf.train.load_checkpoint(str(prefix))
    for key in _STEP_KEYS:
        if reader.has_tensor(key):
            return int(reader.get_tensor(key))
    return max(0, find.number_of(prefix))
