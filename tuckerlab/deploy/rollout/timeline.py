"""One roll-out from its first request to its end: what is known of the loss after each look.

>>> from tuckerlab.deploy.rollout.rule import Rule
>>> from tuckerlab.deploy.rollout.traffic import Traffic
>>> story = timeline(Rule(), Traffic((0.96, 0.02, 0.005, 0.005, 0.01), classes=10).with_loss(5), seed=1)
>>> story.ended, story.stage, bool(story.points["low"].iloc[-1] > 0)
('rolled back', 0.01, True)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tuckerlab.deploy.rollout.counts import Pair
from tuckerlab.deploy.rollout.evidence import answered, bounds
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.simulate import ENDED, course
from tuckerlab.deploy.rollout.traffic import Traffic


@dataclass(frozen=True, eq=False)
class Timeline:
    """One simulated roll-out; `points` has a row for each look.

    Their columns: requests (answered by the new network so far), days, stage (a share), low and high (the bounds of the
    loss, in points). `ended` is rolled back, rolled out or asked; `wrong` are the answers of the new network that the
    old one would have given right; `differing` are answers that differ, `unlabelled` those of them without a label, in
    the stage that it ended in.
    """

    rule: Rule
    points: pd.DataFrame
    ended: str
    wrong: int
    differing: int
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
    """Simulates one roll-out and keeps what was known at each look.

    >>> from tuckerlab.deploy.rollout.traffic import Traffic
    >>> timeline(Rule(), Traffic((1.0, 0, 0, 0, 0), classes=2)).ended
    'rolled out'
    """
    counts, days, stages = [], [], []
    stage = 0
    for batch in course(rule, traffic, 1, seed):
        counts.append(batch.counts[0].copy())
        days.append(float(batch.days[0]))
        stages.append(stage)  # a look belongs to the stage whose requests it looks at
        stage = int(batch.stage[0])
    seen, place = np.array(counts), np.array(stages)
    low, high = bounds(seen, place, rule)
    points = pd.DataFrame({
        "requests": answered(seen, rule).sum(-1), "days": days, "stage": np.asarray(rule.tested)[place],
        "low": low, "high": high,
    })  # fmt: skip
    last = counts[-1][stages[-1]]
    open_, known = (int(last[Pair.differing]), int(last[Pair.lost :].sum())) if rule.paired else (0, 0)
    return Timeline(rule, points, ENDED[batch.ended[0]], int(batch.wrong[0]), open_ + known, open_)
