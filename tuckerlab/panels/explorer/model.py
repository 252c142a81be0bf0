"""The state of the Tucker explorer: a subject, the ranks asked for, and the subject cut at them.

>>> model = ExplorerModel("photo.china", tolerance=0.2)
>>> model.by, model.cut.ranks
('tolerance', (12, 12, 1))
>>> model.asked = (20, 20, 3)
>>> model.by, f"{model.cut.share:.1%}"
('ranks', '8.0%')
"""

from typing import Any

import traitlets

from tuckerlab.demos.decompositions import PHOTOS, Cut, Goal, subject, subjects
from tuckerlab.panels.model import PanelModel
from tuckerlab.tucker.tensor import check_fraction


class ExplorerModel(PanelModel):
    """A tolerance sets all ranks, and each may be moved afterwards; what is not allowed changes `problem` alone."""

    subject = traitlets.Unicode(help="the name of a subject")
    tolerance = traitlets.Float()
    asked = traitlets.Tuple(help="one rank for each mode; the cut has them lowered where they cannot be")
    by = traitlets.Enum(["tolerance", "ranks"], "tolerance", help="what set the ranks last")
    cut = traitlets.Instance(Cut)
    goal = traitlets.Instance(Goal, allow_none=True)

    def __init__(self, subject: str = PHOTOS[0], tolerance: float = 0.15, goal: Goal | None = None) -> None:
        super().__init__()
        self._following = False
        self.goal = goal
        self.tolerance = tolerance
        first = self.problem
        self.subject = subject
        self.problem = first or self.problem

    @property
    def names(self) -> list[str]:
        """The subjects to choose from."""
        return subjects()

    @property
    def lowered(self) -> list[tuple[str, int, int]]:
        """The modes whose rank cannot be what was asked for: name, asked, and what it is."""
        ranks = zip(self.cut.of.modes, self.cut.asked, self.cut.ranks, strict=True)
        return [(mode, asked, rank) for mode, asked, rank in ranks if asked != rank]

    @property
    def solved(self) -> bool:
        """Whether there is a goal and it is met."""
        return self.goal is not None and self.goal.met(self.cut)

    @traitlets.validate("subject")
    def _known(self, proposal: dict[str, Any]) -> str:
        name: str = proposal["value"]
        with self.reporting():
            name = subject(name).name
        return (self.subject or PHOTOS[0]) if self.problem else name

    @traitlets.validate("tolerance")
    def _fraction(self, proposal: dict[str, Any]) -> float:
        with self.reporting():
            check_fraction("tolerance", proposal["value"])
        return float(self.tolerance if self.problem else proposal["value"])

    @traitlets.validate("asked")
    def _allowed(self, proposal: dict[str, Any]) -> tuple[int, ...]:
        if not self._following:
            with self.reporting():
                self.cut.of.check(proposal["value"])
        return tuple(self.asked if self.problem and not self._following else proposal["value"])

    @traitlets.observe("subject", "tolerance")
    def _set_by_tolerance(self, change: dict[str, Any]) -> None:
        if not self.subject:
            return
        of = subject(self.subject)
        self._following = True
        try:
            self.asked = of.ranks_within(self.tolerance)
        finally:
            self._following = False
        self.by = "tolerance"
        self.cut = of.cut(self.asked)

    @traitlets.observe("asked")
    def _set_by_hand(self, change: dict[str, Any]) -> None:
        if not self._following:
            self.by = "ranks"
            self.cut = self.cut.of.cut(self.asked)
