"""The losses since the last evaluation, in a file: a resumed training reports the same means as an undisturbed one."""

import contextlib
import json
import os
import pathlib

from tfodhelper import limits, own_files, storage

NAME = "losses.jsonl"  # in a model folder: a line for each logged stretch of steps, {"step": its last step, tag: mean}


class LossLog:
    """Mean losses of stretches of steps.

    A stretch is written before the checkpoint of its last step, so that a checkpoint never lacks one; what a stopped
    process had written after the checkpoint is forgotten, because these steps are repeated.

    Args:
      folder: of the training; None keeps the losses in memory alone.
      start_step: step of the checkpoint from which training starts.
    """

    def __init__(self, folder, start_step):
        self._path = pathlib.Path(folder) / NAME if folder is not None else None
        self._lines = [line for line in self._read() if line["step"] <= start_step]
        if self._path is not None and (self._lines or self._path.exists()):
            storage.write_text(self._path, "".join(map(_to_text, self._lines)))

    def _read(self):
        """The lines of the file; one that is not complete is left out."""
        lines = []
        if self._path is not None and self._path.is_file() and not self._path.is_symlink():
            for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
                with contextlib.suppress(ValueError, TypeError, AttributeError, KeyError):
                    line = limits.parse_json(text)
                    lines.append({"step": int(line.pop("step")), **{tag: float(line[tag]) for tag in line}})
        return lines

    def add(self, step, losses):
        """Adds a stretch.

        Args:
          step: the last one.
          losses: {tag: mean over its steps}.
        """
        self._lines.append({"step": step, **losses})
        if self._path is not None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with open(own_files.open_careful(self._path, flags), "a", encoding="utf-8") as file:
                file.write(_to_text(self._lines[-1]))

    def mean(self, after, until):
        """{tag: mean over the stretches that end after one step and until another}."""
        stretches = [line for line in self._lines if after < line["step"] <= until]
        tags = dict.fromkeys(tag for line in stretches for tag in line if tag != "step")
        columns = {tag: [line[tag] for line in stretches if tag in line] for tag in tags}
        return {tag: sum(values) / len(values) for tag, values in columns.items()}


def _to_text(line):
    return json.dumps(line) + "\n"
