"""The rules by which images of the pool are chosen, by name, and their options."""

import dataclasses

from tfodhelper import errors

AUTO, RANDOM, STRATIFIED = "auto", "random", "stratified"
LEAST_CONFIDENCE, MARGIN, ENTROPY, DCUS = "least-confidence", "margin", "entropy", "dcus"
K_MEANS, K_CENTER, STRATIFIED_DIVERSE, TWO_STAGE = "k-means++", "k-center", "stratified-diverse", "two-stage"

UNCERTAINTIES = (LEAST_CONFIDENCE, MARGIN, ENTROPY, DCUS)
NEED_FEATURES = (K_MEANS, K_CENTER, STRATIFIED_DIVERSE, TWO_STAGE)
AGGREGATES = ("sum", "mean", "max")
BUDGET_UNITS = ("images", "boxes")
_MOST_BALANCE = 10  # at 1, classes weigh in proportion to their rarity

EXPLANATIONS = {
    AUTO: "stratified-diverse while the labelled set is small (below 300 images), two-stage afterwards",
    RANDOM: "all images are equally likely: the baseline for all rules, and hard to beat",
    STRATIFIED: "the same number of images of each predicted class, at random; nothing found counts as a class",
    LEAST_CONFIDENCE: "images with boxes whose score is near 0.5: an object or not",
    MARGIN: "images with boxes whose two best classes have the closest scores",
    ENTROPY: "images with boxes whose class scores are spread most evenly",
    DCUS: "like entropy, but classes with a low average precision on validation images count up to 1.2 times",
    K_MEANS: "images that look different: drawn by the squared distance of features to all labelled and chosen ones",
    K_CENTER: "images that look different: always the one farthest from all labelled and chosen ones; finds outliers",
    STRATIFIED_DIVERSE: "the same number of images of each predicted class, chosen to look different",
    TWO_STAGE: "those of the most doubtful images (dcus, four times the budget) that look different",
}
RULES = tuple(EXPLANATIONS)


def explain(rule):
    """One line on what a rule chooses."""
    return EXPLANATIONS[rule]


@dataclasses.dataclass(frozen=True)
class SelectOptions:
    """The options of a selection.

    Attributes:
      rule: one of `RULES`.
      budget: how many images or boxes to choose; None or 0 for all.
      budget_unit: "images", or "boxes": an image costs the number of its detections with `box_threshold` or more,
        and at least 1.
      aggregate: how the uncertainties of the boxes are combined into that of an image: sum, mean, max. A sum prefers
        crowded images; where the budget counts boxes, mean is fairer.
      uncertainty: one of `UNCERTAINTIES`: the first stage of two-stage, and the recorded score under rules without an
        uncertainty of their own.
      score_threshold: detections below it are ignored.
      found_threshold: the minimum score for a class to count as found in an image, for strata and class balance.
      box_threshold: the minimum score for a detection to count as a box to be labelled.
      class_balance: 0 = off; each class weighs (labelled images of the most frequent class / of it) ** class_balance.
      seed: of everything that is drawn. The same seed draws differently in each round.
      expand: candidates for diversity, as a multiple of the budget.
      max_candidates: maximum number of images among which k-means++ and k-center choose; from a larger pool, that many
        are drawn at random.
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
        """Raises UsageError for an invalid value; returns the options."""
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
        _expect(0 <= balance <= _MOST_BALANCE, "class_balance", balance, f"a number from 0 (off) to {_MOST_BALANCE}")
        return self

    @property
    def takes_all(self):
        """Whether the budget is unlimited."""
        return not self.budget

    @property
    def counts_boxes(self):
        """Whether the budget is in boxes."""
        return self.budget_unit == "boxes"


def _is_whole(value, least=None):
    return isinstance(value, int) and not isinstance(value, bool) and (least is None or value >= least)


def _expect(is_valid, name, value, expected):
    if not is_valid:
        raise errors.UsageError(f"--{name}={value}: invalid value", expected=expected, received=value)
