"""Images that must stay on one side of a split: frames of one video, near duplicates, names with a common part."""

import os
import re

from tfodhelper import errors
from tfodhelper.dataset.scan import near_duplicates
from tfodhelper.outofcore import columns, sorting

VIDEO = "video"  # a value of --group_by: the name without the frame number
FOLDER = "folder"  # a value of --group_by: the folder of the image
_FRAME = re.compile(r"(.*?)[-_. ]*(?:frame|img|image)?[-_. ]*\d+$", re.IGNORECASE | re.DOTALL)


def make_key(group_by):
    """Makes the function that maps the name of an image to the key of its group.

    Args:
      group_by: VIDEO, FOLDER, or a regular expression that is searched in the relative name without its extension: the
        key is its first group, or the whole match if it has no group. Images without a match, and all images if
        `group_by` is None, are not grouped: their key is "".

    Raises:
      UsageError: the regular expression is invalid.
    """
    if not group_by:
        return lambda name: ""
    if group_by == FOLDER:
        return os.path.dirname
    try:
        pattern = _FRAME if group_by == VIDEO else re.compile(group_by)
    except re.error as error:
        raise errors.UsageError(
            f"--group_by is not a valid regular expression: {error}",
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
    """Yields lists of the indices, among the usable images, of images that stay together; byte-identical ones first.

    Args:
      examination: an `examine.Examination`.
      group_by: see `make_key`.
      with_near_duplicates: whether to group near-identical images, which requires decoding all images.
    """
    images = examination.images
    yield from images.identical
    if group_by:
        yield from _find_equal_keys(images, make_key(group_by))
    if with_near_duplicates:
        for group in near_duplicates.group(near_duplicates.hash_images(examination)):
            yield [images.find(name) for name in group]


def _find_equal_keys(images, key_of):
    indices, hashes = (columns.Column("q", folder=images.folder) for _ in range(2))
    for index, name in enumerate(images.names()):
        if key := key_of(name):
            indices.append(index)
            hashes.append(hash(key))
    for numbers in sorting.group_equal(hashes):
        yield from sorting.tell_apart([indices[number] for number in numbers], lambda n: key_of(images.name_of(n)))
