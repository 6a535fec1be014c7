"""Which evaluation of a training is the best: --best_metric.

The decision is stored with each evaluation, so that it stays what it was when a training is resumed with another
figure: the folder `best` holds the weights of the last evaluation that was marked.
"""

import dataclasses

from tfodhelper import run_layout, spelling

EVALUATED, TRAINED = "eval/", "train/"  # what the columns of results.csv begin with
_LOSS = "Loss/"
MAP = "eval/DetectionBoxes_Precision/mAP"  # the default, by which versions without marks compared as well


@dataclasses.dataclass(frozen=True)
class BestMetric:
    """A figure by which evaluations are compared.

    Attributes:
      metric: a column of results.csv; losses improve when they fall, everything else when it rises.
    """

    metric: str

    @property
    def falls(self):
        """Whether lower is better."""
        return self.metric.removeprefix(EVALUATED).removeprefix(TRAINED).startswith(_LOSS)

    def value_of(self, record):
        """The value of the metric in a record of an evaluation; None if it could not be measured."""
        if self.metric.startswith(TRAINED):
            return record.get("train", {}).get(self.metric.removeprefix(TRAINED))
        return record["metrics"].get(self.metric.removeprefix(EVALUATED))

    def improves(self, record, best):
        """Whether a record is better than the best one so far; it is not where its figure could not be measured.

        Args:
          record: of an `evaluation.History`.
          best: another one, or None.
        """
        value, least = self.value_of(record), None if best is None else self.value_of(best)
        if value is None or least is None:
            return value is not None
        return value < least if self.falls else value > least


def describe_value(best):
    """By which figure a record is the best one so far, in words."""
    by = BestMetric(best.get(run_layout.BEST_BY) or MAP)
    return f"{by.metric} {by.value_of(best):.4f} at step {best['step']}"


def describe(records, metric):
    """Which of the evaluations is the best one and why, in words.

    Args:
      records: of an `evaluation.History`, at least one.
      metric: the `BestMetric` of the training, which may have had another one before.
    """
    best = run_layout.best_of(records)
    if best is None:
        return f"best: step {records[-1]['step']}, the last one, since {metric.metric} could not be measured"
    by = BestMetric(best.get(run_layout.BEST_BY) or MAP)
    superlative, evaluations = "lowest" if by.falls else "highest", spelling.count(len(records), "evaluation")
    return f"best: step {best['step']}, the {superlative} {by.metric} of {evaluations} ({by.value_of(best):.4f})"


def build_best_metric(options):
    """The `BestMetric` of `options.TrainOptions`."""
    metric = options.best_metric
    return BestMetric(metric if metric.startswith((EVALUATED, TRAINED)) else EVALUATED + metric)
