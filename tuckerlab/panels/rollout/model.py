"""The state of the roll-out panel: what would be too much, what becomes known, the fault, and how it ends.

>>> model = RollOutModel("digits", repeats=20)
>>> model.fault = 5
>>> model.state.story.ended, model.state.story.stage
('rolled back', 0.01)
>>> model.fault = 0
>>> model.state.story.ended
'rolled out'
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import pandas as pd
import traitlets

from tuckerlab.deploy.rollout import Recorded, Rule, Timeline, Traffic, recorded_answers, simulate, timeline
from tuckerlab.deploy.rollout.simulate import ENDED
from tuckerlab.errors import DataError
from tuckerlab.i18n import text
from tuckerlab.panels.model import PanelModel

FAULTS = (0.0, 1.0, 2.0, 5.0)
LABELLED = (0.0, 0.1, 0.5, 1.0)
DELAYS = (0, 1, 7)
REQUESTS = (1_000, 10_000, 100_000, 1_000_000)
STAGES = Rule().stages
WEEK = 7
DENSE = "dense"


@dataclass(frozen=True, eq=False)
class State:
    """All that the panel shows: a roll-out, the same without stages, and many at random.

    `at_once` is a row of `simulate`; `shares` says how often each end comes, `median` how many requests those that were
    rolled back took.
    """

    story: Timeline
    at_once: pd.Series
    traffic: Traffic
    faulty: Traffic
    shares: dict[str, float]
    median: float


class RollOutModel(PanelModel):
    """Every trait may be set at any time; `state` follows. A source is recorded answers and a network of them."""

    source = traitlets.Unicode(None, allow_none=True)
    harm = traitlets.Float(1.0, min=0.2, max=10, help="the loss that would be too much, in points")
    labelled = traitlets.Enum(LABELLED, 1.0, help="the share of requests whose true answer becomes known")
    delay = traitlets.Enum(DELAYS, 1, help="days until it does")
    requests_a_day = traitlets.Enum(REQUESTS, 10_000)
    fault = traitlets.Enum(FAULTS, 2.0, help="points that the new network loses by the fault")
    since = traitlets.Enum(STAGES, STAGES[0], help="the stage in which the fault first shows")
    seed = traitlets.Int(0, min=0, help="which requests come")
    sources = traitlets.Tuple(help="what there is to choose from")
    state = traitlets.Instance(State, allow_none=True)

    def __init__(self, source: str = "digits", repeats: int = 50) -> None:
        super().__init__()
        self.repeats = repeats
        self.sources = _sources()
        found = next((name for name in self.sources if name.startswith(source)), None)
        with self.reporting():
            if found is None:
                raise DataError(text("canary.no_source", source=source, there=", ".join(self.sources)))
            self.source = found
        self.observe(self._roll, ["source", "harm", "labelled", "delay", "requests_a_day", "fault", "since", "seed"])
        self._roll()

    def again(self) -> None:
        """The same roll-out with other requests."""
        self.seed += 1

    def _roll(self, change: object = None) -> None:
        if self.source is None:
            return
        with self.reporting():
            traffic = replace(
                _traffic(self.source), labelled=self.labelled, delay=self.delay, requests_a_day=self.requests_a_day
            )
            faulty = traffic.with_loss(self.fault)
            rule = Rule(harm=self.harm).with_labels(self.labelled)
            self.state = _rolled(rule, traffic, faulty, self.since, self.seed, self.repeats)


@lru_cache(maxsize=64)
def _rolled(rule: Rule, traffic: Traffic, faulty: Traffic, since: float, seed: int, repeats: int) -> State:
    each = [faulty if share >= since else traffic for share in rule.stages]
    found = simulate(rule, each, repeats, seed=seed)
    # nothing can be held back: all requests of a week go on coming, and of the days until labels arrive
    most = max(rule.most, int((WEEK + traffic.delay) * traffic.requests_a_day))
    at_once = simulate(replace(rule, stages=(1.0,), most=most), faulty, 1, seed).iloc[0]
    return State(timeline(rule, each, seed), at_once, traffic, faulty, *_summary(found))


def _summary(found: pd.DataFrame) -> tuple[dict[str, float], float]:
    back = found["ended"] == ENDED[1]
    return {how: float((found["ended"] == how).mean()) for how in ENDED[1:]}, float(found["requests"][back].median())


def _sources() -> tuple[str, ...]:
    """Recorded answers by name and network, such as "digits: Tucker 90 %"."""
    found: Sequence[Recorded] = [_recorded(name) for name in recorded_answers()]
    return tuple(f"{one.name}: {network}" for one in found for network in one.networks if network != DENSE)


@lru_cache
def _recorded(name: str) -> Recorded:
    return Recorded.open(name)


def _traffic(source: str) -> Traffic:
    name, _, network = source.partition(": ")
    return _recorded(name).traffic(network)
