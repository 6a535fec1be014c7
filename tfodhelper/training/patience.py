"""Ends a training when evaluations stop getting better: --patience, by the figure of --best_metric.

How long nothing has improved follows from the stored evaluations alone, so that a resumed training counts on.
"""

import dataclasses

from tfodhelper import errors, families, spelling
from tfodhelper.fields import Losses
from tfodhelper.metrics import build as metrics_build
from tfodhelper.training import best as best_metrics
from tfodhelper.training.best import EVALUATED, TRAINED


@dataclasses.dataclass(frozen=True)
class Patience:
    """How many evaluations may pass without improvement.

    Attributes:
      num_evaluations: as many end the training.
      by: `best.BestMetric`.
    """

    num_evaluations: int
    by: best_metrics.BestMetric

    def count(self, records):
        """(the best record or None, number of evaluations since then).

        An evaluation in which the metric could not be measured is none with an improvement; before the first value
        nothing is counted.

        Args:
          records: of an `evaluation.History`, oldest first.
        """
        best, since = None, 0
        for record in records:
            if self.by.improves(record, best):
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
            f"{evaluations} without improvement of {self.by.metric} (best {self.by.value_of(best):.4f} at step "
            f"{best['step']}), as --patience={self.num_evaluations} says"
        )


def build_patience(options):
    """The `Patience` of `options.TrainOptions`, or None."""
    if options.patience is None:
        return None
    return Patience(options.patience, best_metrics.build_best_metric(options))


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
    """Checks that the figure of --best_metric will be measured.

    Raises:
      UsageError: it will not; lists the names.
    """
    chosen = best_metrics.build_best_metric(options).metric
    if chosen == best_metrics.MAP:  # always measured
        return
    names = metric_names(pipeline, label_map)
    if chosen in names:
        return
    # "mAP" is how the summary of a run calls the figure.
    near = [name for name in names if name.rpartition("/")[2] == options.best_metric]
    near = near or spelling.nearest(chosen, names, count=1)
    raise errors.UsageError(
        f"--best_metric={options.best_metric}: there is no such figure",
        expected="one of the columns of results.csv: " + ", ".join(names),
        received=options.best_metric,
        fix=f"did you mean {near[0]}?" if near else None,
    )
