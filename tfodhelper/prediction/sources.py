"""Which images to predict: files and folders that a user names."""

import dataclasses
import os
import pathlib

from tfodhelper import errors
from tfodhelper.annotations import images


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


def find_images(paths):
    """Finds the images in files and folders.

    Folders are searched with their subfolders; hidden files and folders, and files without an image extension, are left
    out. Files that are named explicitly are taken whatever their extension. Each image occurs once.

    Args:
      paths: files and folders, in the desired order.

    Returns:
      List of `Source`s; those of a folder in the order of their names.

    Raises:
      PredictionError: a path does not exist, or a folder contains no image.
    """
    paths = [pathlib.Path(path) for path in paths]
    folders = [path for path in paths if path.is_dir()]
    prefixes = _make_prefixes(folders) if len(paths) > 1 else dict.fromkeys(folders, "")
    sources, seen = [], set()
    for path in paths:
        matches = _search(path, prefixes[path]) if path.is_dir() else [_single(path)]
        for source in matches:
            key = source.path.resolve()
            if key not in seen:
                seen.add(key)
                sources.append(source)
    return _with_own_names(sources)


def _single(path):
    if not path.exists():
        raise errors.PredictionError(f"{path}: no such file or folder", fix="give image files or folders of images")
    return Source(path, path.name)


def _search(folder, prefix):
    sources = []
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for file in files:
            path = pathlib.Path(parent) / file
            if path.suffix.lower() in images.EXTENSIONS and not file.startswith("."):
                sources.append(Source(path, prefix + path.relative_to(folder).as_posix()))
    if not sources:
        raise errors.PredictionError(
            f"{folder}: no image found", expected="files that end in " + " ".join(sorted(images.EXTENSIONS))
        )
    return sorted(sources, key=lambda source: source.name)


def _make_prefixes(folders):
    """Folder -> its own name and a slash; a number distinguishes those with the same name."""
    prefixes, taken = {}, set()
    for folder in dict.fromkeys(folders):
        name = base = folder.resolve().name or "root"
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
