"""Byte-identical images: common in real datasets, often labelled differently, and a leak if a split separates them."""

import collections

from tfodhelper.annotations.findings import Finding

_SHOWN = 5


def group_identical(images):
    """Groups of at least two images with the same digest.

    Args:
      images: `usable_images.UsableImage`s, sorted by name.

    Returns:
      List of lists, in the order of the first names.
    """
    groups = collections.defaultdict(list)
    for image in images:
        groups[image.facts.sha256].append(image)
    return [group for group in groups.values() if len(group) > 1]


def find_duplicates(images):
    """One finding per group of identical images, depending on whether their boxes agree."""
    findings = []
    for group in group_identical(images):
        names = ", ".join(image.name for image in group[1 : _SHOWN + 1]) + (", ..." if len(group) > _SHOWN + 1 else "")
        agree = len({frozenset(image.annotation.boxes) for image in group}) == 1
        if agree:
            findings.append(Finding("images-identical", group[0].name, f"is identical to {names}, with the same boxes"))
        else:
            problem = f"is identical to {names}, but the boxes differ"
            fix = "keep only the better annotation; until then, they stay on one side of the split"
            findings.append(Finding("images-disagree", group[0].name, problem, fix=fix))
    return findings


def find_leaks(images, split):
    """One finding per group of identical images that a given split puts on both sides.

    Args:
      images: `usable_images.UsableImage`s.
      split: {name: side}; images that are not in it are ignored.
    """
    findings = []
    for group in group_identical([image for image in images if image.name in split]):
        sides = {split[image.name] for image in group}
        if len(sides) > 1:
            names = ", ".join(f"{image.name} ({split[image.name]})" for image in group[:_SHOWN])
            fix = "remove them from one of the sides; otherwise validation results are too optimistic"
            findings.append(Finding("split-leak", group[0].name, f"identical files on both sides: {names}", fix=fix))
    return findings
