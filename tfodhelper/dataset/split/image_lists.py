"""Splits that are given by lists of images, as in the ImageSets of VOC."""

import collections
import os
import pathlib
import posixpath

from tfodhelper import errors, spelling
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.split.split import TEST, TRAIN, VALIDATE


def read_list(path):
    """Reads a list of images: one stem or name per line, as in VOC's ImageSets; empty lines are ignored.

    Raises:
      DatasetError: the file cannot be read or is empty.
    """
    path = pathlib.Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise errors.DatasetError(f"{path}: the list cannot be read ({reason})") from error
    entries = [line.strip() for line in lines if line.strip()]
    if not entries:
        raise errors.DatasetError(f"{path}: the list is empty", expected="one image stem per line")
    return entries


def can_be_listed(entry):
    """Whether `read_list` reads an entry back as it is: it has no line break, and no space at its ends."""
    return entry.splitlines() == [entry] and entry.strip() == entry


def split_by_lists(names, train_list=None, val_list=None, test_list=None):
    """The split that is given by lists.

    If training or validation has no list, that side gets the remaining images. An entry is a stem, a name, or a
    relative path with or without extension; a second column of -1, 0 or 1, as in VOC's class lists, is ignored.

    Args:
      names: relative names of all images.
      train_list, val_list, test_list: paths of the lists; at least one.

    Returns:
      ({name: side} of the listed images, list of findings).

    Raises:
      DatasetError: an image is on two sides, an entry matches several images, or a list matches none.
    """
    lookup = collections.defaultdict(set)
    for name in names:
        for key in {name, posixpath.basename(name)}:
            lookup[key].add(name)
            lookup[os.path.splitext(key)[0]].add(name)
    split, findings = {}, []
    for side, path in ((TRAIN, train_list), (VALIDATE, val_list), (TEST, test_list)):
        if path is not None:
            listed, more = _look_up(path, lookup)
            findings += more
            _check_sides(listed, split, path)
            split |= dict.fromkeys(listed, side)
    if train_list is None or val_list is None and test_list is None:
        rest = TRAIN if train_list is None else VALIDATE
        split = {name: split.get(name, rest) for name in names}
    return split, findings


def _look_up(path, lookup):
    listed, findings = [], []
    for entry in read_list(path):
        names = lookup.get(entry) or lookup.get(entry.replace("\\", "/"))
        parts = entry.split()
        if not names and len(parts) > 1 and parts[-1] in ("-1", "0", "1"):
            names = lookup.get(" ".join(parts[:-1]))
        if not names:
            findings.append(Finding("list-entry-unknown", str(path), "no usable image with this name", entry))
        elif len(names) > 1:
            raise errors.DatasetError(
                f"{path}: {entry!r} matches several images: {', '.join(sorted(names)[:3])}",
                fix="write the path relative to the image folder, with its extension",
            )
        else:
            listed += names
    if not listed:
        raise errors.DatasetError(
            f"{path}: none of its {spelling.count(len(findings), 'entry')} names a usable image",
            expected="stems of images, for example " + ", ".join(sorted(lookup)[:2]),
            received=findings[0].where,
        )
    return listed, findings


def _check_sides(listed, split, path):
    both = sorted(set(listed) & set(split))
    if both:
        number = spelling.count(len(both), "image is", "images are")
        raise errors.DatasetError(
            f"{path}: {number} also in another list, the first is {both[0]}",
            expected="each image in only one list",
            fix="remove them from one of the lists",
        )
