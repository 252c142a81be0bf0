"""The roll-out: the test that may be looked at at any time, the state machine, its errors over all stages, figures."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from tuckerlab.deploy.rollout import RollOut, Rule, paired
from tuckerlab.deploy.rollout.anytime_test import Pair, bounds, crossing, decided, harm, log_mean, log_wealth, no_harm
from tuckerlab.deploy.rollout.plots import requests_needed, rollout_timeline
from tuckerlab.deploy.rollout.simulate import Traffic, compare_labels, course, recorded_traffic, simulate, timeline
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.run_folder import FOLDER

EVEN = Traffic(10, 0.95, 0.02, 0.01, 0.01, 0.01)
"""Two networks that differ in 3 % of their answers, and are right equally often."""


def test_what_is_out_of_range_is_refused() -> None:
    for wrong in (
        lambda: Rule(harm=math.nan), lambda: Rule(tolerated=1.0), lambda: Rule(miss=0.6),
        lambda: Rule(stages=(0.5, 0.1, 1.0)), lambda: Rule(stages=(0.1, 0.5)), lambda: Rule(stages=()),
        lambda: EVEN.with_loss(99), lambda: simulate(Rule(), [EVEN] * 3, 1), lambda: Traffic.of([], [], [], 2),
        lambda: paired([1, 2], [1], None, 3), lambda: paired([3], [1], None, 3), lambda: paired([1], [1], [-2], 3),
        lambda: RollOut().add((8, 0, 2, 0, 0, 0)).add_late((0, 0, 0, 3, 0, 0), 0), lambda: RollOut(stage=4),
        lambda: RollOut(ended="rolled back").add((8, 0, 2, 0, 0, 0)), lambda: RollOut(counts=((0,) * 6,)),
    ):  # fmt: skip
        with pytest.raises(TuckerlabError):
            wrong()


def upper_bound(ones: int, n: int) -> float:
    """What a share lies below, with 95 % probability at all looks together."""
    return float(crossing(lambda mean: log_mean(log_wealth((0, 1), (n - ones, ones), mean)), np.log(20), ()))


# of ones among n, both ends at α = 0.05 a side: mixture of Beta priors, and hedged bets (ville 0.1.0, BSD-3-Clause)
ENDS = [
    (200, 4, (0.00182, 0.07468), (0.0038, 0.05641)),
    (1000, 20, (0.00774, 0.04087), (0.0122, 0.0346)),
    (1000, 200, (0.15947, 0.24511), (0.15992, 0.24662)),
    (5000, 50, (0.00538, 0.01669), (0.0074, 0.0149)),
]


def test_the_ends_are_those_of_another_library() -> None:
    for n, ones, mixture, bets in ENDS:
        ours = 1 - upper_bound(n - ones, n), upper_bound(ones, n)
        for end, one, other in zip(ours, mixture, bets, strict=True):
            nearest, farthest = sorted((abs(one - ones / n), abs(other - ones / n)))
            assert 0.9 * nearest < abs(end - ones / n) < 1.1 * farthest
        assert binom.cdf(ones, n, ours[1]) < 0.05  # wider than an interval for a single look
        assert binom.sf(ones - 1, n, ours[0]) < 0.05


def test_late_labels_count_as_if_they_had_been_there_at_once() -> None:
    rng = np.random.default_rng(0)
    old, new, labels = rng.integers(0, 4, (3, 60))
    known = np.where(rng.random(60) < 0.6, labels, -1)
    rule = Rule(miss=1e-9, false_alarm=1e-9)  # nothing is decided meanwhile
    at_once, none_yet = RollOut(rule).add(paired(old, new, known, 4)), RollOut(rule).add(paired(old, new, None, 4))
    assert none_yet.add_late(paired(old, new, known, 4), stage=0) == at_once
    for i in rng.permutation(60):
        none_yet = none_yet.add_late(paired(old[i : i + 1], new[i : i + 1], known[i : i + 1], 4), stage=0)
    assert none_yet == at_once


def test_a_loss_is_rolled_back_also_by_late_labels_of_an_earlier_stage() -> None:
    rollout = RollOut().add((0, 900, 0, 60, 5, 10))
    assert (rollout.decision.action, rollout.decision.low > 0) == ("roll back", True)
    assert "Rolled back at 1 % after 975 requests" in rollout.decision.reason
    rollout = RollOut().add((20_000, 0, 40, 0, 0, 0))  # so few differ that this is good enough
    assert (rollout.stage, rollout.decision.action) == (1, "go on")
    rollout = rollout.add_late((0, 19_000, 0, 40, 0, 0), stage=0)
    assert rollout.decision.action == "roll back"


def test_a_fault_that_begins_late_does_not_drown() -> None:
    """In 20,000 good requests before it; their wealth alone would be small for long."""
    good, bad = [0, 19_800, 0, 100, 100, 0], [0, 300, 0, 20, 1, 0]
    counts = np.array([good, bad, [0] * 6, [0] * 6])
    assert harm(counts, 0, Rule()) >= np.log(1 / Rule().false_alarm)
    assert harm(counts.sum(0)[None], 0, Rule(stages=(1.0,))) < np.log(1 / Rule().false_alarm)


def test_complaints_are_no_random_labels_and_in_the_end_a_human_decides() -> None:
    """Only those who were given a wrong answer complain: all known labels speak against the new network."""
    complaints = (9_700, 0, 260, 40, 0, 0)
    assert RollOut(Rule(random_labels=True)).add(complaints).decision.action == "roll back"
    assert RollOut().add(complaints).decision.action == "hold"
    decision = RollOut(Rule(most=10_000)).add(complaints).decision
    assert decision.action == "ask"
    assert "260 requests (2.6 %) were answered differently and have no true answer" in decision.reason
    assert "look up the true answers of these requests" in decision.reason
    held = RollOut(Rule(random_labels=True)).add((9_700, 0, 300, 0, 0, 0)).decision
    assert "of requests taken at random" in held.reason


def test_a_roll_out_is_kept_as_json() -> None:
    rollout = RollOut(Rule(stages=(0.2, 1.0), harm=2.0)).add((0, 400, 0, 1, 1, 0))
    again = RollOut.from_json(rollout.to_json())
    assert again == rollout
    assert again.add((10, 0, 1, 0, 0, 0)) == rollout.add((10, 0, 1, 0, 0, 0))


@pytest.mark.parametrize("rule", [Rule(), Rule(random_labels=True, tolerated=0.5)])
def test_bounds_pass_the_limits_when_it_is_decided(rule: Rule) -> None:
    traffic = replace(EVEN, labelled=0.5 if rule.random_labels else 1.0).with_loss(0.8)
    counts = np.concatenate([states["counts"].copy() for states in course(rule, traffic, 40, 3)])
    counts = counts[:: len(counts) // 150]
    stage = (counts.sum(-1) > 0).cumsum(-1).argmax(-1)
    low, high = bounds(counts, stage, rule)
    back, on = decided(counts, stage, rule)
    near = 1e-4
    assert 0 < back.mean() < 1
    assert low[~back].max() - near < rule.tolerated < low[back].min() + near
    assert (high[on] < rule.harm + near).all()
    assert (high[~on & ~back] > rule.harm - near).all()


@pytest.mark.parametrize("loss", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("rule", [Rule(), Rule(random_labels=True)])
def test_simulated_roll_outs_are_those_of_the_machine(rule: Rule, loss: float) -> None:
    for seed in range(2):
        machine, stage = RollOut(rule), 0
        for (state,) in course(rule, replace(EVEN, labelled=0.7).with_loss(loss), 1, seed):
            new = state["counts"] - machine.counts
            if new.any():
                machine = machine.add(new[stage].tolist())
            stage = int(state["stage"])
            assert np.array_equal(machine.counts, state["counts"])
            assert machine.ended == ("", "rolled back", "rolled out", "")[state["ended"]]
            assert machine.ended or machine.stage == stage
        assert state["ended"]
        assert (state["ended"] == 3) == (machine.decision.action == "ask")


def expected_wealth(rule: Rule, chances: list[list[float]]) -> tuple[float, float]:
    """The means of exp(harm), and of exp(no_harm) in the first stage, of requests with these chances of the cells."""
    kinds = [[cell for cell, chance in enumerate(stage) if chance] for stage in chances]
    courses = np.array(list(itertools.product(*(kinds[0],) * 3, *(kinds[1],) * 3)))
    counts = np.stack([(part[..., None] == range(6)).sum(1) for part in (courses[:, :3], courses[:, 3:])], 1)
    likely = np.prod([np.array(chances[i // 3])[courses[:, i]] for i in range(6)], 0)
    wealths = harm(counts, rule.tolerated / 100, rule), no_harm(counts[:, 0], rule.harm / 100, rule)
    against_tolerated, against_harm = (float(likely @ np.exp(wealth)) for wealth in wealths)
    return against_tolerated, against_harm


def pairs(lost: float, gained: float, labelled: float = 1.0) -> list[float]:
    """The chances of the cells of `Pair` where labels come at random."""
    alike, differ = 1 - lost - gained, lost + gained
    found = [alike * (1 - labelled), alike * labelled, differ * (1 - labelled), lost * labelled, gained * labelled, 0.0]
    return [round(chance, 12) for chance in found]


TWO = (0.3, 1.0)


def test_the_wealth_against_a_loss_that_is_just_tolerated_stays_the_same() -> None:
    for rule, chances in (
        (Rule(stages=TWO), [pairs(0.2, 0.2), pairs(0.1, 0.1)]),
        (Rule(stages=TWO), [[0.6, 0, 0, 0.2, 0.2, 0]] * 2),  # labels where the answers differ, and there alone
        (Rule(stages=TWO, tolerated=5, harm=9), [pairs(0.2, 0.15), pairs(0.1, 0.05)]),
        (Rule(stages=TWO, random_labels=True), [pairs(0.2, 0.2), pairs(0.1, 0.1)]),
    ):
        assert expected_wealth(rule, chances)[0] == pytest.approx(1)


def test_the_wealth_against_harm_does_not_grow_where_there_is_just_harm() -> None:
    for random, chances, is_fair in (
        (False, pairs(0.2, 0.1), True),
        (True, pairs(0.2, 0.1, labelled=0.5), False),  # what differs is taken for lost
        (False, pairs(0.2, 0.1, labelled=0.5), False),
        (False, pairs(0.1, 0.0, labelled=0.5), True),  # and is: no slack
    ):
        expected = expected_wealth(Rule(harm=10, stages=TWO, random_labels=random), [chances, chances])[1]
        assert expected == pytest.approx(1) if is_fair else expected < 0.999


REPEATS = 400


def within(share: float, promised: float) -> bool:
    return share * REPEATS <= binom.ppf(0.999, REPEATS, promised)


@pytest.mark.parametrize("random", [False, True])
def test_it_does_not_cry_wolf_more_often_than_promised(random: bool) -> None:
    rule = Rule(harm=3.0, false_alarm=0.2, most=4000, random_labels=random)
    found = simulate(rule, replace(EVEN, labelled=0.5 if random else 1.0), REPEATS)
    cried = (found["ended"] == "rolled back").mean()
    assert cried > 0.01  # it is no rule that never rolls back
    assert within(cried, rule.false_alarm)


@pytest.mark.parametrize("since", [0, 2])
def test_it_does_not_let_harm_through_more_often_than_promised(since: int) -> None:
    """Whenever the harm begins: only the first harmful stage has to be passed by mistake, so no error adds up."""
    rule, fine = Rule(miss=0.2, false_alarm=1e-6, most=4000), Traffic(10, 0.98, 0.01, 0.005, 0.005, 0)
    each = [fine.with_loss(rule.harm) if i >= since else fine for i in range(len(rule.stages))]
    found = simulate(rule, each, REPEATS)
    wrongly = ((found["stage"] > rule.stages[since]) | (found["ended"] == "rolled out")).mean()
    assert wrongly > 0.005
    assert within(wrongly, rule.miss)


def test_unlabelled_requests_bound_the_loss_if_answers_hardly_differ() -> None:
    rarely = Traffic(10, 0.98, 0.018, 0.001, 0.001, 0, labelled=0.0)
    assert (simulate(Rule(), rarely, 50)["ended"] == "rolled out").all()


def test_late_labels_only_delay() -> None:
    soon, late = (simulate(Rule(), replace(EVEN, delay=days).with_loss(2), 100) for days in (0, 3))
    assert (late["ended"] == "rolled back").mean() > 0.97
    assert late["requests"].median() > soon["requests"].median()
    assert late["days"].median() > soon["days"].median() + 1
    *_, last = course(Rule(most=100), replace(EVEN, delay=30), 20, 0)
    asked = last["counts"][last["ended"] == 3, 0]
    assert len(asked) > 18
    assert (asked[:, [Pair.alike, Pair.differing]] == 0).all()  # all labels have come before a human is asked


def test_a_fault_is_what_it_would_be_answer_by_answer() -> None:
    rng = np.random.default_rng(1)
    count, classes, points = 40_000, 4, 5.0
    labels = rng.integers(0, classes, count)
    old, new = (np.where(rng.random(count) < right, labels, rng.integers(0, classes, count)) for right in (0.7, 0.6))
    traffic = Traffic.of(old, new, labels, classes)
    right = np.flatnonzero(new == labels)
    hit = rng.choice(right, round(points / 100 * count), replace=False)
    faulty = new.copy()
    faulty[hit] = (labels[hit] + rng.integers(1, classes, len(hit))) % classes
    made = traffic.with_loss(points)
    assert made.chances == pytest.approx(Traffic.of(old, faulty, labels, classes).chances, abs=0.005)
    assert made.loss == pytest.approx(traffic.loss + points)
    assert sum(made.chances) == pytest.approx(1)


def test_recorded_answers() -> None:
    table = pd.read_parquet(FOLDER / "answers" / "steel.parquet")
    dense, small, labels = (table[name] for name in ("answer of dense", "answer of Tucker 90 %", "label"))
    traffic = recorded_traffic()["steel: Tucker 90 %"]
    assert traffic.differing == pytest.approx(100 * (small != dense).mean())
    assert traffic.loss == pytest.approx(100 * ((dense == labels).mean() - (small == labels).mean()))
    assert all(sum(traffic.chances) == pytest.approx(1) for traffic in recorded_traffic().values())


def test_larger_losses_are_caught_sooner() -> None:
    found = compare_labels(EVEN, losses=[0.0, 1.0, 2.0, 5.0], labelled=[1.0, 0.0, 0.1], repeats=60, progress=False)
    assert found["labelled"].tolist() == [1.0] * 4 + [0.0] * 4 + [0.1] * 4
    assert found["median"][:8].isna().tolist() == [True, False, False, False] + [True] * 4
    caught = found[1:4]
    assert caught["median"].is_monotonic_decreasing
    assert ((caught["low"] <= caught["median"]) & (caught["median"] <= caught["high"])).all()
    assert (found["rolled_back"][4:8] == 0).all()  # no labels, nothing shown
    assert np.allclose(found[["rolled_back", "rolled_out", "asked"]].sum(axis=1), 1)
    assert f"A 2-point loss is caught after {found['median'][2]:,.0f} requests" in requests_needed(found).get_suptitle()


@pytest.mark.parametrize(("loss", "labelled", "ended"), [(0, 1, "rolled out"), (5, 1, "rolled back"), (0, 0, "asked")])
def test_the_course_of_one_roll_out(loss: float, labelled: float, ended: str) -> None:
    story = timeline(Rule(most=6000), replace(EVEN, labelled=labelled, delay=1.0).with_loss(loss))
    assert story.end.ended == ended
    assert story.points["requests"].is_monotonic_increasing
    assert list(rollout_timeline(story).axes[0].lines[0].get_ydata()) == story.points["high"].tolist()
    expected = EVEN.with_loss(loss).lost * story.end.requests
    assert story.end.wrong == pytest.approx(expected, rel=0.5)
