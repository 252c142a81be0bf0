"""A new network takes over in stages, and a test that may be looked at at any time says when to go on or back.

>>> rollout = RollOut(Rule(harm=1.0))
>>> old, new = [3, 5, 8, 8] * 100, [3, 5, 8, 1] * 100
>>> rollout = rollout.add(paired(old, new, labels=None, classes=10))     # answers are known at once,
>>> rollout.decision.action
'hold'
>>> rollout = rollout.add_late(paired(old, new, old, classes=10), stage=0)   # their labels later
>>> rollout.decision.action
'roll back'

`anytime_test` is the test, `rule` what is asked for, `counts` turns answers into counts and weighs them, `rollout`
decides. `traffic`, `simulate` and `power` try it on real answers, `plots` shows what they found.
"""

from tuckerlab.deploy.rollout.counts import paired
from tuckerlab.deploy.rollout.power import Caught, compare_labels, requests_to_catch
from tuckerlab.deploy.rollout.rollout import Decision, RollOut
from tuckerlab.deploy.rollout.rule import Rule
from tuckerlab.deploy.rollout.simulate import Timeline, simulate, timeline
from tuckerlab.deploy.rollout.traffic import Recorded, Traffic, recorded_answers

__all__ = [
    "Caught", "Decision", "Recorded", "RollOut", "Rule", "Timeline", "Traffic", "compare_labels", "paired",
    "recorded_answers", "requests_to_catch", "simulate", "timeline",
]  # fmt: skip
