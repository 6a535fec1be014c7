"""How uncertain a model is about an image: one number from its detections.

Each detection has an uncertainty; their sum, mean or maximum is the image's. An image without detections has 0: no rule
of this kind ever asks for an image in which the model misses everything. Random, stratified and diverse rules reach
those.
"""

import math

from tfodhelper import errors, spelling
from tfodhelper.active_learning.selection import rules

_ALPHA, _UPPER = 0.3, 0.2  # of difficulty_weight


def least_confidence(score):
    """One minus the probability of the likelier answer, "an object of this class" or "none": 0..0.5.

    For an answer among classes alone, this would be 1 - score. A detection has another possible answer, the background,
    and most of those kept down to low scores are background: with 1 - score, a box that is certainly nothing would be
    the most uncertain.
    """
    return min(score, 1.0 - score)


def margin(lead):
    """One minus the lead of the best class over the second best: 0..1 (1-versus-2; Brust et al., arXiv 1809.09875)."""
    return 1.0 - lead


def difficulty_weight(quality):
    """How much more a box counts whose class the model detects poorly: 1 (quality 1) to 1.2 (quality 0).

    1 + alpha * beta * ln(1 + gamma * (1 - quality)) with gamma = e^(1/alpha) - 1, alpha 0.3, beta 0.2: the class-wise
    difficulty of PPAL (Yang et al., CVPR 2024, arXiv 2211.11612, section 3.2).

    Args:
      quality: 0..1, the average precision of the class on the validation set.
    """
    return 1.0 + _ALPHA * math.log((math.exp(1.0 / _ALPHA) - 1.0) * (1.0 - quality) + 1.0) * _UPPER


def difficulty_weights(average_precisions):
    """The weights of dcus.

    Args:
      average_precisions: {class name: average precision, 0..1}. None, NaN and negative values mean that the validation
        set does not show the class: it counts as the hardest. None instead of the dict: no class is known.

    Returns:
      A function from class name to weight; it returns 1 for all classes where nothing is known.
    """
    if average_precisions is None:
        return lambda name: 1.0
    weights = {name: difficulty_weight(_quality(value)) for name, value in average_precisions.items()}
    hardest = difficulty_weight(0.0)
    return lambda name: weights.get(name, hardest)


def is_known(average_precision):
    """Whether the value is meaningful: not None, not NaN, not negative."""
    return average_precision is not None and average_precision >= 0


def _quality(value):
    return min(float(value), 1.0) if is_known(value) else 0.0


def score_image(prediction, rule, aggregate="sum", score_threshold=0.05, weight_of=None):
    """The uncertainty of one image.

    Args:
      prediction: `Prediction`.
      rule: one of `rules.UNCERTAINTIES`.
      aggregate: one of `rules.AGGREGATES`, over the detections.
      score_threshold: detections below it do not count.
      weight_of: for dcus, from `difficulty_weights`.

    Returns:
      A number >= 0; 0 for an image without detections.

    Raises:
      PredictionError: the numbers of the prediction are not finite, or some are missing.
    """
    detections = prediction.found.detections
    _check(prediction, len(detections))
    values = []
    for position, detection in enumerate(detections):
        if detection.score < score_threshold:
            continue
        if rule == rules.LEAST_CONFIDENCE:
            value = least_confidence(detection.score)
        elif rule == rules.MARGIN:
            value = margin(prediction.margins[position])
        else:
            value = prediction.entropies[position]
            if rule == rules.DCUS and weight_of is not None:
                value *= weight_of(detection.name)
        values.append(value)
    return _aggregate(values, aggregate, prediction.name)


def _aggregate(values, aggregate, name):
    if not values:
        return 0.0
    if aggregate == "max":
        total = max(values)
    else:
        total = math.fsum(values) / (len(values) if aggregate == "mean" else 1)
    if not math.isfinite(total):
        raise errors.PredictionError(
            f"{name}: its uncertainty cannot be computed from its scores",
            expected="finite numbers",
            received=total,
            fix="check whether this round's training diverged, then predict again",
        )
    return max(total, 0.0)


def _check(prediction, count):
    if not count == len(prediction.margins) == len(prediction.entropies):
        raise errors.PredictionError(
            f"{prediction.name}: the prediction is incomplete",
            expected=f"a margin and an entropy for each of {spelling.count(count, 'detection')}",
            received=f"{len(prediction.margins)} and {len(prediction.entropies)}",
            fix="predict the pool again",
        )
