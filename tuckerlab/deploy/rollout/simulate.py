"""Hundreds of roll-outs at once, with requests drawn from real answers: when does each end, and how?

Requests are drawn from a test split with replacement: what the networks answer is real, that the next request is like
the last is assumed. The decisions are those of `RollOut`: `decided` on the same counts, for all roll-outs in one array.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from tqdm.auto import tqdm

from tuckerlab.deploy.rollout.anytime_test import LABELLED, Pair, Rule, bounds, decided, present
from tuckerlab.errors import TuckerlabError, check_number, check_whole
from tuckerlab.experiments.run_folder import FOLDER

PLACE = FOLDER / "answers"
LABEL, ANSWER = "label", "answer of "  # columns of a record; of each network one that begins so
LOOK, GROWTH = 20, 0.06
"""Requests between two looks: at least so many, and this part of those that the stage has had."""
ENDED = ("under way", "rolled back", "rolled out", "asked")
States = NDArray[np.void]

_CELLS = np.eye(len(Pair), dtype=np.int64)
_BARE = _CELLS[[Pair.alike] * 2 + [Pair.differing] * 3]  # of each of `Traffic.chances`, without a label
_TOLD = _CELLS[[Pair.alike_known, Pair.alike_known, *LABELLED]]  # and with it


@dataclass(frozen=True)
class Traffic:
    """What a request is in truth, and how likely; the share of labels that arrives, and after how many days."""

    classes: int
    alike_right: float
    alike_wrong: float
    lost: float
    gained: float
    both_wrong: float
    labelled: float = 1.0
    delay: float = 0.0
    requests_a_day: float = 10_000.0

    @classmethod
    def of(cls, old: ArrayLike, new: ArrayLike, labels: ArrayLike, classes: int) -> "Traffic":
        """Requests like those of a test split, all of whose labels are known."""
        before, now, right = map(np.asarray, (old, new, labels))
        if not before.shape == now.shape == right.shape or not right.size or right.min() < 0:
            raise TuckerlabError("requests are drawn from a test split: give its answers with a label for each")
        alike, was, holds = before == now, before == right, now == right
        kinds = (alike & holds, alike & ~holds, was & ~alike, holds & ~alike, ~(alike | was | holds))
        return cls(classes, *(float(kind.mean()) for kind in kinds))

    @property
    def chances(self) -> tuple[float, ...]:
        return self.alike_right, self.alike_wrong, self.lost, self.gained, self.both_wrong

    @property
    def loss(self) -> float:
        """How much less often the new network is right, in points."""
        return 100 * (self.lost - self.gained)

    @property
    def differing(self) -> float:
        """The share of the requests that are answered differently, in per cent."""
        return 100 * (1 - self.alike_right - self.alike_wrong)

    def with_loss(self, points: float) -> "Traffic":
        """The same with a fault: so many points of right answers of the new network become any other class."""
        right = self.alike_right + self.gained
        check_number("a loss in points of", points, 0, 100 * right)
        fault = points / 100 / right if right else 0.0
        like_old = self.gained * fault / (self.classes - 1)  # by chance the wrong class that the old network names
        return replace(
            self,
            alike_right=self.alike_right * (1 - fault),
            alike_wrong=self.alike_wrong + like_old,
            lost=self.lost + self.alike_right * fault,
            gained=self.gained * (1 - fault),
            both_wrong=self.both_wrong + self.gained * fault - like_old,
        )


@cache
def recorded_traffic() -> dict[str, Traffic]:
    """Requests that the full network and another answer, by "data: network", from recorded answers to test pictures."""
    found = {}
    for path in sorted(PLACE.glob("*.parquet")):
        table = pd.read_parquet(path, engine="pyarrow")
        answers = {str(name): table[name].to_numpy(int) for name in table if str(name).startswith(ANSWER)}
        dense, labels = answers.pop(f"{ANSWER}dense"), table[LABEL].to_numpy(int)
        for name, given in answers.items():
            traffic = Traffic.of(dense, given, labels, int(table["classes"].iloc[0]))
            found[f"{path.stem}: {name.removeprefix(ANSWER)}"] = traffic
    return found


@dataclass(frozen=True, eq=False)
class Timeline:
    """One roll-out."""

    rule: Rule
    points: pd.DataFrame  # of each look: requests so far, days, stage, bounds of the loss (low, high)
    end: Any  # a row of `simulate`


def simulate(rule: Rule, traffic: Traffic | Sequence[Traffic], repeats: int = 300, seed: int = 0) -> pd.DataFrame:
    """A row for each roll-out; of a fault that first shows in a later stage `traffic` has one for each stage.

    - `ended`: of `ENDED`; "asked" is where a stage has had its requests, all labels have come that come, and nothing is
      shown. `stage`, as a share, and `days`: where and when.
    - `requests`: those answered by the new network. `labels`: those that were needed (where the answers differ),
      `unlabelled`: those that the stage still lacks. `wrong`: answers that the old network would have given right.
    """
    *_looks, last = course(rule, traffic, repeats, seed)
    return _ends(last, rule)


def timeline(rule: Rule, traffic: Traffic | Sequence[Traffic], seed: int = 0) -> Timeline:
    """Simulates one roll-out and keeps what was known at each look."""
    looks = np.concatenate([state.copy() for state in course(rule, traffic, 1, seed)])
    stage = np.append(0, looks["stage"][:-1])  # a look belongs to the stage whose requests it looks at
    low, high = bounds(looks["counts"], stage, rule)
    points = {"requests": looks["counts"].sum((-2, -1)), "days": looks["days"], "stage": np.take(rule.stages, stage)}
    return Timeline(rule, pd.DataFrame(points | {"low": low, "high": high}), _ends(looks[-1:], rule).iloc[0])


def _ends(last: States, rule: Rule) -> pd.DataFrame:
    return pd.DataFrame({
        "ended": np.take(ENDED, last["ended"]),
        "stage": np.take(rule.stages, last["stage"]),
        "requests": last["counts"].sum((-2, -1)),
        "labels": last["counts"][..., list(LABELLED)].sum((-2, -1)),
        "unlabelled": present(last["counts"], last["stage"])[..., Pair.differing],
        "days": last["days"],
        "wrong": last["wrong"],
    })  # fmt: skip


def course(rule: Rule, traffic: Traffic | Sequence[Traffic], repeats: int, seed: int) -> Iterator[States]:
    """The roll-outs after each look, until all have ended; it is the same array each time.

    Of each the stage, the counts, the day, the answers lost so far, and its end (a place in `ENDED`).
    """
    check_whole("repeats", repeats, 1)
    rng, shares = np.random.default_rng(seed), np.asarray(rule.stages)
    each = [traffic] * len(shares) if isinstance(traffic, Traffic) else list(traffic)
    if len(each) != len(shares):
        raise TuckerlabError(f"{len(each)} kinds of traffic: give one, or one for each of the {len(shares)} stages")
    labelled, delay, chances = each[0].labelled, each[0].delay, np.array([one.chances for one in each])
    cells = ("counts", np.int64, (len(shares), len(Pair)))
    states = np.zeros(repeats, [("stage", np.int64), cells, ("days", float), ("wrong", np.int64), ("ended", np.int64)])
    stages, counts, days, ended = (states[name] for name in ("stage", "counts", "days", "ended"))
    # labels on their way: of which roll-outs, of requests of which stage, the days they are due, and what they change
    waiting = [stages[:0], stages[:0], days[:0], counts[:0, 0]]
    yield states
    while (running := np.flatnonzero(ended == 0)).size:
        stage = stages[running]
        had = counts[running, stage].sum(-1)
        full = had >= rule.most  # nothing more is served, but labels may be on their way
        size = np.minimum(np.maximum(LOOK, (GROWTH * had).astype(np.int64)), np.maximum(rule.most - had, 0))
        days[running] += np.where(full, delay, size / (shares[stage] * each[0].requests_a_day))
        truth = rng.multinomial(size, chances[stage])
        known = rng.binomial(truth, labelled)
        states["wrong"][running] += (truth @ _TOLD)[:, Pair.lost]
        counts[running, stage] += truth @ _BARE
        sent = running, stage, days[running] + delay, known @ (_TOLD - _BARE)
        rolls, asked_in, due, change = map(np.concatenate, zip(waiting, sent, strict=True))
        now = due <= days[rolls] + 1e-9
        np.add.at(counts, (rolls[now], asked_in[now]), change[now])
        back, on = decided(counts[running], stage, rule)
        out = on & (stage + 1 == len(shares))
        stages[running] += on & ~out
        ended[running] = np.select([back, out, full & ~on], [1, 2, 3], 0)
        later = ~now & (ended[rolls] == 0)
        waiting = [part[later] for part in (rolls, asked_in, due, change)]
        yield states


def compare_labels(
    traffic: Traffic, *, losses: Sequence[float] = (0.5, 1.0, 2.0, 3.0, 5.0), labelled: Sequence[float] = (1.0, 0.1),
    repeats: int = 200, progress: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """How many requests it takes to catch a loss of so many points, in networks that differ as often as these do.

    A row for each loss where each of these shares of the labels arrives. `low`, `median`, `high`: until 1, 5 and 9 in
    10 were rolled back; NaN where so many never were.
    """
    half = (traffic.lost + traffic.gained) / 2
    even = replace(traffic, lost=half, gained=half)
    rows = []
    for share, loss in tqdm([*product(labelled, losses)], desc="roll-outs", disable=not progress):
        found = simulate(Rule(random_labels=share < 1), replace(even, labelled=share).with_loss(loss), repeats)
        requests = found["requests"].where(found["ended"] == "rolled back", math.inf)
        ends = np.quantile(requests, (0.1, 0.5, 0.9), method="inverted_cdf")
        shares = {how.replace(" ", "_"): (found["ended"] == how).mean() for how in ENDED[1:]}
        row = {"loss": loss, "labelled": share} | shares | dict(zip(("low", "median", "high"), ends, strict=True))
        rows.append(row | {"labels": found["labels"].median()})
    return pd.DataFrame(rows).replace(math.inf, math.nan)
