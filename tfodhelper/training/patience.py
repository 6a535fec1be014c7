"""Ends a training when evaluations stop getting better: --patience and --patience_metric.

How long nothing has improved follows from the stored evaluations alone, so that a resumed training counts on.
"""

import dataclasses

from tfodhelper import errors, families, spelling
from tfodhelper.fields import Losses
from tfodhelper.metrics import build as metrics_build

EVALUATED, TRAINED = "eval/", "train/"  # what the columns of results.csv begin with
_LOSS = "Loss/"


@dataclasses.dataclass(frozen=True)
class Patience:
    """How many evaluations may pass without improvement.

    Attributes:
      num_evaluations: as many end the training.
      metric: a column of results.csv; losses improve when they fall, everything else when it rises.
    """

    num_evaluations: int
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

    def count(self, records):
        """(the best record or None, number of evaluations since then).

        An evaluation in which the metric could not be measured is none with an improvement; before the first value
        nothing is counted.

        Args:
          records: of an `evaluation.History`, oldest first.
        """
        best, since = None, 0
        for record in records:
            value, least = self.value_of(record), None if best is None else self.value_of(best)
            if value is not None and (least is None or (value < least if self.falls else value > least)):
                best, since = record, 0
            elif best is not None:
                since += 1
        return best, since

    def find_end(self, records):
        """Why the training is over, in words; None if it is not."""
        best, since = self.count(records)
        if since < self.num_evaluations:
            return None
        evaluations = spelling.count(since, "evaluation")
        return (
            f"{evaluations} without improvement of {self.metric} (best {self.value_of(best):.4f} at step "
            f"{best['step']}), as --patience={self.num_evaluations} says"
        )


def build_patience(options):
    """The `Patience` of `options.TrainOptions`, or None."""
    if options.patience is None:
        return None
    metric = options.patience_metric
    return Patience(options.patience, metric if metric.startswith((EVALUATED, TRAINED)) else EVALUATED + metric)


def metric_names(pipeline, label_map):
    """The columns of results.csv that a training will have, sorted.

    Args:
      pipeline: a complete `TrainEvalPipelineConfig` message.
      label_map: a `LabelMap`.
    """
    family = families.family_of(pipeline.model)
    losses = [*family.loss_terms(pipeline.model), Losses.TOTAL]
    if pipeline.train_config.add_regularization_loss:
        losses.append(Losses.REGULARIZATION)
    categories = {item.id: item.name for item in label_map}
    tags = [*losses, *metrics_build.build_metrics(pipeline.eval_config, categories).result()]
    if families.PROPOSALS in family.outputs(pipeline.model):
        tags += metrics_build.build_proposal_recall(pipeline.eval_config, categories).result()
    return [TRAINED + tag for tag in sorted(losses)] + [EVALUATED + tag for tag in sorted(tags)]


def check_metric(options, pipeline, label_map):
    """Checks that the metric of --patience_metric will be measured.

    Raises:
      UsageError: it will not; lists the names.
    """
    chosen = build_patience(options)
    if chosen is None:
        return
    names = metric_names(pipeline, label_map)
    if chosen.metric in names:
        return
    # "mAP" is how the summary of a run calls the figure.
    near = [name for name in names if name.rpartition("/")[2] == options.patience_metric]
    near = near or spelling.nearest(chosen.metric, names, count=1)
    raise errors.UsageError(
        f"--patience_metric={options.patience_metric}: there is no such figure",
        expected="one of the columns of results.csv: " + ", ".join(names),
        received=options.patience_metric,
        fix=f"did you mean {near[0]}?" if near else None,
    )
