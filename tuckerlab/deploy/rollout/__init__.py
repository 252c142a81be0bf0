"""A new network takes over in stages, and a test that may be looked at at any time says when to go on or back.

>>> rollout = RollOut(Rule(harm=1.0))
>>> old, new = [3, 5, 8, 8] * 100, [3, 5, 8, 1] * 100
>>> rollout = rollout.add(paired(old, new, labels=None, classes=10))     # answers are known at once,
>>> rollout.decision.action
'hold'
>>> rollout = rollout.add_late(paired(old, new, old, classes=10), stage=0)   # their labels later
>>> rollout.decision.action
'roll back'

`sequential` is the test, `rule` what is asked for, `tally` turns answers into counts, `evidence` weighs the counts,
`machine` decides. `traffic`, `simulate`, `timeline` and `catching` try it on real answers (`answers`), `pictures` shows
what they found.
"""

from tuckerlab.deploy.rollout.counts import Tally, apart, paired
from tuckerlab.deploy.rollout.machine import Decision, RollOut
from tuckerlab.deploy.rollout.power import LOSSES, Caught, caught_table, compare_ways, requests_to_catch
from tuckerlab.deploy.rollout.recorded_predictions import Recorded, recorded_answers
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.simulate import simulate
from tuckerlab.deploy.rollout.timeline import Timeline, timeline
from tuckerlab.deploy.rollout.traffic import Traffic

__all__ = [
    "LOSSES",
    "Caught",
    "Decision",
    "Recorded",
    "RollOut",
    "Rule",
    "Tally",
    "Timeline",
    "Traffic",
    "apart",
    "caught_table",
    "compare_ways",
    "paired",
    "recorded_answers",
    "requests_to_catch",
    "simulate",
    "timeline",
]
