"""A round that learned from images whose boxes nobody has seen is compared with a model that did without them.

Both are measured on the validation set with the figure by which a training chooses its best checkpoint. The round loses
when its figure is worse, by however little: its images only go back to the pool, where the next model finds better
boxes, while wrong boxes would stay. Where the figures are equal, or cannot be measured, it does not lose.
"""

import dataclasses

from tfodhelper import spelling

CONTROL, LAST = "control", "last"  # with what a round was compared: a second training, or the last round's model

_PLURAL = "images with boxes that nobody has seen"
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
      images: number of images on trial.
    """

    against: str
    metric: str
    value: float | None
    other: float | None
    lost: bool
    images: int

    def to_words(self, number):
        """One line on round `number`."""
        other = {CONTROL: "the same training without them", LAST: "the model of the last round"}[self.against]
        images = spelling.count(self.images, "image with boxes that nobody has seen", _PLURAL)
        figures = f"{self.metric} {_figure(self.value)}, {other} {_figure(self.other)}"
        if self.lost:
            outcome = "lost; they go back to the pool, and the round continues with the other model"
        elif self.value is None or self.other is None:
            outcome = "could not be compared; they stay"
        else:
            outcome = "they stay"
        return f"round {number} learned from {images}: {figures}; {outcome}"


def _figure(value):
    return "-" if value is None else f"{value:.4f}"


def to_facts(trial):
    """Plain values for round.json."""
    return dataclasses.asdict(trial)


def from_facts(facts):
    """The inverse of `to_facts`."""
    return Trial(**{field.name: facts[field.name] for field in dataclasses.fields(Trial)})
