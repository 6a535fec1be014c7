"""How doubtful a model is about an image: one number from its detections.

Each detection has an uncertainty; their sum, mean or greatest one is the image's. An image without detections has 0:
no rule of this kind ever asks for an image in which the model overlooks everything. Those are reached by random,
stratified and diverse rules.
"""

import math

from tfodhelper import errors
from tfodhelper.active_learning.selection import rules

_ALPHA, _UPPER = 0.3, 0.2  # of difficulty_weight


def least_confidence(score):
    """One less the probability of the likelier answer, "an object of this class" or "none": 0..0.5.

    Of one answer among classes this is 1 - score. A detection has one more answer, the background, and most of those
    kept down to low scores are background: with 1 - score a box that surely is nothing would be the most doubtful.
    """
    return min(score, 1.0 - score)


def margin(lead):
    """One less the lead of the best class over the second best: 0..1 (1-versus-2; Brust et al., arXiv 1809.09875)."""
    return 1.0 - lead


def difficulty_weight(quality):
    """How much more a box counts whose class the model finds badly: 1 (quality 1) to 1.2 (quality 0).

    1 + alpha * beta * ln(1 + gamma * (1 - quality)) with gamma = e^(1/alpha) - 1, alpha 0.3, beta 0.2: the class-wise
    difficulty of PPAL (Yang et al., CVPR 2024, arXiv 2211.11612, section 3.2).

    Args:
      quality: 0..1, the average precision of the class on the validation set.
    """
    return 1.0 + _ALPHA * math.log((math.exp(1.0 / _ALPHA) - 1.0) * (1.0 - quality) + 1.0) * _UPPER


def difficulty_weights(average_precisions):
    """The weights of dcus.

    Args:
      average_precisions: {class name: average precision, 0..1}. None, NaN and negative values say that the validation
        set does not show the class: it counts as the hardest. None instead of the dict: nothing is known of any class.

    Returns:
      A function from class name to weight; it gives 1 for all where nothing is known.
    """
    if average_precisions is None:
        return lambda name: 1.0
    weights = {name: difficulty_weight(_quality(value)) for name, value in average_precisions.items()}
    hardest = difficulty_weight(0.0)
    return lambda name: weights.get(name, hardest)


def is_known(average_precision):
    """Whether the value says anything: not None, not NaN, not negative."""
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
      weight_of: for dcus, of `difficulty_weights`.

    Returns:
      A number from 0; 0 for an image without detections.

    Raises:
      PredictionError: a prediction whose numbers are not finite or do not belong together.
    """
    detections = prediction.found.detections
    _check(prediction, len(detections))
    values = []
    for position, one in enumerate(detections):
        if one.score < score_threshold:
            continue
        if rule == rules.LEAST_CONFIDENCE:
            value = least_confidence(one.score)
        elif rule == rules.MARGIN:
            value = margin(prediction.margins[position])
        else:
            value = prediction.entropies[position]
            if rule == rules.DCUS and weight_of is not None:
                value *= weight_of(one.name)
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
            f"{name}: its scores give no uncertainty",
            expected="finite numbers",
            received=total,
            fix="look whether the training of this round diverged, then predict again",
        )
    return max(total, 0.0)


def _check(prediction, count):
    if not count == len(prediction.margins) == len(prediction.entropies):
        raise errors.PredictionError(
            f"{prediction.name}: the prediction is not whole",
            expected=f"a margin and an entropy for each of {count} detections",
            received=f"{len(prediction.margins)} and {len(prediction.entropies)}",
            fix="predict the pool again",
        )
