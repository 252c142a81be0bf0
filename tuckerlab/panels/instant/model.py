"""The state of the instant slider: two settings that follow each other, and the size they point at.

>>> model = InstantModel("slider-digits")
>>> model.compression = 0.9
>>> model.size.trained, model.by
(True, 'compression')
"""

from typing import Any

import traitlets

from tuckerlab.errors import DataError
from tuckerlab.experiments.size_table import Size, Sizes, recorded_sizes, yearly_cost
from tuckerlab.panels.model import PanelModel

MOST_ANSWERS, HIGHEST_PRICE = 1e12, 1e6


class InstantModel(PanelModel):
    """Moving one setting points at a size along it; the other setting follows to the size that stores as much.

    A recorded table that is not there is a `problem`, and the one before stays. Raises DataError where there are none.
    """

    source = traitlets.Unicode(help="the name of a recorded table, or empty for one that was given")
    by = traitlets.Enum(["compression", "tolerance"], "compression")
    compression = traitlets.Float()
    tolerance = traitlets.Float()
    answers = traitlets.Float(1e6, min=0, max=MOST_ANSWERS, help="answers a day")
    price = traitlets.Float(0.1, min=0, max=HIGHEST_PRICE, help="price of an hour of this machine")
    exercise = traitlets.Float(None, allow_none=True, help="points that the network to be found may lose")
    sizes = traitlets.Instance(Sizes)
    size = traitlets.Instance(Size)

    def __init__(self, sizes: str | Sizes = "slider-digits", exercise: float | None = None) -> None:
        super().__init__(exercise=exercise)
        self._following = False
        if isinstance(sizes, Sizes):
            self.sizes = sizes
        else:
            found = [name for name in self.sources if name.startswith(sizes)]
            self.source = (found or self.sources or [sizes])[0]
            if not found:
                with self.reporting():
                    Sizes.recorded(sizes)
            if not self.source:
                raise DataError(self.problem)

    @property
    def sources(self) -> list[str]:
        """The recorded tables."""
        return recorded_sizes()

    @property
    def full(self) -> Size:
        """The full network."""
        return self.sizes.full

    def settings(self, by: str) -> list[tuple[float, bool]]:
        """Where a slider can stand, and whether a network was trained there."""
        return [(size.setting, size.trained) for size in self.sizes.series(by)]

    @property
    def solved(self) -> bool:
        """Whether the needle is at the smallest network that loses at most the points of the exercise."""
        if self.exercise is None:
            return False
        best = self.sizes.smallest_within(self.by, self.exercise)  # other settings may cut to the same network
        return (self.size.parameters, self.size.test_accuracy) == (best.parameters, best.test_accuracy)

    def cost(self, size: Size) -> float:
        """What a year of answers costs."""
        return yearly_cost(size, self.answers, self.price)

    @traitlets.validate("source")
    def _load(self, proposal: dict[str, Any]) -> str:
        with self.reporting():
            self.sizes = Sizes.recorded(proposal["value"])
        return self.source if self.problem else str(proposal["value"])

    @traitlets.observe("sizes")
    def _begin(self, change: dict[str, object]) -> None:
        by = "compression" if self.sizes.series("compression") else "tolerance"
        self._point(by, self.sizes.smallest_within(by, 0))

    @traitlets.observe("compression", "tolerance")
    def _move(self, change: dict[str, object]) -> None:
        if not self._following and self.traits()["sizes"].get(self) is not None:
            by = str(change["name"])
            if self.sizes.series(by):
                self._point(by, self.sizes.at(by, getattr(self, by)))

    def _point(self, by: str, size: Size) -> None:
        other = "tolerance" if by == "compression" else "compression"
        self._following = True
        try:
            self.by = by
            setattr(self, by, size.setting)
            if self.sizes.series(other):
                setattr(self, other, self.sizes.like(size, other).setting)
        finally:
            self._following = False
        self.size = size
