"""What a rule promises and what it does: requests until a loss is caught, and how often it errs.

>>> from tuckerlab.deploy.rollout.rule import Rule
>>> from tuckerlab.deploy.rollout.traffic import Traffic
>>> traffic = Traffic((0.96, 0.02, 0.005, 0.005, 0.01), classes=10)
>>> found = requests_to_catch(5.0, traffic, Rule(), repeats=50, origin="made-up answers")
>>> found.rolled_back, 50 < found.median < 500, found.origin
(1.0, True, 'made-up answers')
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.simulate import ENDED, simulate
from tuckerlab.deploy.rollout.traffic import Traffic

Way = tuple[bool, float]
"""A way of looking: whether with a shadow, and the share of labels that arrive."""

LOSSES = (0.5, 1.0, 2.0, 3.0, 5.0)
WAYS: tuple[Way, ...] = ((True, 1.0), (True, 0.1), (False, 1.0), (False, 0.1))


@dataclass(frozen=True)
class Caught:
    """How simulated roll-outs of a network with this loss (in points) ended.

    - `rolled_back`, `rolled_out` and `asked`: shares of all. `stages`: the share rolled back in each stage.
    - `low`, `median`, `high`: requests that the new network answered until it was rolled back; 9 in 10 took more than
      `low`, 9 in 10 less than `high`. NaN where so many never were.
    - `labels`, `days`, `wrong`: medians of the true answers that were needed, of the days, and of the wrong answers
      that the old network would have given right.
    """

    loss: float
    rule: Rule
    traffic: Traffic
    repeats: int
    seed: int
    rolled_back: float
    rolled_out: float
    asked: float
    low: float
    median: float
    high: float
    labels: float
    days: float
    wrong: float
    stages: dict[float, float]
    origin: str


def requests_to_catch(
    loss: float, traffic: Traffic, rule: Rule | None = None, *, repeats: int = 300, seed: int = 0, origin: str = ""
) -> Caught:
    """How many requests it takes to catch a loss of so many points, by simulation.

    >>> from tuckerlab.deploy.rollout.recorded_predictions import Recorded
    >>> answers = Recorded.open("digits")
    >>> found = requests_to_catch(2.0, answers.traffic("Tucker 90 %"), repeats=20, origin=answers.name)
    >>> found.low <= found.median <= found.high
    True

    The fault is put into networks that differ as often as these do and are right equally often, so that the loss is
    just what is asked for. Raises TuckerlabError for a loss that the network cannot have.
    """
    rule = rule or Rule()
    faulty = traffic.balanced().with_loss(loss)
    found = simulate(rule, faulty, repeats, seed)
    back = found["ended"] == "rolled back"
    requests = np.where(back, found["requests"], math.inf)
    low, median, high = (
        float(q) if math.isfinite(q) else math.nan
        for q in np.quantile(requests, (0.1, 0.5, 0.9), method="inverted_cdf")
    )
    ended = {how: float((found["ended"] == how).mean()) for how in ENDED}
    return Caught(
        loss=loss, rule=rule, traffic=faulty, repeats=repeats, seed=seed, low=low, median=median, high=high,
        rolled_back=ended["rolled back"], rolled_out=ended["rolled out"], asked=ended["asked"],
        labels=float(found["labels"].median()), days=float(found["days"].median()),
        wrong=float(found["wrong"].median()),
        stages={share: float((back & (found["stage"] == share)).mean()) for share in rule.tested}, origin=origin,
    )  # fmt: skip


def compare_ways(
    traffic: Traffic, rule: Rule | None = None, *, losses: Sequence[float] = LOSSES, ways: Sequence[Way] = WAYS,
    repeats: int = 200, origin: str = "", progress: bool = True,
) -> list[Caught]:  # fmt: skip
    """`requests_to_catch` for several losses and ways of looking: with a shadow or without, and a share of labels.

    >>> traffic = Traffic((0.96, 0.02, 0.005, 0.005, 0.01), classes=10)
    >>> found = compare_ways(traffic, losses=[5.0], ways=[(True, 1.0), (False, 1.0)], repeats=20, progress=False)
    >>> found[0].labels < found[1].labels / 100
    True
    """
    asked = [(loss, *way) for way in ways for loss in losses]
    return [
        requests_to_catch(
            loss, replace(traffic, labelled=labelled), watching(rule or Rule(), paired, labelled),
            repeats=repeats, origin=origin,
        )
        for loss, paired, labelled in tqdm(asked, desc="roll-outs", disable=not progress)
    ]  # fmt: skip


def watching(rule: Rule, paired: bool, labelled: float) -> Rule:
    """The rule where this share of labels arrives, at random: something has to be assumed only where some do not.

    >>> watching(Rule(), paired=True, labelled=0.1).random_labels, watching(Rule(), True, 1.0).random_labels
    (True, False)
    """
    return replace(rule, paired=paired, random_labels=not paired or labelled < 1)


def caught_table(found: list[Caught]) -> pd.DataFrame:
    """The numbers as a table, one row for each loss and way of looking.

    >>> caught_table([]).empty
    True
    """
    rows = []
    for one in found:
        numbers = {name: value for name, value in vars(one).items() if name not in ("rule", "traffic", "stages")}
        asked = {name: value for name, value in vars(one.rule).items() if name not in ("paired", "stages")}
        stages = ", ".join(f"{share:g}" for share in one.rule.stages)
        rows.append(
            {"shadow": one.rule.paired, "labelled": one.traffic.labelled} | numbers | asked | {"stages": stages}
        )
    return pd.DataFrame(rows)


def chance_interval(share: float, repeats: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in so many repeats (Wilson 1927).

    >>> [round(end, 3) for end in chance_interval(0.02, 300)]
    [0.009, 0.043]
    """
    z2 = 1.959964**2
    middle = (share + z2 / (2 * repeats)) / (1 + z2 / repeats)
    half = math.sqrt(z2 * (share * (1 - share) / repeats + z2 / (4 * repeats**2))) / (1 + z2 / repeats)
    return max(middle - half, 0.0), min(middle + half, 1.0)
