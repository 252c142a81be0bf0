"""A tolerance for each layer, where `Tolerance` has one for all: `PerLayer`.

>>> import torch
>>> layer = Spectrum((8, 6, 3, 3), (0, 1), (torch.tensor([5.0, 1.0, 0.1]), torch.tensor([5.0, 1.0])))
>>> PerLayer((0.1, 0.5)).choose([layer, layer])
[(2, 2), (1, 1)]
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from tuckerlab.errors import RankError
from tuckerlab.tucker.rank_policy import RankPolicy, Spectrum
from tuckerlab.tucker.tensor import check_fraction, tolerance_ranks


@dataclass(frozen=True)
class PerLayer(RankPolicy):
    """Chooses like `Tolerance`, with the i-th of `taus` for the i-th layer that is factorized.

    >>> str(PerLayer((0.02, 0.1, 0.3)))
    'τ 0.02 to 0.3 2b75da'

    Raises RankError for a tolerance outside 0 … 1 (1 excluded), and where there are not as many as layers.
    """

    taus: tuple[float, ...] = (0.1,)
    growth: float = field(default=0.25, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "taus", tuple(self.taus))
        for tau in self.taus:
            check_fraction("tolerance", tau)

    def choose(self, spectra: Sequence[Spectrum], step: int | None = None, other: int = 0) -> list[tuple[int, ...]]:
        """The smallest ranks within the tolerances of this step."""
        if len(spectra) != len(self.taus):
            raise RankError(f"{len(self.taus)} tolerances for {len(spectra)} layers: give one for each, in their order")
        share = self.progress(step)
        layers = zip(spectra, self.taus, strict=True)
        return [self._limited(s, tolerance_ranks(s.values, tau * share)) for s, tau in layers]

    def __str__(self) -> str:  # what a label says; the whole is in the repr
        if min(self.taus) == max(self.taus):
            return f"τ {self.taus[0]:g} everywhere"
        mark = sha256(repr(self.taus).encode()).hexdigest()[:6]
        return f"τ {min(self.taus):.2g} to {max(self.taus):.2g} {mark}"
