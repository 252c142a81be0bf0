"""The picture of the roll-out panel: one roll-out from its first request to its end.

>>> from tuckerlab.rollout import Rule, Traffic, timeline
>>> story = timeline(Rule(), Traffic((0.96, 0.02, 0.005, 0.005, 0.01), classes=10).with_loss(5))
>>> png(story)[:4]
b'\\x89PNG'
"""

from tuckerlab.rollout.pictures import rollout_timeline
from tuckerlab.rollout.timeline import Timeline


def png(story: Timeline) -> bytes:
    """The timeline as bytes."""
    return rollout_timeline(story)._repr_png_()
