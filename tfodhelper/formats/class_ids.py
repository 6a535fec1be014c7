"""The ids of classes in other formats, and the label map that keeps them.

Ids are kept wherever a label map can hold them, so that detectors and label maps made for them still fit. Sources that
begin at 0 are the exception: 0 is the background, so that all of their ids are increased by one.
"""

from tfodhelper import errors, limits
from tfodhelper.annotations import label_map as label_maps
from tfodhelper.annotations.findings import Finding


class ClassIds:
    """Collects pairs of a class name and an id from one or more sources."""

    def __init__(self):
        self._ids = {}

    def add(self, pairs):
        """Adds (class name, id) pairs; an id is a number, or a text that is not one."""
        for name, id_ in pairs:
            self._ids.setdefault(name, {})[id_] = None

    def make_label_map(self, names):
        """The label map of the classes that have boxes.

        Args:
          names: of the classes that have boxes.

        Returns:
          (`LabelMap`, or None if the sources have no ids or contradict each other; list of findings).
        """
        ids = {name: list(self._ids[name]) for name in names if name in self._ids}
        if not ids:
            return None, []
        conflicts = [*_find_repeated_names(ids), *_find_repeated_ids(ids)]
        if conflicts:
            return None, conflicts
        given = {name: ids.get(name, [None])[0] for name in names}
        shift = int(0 in given.values())
        kept = {name: id_ + shift for name, id_ in given.items() if isinstance(id_, int) and _fits(id_ + shift)}
        findings = [_report_shift(given)] if shift else []
        free = _free_ids(frozenset(kept.values()))
        for name in [name for name in given if name not in kept]:
            kept[name] = next(free)
            findings.append(_report_new_id(name, given[name], kept[name]))
        items = sorted((id_, name) for name, id_ in kept.items())
        return label_maps.LabelMap(tuple(label_maps.LabelMapItem(*item) for item in items)), findings


def _fits(id_):
    return 0 < id_ <= limits.MAX_CLASSES


def _free_ids(used):
    """Yields the ids that are not used, first those above the largest one."""
    largest = max(used, default=0)
    yield from range(largest + 1, limits.MAX_CLASSES + 1)
    yield from (id_ for id_ in range(1, largest) if id_ not in used)
    raise errors.AnnotationError("more classes than a label map can hold", expected=f"at most {limits.MAX_CLASSES}")


def _find_repeated_names(ids):
    for name, several in ids.items():
        if len(several) > 1:
            shown = " and ".join(map(str, several[:3]))
            yield _conflict(f"class {name!r}", f"its id is {shown} in different files or records")


def _find_repeated_ids(ids):
    names_of = {}
    for name, several in ids.items():
        for id_ in several:
            names_of.setdefault(id_, []).append(name)
    for id_, names in names_of.items():
        if len(names) > 1:
            shown = " and ".join(map(repr, names[:3]))
            yield _conflict(f"id {id_}", f"it belongs to {shown} in different files or records")


def _conflict(file, problem):
    fix = "number the classes alike in all files if the ids must be kept"
    return Finding("ids-conflict", file, f"{problem}; no label map is written", fix=fix)


def _report_shift(given):
    name = next(name for name, id_ in given.items() if id_ == 0)
    problem = "has the id 0, which label maps reserve for the background; all ids are increased by one"
    return Finding("ids-moved", f"class {name!r}", problem)


def _report_new_id(name, given, new):
    problem = "has no id" if given is None else f"its id {given!r} cannot be in a label map"
    expected = f"whole numbers from 1 to {limits.MAX_CLASSES}"
    return Finding("id-replaced", f"class {name!r}", f"{problem}; it gets the id {new}", None, expected)
