"""What lies in the folders: images, annotation files, and which belongs to which.

Names are given relative to the folder that is searched, in POSIX form, and always in the same order, so that nothing
depends on the order in which a file system lists a folder.
"""

import array
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import pathlib

from tfodhelper import errors
from tfodhelper.annotations import checks, images, labelimg
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset import entries, looked, pairing, processes

_IGNORED_FOLDERS = ("__MACOSX",)
# Pictures made from the images of a VOC tree, under the same names: masks of the devkit, drawings of labelme2voc.
_MADE_FROM = "JPEGImages"
_MADE_FOLDERS = (
    *("SegmentationClass", "SegmentationObject", "SegmentationClassPNG", "SegmentationObjectPNG"),
    *("SegmentationClassVisualization", "SegmentationObjectVisualization", "AnnotationsVisualization"),
)
_CHUNK = 200  # annotation files a task
_MIN_FOR_THREADS = 16
_MIN_FOR_PROCESSES = 800  # below, starting processes takes longer than the work


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the images and the annotations lie.

    Attributes:
      image_dir: searched for images, with its folders.
      annotation_dir: searched for XML files, with its folders; may be the same.
    """

    image_dir: pathlib.Path
    annotation_dir: pathlib.Path


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """An annotation file and its image.

    Attributes:
      xml: name of the annotation file, relative to the annotation folder.
      image: name of the image, relative to the image folder; None when there is none.
      by_stem: whether the image was found by the annotation file's own name.
    """

    xml: str
    image: str | None
    by_stem: bool


@dataclasses.dataclass(frozen=True)
class Index:
    """All that was found in a `Source`.

    Attributes:
      source: the folders.
      image_names, xml_names: names of all images and annotation files, sorted.
      looked: a `looked.Looked` with an entry for each annotation file, whose image is the one of `choices`.
      choices: `pairing.Choices`.
      unlabelled: names of the images that no annotation file claims, sorted.
      num_foreign: number of other files, neither hidden nor images nor XML.
      findings: what was found while pairing.
    """

    source: Source
    image_names: list
    xml_names: list
    looked: looked.Looked
    choices: pairing.Choices
    unlabelled: tuple[str, ...]
    num_foreign: int
    findings: tuple[Finding, ...]

    @property
    def pairs(self):
        """A `Pair` for every annotation file that is used or could not be used, sorted by its name."""
        for position in self.choices.used():
            image = self.choices.image[position]
            name = None if image < 0 else self.image_names[image]
            yield Pair(self.xml_names[position], name, bool(self.choices.by_stem[position]))

    @property
    def paired(self):
        """Positions of the annotation files that are used and have an image."""
        return (position for position in self.choices.used() if self.choices.image[position] >= 0)


def make_source(data_dir=None, image_dir=None, annotation_dir=None):
    """A `Source` from the flags of the command line.

    Args:
      data_dir: one tree with images and XML files.
      image_dir, annotation_dir: two trees, instead of `data_dir`.

    Raises:
      UsageError: neither or both ways are used.
      DatasetError: a folder is not there.
    """
    way_out = "give --data_dir=FOLDER, or --image_dir=FOLDER with --annotation_dir=FOLDER"
    if data_dir and (image_dir or annotation_dir):
        raise errors.UsageError("--data_dir does not go with --image_dir and --annotation_dir", way_out=way_out)
    if not data_dir and not (image_dir and annotation_dir):
        given = [name for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)) if value]
        received = f"only --{given[0]}" if given else None
        raise errors.UsageError(
            "it is not said where the images and annotations lie", received=received, way_out=way_out
        )
    source = Source(pathlib.Path(data_dir or image_dir), pathlib.Path(data_dir or annotation_dir))
    for folder in (source.image_dir, source.annotation_dir):
        if not folder.is_dir():
            state = "is a file" if folder.exists() else "does not exist"
            raise errors.DatasetError(f"{folder}: {state}", expected="a folder", way_out="check the path")
    return source


def list_files(folder):
    """Names of all files below a folder, sorted; hidden files and folders are left out, links are followed once.

    Raises:
      DatasetError: when a folder cannot be listed.
    """
    names, seen, waiting = [], set(), [""]
    while waiting:
        relative = waiting.pop()
        real = os.path.realpath(os.path.join(folder, relative))
        if real in seen:
            continue
        seen.add(real)
        try:
            with os.scandir(os.path.join(folder, relative)) as listed:
                folders = []
                for entry in listed:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_dir():
                        folders.append(entry.name)
                    elif entry.is_file():
                        names.append(relative + entry.name)
            ignored = _IGNORED_FOLDERS + (_MADE_FOLDERS if _MADE_FROM in folders else ())
            waiting += [f"{relative}{name}/" for name in folders if name not in ignored]
        except OSError as error:
            raise errors.DatasetError(
                f"{os.path.join(folder, relative)}: the folder cannot be listed ({error.strerror})",
                way_out="change its permissions, or move it elsewhere",
            ) from error
    names.sort()
    return names


def make_index(source, options=None, known=None, num_workers=0, progress=None, folder=None, identity=None):
    """Finds images and annotation files, looks at them and pairs them.

    Args:
      source: a `Source`.
      options: `entries.LookOptions`; by default images are decoded and all classes allowed.
      known: `looked.Notes` of an earlier look, or None; files that have not changed since are not read again.
      num_workers: processes; 0 leaves it to the program, 1 works in this one.
      progress: a `console.Progress`, or None.
      folder, identity: see `looked.Looked`.

    Returns:
      An `Index`.

    Raises:
      DatasetError: no annotation file, a folder that cannot be listed, or git-lfs pointers instead of files.
    """
    options = options or entries.LookOptions(
        str(source.image_dir), str(source.annotation_dir), True, None, checks.CheckOptions()
    )
    image_names, xml_names, unwritable, num_foreign = _list_names(source)
    if len(xml_names) >= _MIN_FOR_PROCESSES:
        processes.start_kept(num_workers)  # while there is little in memory that they would share
    finder = pairing.Finder(image_names)
    stems = array.array("q", (finder.find_stem(name) for name in xml_names))
    found = looked.Looked(folder, identity)
    for piece in _look_at_files(xml_names, _names_of(image_names, stems), options, known, num_workers):
        found.add(piece)
        if progress is not None:
            progress.advance(len(piece.flags))
    findings = [Finding(*found[p].trouble) for p, flags in enumerate(found.flags) if flags & looked.HAS_TROUBLE]
    findings += [Finding("name-not-utf8", name, "the file's name is no UTF-8 text") for name in unwritable]
    choices, more = pairing.pair(found, xml_names, finder, stems, _SizeReader(source.image_dir))
    _look_again(found, choices, stems, image_names, options, num_workers)
    more += _find_bare_filenames(found, xml_names, image_names, choices)
    claimed = bytearray(len(image_names))
    for image in choices.image:
        if image >= 0:
            claimed[image] = 1
    unlabelled = tuple([name for name, is_claimed in zip(image_names, claimed) if not is_claimed])
    findings = tuple(findings + more)
    return Index(source, image_names, xml_names, found, choices, unlabelled, num_foreign, findings)


def look_at_share(source, options, number, count, num_workers=0):
    """Looks at every count-th annotation file, from the one of this number on; yields `looked.Piece`s."""
    image_names, xml_names, *_ = _list_names(source)
    finder, names = pairing.Finder(image_names), xml_names[number::count]
    stems = (finder.find_stem(name) for name in names)
    return _look_at_files(names, _names_of(image_names, stems), options, None, num_workers)


def _names_of(image_names, numbers):
    return (image_names[number] if number >= 0 else None for number in numbers)


def _list_names(source):
    """(names of all images, names of all annotation files, both sorted; names that are no text; number of others)."""
    image_files, unwritable = split_names(list_files(source.image_dir))
    xml_files = image_files
    if source.annotation_dir != source.image_dir:
        xml_files, more = split_names(list_files(source.annotation_dir))
        unwritable += more
    endings = tuple(images.EXTENSIONS)
    image_names = [name for name in image_files if name.lower().endswith(endings)]
    xml_names = [name for name in xml_files if name.lower().endswith(".xml")]
    if not xml_names:
        raise errors.DatasetError(
            f"{source.annotation_dir}: no annotation file in it or its folders",
            expected="XML files as LabelImg writes them (format PascalVOC)",
            received=f"{len(image_names)} images, and no .xml among {len(xml_files)} files",
            way_out="label the images with LabelImg, or name the folder of the XML files with --annotation_dir",
        )
    known = (*endings, ".xml")  # in two folders each is searched for one kind, and the other kind is nothing to count
    num_others = sum(not name.lower().endswith(known) for name in image_files)
    if xml_files is not image_files:
        num_others += sum(not name.lower().endswith(known) for name in xml_files)
    return image_names, xml_names, unwritable, num_others


def _look_at_files(names, guesses, options, known, num_workers):
    """Yields `looked.Piece`s, in order; each image is looked at beside the file that its name leads to."""
    places = known.places if known is not None else {}
    with look_in_parallel(len(names), options.decode, num_workers) as (run, size):
        tasks = (
            (options, piece, list(itertools.islice(guesses, len(piece))), places and [places.get(n) for n in piece])
            for piece in processes.chunks(names, size)
        )
        yield from run(looked.look_at_all, tasks)


def _look_again(found, choices, stems, image_names, options, num_workers):
    """Looks at the images to which another thing than the annotation file's name led."""
    positions = [
        p
        for p in choices.used()
        if choices.image[p] not in (-1, stems[p]) and found[p].image != image_names[choices.image[p]]
    ]
    found.flush()
    with look_in_parallel(len(positions), options.decode, num_workers) as (run, size):
        pieces = list(processes.chunks(positions, size))
        tasks = (
            (options, found.path, [found.place_of(p) for p in piece], [image_names[choices.image[p]] for p in piece])
            for piece in pieces
        )
        for piece, again in zip(pieces, list(run(looked.look_again, tasks))):
            found.replace(piece, again)


@contextlib.contextmanager
def look_in_parallel(count, decode, num_workers=0):
    """Yields (a function like `map`, files a task): processes where they pay, threads where decoding is the work."""
    if num_workers == 1 or count < _MIN_FOR_THREADS or (count < _MIN_FOR_PROCESSES and not decode):
        yield map, _CHUNK
    elif count < _MIN_FOR_PROCESSES:
        with concurrent.futures.ThreadPoolExecutor(num_workers or processes.count_processors()) as pool:
            yield pool.map, 1
    else:
        with processes.workers(num_workers) as run:
            yield run, _CHUNK


def split_names(names):
    """Returns (names that are text, the others as text with their odd bytes spelt out); records hold text only."""
    good, bad = [], []
    for name in names:
        try:
            name.encode("utf-8")
            good.append(name)
        except UnicodeEncodeError:
            bad.append(os.fsencode(name).decode("utf-8", "backslashreplace"))
    return good, bad


def refuse_pointers(findings, image_dir=None, image_names=()):
    """Stops when git-lfs pointers were met: the set is not there, and the rest of it would be trained on quietly.

    Args:
      findings: everything that was found.
      image_dir, image_names: images that nobody has looked at; pointers among them are named, too.

    Raises:
      DatasetError: naming the first pointers.
    """
    pointers = [finding.file for finding in findings if finding.code == "git-lfs-pointer"]
    if pointers:
        pointers += [name for name in image_names if _is_pointer(image_dir / name) and name not in pointers]
        raise errors.DatasetError(
            f"{len(pointers)} files are git-lfs pointers, not the files themselves: " + ", ".join(pointers[:3]),
            expected="the content of the files",
            received="text that begins with: version https://git-lfs.github.com/spec/v1",
            way_out="run `git lfs pull` in the repository of the data",
        )


def _is_pointer(path):
    try:
        with open(path, "rb") as file:
            return file.read(len(labelimg.LFS_MARK)) == labelimg.LFS_MARK
    except OSError:
        return False


def _find_bare_filenames(found, xml_names, image_names, choices):
    """One finding for the whole set: some tools never write the extension."""
    number, first = 0, None
    for position in choices.used():
        if choices.image[position] >= 0 and not found.flags[position] & looked.IS_NAMED:
            filename = found[position].filename
            if filename and not os.path.splitext(filename)[1]:
                number, first = number + 1, first or (position, filename)
    if not number:
        return []
    what = f"<filename> has no extension here and in {number - 1} other files; the image is found all the same"
    position, received = first
    image = os.path.basename(image_names[choices.image[position]])
    return [Finding("filename-bare", xml_names[position], what, None, image, received)]


class _SizeReader:
    """Sizes from image headers, each read once."""

    def __init__(self, folder):
        self._folder, self._sizes = folder, {}

    def __call__(self, name):
        if name not in self._sizes:
            self._sizes[name] = images.read_size(self._folder / name)
        return self._sizes[name]
