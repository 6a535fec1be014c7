"""Places images and annotation files in a new folder, as links or copies with unique names, never over a file."""

import collections
import dataclasses
import errno
import os
import pathlib
import shutil

from tfodhelper import errors, result_folder, storage
from tfodhelper.annotations import images, labelimg

LINK, COPY, NONE = "link", "copy", "none"  # how images get to the new folder
MAX_NAME_BYTES = 255  # of a file or folder, on the usual file systems
_XML = ".xml"


def check_new_folder(path, *apart_from, maker=None):
    """Checks the name of a folder for results that must not be mixed with other files.

    Args:
      path: the folder, see `result_folder.whole_folder`.
      *apart_from: folders that must be neither inside it nor around it.
      maker: the `provenance.Maker` of the results, or None.

    Returns:
      The folder as pathlib.Path.

    Raises:
      DatasetError: it contains files that `maker` has not written, or is inside or around one of the others.
    """
    path = pathlib.Path(path)
    real = pathlib.Path(os.path.realpath(path))
    for other in apart_from:
        kept = pathlib.Path(os.path.realpath(other))
        if real == kept or kept in real.parents or real in kept.parents:
            raise errors.DatasetError(
                f"{path}: is inside or around the folder of the originals",
                expected=f"a folder separate from {other}",
                fix="use another folder for --output_dir",
            )
    result_folder.check_free(
        path, maker, errors.DatasetError, "use another folder for --output_dir, or remove this one"
    )
    return path


def is_inside(name):
    """Whether a relative POSIX name stays in its folder."""
    parts = pathlib.PurePosixPath(name).parts
    return bool(parts) and ".." not in parts and not name.startswith("/") and "\0" not in name


def fit_name(stem, ending):
    """The stem, shortened where a part of `stem + ending` would be longer than a file system allows."""
    *folders, name = stem.split("/")
    room = MAX_NAME_BYTES - len(os.fsencode(ending))
    return "/".join([*(_shorten(folder, MAX_NAME_BYTES) for folder in folders), _shorten(name, room)])


def _shorten(name, room):
    """The beginning of a name, of at most `room` bytes."""
    return os.fsencode(name)[:room].decode("utf-8", "ignore") if _is_long(name, room) else name


def _is_long(name, room):
    return len(os.fsencode(name)) > room


class FreeNames:
    """Returns each name only once; names that differ at most in case are numbered from 2.

    No name is at once that of a file and of a folder: the names that were returned are files, and what is before their
    slashes are folders.
    """

    def __init__(self):
        self._taken, self._folders, self._numbers = set(), set(), {}

    def take(self, stem, ending=""):
        """Returns and reserves `stem + ending`, or the first free name of `stem_2 + ending`, `stem_3 + ending` ..."""
        stem = self._leave_files(fit_name(stem, ""))
        name, key = fit_name(stem, ending) + ending, (stem.casefold(), ending.casefold())
        number = self._numbers.get(key, 1)  # where the last search ended
        while not self.is_free(name):
            number += 1
            numbered = f"_{number}{ending}"
            name = fit_name(stem, numbered) + numbered
        self._numbers[key] = number
        self.reserve(name)
        return name

    def is_free(self, name):
        """Whether no file and no folder has the name."""
        return name.casefold() not in self._taken and name.casefold() not in self._folders

    def reserve(self, name):
        """Makes a name that of a file."""
        self._taken.add(name.casefold())
        self._folders.update(str(folder) for folder in pathlib.PurePosixPath(name.casefold()).parents)

    def _leave_files(self, name):
        """The name, with a number at each folder that has the name of a file."""
        *folders, last = name.split("/")
        path = ""
        for folder in folders:
            number, own = 1, folder
            while (path + own).casefold() in self._taken:
                number += 1
                own = fit_name(folder, f"_{number}") + f"_{number}"
            path += f"{own}/"
        return path + last


class Names:
    """Makes relative names for images that are unique, and whose annotation files have unique names too.

    Args:
      names: the names that will be requested, as far as they are known.
    """

    def __init__(self, names):
        self._free, self._owned = FreeNames(), set()
        counts = collections.Counter(os.path.splitext(name)[0].casefold() for name in names)
        counts.update(
            {name.casefold() for name in names if os.path.splitext(name)[1]}
        )  # "a.jpg.xml" belongs to "a.jpg", not to "a.jpg.png"
        self._shared = {stem for stem, count in counts.items() if count > 1}

    def take(self, name, suffix=None):
        """Returns and reserves a free name; one that a file system does not allow is shortened.

        Args:
          name: the desired name.
          suffix: that of the file's real format, or None to keep that of the name.

        Returns:
          (name of the image, name of its annotation file without extension).
        """
        stem, ending = os.path.splitext(name)
        ending, room = suffix or ending, 0
        while True:
            image = self._free.take(fit_name(stem, ending + " " * room), ending)
            own = os.path.splitext(image)[0]
            if stem.casefold() in self._shared or not self._can_own(own):
                own = image  # "a.jpg.xml" belongs to "a.jpg" alone
            if _is_long(own.rpartition("/")[2] + _XML, MAX_NAME_BYTES):
                room += len(_XML)
            elif self._can_own(own):
                self._owned.add(own.casefold())
                self._free.reserve(own + _XML)
                return image, own

    def _can_own(self, own):
        return own.casefold() not in self._owned and self._free.is_free(own + _XML)


def place_image(source, target, how):
    """Links or copies a file, which appears whole; if the system does not allow links, it is copied.

    Args:
      source: the image.
      target: its new path, which must not exist.
      how: LINK, COPY or NONE.
    """
    if how == NONE:
        return
    source, target = pathlib.Path(source), pathlib.Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if how == LINK:
            try:
                os.symlink(os.path.realpath(source), target)
                return
            except (OSError, NotImplementedError) as error:
                if isinstance(error, FileExistsError):
                    raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        with open(source, "rb") as read, storage.open_whole(target, "wb") as written:
            shutil.copyfileobj(read, written)
    except OSError as error:
        raise storage.explain_os_error(error, target) from error


def place_corrected(image, target_dir, names, how, annotation=None, final_dir=None):
    """Places an examined image with its corrected annotation in a folder.

    Images that TensorFlow can decode are not changed; others are re-encoded, and rotated if their boxes require it.

    Args:
      image: a `usable_images.UsableImage`.
      target_dir: the new folder.
      names: a `Names`.
      how: how to place unchanged images: LINK or COPY.
      annotation: written instead of the image's own annotation, or None.
      final_dir: the final path of `target_dir`, if it is renamed afterwards; it goes into the XML.

    Returns:
      The new relative name of the image.
    """
    annotation = annotation or image.annotation
    facts = image.facts
    rewritten = facts.reencode_reason is not None or image.turn
    data, format_ = None, facts.format.lower()
    if rewritten:
        data, format_ = images.encode_for_record(images.read_image(image.path), facts, image.turn)
    fitting = images.EXTENSIONS.get(os.path.splitext(image.name)[1].lower(), "").lower() == format_
    name, own = names.take(image.name, None if fitting else {"jpeg": ".jpg", "png": ".png"}[format_])
    target = pathlib.Path(target_dir) / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if rewritten:
        with storage.open_whole(target, "wb") as file:
            file.write(data)
    else:
        place_image(image.path, target, how)
    shown = pathlib.Path(target_dir if final_dir is None else final_dir) / name
    write_annotation(pathlib.Path(target_dir) / f"{own}.xml", shown, annotation, 1 if facts.mode == "L" else 3)
    return name


def write_annotation(path, image_path, annotation, depth=3):
    """Writes LabelImg XML for an image under its new name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = dataclasses.replace(annotation, filename=image_path.name)
    labelimg.write_labelimg(path, named, image_path=image_path, depth=depth)
