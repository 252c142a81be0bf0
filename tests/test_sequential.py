"""The test that may be looked at at any time: exact expectations, its errors under peeking, and others' numbers."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom

from tuckerlab.deploy.rollout.anytime_test import BETS, crossing, log_mean, log_wealth

LOSSES = (1.0, -1.0, 0.0)


def by_hand(values: list[float], mean: float) -> list[float]:
    """The wealth of each bet against "the mean is at least `mean`", number by number."""
    found = []
    for fraction in BETS:
        wealth = 1.0
        for value in values:
            wealth *= 1 + fraction * (mean - value) / (1 - mean)
        found.append(wealth)
    return found


def test_the_wealth_of_counts_is_that_of_any_order() -> None:
    values = [1.0] * 3 + [-1.0] * 2 + [0.0] * 9
    np.random.default_rng(0).shuffle(values)
    for mean in (-0.2, 0.0, 0.01, 0.4):
        assert np.exp(log_wealth(LOSSES, (3, 2, 9), mean)) == pytest.approx(by_hand(values, mean))


def test_the_expected_wealth_is_one_where_the_claim_just_holds() -> None:
    """Over all sequences of six; where the mean is higher than claimed, it is a game that one loses."""
    for chances, mean in (((0.2, 0.2, 0.6), 0.0), ((0.25, 0.15, 0.6), 0.1), ((0.3, 0.1, 0.6), 0.1)):
        expected = sum(
            math.prod(chances[kind] for kind in sequence)
            * math.exp(log_mean(log_wealth(LOSSES, np.bincount(sequence, minlength=3), mean)))
            for sequence in itertools.product(range(3), repeat=6)
        )
        assert expected == pytest.approx(1) if chances[0] < 0.3 else expected < 0.999


def peeking(chances: tuple[float, ...], mean: float, people: int, requests: int) -> tuple[float, float]:
    """How many people see more than 1/α after one of their requests; and how many a z-test after each would fool."""
    rng = np.random.default_rng(7)
    kinds = rng.choice(3, size=(people, requests), p=chances)
    counts = np.stack([(kinds == kind).cumsum(1) for kind in range(3)], -1)
    seen = (log_mean(log_wealth(LOSSES, counts, mean)) >= np.log(1 / 0.05)).any(1)
    n = np.arange(1, requests + 1)
    average = (counts[..., 0] - counts[..., 1]) / n
    spread = np.sqrt(np.maximum((counts[..., 0] + counts[..., 1]) / n - average**2, 1e-9) / n)
    return float(seen.mean()), float((average < mean - 1.645 * spread)[:, 50:].any(1).mean())


@pytest.mark.parametrize(
    ("chances", "mean"), [((0.06, 0.05, 0.89), 0.01), ((0.01, 0.0, 0.99), 0.01), ((0.3, 0.3, 0.4), 0.0)]
)
def test_a_look_after_every_request_errs_no_more_often_than_promised(chances: tuple[float, ...], mean: float) -> None:
    people = 800
    errors, fooled = peeking(chances, mean, people, requests=500)
    assert errors * people <= binom.ppf(0.999, people, 0.05)
    assert fooled * people > binom.ppf(0.999, people, 0.05)  # a test for one look does err: this one could
    assert errors > 0.005 or chances[0] < 0.3  # and where much is lost and gained it does say something


def upper_bound(values: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """What the mean lies below, with 95 % probability at all looks together."""
    return crossing(lambda mean: log_mean(log_wealth(values, counts, mean)), np.log(20), np.min(values), np.max(values))


@pytest.mark.parametrize(
    # upper and lower ends at α = 0.05 a side: mixture of Beta priors, and hedged bets (ville 0.1.0, BSD-3-Clause)
    ("n", "ones", "mixture", "bets"),
    [
        (200, 4, (0.00182, 0.07468), (0.0038, 0.05641)),
        (1000, 20, (0.00774, 0.04087), (0.0122, 0.0346)),
        (1000, 200, (0.15947, 0.24511), (0.15992, 0.24662)),
        (5000, 50, (0.00538, 0.01669), (0.0074, 0.0149)),
    ],
)
def test_the_ends_are_those_of_another_library(
    n: int, ones: int, mixture: tuple[float, float], bets: tuple[float, float]
) -> None:
    upper, lower = upper_bound((0, 1), (n - ones, ones)), -upper_bound((0, -1), (n - ones, ones))
    for ours, one, other in ((lower, mixture[0], bets[0]), (upper, mixture[1], bets[1])):
        nearest, farthest = sorted((abs(one - ones / n), abs(other - ones / n)))
        assert 0.9 * nearest < abs(ours - ones / n) < 1.1 * farthest
    assert binom.cdf(ones, n, upper) < 0.05  # wider than an interval for a single look
    assert binom.sf(ones - 1, n, lower) < 0.05


def test_a_bound_is_where_the_wealth_crosses() -> None:
    counts = np.array([[30, 10, 960], [0, 0, 100], [5, 0, 95], [0, 0, 0]])
    ends = np.array([upper_bound(LOSSES, row) for row in counts])
    for row, end in zip(counts, ends, strict=True):
        assert log_mean(log_wealth(LOSSES, row, end - 1e-6)) < np.log(20)
        assert end == 1 or log_mean(log_wealth(LOSSES, row, end + 1e-6)) >= np.log(20)
    assert ends[-1] == 1  # nothing seen, nothing known
