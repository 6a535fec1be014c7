"""What the parts of active learning hand to each other, as plain immutable values."""

import dataclasses

import numpy as np

from tfodhelper.annotations import structures
from tfodhelper.prediction.detections import ImageDetections

ADOPTED, REFUSED, WAITING = "adopted", "refused", "waiting"  # verdicts of an oracle
# What a verdict is called once a round is over: who was waited for and did not answer.
NAME_OF_VERDICT = {ADOPTED: ADOPTED, REFUSED: REFUSED, WAITING: "unanswered"}


@dataclasses.dataclass(frozen=True)
class PoolImage:
    """An image of the pool.

    Attributes:
      name: its own name in the workspace: a relative POSIX path, unique.
      path: the user's file.
      classes: all classes that the image is known to show (image-level labels); None when nobody said.
    """

    name: str
    path: str
    classes: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Attributes:
      name: of the `PoolImage`.
      found: detections, in descending order of score.
      margins: for each detection the best class score less the second best one, 0..1.
      entropies: for each detection the entropy of its class scores, nats.
      features: float32 [D], pooled features of the backbone, or None when the model gives none.
    """

    name: str
    found: ImageDetections
    margins: tuple[float, ...]
    entropies: tuple[float, ...]
    features: np.ndarray | None = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Edits:
    """What a person changed in a draft: the label cost of an image, in boxes.

    Attributes:
      kept: boxes left as they were.
      moved: boxes of the same class at another place or of another size.
      relabelled: boxes that got another class.
      added: boxes that the draft did not have.
      deleted: boxes of the draft that are gone.
    """

    kept: int = 0
    moved: int = 0
    relabelled: int = 0
    added: int = 0
    deleted: int = 0

    def __add__(self, other):
        return Edits(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other))))


@dataclasses.dataclass(frozen=True)
class Question:
    """An image about which an oracle is asked.

    Attributes:
      image: of the pool.
      prediction: what the model of the round says of it.
    """

    image: PoolImage
    prediction: Prediction


@dataclasses.dataclass(frozen=True)
class Answer:
    """What an oracle says of an image.

    Attributes:
      name: of the `PoolImage`.
      verdict: ADOPTED with an annotation, REFUSED (the image stays in the pool), or WAITING for a person.
      annotation: boxes in pixels of the stored image; a negative has none. None unless adopted.
      reason: why it was refused or waits, in a few words; the same words for the same reason.
      edits: against the prediction, where a person or a simulated one answered; else None.
      scores: of the adopted boxes that are detections as they were predicted, in the order of the boxes; None for a
        box that somebody drew or changed.
    """

    name: str
    verdict: str
    annotation: structures.Annotation | None = None
    reason: str = ""
    edits: Edits | None = None
    scores: tuple[float | None, ...] = ()
