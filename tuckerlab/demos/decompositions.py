"""Things to decompose by eye: photographs and trained kernels, cut at any ranks at once.

The higher-order SVD is taken once for each subject; a cut is then a few small matrix products.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tuckerlab.data.digits import packaged
from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.training.checkpoint import load
from tuckerlab.tucker.tensor import check_ranks, feasible_ranks, hosvd, multi_mode_product, tolerance_ranks

PHOTOS = ("photo.china", "photo.flower")
PHOTO_SIZE = (240, 160)  # width and height: small enough for a slider to feel instant
PHOTO_MODES = ("height", "width", "colour")
KERNEL_MODES = ("out", "in", "kernel_height", "kernel_width")


@dataclass(frozen=True, eq=False)
class Cut:
    """A subject in Tucker form: `ranks` are those asked for, lowered to what can be."""

    of: "Subject"
    asked: tuple[int, ...]
    ranks: tuple[int, ...]
    rebuilt: Tensor
    core: int
    factors: int
    error: float

    @property
    def original(self) -> int:
        """Numbers in the original."""
        return self.of.tensor.numel()

    @property
    def stored(self) -> int:
        """Numbers in the core and the factors."""
        return self.core + self.factors

    @property
    def share(self) -> float:
        """Numbers stored, as a fraction of those of the original; above 1 the Tucker form is the larger one."""
        return self.stored / self.original


@dataclass(frozen=True)
class Goal:
    """What a reader is asked to reach: less than a share of the numbers at less than an error, fractions of 1."""

    share: float
    error: float

    def met(self, cut: Cut) -> bool:
        """Whether the cut is small enough and good enough."""
        return cut.share < self.share and cut.error < self.error


@dataclass(frozen=True, eq=False)
class Subject:
    """A tensor with names for its modes, and its higher-order SVD with nothing cut."""

    name: str
    tensor: Tensor
    modes: tuple[str, ...]
    core: Tensor
    factors: tuple[Tensor, ...]
    values: tuple[Tensor, ...]

    @classmethod
    def of(cls, name: str, tensor: Tensor, modes: Sequence[str]) -> "Subject":
        """Decomposes a tensor."""
        core, factors, values = hosvd(tensor, range(tensor.dim()))
        return cls(name, tensor, tuple(modes), core, tuple(factors), tuple(values))

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each mode."""
        return tuple(self.tensor.shape)

    @property
    def is_photo(self) -> bool:
        """Whether it is a photograph; otherwise it is a kernel."""
        return self.modes == PHOTO_MODES

    def ranks_within(self, tolerance: float) -> tuple[int, ...]:
        """The smallest ranks that keep the relative error within `tolerance`; RankError outside [0, 1)."""
        return tolerance_ranks(self.values, tolerance)

    def cut(self, asked: Sequence[int]) -> Cut:
        """The truncated higher-order SVD at these ranks, as `tuckerlab.tucker.tensor.truncate` gives it.

        Raises RankError for ranks outside 1 … the size of the mode.
        """
        modes = range(len(self.shape))
        check_ranks(self.shape, modes, asked)
        ranks = feasible_ranks(self.shape, modes, asked)
        core = self.core[tuple(slice(rank) for rank in ranks)]
        factors = [factor[:, :rank] for factor, rank in zip(self.factors, ranks, strict=True)]
        # the last modes first: they are small, and so is the core still
        rebuilt = multi_mode_product(core, factors[::-1], modes[::-1])
        error = float((rebuilt - self.tensor).norm() / self.tensor.norm())
        stored = sum(factor.numel() for factor in factors)
        return Cut(self, tuple(asked), ranks, rebuilt, prod(ranks), stored, error)


def subjects() -> list[str]:
    """The names of the subjects that there are: kernels come with a checkout of the project alone."""
    return [*PHOTOS, *(f"kernel.{number}" for number in _kernels())]


@lru_cache
def subject(name: str) -> Subject:
    """A subject by its name, or by the beginning of it: the first that fits. Raises DataError where none does."""
    found = next((known for known in subjects() if known.startswith(name)), None) if name else None
    if found is None:
        raise DataError(f"subject {name!r}: there is none of that name; there are {', '.join(subjects())}")
    if found != name:
        return subject(found)
    kind, _, which = name.partition(".")
    if kind == "photo":
        return Subject.of(name, _photo(f"{which}.jpg"), PHOTO_MODES)
    return Subject.of(name, _kernels()[int(which)], KERNEL_MODES)


def _photo(file: str) -> Tensor:
    """A photograph as height × width × colour, from 0 (dark) to 1 (bright)."""
    photo = Image.open(packaged("scikit-learn", f"sklearn/datasets/images/{file}"))
    small = photo.resize(PHOTO_SIZE, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.asarray(small, dtype=np.float32) / 255)


@lru_cache
def _kernels() -> dict[int, Tensor]:
    """Every other convolution kernel of the recorded network, by the number of its layer; empty without the record.

    The first is left out with them: it has one input channel, and a mode of size 1 has no ranks to choose.
    """
    try:
        model = load(found_folder("poc-digits") / "dense.safetensors").model
    except DataError:
        return {}
    weights = [module.weight.detach() for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    return {number: weight for number, weight in enumerate(weights, start=1) if number % 2 == 0}
