"""Tables of what adoption had to prove: what boxes are worth, and whether rounds that learned from them paid."""

from tfodhelper import sheets
from tfodhelper.active_learning.adoption import trial as trials
from tfodhelper.active_learning.report import cells

WORTH_HEADER = (
    *("round", "class", "score_from", "boxes", "right_at_iou_50", "right_at_iou_75", "objects", "missed", "verdict"),
)
TRIAL_HEADER = ("round", "images", "against", "figure", "value", "other", "lost", "relabelled", "standard_error")
RELABEL_HEADER = ("round", "renewed", "returned", "boxes")
_COLUMNS = ("images", "against", "metric", "value", "other")  # of a trial, in that order
_AGAINST = {trials.CONTROL: "the same training without", trials.LAST: "the last round"}


def show_trials(rounds, names):
    """The trials of all rounds, or None; see `tables.make_tables`."""
    tried = [facts for facts in rounds if facts.trial is not None]
    rows = [
        (
            str(facts.number),
            *(_on_trial(facts.trial), _AGAINST[facts.trial.against]),
            *(facts.trial.metric, cells.score(facts.trial.value), cells.score(facts.trial.other)),
            _outcome(facts.trial),
        )
        for facts in tried
    ]
    header = ("round", "images on trial", "compared with", "figure", "with them", "without", "outcome")
    note = "images on trial: with boxes that nobody has looked at, learned from for the first time"
    if any(facts.trial.relabelled for facts in tried):
        note += "; relabelled: adopted before, with new boxes or refused"
    return cells.Table("Did adopted images pay?", header, tuple(rows), note=note) if rows else None


def _on_trial(trial):
    return cells.number(trial.images) + (f" + {trial.relabelled} relabelled" if trial.relabelled else "")


def _outcome(trial):
    if not trial.lost:
        return "they stay" if trial.error is None else f"within chance (standard error {trial.error:.3f}): they stay"
    former = "the former boxes came back"
    if not trial.relabelled:
        return "lost: they went back to the pool"
    return f"lost: back to the pool, {former}" if trial.images else f"lost: {former}"


def show_relabelled(rounds, names):
    """What each round changed in images that were adopted before, or None; see `tables.make_tables`."""
    rows = [
        (str(number), cells.number(renewed), cells.number(returned), f"{boxes:+d}")
        for number, renewed, returned, boxes in _relabel_rows(rounds)
    ]
    header = ("round", "images with new boxes", "back to the pool", "boxes")
    note = "of images that were adopted without anybody looking at their boxes; boxes: more or fewer of them in the set"
    return cells.Table("Adopted images, relabelled", header, tuple(rows), note=note) if rows else None


def _relabel_rows(rounds):
    """A line per round that relabelled images."""
    relabelled = [(facts.number, facts.relabelled) for facts in rounds if facts.relabelled is not None]
    return [(number, each.renewed, each.returned, each.change.boxes) for number, each in relabelled]


def show_worth(rounds, names):
    """What boxes were worth in each round, or None; see `tables.make_tables`."""
    rows = [
        (
            str(facts.number),
            *(
                names.find(each.name) or each.name,
                cells.number(each.boxes),
                cells.number(each.right),
                cells.number(each.close),
            ),
            *(_share_of(each.right, each.boxes), cells.number(each.objects), cells.number(each.missed), verdict),
        )
        for facts in rounds
        for each, verdict in facts.worth
    ]
    header = ("round", "class", "boxes", "IoU 0.5", "IoU 0.75", "right", "objects", "missed", "verdict")
    required = ", ".join(f"round {facts.number}: {cells.percent(facts.least_worth)}" for facts in rounds if facts.worth)
    note = f"of boxes that nobody has looked at, on the validation images; required: {required}"
    return cells.Table("What boxes are worth", header, tuple(rows), note=note) if rows else None


def _share_of(part, whole):
    return cells.percent(part / whole) if whole else "-"


def _trial_rows(rounds):
    """A line per round that was on trial."""
    return [
        (
            facts.number,
            *(getattr(facts.trial, name) for name in _COLUMNS),
            int(facts.trial.lost),
            *(facts.trial.relabelled, facts.trial.error),
        )
        for facts in rounds
        if facts.trial is not None
    ]


def _worth_rows(rounds, names):
    """A line per round and class, and one for each tenth of the score that has boxes."""
    for facts in rounds:
        for each, verdict in facts.worth:
            name = names.find(each.name) or each.name
            whole = (each.boxes, each.right, each.close, each.objects, each.missed, verdict)
            yield (facts.number, name, None, *whole)
            for row, (boxes, right, close) in enumerate(each.by_score):
                if boxes:
                    yield (facts.number, name, row / len(each.by_score), boxes, right, close, None, None, None)


def write_tables(folder, rounds, names):
    """Writes worth.csv and trials.csv, and relabelled.csv if a round has relabelled images; see `tables.write_tables`.

    Args:
      folder: pathlib.Path of an existing folder.
      rounds: list of `round_facts.RoundFacts`.
      names: `round_facts.ClassNames`.

    Returns:
      The paths.
    """
    sheets.write_csv(folder / "worth.csv", WORTH_HEADER, _worth_rows(rounds, names))
    sheets.write_csv(folder / "trials.csv", TRIAL_HEADER, _trial_rows(rounds))
    paths = [folder / "worth.csv", folder / "trials.csv"]
    relabelled = folder / "relabelled.csv"
    if not (rows := _relabel_rows(rounds)):
        relabelled.unlink(missing_ok=True)
        return paths
    sheets.write_csv(relabelled, RELABEL_HEADER, rows)
    return [*paths, relabelled]
