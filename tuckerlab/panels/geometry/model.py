"""The state of the geometry panel: how far the singular values fall, and both descents to the planted weight.

>>> model = GeometryModel(steps=40)
>>> model.exponent, model.verdict
(4, 'slower')
>>> model.lr = 3.0
>>> model.verdict, len(model.theirs)
('diverged', 3)
"""

from functools import lru_cache

import traitlets

from tuckerlab.demos.planted_weight import LR, Task, ordinary, planted, riemannian, spectrum
from tuckerlab.panels.model import PanelModel

STEPS = 150
"""As many as one core takes in half a second."""

EXPONENTS = tuple(range(9))
RATES = (0.05, LR, 0.5, 1.0, 3.0)
ALIKE = 10.0
"""Errors within this factor of each other count as alike."""


class GeometryModel(PanelModel):
    """Both losses follow the two settings at once; what was computed before is remembered."""

    exponent = traitlets.Int(4, min=EXPONENTS[0], max=EXPONENTS[-1], help="the smallest singular value is 10^-exponent")
    lr = traitlets.Enum(RATES, LR, help="the learning rate of ordinary descent")
    ours = traitlets.Tuple(help="losses of the Riemannian step")
    theirs = traitlets.Tuple(help="losses of ordinary descent; fewer than `steps` where it blew up")

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps = steps
        self._descend()

    @property
    def spectrum(self) -> list[float]:
        """The singular values, from the largest."""
        return [float(value) for value in spectrum(10.0**-self.exponent)]

    @property
    def diverged(self) -> bool:
        """Whether ordinary descent blew up."""
        return len(self.theirs) < self.steps

    @property
    def left(self) -> tuple[float, float]:
        """The shares of the first error that are left: with the Riemannian step, and with ordinary descent."""
        return self.ours[-1] / self.ours[0], self.theirs[-1] / self.theirs[0]

    @property
    def verdict(self) -> str:
        """How ordinary descent fares: "diverged", "slower", "ahead" or "alike"."""
        if self.diverged:
            return "diverged"
        ours, theirs = self.left
        return "slower" if theirs > ALIKE * ours else "ahead" if ours > ALIKE * theirs else "alike"

    @traitlets.observe("exponent", "lr")
    def _descend(self, change: object = None) -> None:
        with self.reporting(), self.hold_trait_notifications():
            self.ours = _riemannian(self.exponent, self.steps)
            self.theirs = _ordinary(self.exponent, self.lr, self.steps)


@lru_cache
def _task(exponent: int) -> Task:
    return planted(10.0**-exponent)


@lru_cache
def _riemannian(exponent: int, steps: int) -> tuple[float, ...]:
    return tuple(riemannian(_task(exponent), steps))


@lru_cache
def _ordinary(exponent: int, lr: float, steps: int) -> tuple[float, ...]:
    return tuple(ordinary(_task(exponent), steps, lr))
