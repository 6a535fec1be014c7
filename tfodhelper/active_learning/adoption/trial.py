"""A round that learned from images whose boxes nobody has seen is compared with a model that did without them.

Both are measured on the validation set with the figure by which a training chooses its best checkpoint. With few
images, two trainings differ by chance. So the round loses when its figure is worse by more than the standard error of
the difference on these images explains with one chance in twenty. Where that error is not known, the round loses by
however little; where the figures are equal, or cannot be measured, it does not lose.
"""

import dataclasses

from tfodhelper import errors, spelling
from tfodhelper.active_learning.adoption import class_worth
from tfodhelper.metrics import detection_file, jackknife

CONTROL, LAST = "control", "last"  # with what a round was compared: a second training, or the last round's model

_UNSEEN = ("image with boxes that nobody has seen", "images with boxes that nobody has seen")
SHAPE = {
    "against": str,
    "metric": str,
    "value": (float, None),
    "other": (float, None),
    "lost": bool,
    "images": int,
}


@dataclasses.dataclass(frozen=True)
class Trial:
    """How a round did.

    Attributes:
      against: CONTROL or LAST.
      metric: tag of the figure.
      value: of the round's model; None if it could not be measured.
      other: of the model that it was compared with.
      lost: whether the round lost.
      images: number of adopted images on trial.
      relabelled: number of images that were adopted before, and whose new boxes, or whose removal, are on trial.
      error: standard error of the difference of both figures; None where it is not known, or where the round's figure
        is not the lower one.
    """

    against: str
    metric: str
    value: float | None
    other: float | None
    lost: bool
    images: int
    relabelled: int = 0
    error: float | None = None

    def to_words(self, number):
        """One line on round `number`."""
        other = {CONTROL: "the same training without them", LAST: "the model of the last round"}[self.against]
        kinds = [spelling.count(self.images, *_UNSEEN)] if self.images or not self.relabelled else []
        kinds += [spelling.count(self.relabelled, "relabelled image")] if self.relabelled else []
        images = " and ".join(kinds)
        figures = f"{self.metric} {_figure(self.value)}, {other} {_figure(self.other)}"
        if self.lost:
            by = "" if self.error is None else f" by more than chance explains (standard error {self.error:.4f})"
            outcome = f"lost{by}; {self._returns()}, and the round continues with the other model"
        elif self.value is None or self.other is None:
            outcome = "could not be compared; they stay"
        elif self.error is not None:
            outcome = f"no more than chance explains (standard error {self.error:.4f}); they stay"
        else:
            outcome = "they stay"
        return f"round {number} learned from {images}: {figures}; {outcome}"

    def _returns(self):
        """What goes back after a loss."""
        if not self.relabelled:
            return "they go back to the pool"
        if not self.images:
            return "they get their former boxes back"
        return "the new ones go back to the pool, the relabelled ones get their former boxes back"


def _figure(value):
    return "-" if value is None else f"{value:.4f}"


def is_lost(difference, error):
    """Whether a round that is worse by a difference, above 0, loses.

    Args:
      difference: of both figures.
      error: its standard error, or None.
    """
    return difference > class_worth.Z_95 * (error or 0.0)


def error_of_difference(first_dir, second_dir, metric):
    """The standard error of the difference between two evaluations of the same images.

    Args:
      first_dir, second_dir: folders of the evaluations.
      metric: tag of the figure.

    Returns:
      A number, or None for a figure or files from which it is not known.
    """
    if not jackknife.has_figure(metric):
        return None
    try:
        first, second = (detection_file.read_detections(folder) for folder in (first_dir, second_dir))
    except errors.PredictionError:
        return None
    if (first.image_names, first.names) != (second.image_names, second.names):
        return None
    return jackknife.standard_error(first, second, metric)


def to_facts(trial):
    """Plain values for round.json; without "relabelled" where no image was, and without "error" where there is none."""
    facts = dataclasses.asdict(trial)
    return {name: value for name, value in facts.items() if value or name not in ("relabelled", "error")}


def from_facts(facts):
    """The inverse of `to_facts`."""
    return Trial(
        **{name: facts[name] for name in SHAPE}, relabelled=facts.get("relabelled", 0), error=facts.get("error")
    )
