"""Low rank as a matrix: each kernel unfolded to out × (in·kh·kw), a k×k convolution to r channels and a 1×1 one out.

That is Tucker format with the output mode alone: the optimizer, the policy, the recipe and the small start are the
same. The k×k part sees all input channels, so a rank costs in·kh·kw + out numbers. Training on the manifold of low-rank
matrices with ranks that adapt is Schotthöfer, Zangrando, Kusch, Ceruti and Tudisco, "Low-rank lottery tickets"
(NeurIPS 2022); the step here is this package's own. Nothing was tuned here.
"""

from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from tuckerlab.experiments.methods.base import AtPolicy
from tuckerlab.experiments.setup import Arena, on_meta
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.rank_policy import RankPolicy


@dataclass(frozen=True)
class Matrix(AtPolicy):
    """Each kernel a matrix of low rank, small from the start: the dense weights never exist.

    Factorized are the layers that Tucker factorizes. Raises RankError for a budget that cannot be met: rank 1 of a
    matrix stores more than rank 1 in Tucker format.
    """

    method = "matrix"
    title = "matrix"

    @property
    def ranks(self) -> RankPolicy:
        return self.policy

    def built(self, spec: dict[str, Any]) -> nn.Module:
        return materialize(_on_meta(spec))

    def check(self, arena: Arena) -> None:
        replace(arena.recipe, ranks=self.policy).make_optimizer(_on_meta(arena.spec), 1)


def _on_meta(spec: dict[str, Any]) -> nn.Module:
    network = on_meta(spec, modes=(0,))
    vars(network).pop("spec")  # a checkpoint would rebuild another network from it
    return network
