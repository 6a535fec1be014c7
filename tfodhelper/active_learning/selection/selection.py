"""A round's selection and its files: selection.json and scores.csv."""

import contextlib
import dataclasses
import json
import pathlib

from tfodhelper import errors, sheets, storage
from tfodhelper.active_learning.selection import rules

SELECTION_FILE, SCORES_FILE = "selection.json", "scores.csv"
SCORE_COLUMNS = ("name", "score", "boxes", "best_class", "best_score")


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """An image that was chosen.

    Attributes:
      name: of the `PoolImage`.
      score: its uncertainty, under every rule; as in scores.csv.
      boxes: number of detections that count as boxes, at least 1: its cost in a budget of boxes.
      best_class, best_score: of its best detection; None and 0 without detections.
      weight: by class balance.
    """

    name: str
    score: float
    boxes: int
    best_class: str | None
    best_score: float
    weight: float = 1.0


@dataclasses.dataclass(frozen=True)
class Selection:
    """The outcome of a selection.

    Attributes:
      options: as given.
      round_number: of the round.
      rule_used: the rule; for auto, the one that it chose.
      note: remarks on the choice, one or a few sentences, or "".
      chosen: in the order of choice.
      random: a random choice under the same budget.
      num_candidates: predictions in the pool.
      strata: {class: number of images of the pool that count for it}; "" is for those in which nothing was found.
    """

    options: rules.SelectOptions
    round_number: int
    rule_used: str
    note: str
    chosen: tuple[Chosen, ...]
    random: tuple[Chosen, ...]
    num_candidates: int
    strata: dict[str, int] = dataclasses.field(default_factory=dict)


def write_selection(folder, selection):
    """Writes selection.json atomically: the options, the outcome, one line per image.

    Where all images were chosen, a random choice is the same: "random" is then null.

    Returns:
      Its path.
    """
    path = pathlib.Path(folder) / SELECTION_FILE
    head = dataclasses.asdict(selection.options) | {
        "round": selection.round_number,
        "rule_used": selection.rule_used,
        "note": selection.note,
        "num_candidates": selection.num_candidates,
        "strata": selection.strata,
    }
    with storage.open_whole(path) as file:
        file.write("{\n")
        for key, value in head.items():
            file.write(f"  {_to_text(key)}: {_to_text(value)},\n")
        _write_rows(file, "chosen", selection.chosen)
        file.write(",\n")
        _write_rows(file, "random", None if selection.random is selection.chosen else selection.random)
        file.write("\n}\n")
    return path


def _write_rows(file, key, rows):
    if rows is None:
        file.write(f'  "{key}": null')
        return
    file.write(f'  "{key}": [')
    for number, row in enumerate(rows):
        file.write(("," if number else "") + "\n    " + _to_text(_row_to_json(row)))
    file.write("\n  ]" if rows else "]")


def _to_text(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _row_to_json(row):
    return {
        "name": row.name,
        "score": row.score,
        "boxes": row.boxes,
        "class": row.best_class,
        "best_score": row.best_score,
        "weight": row.weight,
    }


def read_selection(folder):
    """Reads what `write_selection` wrote.

    Raises:
      StorageError: the file does not exist, cannot be read or is malformed.
    """
    path = pathlib.Path(folder) / SELECTION_FILE
    value = storage.read_json(path)
    try:
        chosen = _rows_from_json(value["chosen"])
        return Selection(
            options=rules.SelectOptions(
                **{field.name: value[field.name] for field in dataclasses.fields(rules.SelectOptions)}
            ),
            round_number=value["round"],
            rule_used=value["rule_used"],
            note=value["note"],
            chosen=chosen,
            random=chosen if value["random"] is None else _rows_from_json(value["random"]),
            num_candidates=value["num_candidates"],
            strata=value["strata"],
        )
    except (KeyError, TypeError) as error:
        raise errors.StorageError(
            f"{path}: is not a selection ({type(error).__name__}: {error})",
            expected="a file written by a round",
            fix="delete it and run the round again, which then selects again",
        ) from error


def _rows_from_json(rows):
    return tuple(
        Chosen(row["name"], row["score"], row["boxes"], row["class"], row["best_score"], row["weight"]) for row in rows
    )


@contextlib.contextmanager
def open_scores(path):
    """Opens scores.csv for writing row by row; it appears when it is complete.

    Args:
      path: of the file; with None, rows are discarded.

    Yields:
      A function of a candidate or a `Chosen`.
    """
    if path is None:
        yield lambda row: None
        return
    with sheets.open_csv(path, SCORE_COLUMNS) as add_row:
        yield lambda row: add_row(
            (row.name, f"{row.score:.6g}", row.boxes, row.best_class or "", f"{row.best_score:.6g}")
        )
