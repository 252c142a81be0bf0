"""Hundreds of roll-outs at once, with requests drawn from real answers: when does each end, and how?

>>> from tuckerlab.deploy.rollout.rule import Rule
>>> from tuckerlab.deploy.rollout.traffic import Traffic
>>> traffic = Traffic((0.96, 0.02, 0.005, 0.005, 0.01), classes=10).with_loss(5)
>>> found = simulate(Rule(), traffic, repeats=20)
>>> [str(how) for how in set(found["ended"])], bool(found["requests"].median() < 500)
(['rolled back'], True)

The decisions are those of `machine.RollOut`: the same evidence of the same counts, for all roll-outs in one array.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tuckerlab.deploy.rollout.anytime_test import Floats
from tuckerlab.deploy.rollout.counts import BECOMES, Arm, Pair
from tuckerlab.deploy.rollout.evidence import Integers, answered, harm, no_harm
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

    >>> from tuckerlab.deploy.rollout.traffic import Traffic
    >>> sorted(simulate(Rule(), Traffic((1.0, 0, 0, 0, 0), classes=2), repeats=2).columns)
    ['days', 'ended', 'labels', 'requests', 'stage', 'wrong']

    "asked" is where a stage has had its requests, all labels have come that come, and nothing is shown. With a shadow
    a label is needed where the answers differ, without one it is needed always. Of a fault that first shows in a later
    stage `traffic` has one for each stage that is tested.
    """
    for batch in course(rule, traffic, repeats, seed):
        last = batch
    needed = (
        [Pair.lost, Pair.gained, Pair.both_wrong] if rule.paired else [cell for cell in Arm if "open" not in cell.name]
    )
    return pd.DataFrame({
        "ended": pd.Categorical([ENDED[how] for how in last.ended], categories=ENDED),
        "stage": np.asarray(rule.tested)[last.stage],
        "requests": answered(last.counts, rule).sum(-1),
        "labels": last.counts[..., needed].sum((-2, -1)),
        "days": last.days,
        "wrong": last.wrong,
    })  # fmt: skip


def course(rule: Rule, traffic: Traffic | Sequence[Traffic], repeats: int, seed: int) -> Iterator[Batch]:
    """The roll-outs after each look, until all have ended; it is the same object each time.

    >>> from tuckerlab.deploy.rollout.traffic import Traffic
    >>> looks = [int(b.counts.sum()) for b in course(Rule(), Traffic((1.0, 0, 0, 0, 0), classes=2), 1, seed=0)]
    >>> looks[:3]
    [0, 20, 40]
    """
    if repeats < 1:
        raise TuckerlabError(f"repeats {repeats}: allowed are whole numbers from 1")
    rng, shares = np.random.default_rng(seed), np.asarray(rule.tested)
    each = [traffic] * len(shares) if isinstance(traffic, Traffic) else list(traffic)
    if len(each) != len(shares):
        raise TuckerlabError(f"{len(each)} kinds of traffic: give one, or one for each of the {len(shares)} stages")
    labels, delay, chances = each[0].labelled, each[0].delay, np.array([one.chances for one in each])
    cells = len(Pair) if rule.paired else len(Arm)
    stage, wrong, ended = np.zeros((3, repeats), dtype=np.int64)
    batch = Batch(stage, np.zeros((repeats, len(shares), cells), dtype=np.int64), np.zeros(repeats), wrong, ended)
    post = _Post(repeats, cells)
    yield batch
    while (running := np.flatnonzero(batch.ended == 0)).size:
        stage = batch.stage[running]
        had = answered(batch.counts[running, stage], rule)
        full = had >= rule.most  # nothing more is served, but labels may be on their way
        size = np.minimum(np.maximum(LOOK, (GROWTH * had).astype(np.int64)), np.maximum(rule.most - had, 0))
        batch.days[running] += np.where(full, delay, size / (shares[stage] * each[0].requests_a_day))
        first, late, lost = _draw(rng, rule, chances[stage], labels, size, shares[stage])
        batch.wrong[running] += lost
        batch.counts[running, stage] += first
        if delay:
            post.send(running, batch, late, delay)
            post.deliver(batch)
        else:
            batch.counts[running, stage] += late
        _decide(batch, rule, running, full)
        yield batch


class _Post:
    """Labels on their way: when they are due for which stage, and how they change its counts (looks × roll-outs)."""

    def __init__(self, repeats: int, cells: int) -> None:
        self.due, self.stage = np.zeros((0, repeats)), np.zeros((0, repeats), dtype=np.int64)
        self.change = np.zeros((0, repeats, cells), dtype=np.int64)

    def send(self, running: Integers, batch: Batch, late: Integers, delay: float) -> None:
        due, change = np.full((1, *batch.days.shape), np.inf), np.zeros((1, *self.change.shape[1:]), dtype=np.int64)
        due[0, running], change[0, running] = batch.days[running] + delay, late
        self.due, self.change = np.concatenate([self.due, due]), np.concatenate([self.change, change])
        self.stage = np.concatenate([self.stage, batch.stage[None]])

    def deliver(self, batch: Batch) -> None:
        looks, rolls = np.nonzero(self.due <= batch.days + 1e-9)
        np.add.at(batch.counts, (rolls, self.stage[looks, rolls]), self.change[looks, rolls])
        self.due[looks, rolls] = np.inf
        waiting = np.isfinite(self.due[:, batch.ended == 0]).any(1)
        self.due, self.stage, self.change = self.due[waiting], self.stage[waiting], self.change[waiting]


def _draw(
    rng: np.random.Generator, rule: Rule, chances: Floats, labelled: float, size: Integers, shares: Floats
) -> tuple[Integers, Integers, Integers]:
    """New requests of each roll-out without their labels, how labels change these counts, and the answers lost."""
    truth = rng.multinomial(size, chances)
    known = rng.binomial(truth, labelled)
    late: dict[int, Integers]
    if rule.paired:
        alike, alike_known = (of[:, Truth.alike_right] + of[:, Truth.alike_wrong] for of in (truth, known))
        first = _columns({Pair.alike: alike, Pair.differing: size - alike})
        late = {Pair.lost: known[:, Truth.lost], Pair.gained: known[:, Truth.gained]}
        late |= {Pair.both_wrong: known[:, Truth.both_wrong], Pair.alike_known: alike_known}
    else:
        others = rng.negative_binomial(np.maximum(size, 1), shares) * (size > 0)  # come to the old one meanwhile
        old_right = rng.binomial(others, chances[:, [Truth.alike_right, Truth.lost]].sum(-1).clip(max=1))
        first = _columns({Arm.new_open: size, Arm.old_open: others})
        late = {Arm.new_right: known[:, Truth.alike_right] + known[:, Truth.gained]}
        late |= {Arm.new_wrong: known.sum(-1) - late[Arm.new_right]}
        late |= {Arm.old_right: rng.binomial(old_right, labelled)}
        late |= {Arm.old_wrong: rng.binomial(others - old_right, labelled)}
    change = _columns(late)
    for unknown, becomes in BECOMES[rule.paired].items():
        change[:, unknown] = -change[:, list(becomes)].sum(-1)
    return first, change, truth[:, Truth.lost]


def _columns(given: dict[int, Integers]) -> Integers:
    found = np.zeros((len(next(iter(given.values()))), len(Pair)), dtype=np.int64)
    for cell, column in given.items():
        found[:, cell] = column
    return found


def _decide(batch: Batch, rule: Rule, running: Integers, full: NDArray[np.bool_]) -> None:
    stage, counts = batch.stage[running], batch.counts[running]
    back = harm(counts, rule) >= np.log(1 / rule.false_alarm)
    present = counts[np.arange(len(running)), stage]
    on = ~back & (no_harm(present, stage, rule) >= np.log(1 / rule.miss))
    out = on & (stage + 1 == len(rule.tested))
    batch.stage[running] += on & ~out
    batch.ended[running] = np.select([back, out, full & ~on], [1, 2, 3], 0)
