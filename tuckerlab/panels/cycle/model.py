"""The state of the cycle panel: how often ranks adapt, and the way to the true rank from below and from above.

>>> model = CycleModel(steps=120)
>>> model.verdict, model.chosen[0].found
('finds', 8)
>>> model.every = 1
>>> model.verdict, model.chosen[0].found
('stays', 2)
"""

from functools import lru_cache

import traitlets

from tuckerlab.demos.rank_cycle import STEPS, TRUE_RANK, Path, follow
from tuckerlab.panels.model import PanelModel

CYCLES = (1, 2, 5, 10, 20, 50)
FIRST = (2, 20)
"""The ranks to start from: too small, and too large."""


class CycleModel(PanelModel):
    """Four paths, from both first ranks: cut at every step, and in the chosen cycle."""

    every = traitlets.Enum(CYCLES, 20, help="steps between two adaptations")
    chosen = traitlets.Tuple(help="the paths of this cycle, from below and from above")
    each_step = traitlets.Tuple(help="the paths that are cut at every step")

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self._walk()

    @property
    def verdict(self) -> str:
        """What becomes of the rank that is too small: "finds" the true one, "stays", or "ends" elsewhere."""
        path = self.chosen[0]
        return "finds" if path.found == TRUE_RANK else "stays" if path.found == FIRST[0] else "ends"

    @traitlets.observe("every")
    def _walk(self, change: object = None) -> None:
        with self.reporting(), self.hold_trait_notifications():
            self.each_step = tuple(_follow(1, first, self.steps) for first in FIRST)
            self.chosen = tuple(_follow(self.every, first, self.steps) for first in FIRST)


@lru_cache
def _follow(every: int, first: int, steps: int) -> Path:
    return follow(every, first, steps)
