"""Images that show nearly the same: frames of one film, copies in another size or quality.

Fingerprints that differ in at most four of 64 bits agree wholly in at least one of five bands of them, so that only
images that share a band have to be compared.
"""

import collections
import concurrent.futures
import itertools
import os
import pathlib

import numpy as np

from tfodhelper.annotations import perceptual_hash
from tfodhelper.annotations.findings import Finding

MAX_DISTANCE = 4  # bits of 64
_BLOCK = 4096  # images of one band compared at a time
_SHOWN = 5
_BITS_OF_BYTE = np.array([value.bit_count() for value in range(256)], np.int64)


def find_pairs(hashes, max_distance=MAX_DISTANCE):
    """All pairs of images whose fingerprints are near each other.

    Args:
      hashes: {name: fingerprint of 64 bits, or None for an image without one}.
      max_distance: bits that may differ.

    Returns:
      Sorted list of (name, name, distance); the first name comes first in the order of names.
    """
    names = sorted(name for name, value in hashes.items() if value is not None)
    values = np.array([hashes[name] for name in names], np.uint64)
    found = {}
    for first, second in _find_candidates(values, max_distance + 1):
        distances = _BITS_OF_BYTE[(values[first] ^ values[second]).view(np.uint8).reshape(-1, 8)].sum(axis=1)
        near = distances <= max_distance
        found.update(zip(zip(first[near].tolist(), second[near].tolist()), distances[near].tolist()))
    return [(names[i], names[j], int(bits)) for (i, j), bits in sorted(found.items())]


def _find_candidates(values, num_bands):
    """Yields arrays (i, j), i < j, of positions that share a band of bits."""
    edges = np.linspace(0, 64, num_bands + 1).astype(int)
    for low, high in itertools.pairwise(edges):
        band = (values >> np.uint64(low)) & np.uint64((1 << int(high - low)) - 1)
        order = np.argsort(band, kind="stable")
        starts = np.flatnonzero(np.diff(band[order], prepend=band[order][:1] ^ np.uint64(1))) if len(order) else []
        for members in np.split(order, starts)[1:]:
            yield from _pairs_of(np.sort(members))


def _pairs_of(members):
    """All pairs of a band's members, in blocks, so that a band that many share does not fill the memory."""
    for begin in range(0, len(members) - 1, max(1, _BLOCK**2 // max(len(members), 1))):
        end = begin + max(1, _BLOCK**2 // max(len(members), 1))
        rows = np.arange(begin, min(end, len(members) - 1))
        i, j = np.nonzero(np.arange(len(members))[None, :] > rows[:, None])
        yield members[rows[i]], members[j]


def group(hashes, max_distance=MAX_DISTANCE):
    """Groups of images that a chain of near pairs joins.

    Args:
      hashes, max_distance: see `find_pairs`.

    Returns:
      List of lists of at least two names, each sorted, in the order of their first names.
    """
    leader = {}

    def find(name):
        while leader.get(name, name) != name:
            leader[name] = leader.get(leader[name], leader[name])
            name = leader[name]
        return name

    for first, second, _ in find_pairs(hashes, max_distance):
        a, b = sorted((find(first), find(second)))
        leader[b] = a
        leader.setdefault(a, a)
    groups = collections.defaultdict(list)
    for name in sorted(leader):
        groups[find(name)].append(name)
    return sorted(groups.values())


def hash_files(folder, names, progress=None):
    """{name: fingerprint or None} of image files, in threads.

    Args:
      folder: that the names are relative to.
      names: of the images.
      progress: a `console.Progress`, or None.
    """
    hashes, folder = {}, pathlib.Path(folder)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for name, value in zip(names, pool.map(lambda name: perceptual_hash.hash_file(folder / name), names)):
            hashes[name] = value
            if progress is not None:
                progress.advance()
    return hashes


def find_torn(images, sides, hashes):
    """A finding for each group of near duplicates that a split puts on both sides.

    Byte-identical images do not count here: `duplicates` speaks of them.

    Args:
      images: `examine.UsableImage`s.
      sides: {name: side}; images that are not in it do not count.
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
            what = f"({sides[first]}) shows nearly the same as {shown}" + (", ..." if len(others) > _SHOWN else "")
            way_out = "keep such images on one side: figures of the validation are too good otherwise"
            findings.append(Finding("split-near-leak", first, what, way_out=way_out))
    return findings
