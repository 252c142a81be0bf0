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

LOSSES = (0.5, 1.0, 2.0, 3.0, 5.0)
LABELLED = (1.0, 0.1)
"""Shares of the requests whose label arrives."""


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

    >>> from tuckerlab.deploy.rollout.traffic import Recorded
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
        stages={share: float((back & (found["stage"] == share)).mean()) for share in rule.stages}, origin=origin,
    )  # fmt: skip


def compare_labels(
    traffic: Traffic, rule: Rule | None = None, *, losses: Sequence[float] = LOSSES,
    labelled: Sequence[float] = LABELLED, repeats: int = 200, origin: str = "", progress: bool = True,
) -> list[Caught]:  # fmt: skip
    """`requests_to_catch` for several losses, where these shares of the labels arrive."""
    asked = [(loss, share) for share in labelled for loss in losses]
    return [
        requests_to_catch(
            loss, replace(traffic, labelled=share), (rule or Rule()).with_labels(share), repeats=repeats, origin=origin
        )
        for loss, share in tqdm(asked, desc="roll-outs", disable=not progress)
    ]


def caught_table(found: list[Caught]) -> pd.DataFrame:
    """The numbers as a table, one row for each loss and share of labels.

    >>> caught_table([]).empty
    True
    """
    rows = []
    for one in found:
        numbers = {name: value for name, value in vars(one).items() if name not in ("rule", "traffic", "stages")}
        asked = {name: value for name, value in vars(one.rule).items() if name != "stages"}
        stages = ", ".join(f"{share:g}" for share in one.rule.stages)
        rows.append({"labelled": one.traffic.labelled} | numbers | asked | {"stages": stages})
    return pd.DataFrame(rows)


def chance_interval(share: float, repeats: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in so many repeats (Wilson 1927).

    >>> [round(end, 3) for end in chance_interval(0.02, 300)]
    [0.009, 0.043]
    """
    from scipy.stats import binomtest  # slow to import

    found = binomtest(round(share * repeats), repeats).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
