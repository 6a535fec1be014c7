"""Finds the labelled images when no folder is given: the usual layouts in and below the current folder.

Looked for are, in one folder: images and XML files side by side; a folder of images beside a folder of XML files
(images/ with annotations/, JPEGImages/ with Annotations/); images/ with XML files in it or in its folders; folders
named train, valid and test. The current folder comes first, then its subfolders, then theirs; the first level with a
layout counts. Only names are read, each folder once or twice: a hundred thousand files cost a fraction of a second.
Hidden folders, runs/, virtual environments and folders of results are not looked into.
"""

import dataclasses
import os
import re

from tfodhelper import console, errors, invocation, provenance, spelling, user_files
from tfodhelper.annotations import image_search
from tfodhelper.dataset.split import folder_sides, split

_IMAGE_FOLDER = re.compile(r"(jpeg)?images?|imgs?|photos|pictures", re.IGNORECASE)
_XML_FOLDER = re.compile(r".*annot.*|.*xmls?|labels?", re.IGNORECASE)
_VOC = ("JPEGImages", "Annotations")
_NOT_SEARCHED = ("runs", "venv", "env", "node_modules", "__pycache__", "__macosx")
_LEVELS = 3  # the current folder, its subfolders, their subfolders
_MOST_FOLDERS = 2000  # listed per level; beyond, this is not a folder of a data set
_DEPTH = 2  # folders below images/, annotations/ or train/ in which files are looked for
_MOST_SHOWN = 8
LOOKED_FOR = (
    "images and XML files side by side; images/ with annotations/; JPEGImages/ with Annotations/; images/train and "
    "images/test; train/, valid/ and test/"
)


@dataclasses.dataclass(frozen=True)
class Layout:
    """One way to read labelled images.

    Attributes:
      flags: {"data_dir": path}, or {"image_dir": path, "annotation_dir": path}; paths relative to the current folder.
      what: what is there, in words.
    """

    flags: tuple[tuple[str, str], ...]
    what: str

    @property
    def typed(self):
        """The flags as they are typed."""
        return invocation.format_command("", **dict(self.flags)).removeprefix(f"{invocation.NAME} ").strip()


def fill_in(options):
    """Options with the folders of the labelled images: as given, or as found in the current folder, which is said.

    Args:
      options: a `dataset.options.SourceOptions`.

    Returns:
      The same options, or a copy with `data_dir`, or `image_dir` and `annotation_dir`.

    Raises:
      UsageError: no folder is given, and no layout was found, or several; the message lists the flags to type.
    """
    if options.data_dir or options.image_dir or options.annotation_dir:
        return options
    layout = find_layout()
    console.say(f"no --data_dir given; found {layout.what}: {layout.typed}")
    return dataclasses.replace(options, **dict(layout.flags))


def find_layout(folder="."):
    """The one layout in and below a folder.

    Args:
      folder: where to look; paths of the result are relative to it.

    Returns:
      A `Layout`.

    Raises:
      UsageError: there is none, or there are several.
    """
    layouts = find_layouts(folder)
    if len(layouts) == 1:
        return layouts[0]
    if layouts:
        raise _explain_several(layouts)
    raise errors.UsageError(
        "the folders of the images and annotations are not given, and no labelled images were found",
        expected=f"in {os.path.abspath(folder)} or up to {_LEVELS - 1} folders below: {LOOKED_FOR}",
        fix="use --data_dir=FOLDER, or --image_dir=FOLDER with --annotation_dir=FOLDER",
    )


def _explain_several(layouts):
    shown = [f"{layout.typed}   ({layout.what})" for layout in layouts[:_MOST_SHOWN]]
    if all(name == "data_dir" for layout in layouts for name, _ in layout.flags):
        shown.append("--data_dir=.   (all of them together)")
    more = len(layouts) - _MOST_SHOWN
    if more > 0:
        shown.append(f"and {spelling.count(more, 'further folder')}")
    return errors.UsageError(
        "the folders of the images and annotations are not given, and there are several possibilities",
        fix="type one of these:\n    " + "\n    ".join(shown),
    )


def find_layouts(folder="."):
    """All layouts of the first level on which there are any, sorted by their flags; see `find_layout`."""
    level = [""]
    for _ in range(_LEVELS):
        layouts, below = {}, []
        for relative in level[:_MOST_FOLDERS]:
            listing = _list(folder, relative)
            for layout in _layouts_in(folder, relative, listing):
                layouts.setdefault(layout.flags, layout)
            below += [_join(relative, name) for name in listing.folders]
        if layouts:
            return [layouts[flags] for flags in sorted(layouts)]
        level = below
    return []


@dataclasses.dataclass(frozen=True)
class _Listing:
    """What is in one folder: the names of its folders, sorted, and those of images and XML files without extension."""

    folders: tuple[str, ...] = ()
    images: frozenset[str] = frozenset()
    xmls: frozenset[str] = frozenset()


def _list(folder, relative):
    """The `_Listing` of a folder; one that cannot be listed, or holds no originals, is empty."""
    path = os.path.join(folder, relative) if relative else folder
    if relative and provenance.holds_results(path):
        return _Listing()
    folders, files = user_files.list_folder(path)
    stems = {image_search.IMAGE: set(), image_search.XML: set()}
    for name in files:
        kind = image_search.kind_of(name)
        if kind in stems:
            stems[kind].add(name.rpartition(".")[0])
    searched = tuple(sorted(name for name in folders if name.lower() not in _NOT_SEARCHED))
    return _Listing(searched, *(frozenset(names) for names in stems.values()))


def _layouts_in(folder, relative, listing):
    """Yields the layouts whose top is this folder."""
    here = relative or "."
    below = {name: _look_into(folder, _join(relative, name)) for name in listing.folders if _is_telling(name)}
    # Elsewhere than where the command was typed, any program's XML beside any picture does not make a data set.
    if listing.images & listing.xmls or (not relative and listing.images and listing.xmls):
        yield Layout((("data_dir", here),), f"images and XML files in {_say(relative)}")
    sides = {name: folder_sides.side_of_name(name) for name in below if all(below[name])}
    if split.TRAIN in sides.values() and len({*sides.values()} - {None}) > 1:
        names = ", ".join(f"{name}/" for name, side in sides.items() if side)
        yield Layout((("data_dir", here),), f"images and XML files in {names} in {_say(relative)}")
    xml_folders = [name for name in below if _XML_FOLDER.fullmatch(name) and below[name] == (False, True)]
    if listing.images and not listing.xmls and xml_folders:
        names = " and ".join(f"{name}/" for name in xml_folders)
        yield Layout((("data_dir", here),), f"images in {_say(relative)} with XML files in {names}")
    image_folders = [name for name in below if _IMAGE_FOLDER.fullmatch(name) and below[name][0]]
    for name in image_folders:
        path = _join(relative, name)
        if below[name][1]:
            yield Layout((("data_dir", path),), f"images and XML files in {path}/")
        for other in _partners(name, image_folders, xml_folders):
            flags = (("image_dir", path), ("annotation_dir", _join(relative, other)))
            yield Layout(flags, f"{name}/ with {other}/ in {_say(relative)}")


def _partners(name, image_folders, xml_folders):
    """The folders of XML files that may belong to a folder of images: those of a VOC tree keep to each other."""
    if _VOC[0] not in image_folders or _VOC[1] not in xml_folders:
        return xml_folders
    return [other for other in xml_folders if (other == _VOC[1]) == (name == _VOC[0])]


def _is_telling(name):
    return bool(_IMAGE_FOLDER.fullmatch(name) or _XML_FOLDER.fullmatch(name) or folder_sides.side_of_name(name))


def _look_into(folder, relative, depth=_DEPTH):
    """(whether there are images, whether there are XML files) in a folder and, up to `depth`, its folders."""
    listing = _list(folder, relative)
    has_image, has_xml = bool(listing.images), bool(listing.xmls)
    for name in listing.folders[:_MOST_FOLDERS] if depth else ():
        if has_image and has_xml:
            break
        more = _look_into(folder, _join(relative, name), depth - 1)
        has_image, has_xml = has_image or more[0], has_xml or more[1]
    return has_image, has_xml


def _join(relative, name):
    return f"{relative}/{name}" if relative else name


def _say(relative):
    return f"{relative}/" if relative else "the current folder"
