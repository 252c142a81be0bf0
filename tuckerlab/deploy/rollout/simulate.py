"""Hundreds of roll-outs at once, with requests drawn from real answers: when does each end, and how?

The decisions are those of `RollOut`: `decided` on the same counts, for all roll-outs in one array.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tuckerlab.deploy.rollout.anytime_test import Floats
from tuckerlab.deploy.rollout.counts import LABELLED, Integers, Pair, bounds, decided
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.traffic import Traffic, Truth
from tuckerlab.errors import TuckerlabError

LOOK, GROWTH = 20, 0.06
"""Requests between two looks: at least so many, and this part of those that the stage has had."""

ENDED = ("under way", "rolled back", "rolled out", "asked")


@dataclass
class Batch:
    """Roll-outs side by side: the stage, the counts and the day of each, how it ended (a place in `ENDED`).

    `wrong` counts the answers of the new network that the old one would have given right, known or not.
    """

    stage: Integers
    counts: Integers
    days: Floats
    wrong: Integers
    ended: Integers


def simulate(rule: Rule, traffic: Traffic | Sequence[Traffic], repeats: int = 300, seed: int = 0) -> pd.DataFrame:
    """One row for each roll-out: `ended` (rolled back, rolled out, asked), the `stage` it ended in (a share),
    `requests` answered by the new network, `labels` that were needed, `days`, and `wrong`: answers of the new network
    that the old one would have given right.

    "asked" is where a stage has had its requests, all labels have come that come, and nothing is shown. A label is
    needed where the answers differ. Of a fault that first shows in a later stage `traffic` has one for each stage.
    """
    for batch in course(rule, traffic, repeats, seed):
        last = batch
    return pd.DataFrame({
        "ended": pd.Categorical([ENDED[how] for how in last.ended], categories=ENDED),
        "stage": np.asarray(rule.stages)[last.stage],
        "requests": last.counts.sum((-2, -1)),
        "labels": last.counts[..., list(LABELLED)].sum((-2, -1)),
        "days": last.days,
        "wrong": last.wrong,
    })  # fmt: skip


def course(rule: Rule, traffic: Traffic | Sequence[Traffic], repeats: int, seed: int) -> Iterator[Batch]:
    """The roll-outs after each look, until all have ended; it is the same object each time."""
    if repeats < 1:
        raise TuckerlabError(f"repeats {repeats}: allowed are whole numbers from 1")
    rng, shares = np.random.default_rng(seed), np.asarray(rule.stages)
    each = [traffic] * len(shares) if isinstance(traffic, Traffic) else list(traffic)
    if len(each) != len(shares):
        raise TuckerlabError(f"{len(each)} kinds of traffic: give one, or one for each of the {len(shares)} stages")
    labels, delay, chances = each[0].labelled, each[0].delay, np.array([one.chances for one in each])
    stage, wrong, ended = np.zeros((3, repeats), dtype=np.int64)
    batch = Batch(stage, np.zeros((repeats, len(shares), len(Pair)), dtype=np.int64), np.zeros(repeats), wrong, ended)
    on_their_way: list[tuple[Integers, Integers, Floats, Integers]] = []  # roll-outs, stages, days due, changes
    yield batch
    while (running := np.flatnonzero(batch.ended == 0)).size:
        stage = batch.stage[running]
        had = batch.counts[running, stage].sum(-1)
        full = had >= rule.most  # nothing more is served, but labels may be on their way
        size = np.minimum(np.maximum(LOOK, (GROWTH * had).astype(np.int64)), np.maximum(rule.most - had, 0))
        batch.days[running] += np.where(full, delay, size / (shares[stage] * each[0].requests_a_day))
        first, late, lost = _draw(rng, chances[stage], labels, size)
        batch.wrong[running] += lost
        batch.counts[running, stage] += first
        on_their_way.append((running, stage, batch.days[running] + delay, late))
        on_their_way = [waiting for sent in on_their_way if (waiting := _deliver(batch, *sent))[0].size]
        back, on = decided(batch.counts[running], stage, rule)
        out = on & (stage + 1 == len(shares))
        batch.stage[running] += on & ~out
        batch.ended[running] = np.select([back, out, full & ~on], [1, 2, 3], 0)
        yield batch


def _deliver(
    batch: Batch, rolls: Integers, stage: Integers, due: Floats, change: Integers
) -> tuple[Integers, Integers, Floats, Integers]:
    """Counts the labels of one look that are due; what is left of them, for the roll-outs that have not ended."""
    now = due <= batch.days[rolls] + 1e-9
    batch.counts[rolls[now], stage[now]] += change[now]
    later = ~now & (batch.ended[rolls] == 0)
    return rolls[later], stage[later], due[later], change[later]


def _draw(
    rng: np.random.Generator, chances: Floats, labelled: float, size: Integers
) -> tuple[Integers, Integers, Integers]:
    """New requests of each roll-out without their labels, how labels change these counts, and the answers lost."""
    truth = rng.multinomial(size, chances)
    known = rng.binomial(truth, labelled)
    first, change = np.zeros((2, len(size), len(Pair)), dtype=np.int64)
    first[:, Pair.alike] = truth[:, Truth.alike_right] + truth[:, Truth.alike_wrong]
    first[:, Pair.differing] = size - first[:, Pair.alike]
    change[:, Pair.alike_known] = known[:, Truth.alike_right] + known[:, Truth.alike_wrong]
    change[:, LABELLED] = known[:, [Truth.lost, Truth.gained, Truth.both_wrong]]
    change[:, Pair.alike] = -change[:, Pair.alike_known]
    change[:, Pair.differing] = -change[:, LABELLED].sum(-1)
    return first, change, truth[:, Truth.lost]


@dataclass(frozen=True, eq=False)
class Timeline:
    """One simulated roll-out from its first request to its end; `points` has a row for each look.

    Their columns: requests (answered by the new network so far), days, stage (a share), low and high (the bounds of the
    loss, in points). `ended` is rolled back, rolled out or asked; `wrong` are the answers of the new network that the
    old one would have given right; `unlabelled` are answers that differ and have no label in the stage it ended in.
    """

    rule: Rule
    points: pd.DataFrame
    ended: str
    wrong: int
    unlabelled: int

    @property
    def stage(self) -> float:
        """The share of the requests in the stage in which it ended."""
        return float(self.points["stage"].iloc[-1])

    @property
    def requests(self) -> int:
        """The requests answered by the new network in all."""
        return int(self.points["requests"].iloc[-1])

    @property
    def days(self) -> float:
        """The days from the first request to the end."""
        return float(self.points["days"].iloc[-1])


def timeline(rule: Rule, traffic: Traffic | Sequence[Traffic], seed: int = 0) -> Timeline:
    """Simulates one roll-out and keeps what was known at each look."""
    looks, stage = [], 0
    for batch in course(rule, traffic, 1, seed):
        looks.append((batch.counts[0].copy(), float(batch.days[0]), stage))
        stage = int(batch.stage[0])  # a look belongs to the stage whose requests it looks at
    counts, days, stages = map(np.array, zip(*looks, strict=True))
    low, high = bounds(counts, stages, rule)
    points = {"requests": counts.sum((-2, -1)), "days": days, "stage": np.asarray(rule.stages)[stages]}
    unlabelled = int(counts[-1, stages[-1], Pair.differing])
    ended = ENDED[batch.ended[0]]
    return Timeline(rule, pd.DataFrame(points | {"low": low, "high": high}), ended, int(batch.wrong[0]), unlabelled)
