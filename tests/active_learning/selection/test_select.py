import collections
import dataclasses
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from tests.active_learning.pools import predicted, random_pool
from tfodhelper import errors
from tfodhelper.active_learning.selection import candidates, diversity, rules
from tfodhelper.active_learning.selection import select as selecting
from tfodhelper.active_learning.selection.select import SelectOptions

COUNTS = {"a": 400, "b": 50, "c": 10}
FIXED_RULES = rules.RULES[1:]
POOL = random_pool(300)


def choose(pool, counts=COUNTS, round_number=1, more=None, **options):
    return selecting.select(
        lambda: iter(pool), SelectOptions(**options), round_number=round_number, class_counts=counts, **(more or {})
    )


def names(chosen):
    return [image.name for image in chosen]


# What each rule chooses, by hand.


def test_uncertainties_take_the_most_doubtful_first():
    pool = [
        predicted("crowd", *[("a", 0.9, 0.9, 0.3)] * 5),  # entropy: sum 1.5, mean 0.3, max 0.3
        predicted("doubt", ("a", 0.5, 0.1, 0.7)),  # 0.7, 0.7, 0.7
        predicted("mixed", ("a", 0.9, 0.8, 0.3), ("b", 0.6, 0.0, 0.9)),  # 1.2, 0.6, 0.9
        predicted("empty"),
    ]
    assert names(choose(pool, rule="entropy", budget=3).chosen) == ["crowd", "mixed", "doubt"]
    assert names(choose(pool, rule="entropy", budget=3, aggregate="mean").chosen) == ["doubt", "mixed", "crowd"]
    assert names(choose(pool, rule="entropy", budget=3, aggregate="max").chosen) == ["mixed", "doubt", "crowd"]
    assert names(choose(pool, rule="margin", budget=2).chosen) == ["mixed", "doubt"]  # 1.2, 0.9, 0.5
    assert names(choose(pool, rule="least-confidence", budget=1, aggregate="max").chosen) == ["doubt"]
    assert [image.score for image in choose(pool, rule="entropy", budget=3).chosen] == pytest.approx([1.5, 1.2, 0.7])


def test_dcus_prefers_the_class_that_is_found_badly():
    pool = [predicted("easy", ("a", 0.6, 0.2, 0.65)), predicted("hard", ("b", 0.6, 0.2, 0.6))]
    known = {"average_precisions": {"a": 0.9, "b": 0.1}}
    assert names(choose(pool, rule="entropy", budget=1, more=known).chosen) == ["easy"]
    selection = choose(pool, rule="dcus", budget=1, more=known)
    assert names(selection.chosen) == ["hard"]
    assert selection.chosen[0].score == pytest.approx(0.6 * 1.193915725578842, abs=1e-9)
    assert selection.note == ""
    unknown = choose(pool, rule="dcus", budget=1, more={"average_precisions": {"a": None, "b": None}})
    assert names(unknown.chosen) == ["easy"] and "No average precisions" in unknown.note


def test_a_budget_of_boxes_skips_what_does_not_fit():
    def image(name, boxes, entropy):
        return predicted(name, *[("a", 0.5, 0.5, entropy)] * boxes, ("a", 0.49, 0.5, 0.0))

    pool = [image("3", 3, 0.9), image("4", 4, 0.8), image("2", 2, 0.7), image("9", 9, 1.0), predicted("none")]
    selection = choose(pool, rule="entropy", budget=6, budget_unit="boxes", aggregate="max")
    assert [(row.name, row.boxes) for row in selection.chosen] == [("3", 3), ("2", 2), ("none", 1)]
    assert sum(row.boxes for row in selection.random) <= 6


def test_a_budget_in_which_nothing_fits_says_so():
    selection = choose([predicted("x", ("a", 0.9), ("a", 0.9))], rule="entropy", budget=1, budget_unit="boxes")
    assert selection.chosen == selection.random == () and "None of 1 candidates fits" in selection.note


def test_strata_share_alike_and_nothing_found_is_one_of_them():
    pool = [predicted(f"a{n:03}", ("a", 0.9)) for n in range(300)]
    pool += [predicted(f"b{n:03}", ("b", 0.9)) for n in range(40)]
    pool += [predicted(f"c{n:03}", ("c", 0.9)) for n in range(3)]
    pool += [predicted(f"n{n:03}") for n in range(100)] + [predicted(f"w{n:03}", ("c", 0.19)) for n in range(57)]
    selection = choose(pool, rule="stratified", budget=43)
    counts = collections.Counter(name[0] for name in names(selection.chosen))
    assert counts["c"] == 3  # all of them
    assert abs(counts["a"] - counts["b"]) <= 1
    assert counts["n"] + counts["w"] in (13, 14)  # 157 of 500: less than a class's share would be
    assert selection.strata == {"": 157, "a": 300, "b": 40, "c": 3}


def test_few_empty_images_are_not_drawn_more_often_than_at_random_but_one_always_is():
    pool = [predicted(f"{label}{n:03}", (label, 0.9), features=[n, 1]) for label in "ab" for n in range(95)]
    for num_empty in (1, 10):
        whole = pool + [predicted(f"n{n:03}", features=[n, 1]) for n in range(num_empty)]
        for rule in ("stratified", "stratified-diverse"):
            for seed in range(5):
                chosen = names(choose(whole, rule=rule, budget=20, seed=seed).chosen)
                assert sum(name[0] == "n" for name in chosen) == 1


def test_an_image_is_drawn_for_the_rarest_class_found_in_it():
    pool = [predicted("x", ("a", 0.99), ("a", 0.9), ("b", 0.3), ("c", 0.1))]
    assert choose(pool, rule="stratified", budget=1).strata == {"b": 1}


def test_two_stages_take_the_different_ones_of_the_doubtful_ones():
    """Budget 2: the eight most doubtful candidates, which show two scenes; each is chosen once."""
    pool = [predicted(f"sure{n}", ("a", 0.9, 0.9, 0.1), features=np.eye(12)[n]) for n in range(10)]
    pool += [predicted(f"one{n}", ("a", 0.5, 0.1, 0.69), features=np.eye(12)[10]) for n in range(7)]
    pool += [predicted("other", ("a", 0.5, 0.1, 0.6), features=np.eye(12)[11])]
    for seed in range(5):
        chosen = names(choose(pool, rule="two-stage", budget=2, seed=seed).chosen)
        assert sorted(name.rstrip("0123456789") for name in chosen) == ["one", "other"]


@pytest.mark.parametrize("rule", ["k-means++", "k-center", "stratified-diverse", "two-stage"])
def test_diverse_rules_avoid_near_identical_frames(rule):
    """Twelve scenes of very different length, one class: as many scenes as choices; chance reaches fewer."""
    chance = np.random.default_rng(1)
    scenes = chance.normal(size=[12, 16])
    lengths = [60, 40, 20] + [4] * 9
    pool = [
        predicted(f"{scene}-{n}", ("a", 0.5, 0.1, 0.69), features=scenes[scene] + 0.01 * chance.normal(size=16))
        for scene, length in enumerate(lengths)
        for n in range(length)
    ]
    selection = choose(pool, rule=rule, budget=12, expand=20)
    assert len({name.split("-")[0] for name in names(selection.chosen)}) == 12
    assert len({name.split("-")[0] for name in names(selection.random)}) < 9


@pytest.mark.parametrize("rule", ["k-means++", "k-center", "stratified-diverse", "two-stage"])
def test_diverse_rules_avoid_what_is_labelled(rule):
    pool = [predicted(f"{n % 2}-{n:02}", ("a", 0.5, 0.1, 0.69), features=np.eye(2)[n % 2] * 5) for n in range(40)]
    known = {"labelled_features": np.array([[2.0, 0.0]] * 300)}
    chosen = names(choose(pool, rule=rule, budget=1, expand=40, more=known).chosen)
    assert chosen[0].startswith("1-")


def test_random_is_the_random_choice():
    selection = choose(POOL, rule="random", budget=30)
    assert selection.chosen == selection.random
    assert names(selection.chosen) != names(choose(POOL, rule="random", budget=30, round_number=2).chosen)
    assert names(selection.chosen) != names(choose(POOL, rule="random", budget=30, seed=1).chosen)


def test_the_random_choice_is_the_same_for_every_rule():
    arms = {choose(POOL, rule=rule, budget=30, class_balance=1.0).random for rule in rules.RULES}
    assert {tuple(names(arm)) for arm in arms} == {tuple(names(choose(POOL, rule="random", budget=30).random))}


def test_chance_is_fair():
    """Each of 60 images in 10 of 60 places: 400 rounds, 66.7 times on average, deviation 7.5."""
    pool = [predicted(f"{n}") for n in range(60)]
    counts = collections.Counter()
    for number in range(400):
        counts.update(names(choose(pool, rule="random", budget=10, round_number=number).chosen))
    assert len(counts) == 60 and max(abs(counts[prediction.name] - 400 / 6) for prediction in pool) < 4.5 * 7.5


def test_chance_decides_between_equals():
    """Consecutive names are consecutive frames."""
    pool = [predicted(f"{n:03}", ("a", 0.5)) for n in range(200)]
    chosen = names(choose(pool, rule="entropy", budget=20).chosen)
    assert max(chosen) > "100" and chosen != sorted(chosen)
    assert chosen == names(choose(pool, rule="random", budget=20).chosen)


def test_the_first_of_two_stages_is_worth_so_many_boxes():
    """Budget 2 boxes, expanded twice: the two images with two boxes, and not the third one, which differs most."""
    pool = [predicted(f"{n}", ("a", 0.9, 0, 0.9 - n / 10), ("a", 0.5, 0, 0), features=np.eye(9)[n]) for n in range(9)]
    options = {"rule": "two-stage", "budget": 2, "budget_unit": "boxes", "expand": 2, "aggregate": "max"}
    drawn = {name for seed in range(30) for name in names(choose(pool, seed=seed, **options).chosen)}
    assert drawn == {"0", "1"}


# Auto


def test_auto_is_stratified_and_diverse_at_first_and_says_so():
    selection = choose(POOL, budget=10, more={"num_labelled": 299})
    assert selection.rule_used == "stratified-diverse" and "299 labelled images are fewer than 300" in selection.note
    selection = choose(POOL, budget=10, more={"num_labelled": 300})
    assert selection.rule_used == "two-stage" and "300 labelled images are at least 300" in selection.note


def test_auto_without_a_number_goes_by_the_most_frequent_class():
    assert choose(POOL, {"a": 299, "b": 299}, budget=10).rule_used == "stratified-diverse"
    assert choose(POOL, {"a": 300}, budget=10).rule_used == "two-stage"


def test_auto_does_without_features():
    pool = [dataclasses.replace(prediction, features=None) for prediction in POOL]
    few, many = (choose(pool, budget=10, more={"num_labelled": number}) for number in (10, 1000))
    assert (few.rule_used, many.rule_used) == ("stratified", "dcus")
    assert "no features" in few.note and "no features" in many.note and len(few.chosen) == len(many.chosen) == 10


def test_which_rules_need_features_of_the_labelled_images():
    wanted = {rule for rule in FIXED_RULES if selecting.needs_labelled_features(SelectOptions(rule=rule), 0)}
    assert wanted == set(rules.NEED_FEATURES)
    assert selecting.needs_labelled_features(SelectOptions(), 0)
    assert not selecting.needs_labelled_features(SelectOptions(budget=0), 0)


# Properties of all rules

pools = st.builds(
    random_pool, st.integers(0, 40), st.integers(0, 10), most_boxes=st.integers(0, 5), dimensions=st.integers(3, 4)
)


@hypothesis.settings(max_examples=150)
@hypothesis.given(
    pool=pools,
    rule=st.sampled_from(rules.RULES),
    budget=st.integers(1, 30),
    unit=st.sampled_from(rules.BUDGET_UNITS),
    balance=st.sampled_from([0.0, 1.0]),
    small=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_every_choice_keeps_to_the_pool_and_the_budget_in_any_order(pool, rule, budget, unit, balance, small, order):
    options = {"rule": rule, "budget": budget, "budget_unit": unit, "class_balance": balance, "expand": 2}
    options |= {"max_candidates": 12} if small else {}
    selection = choose(pool, **options)
    shuffled = list(pool)
    order.shuffle(shuffled)
    assert choose(shuffled, **options) == selection
    costs = {prediction.name: max(1, sum(d.score >= 0.5 for d in prediction.found.detections)) for prediction in pool}
    for arm in (selection.chosen, selection.random):
        chosen = names(arm)
        assert len(set(chosen)) == len(chosen) and set(chosen) <= set(costs)
        assert all(image.boxes == costs[image.name] for image in arm)
        if unit == "images":
            assert len(chosen) == min(budget, len(pool))
        else:
            assert sum(costs[name] for name in chosen) <= budget
            assert chosen or all(cost > budget for cost in costs.values())
    assert selection.num_candidates == len(pool) == sum(selection.strata.values())


@pytest.mark.parametrize("rule", rules.RULES)
def test_budgets_of_boxes_are_kept_in_any_order(rule):
    pool = random_pool(60, seed=2)
    for budget in range(1, 25):
        options = {"rule": rule, "budget": budget, "budget_unit": "boxes"}
        selection = choose(pool, **options)
        assert budget - 4 < sum(image.boxes for image in selection.chosen) <= budget
        assert choose(pool[::-1], **options) == choose(pool[30:] + pool[:30], **options) == selection


@hypothesis.given(st.integers(0, 500), st.none() | st.integers(1, 20), st.randoms(use_true_random=False))
def test_the_smallest_of_a_stream(length, size, order):
    ranks = list(range(length))
    order.shuffle(ranks)
    kept = candidates.Smallest(size)
    for rank in ranks:
        kept.offer((rank,), rank)
    assert kept.in_order() == list(range(length))[:size]


@pytest.mark.parametrize("rule", FIXED_RULES)
def test_class_balance_raises_the_share_of_the_rare_class(rule):
    pool = random_pool(3000, seed=5, shares=(0.9, 0.09, 0.01))
    shares = []
    for balance in (0.0, 0.5, 1.5):
        counts = {"a": 900, "b": 90, "c": 10}
        chosen = [
            image
            for seed in range(4)
            for image in choose(pool, counts, rule=rule, budget=20, class_balance=balance, seed=seed).chosen
        ]
        shares.append(sum(image.best_class == "c" for image in chosen) / len(chosen))
    assert shares[0] < shares[2] and shares[0] <= shares[1] <= shares[2], shares


@pytest.mark.parametrize("rule", ["random", "stratified", "stratified-diverse", "k-means++", "k-center"])
def test_images_without_detections_are_reached(rule):
    pool = random_pool(400)
    silent = {prediction.name for prediction in pool if not prediction.found.detections}
    assert 60 < len(silent) < 100
    assert silent & set(names(choose(pool, rule=rule, budget=20).chosen))


@pytest.mark.parametrize("rule", rules.RULES)
@pytest.mark.parametrize("budget", [0, None])
def test_no_budget_takes_all(rule, budget):
    pool = [dataclasses.replace(prediction, features=None) for prediction in POOL]
    selection = choose(pool, rule=rule, budget=budget)
    assert sorted(names(selection.chosen)) == [prediction.name for prediction in POOL]
    assert selection.random is selection.chosen and "takes all 300 candidates" in selection.note


@pytest.mark.parametrize("rule", rules.RULES)
@pytest.mark.parametrize("unit", rules.BUDGET_UNITS)
def test_awkward_pools(rule, unit):
    options = {"rule": rule, "budget": 50, "budget_unit": unit}
    assert choose([], **options).chosen == choose([], **options).random == ()
    empty = [predicted(f"{n}", features=[1.0, n]) for n in range(7)]
    assert len(choose(empty, **options).chosen) == 7
    one_class = [predicted(f"{n}", ("a", 0.9), ("a", 0.4), features=[0.0, 0.0]) for n in range(7)]
    assert len(choose(one_class, **options).chosen) == 7
    assert len(choose(one_class[:1], {}, **options).chosen) == 1
    unheard = [predicted(f"{n}", ("new", 0.9), features=[1.0, n]) for n in range(7)]
    assert len(choose(unheard, {"a": 0}, class_balance=1.0, **options).chosen) == 7


@pytest.mark.parametrize("rule", rules.NEED_FEATURES)
def test_rules_that_compare_say_when_there_are_no_features(rule):
    pool = [dataclasses.replace(prediction, features=None) for prediction in POOL]
    with pytest.raises(errors.PredictionError, match=f"no features, which the rule {rule.replace('+', '.')} needs"):
        choose(pool, rule=rule, budget=10)
    pool = [dataclasses.replace(prediction, features=np.full(3, np.nan)) for prediction in POOL]
    with pytest.raises(errors.PredictionError, match="its features are not finite"):
        choose(pool, rule=rule, budget=10)
    with pytest.raises(errors.PredictionError, match="do not match those of the pool"):
        choose(POOL, rule=rule, budget=10, more={"labelled_features": np.ones([2, 3])})


def test_a_large_pool_is_sampled_and_that_is_noted():
    selection = choose(POOL, rule="k-center", budget=10, max_candidates=100)
    assert len(selection.chosen) == 10 and "among 100 of 300 candidates" in selection.note


def test_an_image_that_occurs_twice_is_named():
    with pytest.raises(errors.PredictionError, match="x: predicted twice"):
        choose([predicted("x"), predicted("x")], rule="random", budget=2)


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "best"},
        {"budget": -1},
        {"budget": 2.5},
        {"budget_unit": "hours"},
        {"aggregate": "median"},
        {"uncertainty": "random"},
        {"score_threshold": 1.5},
        {"class_balance": -1.0},
        {"class_balance": math.nan},
        {"expand": 0},
    ],
)
def test_invalid_options(options):
    (name, value), *_ = options.items()
    with pytest.raises(errors.UsageError, match=f"--{name}={value}"):
        choose([], **options)


def test_each_rule_is_explained_in_a_line():
    for rule in rules.RULES:
        assert 20 < len(selecting.explain(rule)) <= 110 and "\n" not in selecting.explain(rule)


# Files


@pytest.mark.parametrize("budget", [0, 5])
def test_a_selection_is_read_back(tmp_path, budget):
    pool = [*POOL, predicted('ä/b\u2028 "c".jpg', ("a,b", 0.5, 0.1, 9.0))]
    selection = choose(pool, rule="entropy", budget=budget, class_balance=0.3)
    selecting.write_selection(tmp_path, selection)
    assert selecting.read_selection(tmp_path) == selection


def test_no_choice_is_read_back(tmp_path):
    selection = choose([], rule="entropy", budget=3)
    selecting.write_selection(tmp_path, selection)
    assert selecting.read_selection(tmp_path) == selection


@pytest.mark.parametrize("text", ["[]", "{}", '{"chosen": [{}], "random": null}', "no"])
def test_a_broken_file_is_named(tmp_path, text):
    (tmp_path / "selection.json").write_text(text)
    with pytest.raises(errors.StorageError, match=r"selection\.json"):
        selecting.read_selection(tmp_path)


def test_scores_of_all_are_written(tmp_path):
    pool = [predicted("a", ("a,b", 0.75, 0.1, 0.25), ("c", 0.5, 0.1, 0.25)), predicted("b")]
    choose(pool, rule="random", budget=1, uncertainty="entropy", more={"scores_path": tmp_path / "scores.csv"})
    assert (tmp_path / "scores.csv").read_text() == (
        'name,score,boxes,best_class,best_score\na,0.5,2,"a,b",0.75\nb,0,1,,0\n'
    )
    assert [path.name for path in tmp_path.iterdir()] == ["scores.csv"]


def test_k_center_is_what_it_is_on_unit_features():
    pool = sorted(POOL, key=lambda prediction: prediction.name)
    features = diversity.to_unit_length([prediction.features for prediction in pool])
    expected = [pool[position].name for position in diversity.k_center(features, 15)]
    assert names(choose(POOL, rule="k-center", budget=15).chosen) == expected
