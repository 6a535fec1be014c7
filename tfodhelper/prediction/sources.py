"""Which images to predict: files and folders as a user names them."""

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
      name: POSIX path by which results are named: relative to the folder that was given. When several folders were
        given, the folder's own name (with a number where two are alike) comes first.
    """

    path: pathlib.Path
    name: str


def find_images(paths):
    """Finds the images of files and folders.

    Folders are searched with their folders; hidden ones, and files whose extension is not an image's, are left out.
    Files that are named themselves are taken whatever their extension is. Each image comes once.

    Args:
      paths: files and folders, in the order wished.

    Returns:
      list of `Source`; those of a folder in the order of their names.

    Raises:
      PredictionError: when a path is not there, or a folder holds no image.
    """
    paths = [pathlib.Path(path) for path in paths]
    folders = [path for path in paths if path.is_dir()]
    prefixes = _make_prefixes(folders) if len(paths) > 1 else dict.fromkeys(folders, "")
    sources, seen = [], set()
    for path in paths:
        found = _search(path, prefixes[path]) if path.is_dir() else [_single(path)]
        for source in found:
            key = source.path.resolve()
            if key not in seen:
                seen.add(key)
                sources.append(source)
    return _with_own_names(sources)


def _single(path):
    if not path.exists():
        raise errors.PredictionError(
            f"{path}: there is no such file or folder", fix="name images or folders with images"
        )
    return Source(path, path.name)


def _search(folder, prefix):
    found = []
    for parent, names, files in os.walk(folder):
        names[:] = sorted(name for name in names if not name.startswith("."))
        for file in files:
            path = pathlib.Path(parent) / file
            if path.suffix.lower() in images.EXTENSIONS and not file.startswith("."):
                found.append(Source(path, prefix + path.relative_to(folder).as_posix()))
    if not found:
        raise errors.PredictionError(
            f"{folder}: no image in this folder", expected="files that end in " + " ".join(sorted(images.EXTENSIONS))
        )
    return sorted(found, key=lambda source: source.name)


def _make_prefixes(folders):
    """Folder -> its own name and a slash; a number tells apart those that are named alike."""
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
    """Sources with names changed where two would be alike: a number comes before the extension."""
    taken, result = set(), []
    for source in sources:
        name, number = source.name, 2
        while name in taken:
            stem, extension = os.path.splitext(source.name)
            name, number = f"{stem}_{number}{extension}", number + 1
        taken.add(name)
        result.append(dataclasses.replace(source, name=name))
    return result
