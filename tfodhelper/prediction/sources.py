"""Which images to predict: files and folders that a user names."""

import dataclasses
import os
import pathlib

from tfodhelper import console, errors, user_files
from tfodhelper.annotations import image_search, images
from tfodhelper.annotations.findings import Finding

_SHOWN = 5  # skipped files in a warning


@dataclasses.dataclass(frozen=True)
class Source:
    """An image to predict.

    Attributes:
      path: where it is.
      name: POSIX path after which results are named, relative to the given folder. If there are several folders, it
        begins with the folder's own name (with a number where two are the same).
    """

    path: pathlib.Path
    name: str


def find_images(paths, report):
    """Finds the images in files and folders.

    Folders are searched with their subfolders; hidden files and folders, and files without an image extension, are left
    out. Files that are named explicitly are taken whatever their extension. Each image occurs once.

    Args:
      paths: files and folders, in the desired order.
      report: called with a `Finding` for each image that cannot be used: in a format that is not read, a broken link, a
        named pipe, a name that is not valid text. Its `file` is the whole path.

    Returns:
      List of `Source`s; those of a folder in the order of their names.

    Raises:
      PredictionError: a path does not exist, or there is no image that can be used.
    """
    paths = [pathlib.Path(path) for path in paths]
    folders = [path for path in paths if os.path.isdir(path)]
    prefixes = _make_prefixes(folders) if len(paths) > 1 else dict.fromkeys(folders, "")
    sources, seen = [], set()
    for path in paths:
        matches = _search(path, prefixes[path], report) if path in prefixes else _single(path, report)
        for source in matches:
            key = os.path.realpath(source.path)
            if key not in seen:
                seen.add(key)
                sources.append(source)
    if not sources:
        raise errors.PredictionError(
            f"{', '.join(user_files.show(path) for path in paths)}: no image found",
            expected="files that end in " + " ".join(sorted(images.EXTENSIONS)),
        )
    return _with_own_names(sources)


def warn_of_skipped(findings):
    """Warns of images that `find_images` could not use."""
    if findings:
        more = f"\n  ... and {len(findings) - _SHOWN} more" if len(findings) > _SHOWN else ""
        lines = "".join(f"\n  {finding.message}" for finding in findings[:_SHOWN])
        console.warn(f"images that are not used: {len(findings)}{lines}{more}")


def _single(path, report):
    if not os.path.exists(path):
        raise errors.PredictionError(
            f"{user_files.show(path)}: no such file or folder", fix="give image files or folders of images"
        )
    if user_files.is_text(str(path)):
        return [Source(path, path.name)]
    report(Finding(user_files.NAME_NOT_UTF8, user_files.show(path), user_files.NOT_UTF8, fix=user_files.RENAME))
    return []


def _search(folder, prefix, report):
    user_files.check_text(folder)

    def add_folder(finding):
        report(dataclasses.replace(finding, file=os.path.join(folder, finding.file)))

    names = []
    for kind, name in image_search.search(folder, add_folder):
        if kind == image_search.IMAGE:
            names.append(name)
        elif kind == image_search.UNREAD_IMAGE:
            add_folder(image_search.explain_unread(name))
    return [Source(folder / name, prefix + name) for name in sorted(names)]


def _make_prefixes(folders):
    """Folder -> its own name and a slash; a number distinguishes those with the same name."""
    prefixes, taken = {}, set()
    for folder in dict.fromkeys(folders):
        name = base = user_files.show(folder.resolve().name) or "root"
        number = 2
        while name in taken:
            name, number = f"{base}_{number}", number + 1
        taken.add(name)
        prefixes[folder] = name + "/"
    return prefixes


def _with_own_names(sources):
    """Sources with unique names: where two are the same, a number is added before the extension."""
    taken, result = set(), []
    for source in sources:
        name, number = source.name, 2
        while name in taken:
            stem, extension = os.path.splitext(source.name)
            name, number = f"{stem}_{number}{extension}", number + 1
        taken.add(name)
        result.append(dataclasses.replace(source, name=name))
    return result
