"""Finds near-identical images: frames of one video, copies in another size or quality.

Fingerprints that differ in at most four of 64 bits agree completely in at least one of five bands, so that only images
that share a band have to be compared.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib

import numpy as np

from tfodhelper import console
from tfodhelper.annotations import perceptual_hash
from tfodhelper.annotations.findings import Finding
from tfodhelper.annotations.images import NO_HASH

MAX_DISTANCE = 4  # bits of 64
_BLOCK = 1000  # images that are queued for threads at a time
_SHOWN = 5
_BITS_OF_BYTE = np.array([value.bit_count() for value in range(256)], np.int64)


def group(hashes, max_distance=MAX_DISTANCE):
    """Groups of images that are connected by chains of near pairs.

    Each image leaves the search when it joins a group, so that even a video of almost identical frames takes little
    memory and time.

    Args:
      hashes: {name: fingerprint of 64 bits, or None for an image without one}.
      max_distance: bits that may differ within a pair.

    Returns:
      List of lists of at least two names, each sorted, in the order of their first names.
    """
    names = sorted(name for name, value in hashes.items() if value is not None)
    values, value_of = np.unique(np.array([hashes[name] for name in names], np.uint64), return_inverse=True)
    search = _Search(values, max_distance)
    leaders = np.arange(len(values))
    for seed in range(len(values)):
        waiting = [seed] if search.take(seed) else []
        while waiting:
            near = search.take_near(waiting.pop())
            leaders[near] = seed
            waiting += near.tolist()
    groups = collections.defaultdict(list)
    for name, position in zip(names, value_of.ravel().tolist()):
        groups[int(leaders[position])].append(name)
    return sorted(members for members in groups.values() if len(members) > 1)


class _Search:
    """Fingerprints that are not in a group yet, indexed by their bands of bits."""

    def __init__(self, values, max_distance):
        self._values, self._max_distance = values, max_distance
        self._free = np.ones(len(values), bool)
        self._keys = [(values >> np.uint64(low)) & np.uint64(mask) for low, mask in _list_bands(max_distance)]
        self._members = [_by_key(keys) for keys in self._keys]

    def take(self, position):
        """Removes a fingerprint; returns whether it was still present."""
        was_free = bool(self._free[position])
        self._free[position] = False
        return was_free

    def take_near(self, position):
        """Removes all that are near to the given one; returns their positions."""
        near = []
        for keys, members in zip(self._keys, self._members):
            key = int(keys[position])
            kept = members[key][self._free[members[key]]]
            bits = (self._values[kept] ^ self._values[position]).view(np.uint8).reshape(-1, 8)
            is_near = _BITS_OF_BYTE[bits].sum(axis=1) <= self._max_distance
            self._free[kept[is_near]] = False
            members[key] = kept[~is_near]
            near.append(kept[is_near])
        return np.concatenate(near)


class Lookup:
    """Finds an image that shows nearly the same as another one.

    Args:
      hashes: {name: fingerprint of 64 bits, or None for an image without one}.
      max_distance: bits that may differ.
    """

    def __init__(self, hashes, max_distance=MAX_DISTANCE):
        self._max_distance = max_distance
        self._bands = _list_bands(max_distance)
        self._tables = [collections.defaultdict(list) for _ in self._bands]
        for name, value in hashes.items():
            if value is not None:
                for table, (low, mask) in zip(self._tables, self._bands):
                    table[value >> low & mask].append((name, value))

    def find(self, value):
        """Name of an image whose fingerprint is within the distance of one, or None."""
        for table, (low, mask) in zip(self._tables, self._bands):
            for name, other in table.get(value >> low & mask, ()):
                if perceptual_hash.distance(value, other) <= self._max_distance:
                    return name
        return None


def _list_bands(max_distance):
    """(lowest bit, mask) of each band; fingerprints within the distance agree in at least one of them."""
    edges = np.linspace(0, 64, max_distance + 2).astype(int).tolist()
    return [(low, (1 << (high - low)) - 1) for low, high in itertools.pairwise(edges)]


def _by_key(keys):
    """{key: positions with this key}."""
    order = np.argsort(keys, kind="stable")
    distinct, starts = np.unique(keys[order], return_index=True)
    return dict(zip(distinct.tolist(), np.split(order, starts[1:])))


def hash_files(folder, names, progress=None):
    """{name: fingerprint or None} of image files, computed in threads.

    Args:
      folder: the folder that the names are relative to.
      names: of the images.
      progress: a `console.Progress`, or None.
    """
    hashes, folder = {}, pathlib.Path(folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(names), _BLOCK):
            block = names[begin : begin + _BLOCK]
            for name, value in zip(block, pool.map(lambda name: perceptual_hash.hash_file(folder / name), block)):
                hashes[name] = value
                if progress is not None:
                    progress.advance()
    return hashes


def hash_images(examination, show_progress=True):
    """{name: fingerprint or None} of the usable images: from the scan if it decoded them, otherwise from the files.

    Args:
      examination: an `examine.Examination`.
      show_progress: whether to show the progress on the console.
    """
    hashes, unknown = {}, []
    for image in examination.images:
        value = image.facts.perceptual_hash
        hashes[image.name] = None if value == NO_HASH else value
        unknown += [image.name] if value is None else []
    if unknown:
        progress = console.Progress("images compared", len(unknown), 10.0 if show_progress else float("inf"))
        hashes |= hash_files(examination.source.image_dir, unknown, progress)
    return hashes


def find_near_leaks(images, sides, hashes):
    """One finding per group of near duplicates that a split puts on both sides.

    Byte-identical images are not reported here but by `duplicates`.

    Args:
      images: `usable_images.UsableImage`s.
      sides: {name: side}; images that are not in it are ignored.
      hashes: {name: fingerprint or None}.
    """
    hashes = {name: value for name, value in hashes.items() if name in sides}
    digests = {image.name: image.facts.sha256 for image in images}
    findings = []
    for names in group(hashes):
        first = names[0]
        others = [name for name in names if sides[name] != sides[first] and digests[name] != digests[first]]
        if others:
            shown = ", ".join(f"{name} ({sides[name]})" for name in others[:_SHOWN])
            problem = f"({sides[first]}) is nearly identical to {shown}" + (", ..." if len(others) > _SHOWN else "")
            fix = "keep them on one side with --group_near_duplicates; otherwise validation results are too optimistic"
            findings.append(Finding("split-near-leak", first, problem, fix=fix))
    return findings
