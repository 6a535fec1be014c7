"""The rules by which images of the pool are chosen, by name, and their options."""

import dataclasses

from tfodhelper import errors, options

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


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChoiceOptions(options.Options):
    """The options of a selection that a user sets.

    Attributes:
      budget: None or 0 for all.
      budget_unit: under "boxes", an image costs the number of its detections with `box_threshold` or more, at least 1.
      aggregate: a sum prefers crowded images; where the budget counts boxes, mean is fairer.
      uncertainty: the first stage of two-stage, and the recorded score under rules without an uncertainty of their own.
      class_balance: each class weighs (labelled images of the most frequent class / of it) ** class_balance.
    """

    title = "Selection"

    rule: str = options.option(AUTO, "How images of the pool are chosen.", choices=EXPLANATIONS)
    budget: int | None = options.option(
        100,
        "How many images or boxes the oracle is asked about in each round; 0 asks about the whole pool. In a new "
        "workspace, 100 when omitted, or 0 with --oracle=image_label.",
        least=0,
    )
    budget_unit: str = options.option("images", "What the budget counts.", choices=BUDGET_UNITS)
    aggregate: str = options.option(
        "sum", "How the uncertainties of an image's detections are combined.", choices=AGGREGATES
    )
    uncertainty: str = options.option(DCUS, "Which uncertainty the rule two-stage begins with.", choices=UNCERTAINTIES)
    class_balance: float = options.option(
        0.0,
        "How strongly rare classes are preferred: 0 not at all, 1 in proportion to their rarity.",
        least=0,
        most=_MOST_BALANCE,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectOptions(ChoiceOptions):
    """All options of a selection.

    Attributes:
      score_threshold: detections below it are ignored.
      found_threshold: the minimum score for a class to count as found in an image, for strata and class balance.
      box_threshold: the minimum score for a detection to count as a box to be labelled.
      seed: the same seed draws differently in each round.
      expand: candidates for diversity, as a multiple of the budget.
      max_candidates: maximum number of images among which k-means++ and k-center choose; from a larger pool, that many
        are drawn at random.
      small_set: labelled images below which auto means stratified-diverse.
    """

    title = "Selection"

    seed: int = options.seed_option()
    score_threshold: float = 0.05
    found_threshold: float = 0.2
    box_threshold: float = 0.5
    expand: int = 4
    max_candidates: int = 20_000
    small_set: int = 300

    def check(self):
        """Raises UsageError for an invalid value of a field that is not an option; returns the options."""
        for name in ("score_threshold", "found_threshold", "box_threshold"):
            _expect(0 <= getattr(self, name) <= 1, name, getattr(self, name), "a score between 0 and 1")
        for name in ("expand", "max_candidates"):
            _expect(_is_whole(getattr(self, name), 1), name, getattr(self, name), "an integer of at least 1")
        _expect(_is_whole(self.small_set, 0), "small_set", self.small_set, "an integer of at least 0")
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
