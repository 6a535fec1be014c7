"""What was chosen in a round, and its files: selection.json and scores.csv."""

import contextlib
import csv
import dataclasses
import json
import pathlib

from tfodhelper import errors, storage
from tfodhelper.active_learning.selection import rules

SELECTION_FILE, SCORES_FILE = "selection.json", "scores.csv"
SCORE_COLUMNS = ("name", "score", "boxes", "best_class", "best_score")


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """An image that was chosen.

    Attributes:
      name: of the `PoolImage`.
      score: its uncertainty, whatever the rule; as in scores.csv.
      boxes: detections that count as boxes, at least 1: what it costs of a budget in boxes.
      best_class, best_score: of its best detection; None and 0 without any.
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
      options: as they were given.
      round_number: of the round.
      rule_used: the rule; for auto the one that it came to.
      note: what is to be said about it, one or a few sentences; empty when there is nothing.
      chosen: in the order of choice.
      random: what chance would have chosen instead, under the same budget.
      num_candidates: predictions in the pool.
      strata: {class: images of the pool that were drawn for it}; "" stands for those without a find.
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
    """Writes selection.json, whole: the options, the outcome, one line for each image.

    Where all images were chosen, chance would have chosen the same ones: "random" is null then.

    Returns:
      its path.
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
    for number, one in enumerate(rows):
        file.write(("," if number else "") + "\n    " + _to_text(_row_to_json(one)))
    file.write("\n  ]" if rows else "]")


def _to_text(value):
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _row_to_json(one):
    return {
        "name": one.name,
        "score": one.score,
        "boxes": one.boxes,
        "class": one.best_class,
        "best_score": one.best_score,
        "weight": one.weight,
    }


def read_selection(folder):
    """Reads what `write_selection` wrote.

    Raises:
      StorageError: a file that is not there, cannot be read or has another form.
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
            f"{path}: this is no selection ({type(error).__name__}: {error})",
            expected="a file that a round wrote",
            fix="delete it: the round selects again",
        ) from error


def _rows_from_json(rows):
    return tuple(
        Chosen(row["name"], row["score"], row["boxes"], row["class"], row["best_score"], row["weight"]) for row in rows
    )


@contextlib.contextmanager
def open_scores(path):
    """Opens scores.csv for writing, row by row; it appears when it is complete.

    Args:
      path: the file, or None: rows are dropped.

    Yields:
      A function of a candidate or a `Chosen`.
    """
    if path is None:
        yield lambda one: None
        return
    with storage.open_whole(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(SCORE_COLUMNS)
        yield lambda one: writer.writerow(
            (one.name, f"{one.score:.6g}", one.boxes, one.best_class or "", f"{one.best_score:.6g}")
        )
