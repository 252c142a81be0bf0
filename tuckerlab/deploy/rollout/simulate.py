"""Hundreds of roll-outs at once, with requests drawn from real answers: when does each end, and how?

The decisions are those of `RollOut`: `decided` on the same counts, for all roll-outs in one array.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from tuckerlab.deploy.rollout.anytime_test import LABELLED, Floats, Integers, Pair, Rule, bounds, decided, present
from tuckerlab.deploy.rollout.traffic import Traffic, Truth
from tuckerlab.errors import TuckerlabError

LOOK, GROWTH = 20, 0.06
"""Requests between two looks: at least so many, and this part of those that the stage has had."""
ENDED = ("under way", "rolled back", "rolled out", "asked")
LOSSES = (0.5, 1.0, 2.0, 3.0, 5.0)
LABELLED_SHARES = (1.0, 0.1)


class End(NamedTuple):
    """How a roll-out ended (rolled back, rolled out, asked), and in which stage, a share of the requests.

    "asked" is where a stage has had its requests, all labels have come that come, and nothing is shown. `requests` are
    those answered by the new network, `labels` those that were needed (where the answers differ), `unlabelled` those
    that the stage still lacks, and `wrong` the answers of the new network that the old one would have given right.
    """

    ended: str
    stage: float
    requests: int
    labels: int
    unlabelled: int
    days: float
    wrong: int


@dataclass(frozen=True, eq=False)
class Timeline:
    """One simulated roll-out from its first request to its end; `points` has a row for each look.

    Their columns: requests (answered by the new network so far), days, stage (a share), low and high (the bounds of the
    loss, in points).
    """

    rule: Rule
    points: pd.DataFrame
    end: End


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
    """A row of `End` for each roll-out; of a fault that first shows in a later stage `traffic` has one for each."""
    for batch in course(rule, traffic, repeats, seed):
        last = batch
    return pd.DataFrame(_ends(last, rule), columns=End._fields)


def timeline(rule: Rule, traffic: Traffic | Sequence[Traffic], seed: int = 0) -> Timeline:
    """Simulates one roll-out and keeps what was known at each look."""
    looks, stage = [], 0
    for batch in course(rule, traffic, 1, seed):
        looks.append((batch.counts[0].copy(), float(batch.days[0]), stage))
        stage = int(batch.stage[0])  # a look belongs to the stage whose requests it looks at
    counts, days, stages = map(np.array, zip(*looks, strict=True))
    low, high = bounds(counts, stages, rule)
    points = {"requests": counts.sum((-2, -1)), "days": days, "stage": np.asarray(rule.stages)[stages]}
    return Timeline(rule, pd.DataFrame(points | {"low": low, "high": high}), _ends(batch, rule)[0])


def _ends(last: Batch, rule: Rule) -> list[End]:
    columns = (
        np.take(ENDED, last.ended), np.take(rule.stages, last.stage), last.counts.sum((-2, -1)),
        last.counts[..., list(LABELLED)].sum((-2, -1)), present(last.counts, last.stage)[..., Pair.differing],
        last.days, last.wrong,
    )  # fmt: skip
    return [End(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


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
    alike, labels = [Truth.alike_right, Truth.alike_wrong], [Truth.lost, Truth.gained, Truth.both_wrong]
    first, change = np.zeros((2, len(size), len(Pair)), dtype=np.int64)
    first[:, Pair.alike] = truth[:, alike].sum(-1)
    first[:, Pair.differing] = size - first[:, Pair.alike]
    change[:, Pair.alike_known] = known[:, alike].sum(-1)
    change[:, LABELLED] = known[:, labels]
    change[:, Pair.alike] = -change[:, Pair.alike_known]
    change[:, Pair.differing] = -change[:, LABELLED].sum(-1)
    return first, change, truth[:, Truth.lost]


# --- what a rule promises, and what it does --------------------------------------------------------------------------


def requests_to_catch(loss: float, traffic: Traffic, rule: Rule | None = None, repeats: int = 300) -> dict[str, Any]:
    """How many requests it takes to catch a loss of so many points, by simulation.

    The fault is put into networks that differ as often as these do and are right equally often, so that the loss is
    just what is asked for. Raises TuckerlabError for a loss that the network cannot have.

    - `rolled_back`, `rolled_out` and `asked`: shares of all.
    - `low`, `median`, `high`: requests that the new network answered until it was rolled back; 9 in 10 took more than
      `low`, 9 in 10 less than `high`. NaN where so many never were.
    - `labels`, `days`, `wrong`: medians of those of `End`.
    - the settings: `loss`, `labelled` (the share of labels that arrives), `repeats`, and those of the rule.
    """
    rule = rule or Rule()
    found = simulate(rule, traffic.balanced().with_loss(loss), repeats)
    requests = np.where(found["ended"] == "rolled back", found["requests"], math.inf)
    quantiles = np.quantile(requests, (0.1, 0.5, 0.9), method="inverted_cdf")
    settings = {"loss": loss, "labelled": traffic.labelled, "repeats": repeats} | vars(rule)
    shares = {how.replace(" ", "_"): float((found["ended"] == how).mean()) for how in ENDED[1:]}
    ends = dict(zip(("low", "median", "high"), np.where(np.isfinite(quantiles), quantiles, math.nan), strict=True))
    return settings | shares | ends | {name: float(found[name].median()) for name in ("labels", "days", "wrong")}


def compare_labels(
    traffic: Traffic, *, losses: Sequence[float] = LOSSES,
    labelled: Sequence[float] = LABELLED_SHARES, repeats: int = 200, progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """A row of `requests_to_catch` for each of the losses, where these shares of the labels arrive."""
    asked = [(loss, share) for share in labelled for loss in losses]
    return pd.DataFrame(
        requests_to_catch(loss, replace(traffic, labelled=share), Rule().with_labels(share), repeats)
        for loss, share in tqdm(asked, desc="roll-outs", disable=not progress)
    )
