"""What a parser is for the harness, and what several of them need."""

import dataclasses
import io
from collections.abc import Callable

from PIL import Image

from tests.mutation import mutators as m
from tfodhelper.annotations import label_map

LABEL_MAP = label_map.number_names(["cat", "dog"])

JSON = (m.change_json, m.change_json, m.change_json, m.change_number, *m.TEXT, *m.BYTES, m.replace_all)
TEXT = (*m.TEXT, *m.TEXT, *m.BYTES, m.replace_all)
TABLE = (m.change_csv, m.change_csv, m.change_csv, *TEXT)


@dataclasses.dataclass(frozen=True)
class Target:
    """One parser.

    Attributes:
      name: short.
      parse: function of (folder, bytes).
      seeds: function that makes a list of valid inputs.
      mutators: functions of (random.Random, bytes), see `mutators`.
      needs: names of modules without which it cannot be tried.
    """

    name: str
    parse: Callable
    seeds: Callable
    mutators: tuple
    needs: tuple[str, ...] = ()


def write(folder, name, data):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def png(width, height, mode="RGB"):
    return encoded(Image.new(mode, (width, height), 7), "PNG")


def encoded(image, format, **options):
    data = io.BytesIO()
    image.save(data, format, **options)
    return data.getvalue()
