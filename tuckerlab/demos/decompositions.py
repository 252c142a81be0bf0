"""Things to decompose by eye: photographs and trained kernels, cut at any ranks at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from tuckerlab.data.digits import packaged
from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.i18n import N_
from tuckerlab.training.checkpoint import load
from tuckerlab.tucker.tensor import check_ranks, feasible_ranks, hosvd, multi_mode_product

PHOTOS = ("photo.china", "photo.flower")
PHOTO_SIZE = (240, 160)  # width and height: small enough for a slider to feel instant
PHOTO_MODES = (N_("height"), N_("width"), N_("colour"))
KERNEL_MODES = (N_("output channels"), N_("input channels"), N_("kernel height"), N_("kernel width"))


@dataclass(frozen=True, eq=False)
class Cut:
    """A subject in Tucker form at these ranks: numbers in its core and its factors, and the relative error."""

    of: "Subject"
    ranks: tuple[int, ...]
    rebuilt: Tensor
    core: int
    factors: int
    error: float

    @property
    def stored(self) -> int:
        return self.core + self.factors

    @property
    def share(self) -> float:
        """Numbers stored, as a fraction of those of the original; above 1 the Tucker form is the larger one."""
        return self.stored / self.of.tensor.numel()


@dataclass(frozen=True, eq=False)
class Subject:
    """A tensor with names for its modes, and its higher-order SVD with nothing cut."""

    name: str
    tensor: Tensor
    modes: tuple[str, ...]
    core: Tensor
    factors: Sequence[Tensor]
    values: Sequence[Tensor]

    @classmethod
    def of(cls, name: str, tensor: Tensor, modes: tuple[str, ...]) -> "Subject":
        """Decomposes a tensor."""
        return cls(name, tensor, modes, *hosvd(tensor, range(tensor.dim())))

    @property
    def is_photo(self) -> bool:
        """Whether it is a photograph; otherwise it is a kernel."""
        return self.modes == PHOTO_MODES

    def cut(self, asked: Sequence[int]) -> Cut:
        """The truncated higher-order SVD at these ranks, lowered to what can be; RankError outside a mode's size."""
        modes = range(self.tensor.dim())
        check_ranks(self.tensor.shape, modes, asked)
        ranks = feasible_ranks(self.tensor.shape, modes, asked)
        core = self.core[tuple(slice(rank) for rank in ranks)]
        factors = [factor[:, :rank] for factor, rank in zip(self.factors, ranks, strict=True)]
        # the last modes first: they are small, and so is the core still
        rebuilt = multi_mode_product(core, factors[::-1], modes[::-1])
        error = float((rebuilt - self.tensor).norm() / self.tensor.norm())
        return Cut(self, ranks, rebuilt, core.numel(), sum(factor.numel() for factor in factors), error)


def subjects() -> list[str]:
    """The names of the subjects that there are."""
    return [*PHOTOS, *(f"kernel.{number}" for number in _kernels())]


def subject(name: str) -> Subject:
    """A subject by its name, or by the beginning of it: the first that fits. Raises DataError where none does."""
    for known in subjects():
        if known.startswith(name):
            return _subject(known)
    raise DataError(f"subject {name!r}: there is none of that name; there are {', '.join(subjects())}")


@lru_cache
def _subject(name: str) -> Subject:
    kind, _, which = name.partition(".")
    if kind == "kernel":
        return Subject.of(name, _kernels()[int(which)], KERNEL_MODES)
    photo = Image.open(packaged("scikit-learn", f"sklearn/datasets/images/{which}.jpg"))
    small = np.asarray(photo.resize(PHOTO_SIZE, Image.Resampling.LANCZOS), dtype=np.float32)
    return Subject.of(name, torch.from_numpy(small / 255), PHOTO_MODES)


@lru_cache
def _kernels() -> dict[int, Tensor]:
    """Every other convolution kernel of the recorded network but the first, which has one input channel, by layer."""
    model = load(found_folder("poc-digits") / "dense.safetensors").model
    weights = [module.weight.detach() for module in model.modules() if isinstance(module, torch.nn.Conv2d)]
    return {number: weight for number, weight in enumerate(weights, start=1) if number % 2 == 0}
