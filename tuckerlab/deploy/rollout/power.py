"""What a rule promises and what it does: requests until a loss is caught, and how often it errs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from tqdm.auto import tqdm

from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.simulate import simulate
from tuckerlab.deploy.rollout.traffic import Traffic

LOSSES = (0.5, 1.0, 2.0, 3.0, 5.0)
LABELLED = (1.0, 0.1)
"""Shares of the requests whose label arrives."""


@dataclass(frozen=True)
class Caught:
    """How simulated roll-outs of a network with this loss (in points) ended, where this share of labels arrives.

    - `rolled_back`, `rolled_out` and `asked`: shares of all.
    - `low`, `median`, `high`: requests that the new network answered until it was rolled back; 9 in 10 took more than
      `low`, 9 in 10 less than `high`. NaN where so many never were.
    - `labels`, `days`, `wrong`: medians of the true answers that were needed, of the days, and of the wrong answers
      that the old network would have given right.
    """

    loss: float
    labelled: float
    rule: Rule
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
    origin: str


def requests_to_catch(
    loss: float, traffic: Traffic, rule: Rule | None = None, *, repeats: int = 300, seed: int = 0, origin: str = ""
) -> Caught:
    """How many requests it takes to catch a loss of so many points, by simulation.

    The fault is put into networks that differ as often as these do and are right equally often, so that the loss is
    just what is asked for. Raises TuckerlabError for a loss that the network cannot have.
    """
    rule = rule or Rule()
    found = simulate(rule, traffic.balanced().with_loss(loss), repeats, seed)
    requests = np.where(found["ended"] == "rolled back", found["requests"], math.inf)
    quantiles = np.quantile(requests, (0.1, 0.5, 0.9), method="inverted_cdf")
    low, median, high = np.where(np.isfinite(quantiles), quantiles, math.nan).tolist()
    ended = {how.replace(" ", "_"): float((found["ended"] == how).mean()) for how in found["ended"].cat.categories[1:]}
    medians = {name: float(found[name].median()) for name in ("labels", "days", "wrong")}
    return Caught(
        loss,
        traffic.labelled,
        rule,
        repeats,
        seed,
        low=low,
        median=median,
        high=high,
        origin=origin,
        **ended,
        **medians,
    )


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


def chance_interval(share: float, repeats: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in so many repeats (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    found = binomtest(round(share * repeats), repeats).proportion_ci(0.95, method="wilson")
    return float(found.low), float(found.high)
