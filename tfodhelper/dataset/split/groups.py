"""Images that have to stay on one side of a split: frames of one video, near duplicates, names with a common part."""

import os
import re

from tfodhelper import console, errors
from tfodhelper.dataset.scan import near_duplicates
from tfodhelper.outofcore import columns, sorting

VIDEO = "video"  # a value of --group_by: the name without the number of the frame
FOLDER = "folder"  # a value of --group_by: the folder that the image lies in
_FRAME = re.compile(r"(.*?)[-_. ]*(?:frame|img|image)?[-_. ]*\d+$", re.IGNORECASE | re.DOTALL)


def make_key(group_by):
    """The function from an image's name to the key of its group.

    Args:
      group_by: VIDEO, FOLDER, or a regular expression that is searched in the relative name without its extension: its
        first group, or the whole match when it has none, is the key. Images without a match, and all when `group_by` is
        None, are on their own: their key is "".

    Raises:
      UsageError: no regular expression.
    """
    if not group_by:
        return lambda name: ""
    if group_by == FOLDER:
        return os.path.dirname
    try:
        pattern = _FRAME if group_by == VIDEO else re.compile(group_by)
    except re.error as error:
        raise errors.UsageError(
            f"--group_by is no regular expression: {error}",
            expected=f"{VIDEO}, {FOLDER} or a pattern",
            received=group_by,
        ) from error

    def key_of(name):
        match = pattern.search(os.path.splitext(name)[0])
        if not match:
            return ""
        return (match[1] if pattern.groups else match[0]) or ""

    return key_of


def find_sets(examination, group_by=None, with_near_duplicates=False):
    """Yields lists of the places, among the usable images, of those that stay together: byte-identical ones are first.

    Args:
      examination: an `examine.Examination`.
      group_by: see `make_key`.
      with_near_duplicates: whether images that show nearly the same are joined; they are decoded for it.
    """
    images = examination.images
    yield from images.identical
    if group_by:
        yield from _find_equal_keys(images, make_key(group_by))
    if with_near_duplicates:
        names = list(images.names())
        with console.Progress("images compared", len(names)) as progress:
            hashes = near_duplicates.hash_files(examination.source.image_dir, names, progress)
        for group in near_duplicates.group(hashes):
            yield [images.find(name) for name in group]


def _find_equal_keys(images, key_of):
    places, hashes = (columns.Column("q", folder=images.folder) for _ in range(2))
    for place, name in enumerate(images.names()):
        if key := key_of(name):
            places.append(place)
            hashes.append(hash(key))
    for found in sorting.group_equal(hashes):
        yield from sorting.tell_apart([places[number] for number in found], lambda n: key_of(images.name_of(n)))
