"""A table of texts, and how its cells are written."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
      title: one line.
      header: names of the columns.
      rows: tuples of texts, as long as the header.
      note: how to read it, or "".
      name_width: maximum width of the first column on the console, in characters.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    name_width: int = 24


def number(value):
    """A count, or "-" for None."""
    return "-" if value is None else str(value)


def score(value):
    """Three decimals, or "-" for None."""
    return "-" if value is None else f"{value:.3f}"


def percent(value):
    """A share 0..1 as 47.1%, or "-" for None."""
    return "-" if value is None else f"{value:.1%}"


def time(seconds):
    """h:mm:ss, or "-" for None."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def increase_text(before, after):
    """+113  16%; without the share if there was nothing before."""
    if before is None or after is None:
        return "-"
    share = f"{(after - before) / before:.0%}" if before else "-"
    return f"{after - before:+d} {share:>4}" if after != before else "0"
