"""A new network takes over in stages, and a test that may be looked at at any time says when to go on or back.

>>> rollout = RollOut(Rule(harm=1.0))
>>> old, new = [3, 5, 8, 8] * 100, [3, 5, 8, 1] * 100
>>> rollout = rollout.add(paired(old, new, labels=None, classes=10))     # answers are known at once,
>>> rollout.decision.action
'hold'
>>> rollout = rollout.add_late(paired(old, new, old, classes=10), stage=0)   # their labels later
>>> rollout.decision.action
'roll back'
"""

from tuckerlab.deploy.rollout.anytime_test import Rule, paired
from tuckerlab.deploy.rollout.rollout import Decision, RollOut
from tuckerlab.deploy.rollout.simulate import compare_labels, requests_to_catch, simulate, timeline
from tuckerlab.deploy.rollout.traffic import Recorded, Traffic

__all__ = [
    "Decision", "Recorded", "RollOut", "Rule", "Traffic", "compare_labels", "paired", "requests_to_catch", "simulate",
    "timeline",
]  # fmt: skip
