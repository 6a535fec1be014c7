"""Class names and their ids: the label map of the Object Detection API.

Ids are 1-based, because 0 is the background; `index_of` and `name_of_index` convert to and from the 0-based classes
that the program uses internally. A label map may skip ids (COCO's has 80 names and ids up to 90): `num_classes` is the
largest id.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Iterator

from google.protobuf import text_format

from tfodhelper import errors, limits, plain_text, protos, spelling, storage

_SHOWN = 80  # characters of a name, in an error


@dataclasses.dataclass(frozen=True)
class LabelMapItem:
    """One class.

    Attributes:
      id: from 1.
      name: as annotations say it.
      display_name: the name to show to people; None for the same.
    """

    id: int
    name: str
    display_name: str | None = None

    @property
    def shown_name(self) -> str:
        """The name to display."""
        return self.display_name or self.name


@dataclasses.dataclass(frozen=True)
class LabelMap:
    """The class names and their ids, from 1; iterating gives the items.

    Attributes:
      items: one for each class, in the order of the ids.
    """

    items: tuple[LabelMapItem, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[LabelMapItem]:
        return iter(self.items)

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        shown = {item.display_name: item.id for item in self.items if item.display_name}
        return shown | {item.name: item.id for item in self.items}

    @functools.cached_property
    def _items_by_id(self) -> dict[int, LabelMapItem]:
        return {item.id: item for item in self.items}

    def has_id(self, id: int) -> bool:
        """Whether a class has this 1-based id."""
        return id in self._items_by_id

    @property
    def num_classes(self) -> int:
        """The largest id, which is the value of `num_classes` in a pipeline.config."""
        return max(item.id for item in self.items)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names in the order of the ids."""
        return tuple(item.name for item in self.items)

    @functools.cached_property
    def shown_names(self) -> tuple[str, ...]:
        """The names to display, in the order of the ids."""
        return tuple(item.shown_name for item in self.items)

    @property
    def gaps(self) -> tuple[int, ...]:
        """Unused ids below the largest one."""
        return tuple(id for id in range(1, self.num_classes + 1) if id not in self._items_by_id)

    def id_of(self, name: str) -> int:
        """The 1-based id of a name, or of a display name.

        Raises:
          AnnotationError: when the name is not in the label map; the message suggests similar names.
        """
        if name not in self._ids:
            near = spelling.nearest(name, self._ids)
            hint = f"did you mean {' or '.join(repr(n) for n in near)}?" if near else "add it to the label map"
            raise errors.AnnotationError(f"class {name!r} is not in the label map", fix=hint)
        return self._ids[name]

    def item_of(self, id: int) -> LabelMapItem:
        """The item of a 1-based id.

        Raises:
          AnnotationError: when no class has this id.
        """
        if id not in self._items_by_id:
            raise errors.AnnotationError(
                f"no class of the label map has the id {id}", expected=f"ids from 1 to {self.num_classes}", received=id
            )
        return self._items_by_id[id]

    def name_of(self, id: int) -> str:
        """The name of a 1-based id; see `item_of`."""
        return self.item_of(id).name

    def index_of(self, name: str) -> int:
        """The 0-based class of a name, as the model uses it."""
        return self.id_of(name) - 1

    def name_of_index(self, index: int) -> str:
        """The name of a 0-based class."""
        return self.name_of(index + 1)


def make_label_map(class_names):
    """Makes a label map: names sorted, ids from 1, so that the same names always get the same ids."""
    names = sorted(set(class_names))
    limits.check_class_count(len(names), "the annotations")
    return LabelMap(tuple(LabelMapItem(id, name) for id, name in enumerate(names, start=1)))


def number_names(names):
    """A label map of the names, which get the ids 1, 2, 3, ... in the order given.

    Raises:
      AnnotationError: no name, an empty one, or one that occurs twice.
    """
    items = [LabelMapItem(id, name) for id, name in enumerate(names, start=1)]
    _check_items(items, "class names")
    return LabelMap(tuple(items))


def read_label_map(path):
    """Reads a label_map.pbtxt.

    An item with id 0 named "background" is ignored, because 0 is the background anyway.

    Raises:
      AnnotationError: when the file cannot be read, is empty or exceeds the `limits`, an id is below 1, an id or a
        name is repeated, or a name is missing.
    """
    path = pathlib.Path(path)
    try:
        text = limits.read_text(path, errors.AnnotationError)
    except OSError as error:
        raise errors.AnnotationError(
            f"{path}: the label map cannot be read ({error.strerror})", fix="give the path of a label_map.pbtxt"
        ) from error
    return parse_label_map(text, path)


def parse_label_map(text, source):
    """Parses the text of a label map; see `read_label_map`.

    Args:
      text: the content of a .pbtxt file.
      source: its source, for messages.
    """
    limits.check_text(text, source, errors.AnnotationError)
    limits.check_class_count(text.count("item"), source)
    message = protos.message("StringIntLabelMap")()
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        raise errors.AnnotationError(
            f"{source}: is not a label map: {plain_text.shorten(error)}",
            expected="item { id: 1 name: 'cat' } item { id: 2 name: 'dog' }",
            fix="correct that line, or use another label map",
        ) from None
    items = [
        LabelMapItem(item.id, item.name or item.display_name, item.display_name or None)
        for item in message.item
        if not (item.id == 0 and "background" in (item.name, item.display_name))
    ]
    _check_items(items, source)
    return LabelMap(tuple(sorted(items, key=lambda item: item.id)))


def _check_items(items, source):
    if not items:
        raise errors.AnnotationError(f"{source}: the label map has no class", expected="at least one item")
    limits.check_class_count(len(items), source)
    ids, names = {}, {}
    for item in items:
        where = f"{source}: item {plain_text.shorten(repr(item.name), _SHOWN)}"
        _check_limits(item, where)
        if item.id < 1:
            raise errors.AnnotationError(
                f"{where}: ids start at 1; 0 is the background",
                received=f"id {item.id}",
                fix="number the ids from 1; records made with the old ids must be made again",
            )
        if not item.name:
            raise errors.AnnotationError(f"{source}: the item with id {item.id} has no name")
        if item.id in ids:
            raise errors.AnnotationError(f"{where}: id {item.id} already belongs to {ids[item.id]!r}")
        if item.name in names:
            raise errors.AnnotationError(f"{where}: the name already has the id {names[item.name]}")
        ids[item.id], names[item.name] = item.name, item.id


def _check_limits(item, where):
    """Raises an error for an id or a name that no detector has."""
    if item.id > limits.MAX_CLASSES:
        raise errors.AnnotationError(
            f"{where}: the id is too large, since a model has an output for every id up to the largest",
            expected=f"ids up to {limits.MAX_CLASSES}",
            received=f"id {item.id}",
            fix="number the classes from 1",
        )
    for name in (item.name, item.display_name or ""):
        if problem := limits.name_problem(name):
            raise errors.AnnotationError(f"{where}: {problem}", fix="use a shorter name")


def format_label_map(label_map):
    """The text of a label map, in the format of the Object Detection API."""
    message = protos.message("StringIntLabelMap")()
    for item in label_map:
        _check_limits(item, f"class {plain_text.shorten(repr(item.name), _SHOWN)}")
        added = message.item.add(name=item.name, id=item.id)
        if item.display_name:
            added.display_name = item.display_name
    return text_format.MessageToString(message, as_utf8=True)


def write_label_map(path, label_map):
    """Writes a label_map.pbtxt atomically."""
    storage.write_text(path, format_label_map(label_map))
