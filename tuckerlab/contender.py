"""One network of a comparison: dense, in Tucker format under a rank policy, or pruned.

>>> Contender("dense").method, Contender.tucker(Budget(0.95)).method, Contender.pruning(0.98).method
('dense', 'tucker', 'pruning')
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from tuckerlab.budget import Budget
from tuckerlab.convert import materialize, tuckerize
from tuckerlab.measure import Counts, checkpoint_bytes, count_parameters
from tuckerlab.models import MODELS, build
from tuckerlab.ranks import RankPolicy, Tolerance
from tuckerlab.rivals.magnitude import convolution_weights, count_nonzero, file_bytes
from tuckerlab.tensor import check_fraction


@dataclass(frozen=True)
class Contender:
    """One network of a comparison: in Tucker format with `ranks`, or `pruned` by so much, or else dense."""

    label: str
    ranks: RankPolicy | None = None
    pruned: float | None = None

    @property
    def method(self) -> str:
        """ "dense", "tucker" or "pruning"."""
        return "tucker" if self.ranks is not None else "dense" if self.pruned is None else "pruning"

    @property
    def slug(self) -> str:
        """The label in file names."""
        return self.label.lower().replace(" %", "").replace(" τ", "").replace(" ", "-")

    @classmethod
    def tucker(cls, policy: RankPolicy) -> "Contender":
        """The Tucker network of a policy, with the name that people see.

        >>> Contender.tucker(Budget(0.95)).label
        'Tucker 95 %'
        """
        if isinstance(policy, Budget):
            return cls(f"Tucker {100 * policy.compression:g} %", ranks=policy)
        return cls(f"Tucker τ {policy.tau:g}" if isinstance(policy, Tolerance) else f"Tucker {policy}", ranks=policy)

    @classmethod
    def pruning(cls, rate: float) -> "Contender":
        """The dense network, pruned by a share of its convolution weights.

        >>> Contender.pruning(0.95).label
        'pruned 95 %'
        """
        check_fraction("pruning", rate)
        return cls(f"pruned {100 * rate:g} %", pruned=rate)

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        """A new network from the seed; a Tucker network is small from the start: its dense weights never exist."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(**spec) if self.ranks is None else materialize(on_meta(spec))

    def counts(self, model: nn.Module) -> Counts:
        """The numbers stored."""
        return count_parameters(model) if self.pruned is None else count_nonzero(model)

    def mask_bytes(self, model: nn.Module) -> int:
        """What training keeps to know which weights are zero: a byte for each."""
        return 0 if self.pruned is None else sum(weight.numel() for weight in convolution_weights(model))

    def file_bytes(self, model: nn.Module) -> int:
        """The size of the network's file."""
        return checkpoint_bytes(model) if self.pruned is None else file_bytes(model)


def on_meta(spec: dict[str, Any]) -> nn.Module:
    """The Tucker network of a specification, without memory; raises what `build` would raise.

    >>> spec = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.25}
    >>> on_meta(spec).features[3].core.device
    device(type='meta')
    """
    with torch.device("meta"):
        network = build(**spec)
    return tuckerize(network, include=MODELS[spec["name"]].include)
