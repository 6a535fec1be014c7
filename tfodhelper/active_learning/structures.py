"""The plain immutable values that the parts of active learning exchange."""

import dataclasses

import numpy as np

from tfodhelper.annotations import structures
from tfodhelper.prediction.detections import ImageDetections

ADOPTED, REFUSED, WAITING = "adopted", "refused", "waiting"  # verdicts of an oracle
# Names of the verdicts once a round is over: whoever was waited for did not answer.
NAME_OF_VERDICT = {ADOPTED: ADOPTED, REFUSED: REFUSED, WAITING: "unanswered"}


@dataclasses.dataclass(frozen=True)
class PoolImage:
    """An image of the pool.

    Attributes:
      name: unique name in the workspace: a relative POSIX path.
      path: the user's file.
      classes: all classes that the image is known to show (image-level labels); None when unknown.
    """

    name: str
    path: str
    classes: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Prediction:
    """A model's prediction for one image.

    Attributes:
      name: of the `PoolImage`.
      found: detections, in descending order of score.
      margins: for each detection, the best class score minus the second best, 0..1.
      entropies: for each detection, the entropy of its class scores, in nats.
      features: float32 [D], pooled features of the backbone, or None when the model has none.
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
      kept: boxes left unchanged.
      moved: boxes of the same class that were moved or resized.
      relabelled: boxes whose class was changed.
      added: boxes that were not in the draft.
      deleted: boxes of the draft that were removed.
      ignored: boxes of the draft that became ignored regions, wherever they are now.
    """

    kept: int = 0
    moved: int = 0
    relabelled: int = 0
    added: int = 0
    deleted: int = 0
    ignored: int = 0

    def __add__(self, other: "Edits") -> "Edits":
        return Edits(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other))))


@dataclasses.dataclass(frozen=True)
class Question:
    """An image about which an oracle is asked.

    Attributes:
      image: of the pool.
      prediction: what the round's model predicts for it.
    """

    image: PoolImage
    prediction: Prediction


@dataclasses.dataclass(frozen=True)
class Answer:
    """An oracle's answer for one image.

    Attributes:
      name: of the `PoolImage`.
      verdict: ADOPTED with an annotation, REFUSED (the image stays in the pool), or WAITING for a person.
      annotation: boxes in pixels of the stored image; a negative image has no boxes. None unless adopted.
      reason: why it was refused or waits, in a few words; always the same words for the same reason.
      edits: changes to the prediction, where a real or a simulated person answered; otherwise None.
      scores: one for each adopted box: the score of the detection that was adopted unchanged, or is an ignored region
        in its place; None for a box that was drawn or changed.
      seconds: that a person spent on the image, where they were measured; otherwise None.
    """

    name: str
    verdict: str
    annotation: structures.Annotation | None = None
    reason: str = ""
    edits: Edits | None = None
    scores: tuple[float | None, ...] = ()
    seconds: float | None = None

    @property
    def is_unseen(self) -> bool:
        """Whether boxes are adopted that nobody has looked at: an answer of a person has edits."""
        return self.annotation is not None and bool(self.annotation.boxes) and self.edits is None
