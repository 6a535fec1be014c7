"""Images that have to stay on one side of a split: frames of one video, near duplicates, names with a common part."""

import os
import re

from tfodhelper import console, errors
from tfodhelper.dataset import near_duplicates

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


def find_groups(examination, group_by=None, with_near_duplicates=False):
    """{image name: key of its group} for the images that are in one.

    Args:
      examination: an `examine.Examination`.
      group_by: see `make_key`.
      with_near_duplicates: whether images that show nearly the same are joined; they are decoded for it.
    """
    key_of = make_key(group_by)
    keys = {image.name: key_of(image.name) for image in examination.images} if group_by else {}
    groups = {name: key for name, key in keys.items() if key}
    if with_near_duplicates:
        names = [image.name for image in examination.images]
        with console.Progress("images compared", len(names)) as progress:
            hashes = near_duplicates.hash_files(examination.source.image_dir, names, progress)
        groups = join(groups, near_duplicates.group(hashes))
    return groups


def join(groups, sets):
    """Groups, where those that share a member with one of the sets become one.

    Args:
      groups: {name: key}.
      sets: lists of names that belong together.

    Returns:
      {name: key}, with keys of their own.
    """
    leader = {}

    def find(key):
        while (above := leader.setdefault(key, key)) != key:
            key = above
        return key

    links = [(("name", name), ("key", key)) for name, key in groups.items()]
    links += [(("name", name), ("name", names[0])) for names in sets for name in names]
    for first, second in links:
        low, high = sorted((find(first), find(second)))
        leader[high] = low
    named = {name for kind, name in leader if kind == "name"}
    return {name: "/".join(find(("name", name))) for name in named}
