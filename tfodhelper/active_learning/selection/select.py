"""Chooses the images of the pool that are worth labelling next.

The predictions stream by once, and once more where features are compared; what is kept is bounded by the budget (or
by `SelectOptions.max_candidates`), not by the pool. The choice depends only on the predictions, the options and the
number of the round, whatever the order of the pool. A random choice is recorded for comparison.
"""

import collections

import numpy as np

from tfodhelper import errors, spelling
from tfodhelper.active_learning.selection import candidates, diversity, rules, strata, uncertainty
from tfodhelper.active_learning.selection.rules import AGGREGATES, RULES, UNCERTAINTIES, SelectOptions, explain
from tfodhelper.active_learning.selection.selection import (
    Chosen,
    Selection,
    open_scores,
    read_selection,
    write_selection,
)

__all__ = [
    "AGGREGATES",
    "RULES",
    "UNCERTAINTIES",
    "Chosen",
    "SelectOptions",
    "Selection",
    "explain",
    "needs_labelled_features",
    "read_selection",
    "select",
    "write_selection",
]


def select(
    predictions,
    options,
    *,
    round_number,
    class_counts,
    average_precisions=None,
    labelled_features=None,
    num_labelled=None,
    scores_path=None,
):
    """Chooses images under a budget.

    Args:
      predictions: a function without arguments that returns a fresh iterator of `Prediction`s with unique names.
      options: `SelectOptions`.
      round_number: from 1; each round draws differently.
      class_counts: {class name: labelled images that show it}, all classes.
      average_precisions: {class name: AP at IoU 0.5 on the validation set, or None}, for dcus; None: unknown.
      labelled_features: [n, D] of the labelled images, which diverse rules avoid; None: unknown.
      num_labelled: number of labelled images, for auto; None: as many as show the most frequent class.
      scores_path: a CSV file for the scores of all predictions (name,score,boxes,best_class,best_score), or None.

    Returns:
      `Selection`.

    Raises:
      UsageError: an option is invalid.
      PredictionError: a prediction lacks what the rule needs; the error names it.
    """
    options.check()
    if num_labelled is None:
        num_labelled = max(class_counts.values(), default=0)
    rule, notes = _resolve(options, num_labelled, predictions)
    survey = _Survey(rule, options, round_number, class_counts, average_precisions)
    with open_scores(scores_path) as write:
        for prediction in predictions():
            write(survey.see(prediction))
    chosen = _choose(survey, predictions, labelled_features)
    notes += _remarks(survey, chosen, average_precisions)
    chosen = _to_chosen(chosen)
    random = chosen if options.takes_all else _to_chosen(candidates.fill(survey.at_random.in_order(), options))
    return Selection(
        options=options,
        round_number=round_number,
        rule_used=rule,
        note=" ".join(notes),
        chosen=chosen,
        random=random,
        num_candidates=survey.num_seen,
        strata=dict(sorted(survey.sizes.items())),
    )


def needs_labelled_features(options, num_labelled):
    """Whether the rule avoids images like the labelled ones, and so needs the features of those."""
    return not options.takes_all and _rule_for(options, num_labelled) in rules.NEED_FEATURES


def _rule_for(options, num_labelled):
    if options.rule != rules.AUTO:
        return options.rule
    return rules.STRATIFIED_DIVERSE if num_labelled < options.small_set else rules.TWO_STAGE


def _resolve(options, num_labelled, predictions):
    """(the rule to use, notes)."""
    rule = _rule_for(options, num_labelled)
    if options.rule != rules.AUTO:
        return rule, []
    is_small = num_labelled < options.small_set
    labelled = spelling.count(num_labelled, "labelled image is", "labelled images are")
    reason = f"{labelled} {'fewer than' if is_small else 'at least'} {options.small_set}"
    first = next(iter(predictions()), None)
    if first is not None and first.features is None:
        rule = rules.STRATIFIED if is_small else options.uncertainty
        reason += ", and the model has no features to compare"
    return rule, [f"auto chose {rule}: {reason}."]


class _Survey:
    """One pass over the pool: what the rule may choose from, and a random choice.

    Args:
      rule: any but auto.
      options, round_number, class_counts, average_precisions: of `select`.
    """

    def __init__(self, rule, options, round_number, class_counts, average_precisions):
        self.rule, self.options, self.round_number = rule, options, round_number
        self.classes = strata.Classes(class_counts, options.class_balance)
        self.num_seen = 0
        self.sizes = collections.Counter()  # {stratum: images}
        self.fitting = collections.Counter()  # those that fit into a budget of boxes
        self.at_random = candidates.Smallest(options.budget)
        self._queues = {}
        self._size = self._queue_size(len(class_counts) + 1)
        self._uncertainty = rule if rule in rules.UNCERTAINTIES else options.uncertainty
        self._difficulty = uncertainty.difficulty_weights(average_precisions)
        self._chances = candidates.Chances(options.seed, round_number)

    def _queue_size(self, num_strata):
        options = self.options
        if options.takes_all:
            return None
        if self.rule in (rules.K_MEANS, rules.K_CENTER):
            return max(options.budget, options.max_candidates)
        if self.rule == rules.TWO_STAGE:
            return options.expand * options.budget
        if self.rule == rules.STRATIFIED_DIVERSE:
            return max(options.budget, min(options.expand * options.budget, options.max_candidates // num_strata))
        return options.budget

    def see(self, prediction):
        """Registers a prediction; returns its `Candidate`."""
        candidate = self._to_candidate(prediction)
        self.num_seen += 1
        self.sizes[candidate.stratum] += 1
        if self.options.takes_all or not self.options.counts_boxes or candidate.boxes <= self.options.budget:
            self.fitting[candidate.stratum] += 1
            if not self.options.takes_all:
                self.at_random.offer((candidate.chance, candidate.name), candidate)
            self._offer(candidate)
        return candidate

    def _offer(self, candidate):
        is_stratified = self.rule in (rules.STRATIFIED, rules.STRATIFIED_DIVERSE)
        key = candidate.stratum if is_stratified else None
        if key not in self._queues:
            self._queues[key] = candidates.Smallest(self._size)
        by_score = self.rule in rules.UNCERTAINTIES or self.rule == rules.TWO_STAGE
        self._queues[key].offer(candidate.rank_by_score() if by_score else candidate.rank_at_random(), candidate)

    def _to_candidate(self, prediction):
        options = self.options
        score = uncertainty.score_image(
            prediction, self._uncertainty, options.aggregate, options.score_threshold, self._difficulty
        )
        boxes, best_scores = 0, {}
        for detection in prediction.found.detections:
            boxes += detection.score >= options.box_threshold
            if detection.score >= options.found_threshold:
                best_scores.setdefault(detection.name, detection.score)  # the best one comes first
        best = next(iter(prediction.found.detections), None)
        return candidates.Candidate(
            name=prediction.name,
            score=score,
            weight=self.classes.image_weight(best_scores),
            boxes=max(boxes, 1),
            best_class=best.name if best else None,
            best_score=float(best.score) if best else 0.0,
            stratum=self.classes.stratum_of(best_scores),
            chance=self._chances.of(prediction.name),
        )

    def queue(self):
        """Candidates in the order of the rule."""
        return self._queues[None].in_order() if None in self._queues else []

    def queues(self):
        """{stratum: candidates in a random order}."""
        return {name: queue.in_order() for name, queue in self._queues.items()}

    def turns(self):
        """Fresh `strata.Turns` of the strata in the pool."""
        weights = strata.stratum_weights(self.fitting, self.classes)
        return strata.Turns(weights, candidates.Chances(self.options.seed, self.round_number, "stratum"))

    def seed(self):
        """The seed of k-means++."""
        return candidates.Chances(self.options.seed, self.round_number, "k-means++").whole()


def _choose(survey, predictions, labelled_features):
    """list of `Candidate`s in the order of choice."""
    rule, options = survey.rule, survey.options
    if rule in (rules.STRATIFIED, rules.STRATIFIED_DIVERSE):
        queues = survey.queues()
        dealt = strata.deal(queues, survey.turns(), options)
        if rule == rules.STRATIFIED or options.takes_all:
            return dealt
        shares = collections.Counter(candidate.stratum for candidate in dealt)
        pool = [candidate for name, queue in queues.items() for candidate in queue[: options.expand * shares[name]]]
    else:
        pool = survey.queue()
        if rule not in rules.NEED_FEATURES or options.takes_all:
            return candidates.fill(pool, options)
        if rule == rules.TWO_STAGE:
            pool = _cut(pool, options)
    return _choose_diverse(survey, sorted(pool, key=lambda candidate: candidate.name), predictions, labelled_features)


def _cut(pool, options):
    """The best of the first stage, worth `expand` times the budget."""
    costs = np.cumsum([strata.cost_of(candidate, options) for candidate in pool])
    return pool[: int(np.searchsorted(costs, options.expand * options.budget)) + 1]


def _choose_diverse(survey, pool, predictions, labelled_features):
    options = survey.options
    if not pool:
        return []
    features = diversity.gather(predictions(), {candidate.name: row for row, candidate in enumerate(pool)}, survey.rule)
    known = _known(labelled_features, features)
    weights = [candidate.weight for candidate in pool]
    if survey.rule == rules.STRATIFIED_DIVERSE:
        spread = diversity.Spread(features, weights, known)
        return strata.deal_spread(pool, spread, survey.turns(), options, np.random.default_rng(survey.seed()))
    costs = [strata.cost_of(candidate, options) for candidate in pool]
    if survey.rule == rules.K_CENTER:
        positions = diversity.k_center(features, options.budget, costs=costs, weights=weights, known=known)
    else:
        positions = diversity.k_means_plus_plus(
            features, options.budget, seed=survey.seed(), costs=costs, weights=weights, known=known
        )
    return [pool[position] for position in positions]


def _known(labelled_features, features):
    """Features of the labelled images at unit length, or None."""
    if labelled_features is None or not len(labelled_features):
        return None
    known = np.asarray(labelled_features, np.float32)
    if known.ndim != 2 or known.shape[1] != features.shape[1] or not np.isfinite(known).all():
        raise errors.PredictionError(
            "the features of the labelled images do not match those of the pool",
            expected=f"[n, {features.shape[1]}], finite",
            received=f"{list(known.shape)}" + ("" if np.isfinite(known).all() else ", not finite"),
            fix="predict both with one model",
        )
    return diversity.to_unit_length(known)


def _remarks(survey, chosen, average_precisions):
    """Sentences on what is unusual about a choice."""
    options, remarks = survey.options, []
    uses_dcus = survey.rule == rules.DCUS or (survey.rule == rules.TWO_STAGE and options.uncertainty == rules.DCUS)
    if uses_dcus and not any(uncertainty.is_known(value) for value in (average_precisions or {}).values()):
        remarks.append("No average precisions are known: dcus treats all classes alike, as entropy does.")
    if options.takes_all or len(chosen) == survey.num_seen:
        remarks.append(f"The budget takes all {survey.num_seen} candidates.")
    elif not chosen:
        remarks.append(
            f"None of {survey.num_seen} candidates fits into a budget of {spelling.count(options.budget, 'box')}."
        )
    if not options.takes_all and survey.rule in (rules.K_MEANS, rules.K_CENTER):
        limit = max(options.budget, options.max_candidates)
        if survey.num_seen > limit:
            remarks.append(f"{survey.rule} chose among {limit} of {survey.num_seen} candidates, drawn at random.")
    return remarks


def _to_chosen(rows):
    chosen = tuple(Chosen(row.name, row.score, row.boxes, row.best_class, row.best_score, row.weight) for row in rows)
    if len({image.name for image in chosen}) < len(chosen):
        (twice, _), *_ = collections.Counter(image.name for image in chosen).most_common(1)
        raise errors.PredictionError(
            f"{twice}: predicted twice in this round",
            expected="one prediction per image",
            fix="delete the predictions of this round and run it again",
        )
    return chosen
