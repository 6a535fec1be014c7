"""Pages: templates filled with plain values, each page one file that fetches nothing.

All values are escaped, since names of files and classes are whatever somebody wrote; characters that no page may hold
are spelt out. A value that a template does not get is an error. A page is written piece by piece, so that iterators of
`Card`s need the memory of one picture at a time.
"""

import base64
import dataclasses
import functools
import re

import jinja2

from tfodhelper import storage
from tfodhelper.render import palette
from tfodhelper.version import __version__

_MAX_LINES = 8  # shown below a picture
# Control characters but for tab and line feed, halves of characters from undecodable file names, and non-characters.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


@dataclasses.dataclass(frozen=True)
class Card:
    """One image on a page.

    Attributes:
      name: of the image.
      picture: bytes of a JPEG, or None.
      lines: texts, of which the first eight are shown.
      kind: "adopted", "refused" or "doubtful" for a coloured edge, or "".
    """

    name: str
    picture: bytes | None
    lines: tuple[str, ...]
    kind: str = ""

    @property
    def shown_lines(self):
        """The lines that are shown."""
        return self.lines[:_MAX_LINES]

    @property
    def num_more(self):
        """How many lines are not shown."""
        return max(0, len(self.lines) - _MAX_LINES)


def write_page(path, template, **values):
    """Writes a page atomically.

    Args:
      path: of the HTML file.
      template: name of a file in the folder `templates`.
      **values: what the template names: plain values, dataclasses, and iterators, which are used up once.

    Raises:
      StorageError: the file cannot be written.
      jinja2.UndefinedError: the template names a value that is not given.
    """
    pieces = _environment().get_template(template).generate(**values)
    with storage.open_whole(path) as file:
        file.writelines(pieces)


def make_page(template, **values):
    """A page as text, for a server; arguments and errors as of `write_page`."""
    return _environment().get_template(template).render(**values)


def style_sheet():
    """The style sheet of all pages as text, for a page that a server gives in several files."""
    return make_page("style.css")


@functools.lru_cache(maxsize=1)
def _environment():
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("tfodhelper.render", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_spell_out,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = _to_data_uri
    environment.globals |= {"palette": palette, "version": __version__}
    return environment


def _spell_out(value):
    """Replaces what no page may hold by its code, in every value before it is escaped."""
    if not isinstance(value, str) or hasattr(value, "__html__"):  # numbers, and output of a macro
        return value
    return _UNPRINTABLE.sub(lambda match: f"\\x{ord(match[0]):02x}", value)


def _to_data_uri(data, media_type):
    """Bytes of a picture as an address."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode('ascii')}"
