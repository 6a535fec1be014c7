"""Finds the images and annotation files in the folders of a dataset, and which belong together.

Names are relative to the searched folder, in POSIX form, and always in the same order, so that nothing depends on the
order in which a file system lists a folder.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import itertools
import os
import pathlib

from tfodhelper import errors, spelling, user_files
from tfodhelper.annotations import checks, image_search, images, labelimg
from tfodhelper.annotations.findings import Finding
from tfodhelper.dataset.scan import entry_store, pairing
from tfodhelper.dataset.scan.entry import ScanOptions
from tfodhelper.outofcore import columns, sorting, workers

_CHUNK = 200  # annotation files per task
_MIN_FOR_THREADS = 16
_MIN_FOR_PROCESSES = 800  # for fewer files, starting processes takes longer than the work


@dataclasses.dataclass(frozen=True)
class Source:
    """The folders of the images and the annotations.

    Attributes:
      image_dir: searched recursively for images.
      annotation_dir: searched recursively for XML files; may be the same folder.
    """

    image_dir: pathlib.Path
    annotation_dir: pathlib.Path


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """An annotation file and its image.

    Attributes:
      xml: name of the annotation file, relative to the annotation folder.
      image: name of the image, relative to the image folder; None if it has none.
      by_stem: whether the image was found by the name of the annotation file.
    """

    xml: str
    image: str | None
    by_stem: bool


@dataclasses.dataclass(frozen=True)
class Index:
    """Everything that was found in a `Source`.

    Attributes:
      source: the folders.
      image_names, xml_names: names of all images and annotation files, sorted; `columns.Texts`.
      entries: an `entry_store.EntryStore` with one entry per annotation file, with the image given by `choices`.
      choices: `pairing.Choices`.
      unlabelled: names of the images that no annotation file may belong to, sorted; `columns.Texts`.
      num_foreign: number of other files: not hidden, neither images nor XML.
      findings: the findings of pairing.
    """

    source: Source
    image_names: columns.Texts
    xml_names: columns.Texts
    entries: entry_store.EntryStore
    choices: pairing.Choices
    unlabelled: columns.Texts
    num_foreign: int
    findings: tuple[Finding, ...]

    @property
    def pairs(self):
        """Yields a `Pair` for every annotation file except copies, conflicting and foreign ones, sorted by its name."""
        for position in self.choices.used():
            image = self.choices.image[position]
            name = None if image < 0 else self.image_names[image]
            yield Pair(self.xml_names[position], name, bool(self.choices.by_stem[position]))

    def image_of(self, xml):
        """The name of the image of an annotation file, or None."""
        position = self.xml_names.find(xml)
        if position < 0 or not self.choices.is_used[position] or self.choices.image[position] < 0:
            return None
        return self.image_names[self.choices.image[position]]


def make_source(data_dir=None, image_dir=None, annotation_dir=None):
    """Makes a `Source` from command-line flags.

    Args:
      data_dir: one tree with both images and XML files.
      image_dir, annotation_dir: two trees instead of `data_dir`.

    Raises:
      UsageError: neither `data_dir` nor the two trees are given, or both, or a path is not valid UTF-8.
      DatasetError: a folder does not exist.
    """
    fix = "use --data_dir=FOLDER, or --image_dir=FOLDER with --annotation_dir=FOLDER"
    if data_dir and (image_dir or annotation_dir):
        raise errors.UsageError("--data_dir cannot be combined with --image_dir or --annotation_dir", fix=fix)
    if not data_dir and not (image_dir and annotation_dir):
        given = [name for name, value in (("image_dir", image_dir), ("annotation_dir", annotation_dir)) if value]
        received = f"only --{given[0]}" if given else None
        raise errors.UsageError("the folders of the images and annotations are not given", received=received, fix=fix)
    source = Source(pathlib.Path(data_dir or image_dir), pathlib.Path(data_dir or annotation_dir))
    for folder in (source.image_dir, source.annotation_dir):
        user_files.check_text(folder)
        if not folder.is_dir():
            state = "is a file" if folder.exists() else "does not exist"
            raise errors.DatasetError(f"{folder}: {state}", expected="a folder", fix="check the path")
    return source


def make_index(source, options=None, known=None, num_workers=0, progress=None, folder=None, identity=None):
    """Finds, reads and pairs images and annotation files.

    Args:
      source: a `Source`.
      options: `entry.ScanOptions`; by default images are decoded and all classes are allowed.
      known: `scan_notes.Notes` of a previous scan, or None; files unchanged since then are not read again.
      num_workers: number of processes; 0 chooses automatically, 1 uses only this process.
      progress: a `console.Progress`, or None.
      folder, identity: see `entry_store.EntryStore`.

    Returns:
      An `Index`.

    Raises:
      DatasetError: no annotation file, a folder that cannot be listed, or git-lfs pointers instead of files.
    """
    options = options or ScanOptions(
        str(source.image_dir), str(source.annotation_dir), True, None, checks.CheckOptions()
    )
    image_names, xml_names, skipped, num_foreign = _list_names(source, folder)
    if len(xml_names) >= _MIN_FOR_PROCESSES:
        workers.start_kept(num_workers)  # early, while there is little memory to share with them
    finder = pairing.ImageFinder(image_names, folder)
    stems = columns.Column("q", (finder.find_stem(name) for name in xml_names), folder)
    entries, guesses = entry_store.EntryStore(folder, identity), _names_of(image_names, stems)
    for batch in _scan_files(xml_names, len(xml_names), guesses, options, known, num_workers):
        entries.add(batch)
        if progress is not None:
            progress.advance(len(batch.flags))
    unusable = (position for position, flags in enumerate(entries.flags) if flags & entry_store.HAS_PROBLEM)
    findings = [Finding(*entries[position].problem) for position in unusable]
    findings += skipped
    choices, more = pairing.pair(entries, xml_names, finder, stems, _SizeReader(source.image_dir))
    _rescan_images(entries, choices, stems, image_names, options, num_workers)
    more += _find_bare_filenames(entries, xml_names, image_names, choices)
    claimed = columns.filled("B", 0, len(image_names), folder)
    for image in itertools.chain(choices.image, choices.contested):
        if image >= 0:
            claimed[image] = 1
    free = (name for name, is_claimed in zip(image_names, claimed) if not is_claimed)
    unlabelled, findings = columns.Texts(free, folder), tuple(findings + more)
    return Index(source, image_names, xml_names, entries, choices, unlabelled, num_foreign, findings)


def scan_share(source, options, number, count, num_workers=0):
    """Scans every count-th annotation file, beginning with the given number; yields `entry_store.EntryBatch`es."""
    image_names, xml_names, *_ = _list_names(source)
    finder, own = pairing.ImageFinder(image_names), range(number, len(xml_names), count)
    stems = (finder.find_stem(xml_names[position]) for position in own)
    names = (xml_names[position] for position in own)
    return _scan_files(names, len(own), _names_of(image_names, stems), options, None, num_workers)


def _names_of(image_names, numbers):
    return (image_names[number] if number >= 0 else None for number in numbers)


def _list_names(source, folder=None):
    """(sorted names of images, sorted names of annotation files, findings, number of other files)."""
    image_names, xml_names = (sorting.TextSorter(folder) for _ in range(2))
    findings, unread, num_others, num_beside_xml = [], [], 0, 0

    def list_folder(path, has_images, has_xml):
        nonlocal num_others, num_beside_xml
        for kind, name in image_search.search(path, findings.append):
            # If there are two folders, each is searched for one kind; files of the other kind are not counted.
            if kind == image_search.IMAGE and has_images:
                image_names.add(name)
            elif kind == image_search.UNREAD_IMAGE and has_images:
                unread.append(name)
            elif kind == image_search.XML and has_xml:
                xml_names.add(name)
            num_others += kind == image_search.OTHER
            num_beside_xml += has_xml and kind != image_search.XML

    is_one_folder = source.annotation_dir == source.image_dir
    list_folder(source.image_dir, True, is_one_folder)
    if not is_one_folder:
        list_folder(source.annotation_dir, False, True)
    image_names, xml_names = image_names.sort(), xml_names.sort()
    if not xml_names:
        raise errors.DatasetError(
            f"{source.annotation_dir}: no annotation files in it or its folders",
            expected="XML files as written by LabelImg (PascalVOC format)",
            received=f"{spelling.count(len(image_names), 'image')}, "
            f"and no .xml among {spelling.count(num_beside_xml, 'file')}",
            fix="label the images with LabelImg, or give the folder of the XML files with --annotation_dir",
        )
    findings += image_search.explain_all_unread(sorted(unread))
    return image_names, xml_names, sorted(findings, key=lambda finding: finding.file), num_others


def _scan_files(names, count, guesses, options, known, num_workers):
    """Yields `entry_store.EntryBatch`es, in order, each with the images that the names of the files lead to."""
    with run_in_parallel(count, options.decode, num_workers) as (run, size):
        tasks = (
            (
                options,
                chunk,
                list(itertools.islice(guesses, len(chunk))),
                known and [known.location_of(n) for n in chunk],
            )
            for chunk in workers.chunks(names, size)
        )
        yield from run(entry_store.scan_files, tasks)


def _rescan_images(entries, choices, stems, image_names, options, num_workers):
    """Scans the images that were found by something other than the annotation file's name."""
    others = (
        position
        for position in choices.paired()
        if choices.image[position] != stems[position]
        and entries[position].image != image_names[choices.image[position]]
    )
    positions = columns.Column("Q", others, entries.folder)

    def make_task(chunk):
        names = [image_names[choices.image[position]] for position in chunk]
        return options, entries.path, [entries.span_of(position) for position in chunk], names

    replace_entries(entries, positions, entry_store.rescan_images, make_task, options, num_workers)


def replace_entries(entries, positions, function, make_task, options, num_workers):
    """Replaces entries by the results of worker processes.

    Args:
      entries: an `entry_store.EntryStore`.
      positions: of the entries.
      function: maps a task to an `entry_store.EntryBatch`; runs in worker processes.
      make_task: makes the task for some of the positions.
      options: `entry.ScanOptions`.
      num_workers: number of processes; 0 chooses automatically.
    """
    under_way = collections.deque()

    def make_tasks(size):
        for chunk in workers.chunks(positions, size):
            under_way.append(chunk)
            yield make_task(chunk)

    entries.flush()
    with run_in_parallel(len(positions), options.decode, num_workers) as (run, size):
        for batch in run(function, make_tasks(size)):
            entries.replace(under_way.popleft(), batch)


@contextlib.contextmanager
def run_in_parallel(count, decode, num_workers=0):
    """Yields (a function like `map`, files per task): uses processes if they pay off, or threads to decode images."""
    if num_workers == 1 or count < _MIN_FOR_THREADS or (count < _MIN_FOR_PROCESSES and not decode):
        yield map, _CHUNK
    elif count < _MIN_FOR_PROCESSES:
        with concurrent.futures.ThreadPoolExecutor(num_workers or workers.count_processors()) as pool:
            yield pool.map, 1
    else:
        with workers.workers(num_workers) as run:
            yield run, _CHUNK


def check_no_pointers(findings, image_dir=None, image_names=()):
    """Raises if there are git-lfs pointers: images are missing, and training would silently use only the others.

    Args:
      findings: all findings.
      image_dir, image_names: images that were not scanned; the message includes pointers among them.

    Raises:
      DatasetError: naming the first pointers.
    """
    pointers = [finding.file for finding in findings if finding.code == "git-lfs-pointer"]
    if pointers:
        pointers += [name for name in image_names if _is_pointer(image_dir / name) and name not in pointers]
        raise errors.DatasetError(
            f"{spelling.count(len(pointers), 'git-lfs pointer')} instead of the files themselves: "
            + ", ".join(pointers[:3]),
            expected="the content of the files",
            received="text that begins with: version https://git-lfs.github.com/spec/v1",
            fix="run `git lfs pull` in the data repository",
        )


def _is_pointer(path):
    try:
        return user_files.read_bytes(path, len(labelimg.LFS_MARK))[0].startswith(labelimg.LFS_MARK)
    except OSError:
        return False


def _find_bare_filenames(entries, xml_names, image_names, choices):
    """One finding for the whole dataset, because some tools never write the extension."""
    number, first = 0, None
    for position in choices.used():
        if choices.image[position] >= 0 and not entries.flags[position] & entry_store.IS_NAMED:
            filename = entries[position].filename
            if filename and not os.path.splitext(filename)[1]:
                number, first = number + 1, first or (position, filename)
    if not number:
        return []
    others = f" and in {spelling.count(number - 1, 'other file')}" if number > 1 else ""
    problem = f"<filename> has no extension here{others}; the image is found nevertheless"
    position, received = first
    image = os.path.basename(image_names[choices.image[position]])
    return [Finding("filename-bare", xml_names[position], problem, None, image, received)]


class _SizeReader:
    """Reads sizes from image headers, each only once."""

    def __init__(self, folder):
        self._folder, self._sizes = folder, {}

    def __call__(self, name):
        if name not in self._sizes:
            self._sizes[name] = images.read_size(self._folder / name)
        return self._sizes[name]
