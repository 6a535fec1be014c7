"""The rules by which images of the pool are chosen, by name, and what may be set about them."""

import dataclasses
import math

from tfodhelper import errors

AUTO, RANDOM, STRATIFIED = "auto", "random", "stratified"
LEAST_CONFIDENCE, MARGIN, ENTROPY, DCUS = "least-confidence", "margin", "entropy", "dcus"
K_MEANS, K_CENTER, STRATIFIED_DIVERSE, TWO_STAGE = "k-means++", "k-center", "stratified-diverse", "two-stage"

UNCERTAINTIES = (LEAST_CONFIDENCE, MARGIN, ENTROPY, DCUS)
NEED_FEATURES = (K_MEANS, K_CENTER, STRATIFIED_DIVERSE, TWO_STAGE)
AGGREGATES = ("sum", "mean", "max")
BUDGET_UNITS = ("images", "boxes")

EXPLANATIONS = {
    AUTO: "stratified-diverse while the labelled set is small (below 300 images), two-stage afterwards",
    RANDOM: "every image is as likely as any other: the yardstick of all rules, and hard to beat",
    STRATIFIED: "as many images of each predicted class, drawn at random; nothing found counts as a class",
    LEAST_CONFIDENCE: "boxes of which it is least sure that they are, or are not, an object of their class",
    MARGIN: "boxes whose two best classes lie closest together",
    ENTROPY: "boxes whose class scores are spread most evenly (entropy, in nats)",
    DCUS: "entropy, counted up to 1.2 times for classes with a low average precision on the validation set",
    K_MEANS: "images whose features differ: each is drawn with the squared distance to what is labelled or chosen",
    K_CENTER: "images whose features differ: each is the farthest one from what is labelled or chosen; finds outliers",
    STRATIFIED_DIVERSE: "as many images of each predicted class, and among those of a class images that differ",
    TWO_STAGE: "the most doubtful images, four times the budget, and among them images that differ",
}
RULES = tuple(EXPLANATIONS)


def explain(rule):
    """One line on what a rule chooses."""
    return EXPLANATIONS[rule]


@dataclasses.dataclass(frozen=True)
class SelectOptions:
    """What may be set about a selection.

    Attributes:
      rule: one of `RULES`.
      budget: how many images or boxes to choose; None or 0: all.
      budget_unit: "images", or "boxes": an image costs its detections with at least `box_threshold`, one at the least.
      aggregate: how the uncertainties of the boxes make the one of an image: sum, mean, max. A sum prefers crowded
        images; where the budget counts boxes, mean is the fairer one.
      uncertainty: one of `UNCERTAINTIES`: the first stage of two-stage, and the recorded score under rules that have
        no uncertainty of their own.
      score_threshold: detections below it are not looked at.
      found_threshold: the score from which a class counts as found in an image, for strata and class balance.
      box_threshold: the score from which a detection counts as a box to be labelled.
      class_balance: 0 = off; each class weighs (labelled images of the most frequent class / of it) ** class_balance.
      seed: of all that is drawn. The same seed draws anew in each round.
      expand: candidates for diversity, as a multiple of the budget.
      max_candidates: images at most among which k-means++ and k-center choose; of a larger pool, so many at random.
      small_set: labelled images below which auto means stratified-diverse.
    """

    rule: str = AUTO
    budget: int | None = 100
    budget_unit: str = "images"
    aggregate: str = "sum"
    uncertainty: str = DCUS
    score_threshold: float = 0.05
    found_threshold: float = 0.2
    box_threshold: float = 0.5
    class_balance: float = 0.0
    seed: int = 0
    expand: int = 4
    max_candidates: int = 20_000
    small_set: int = 300

    def check(self):
        """Raises UsageError for a value that cannot be meant; returns the options."""
        for name, known in (
            ("rule", RULES),
            ("budget_unit", BUDGET_UNITS),
            ("aggregate", AGGREGATES),
            ("uncertainty", UNCERTAINTIES),
        ):
            _expect(getattr(self, name) in known, name, getattr(self, name), "one of " + ", ".join(known))
        for name in ("score_threshold", "found_threshold", "box_threshold"):
            _expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a score between 0 and 1")
        _expect(self.budget is None or _is_whole(self.budget, 0), "budget", self.budget, "a whole number; 0 takes all")
        _expect(_is_whole(self.seed), "seed", self.seed, "a whole number")
        for name in ("expand", "max_candidates"):
            _expect(_is_whole(getattr(self, name), 1), name, getattr(self, name), "a whole number from 1")
        _expect(_is_whole(self.small_set, 0), "small_set", self.small_set, "a whole number")
        balance = self.class_balance
        _expect(math.isfinite(balance) and balance >= 0, "class_balance", balance, "a number from 0 (off); 1 is strong")
        return self

    @property
    def takes_all(self):
        """Whether the budget has no end."""
        return not self.budget

    @property
    def counts_boxes(self):
        """Whether the budget is in boxes."""
        return self.budget_unit == "boxes"


def _is_whole(value, least=None):
    return isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least)


def _expect(is_so, name, value, expected):
    if not is_so:
        raise errors.UsageError(f"--{name}={value}: this cannot be used", expected=expected, received=value)
