"""Low rank as a matrix: each kernel unfolded to out × (in·kh·kw), a k×k convolution to r channels and a 1×1 one out.

>>> from tuckerlab import Budget
>>> Matrix(Budget(0.9)).label
'matrix 90 %'

That is Tucker format with the output mode alone: the optimizer, the policy, the recipe and the small start are the
same. The k×k part sees all input channels, so a rank costs in·kh·kw + out numbers. Training on the manifold of low-rank
matrices with ranks that adapt is Schotthöfer, Zangrando, Kusch, Ceruti and Tudisco, "Low-rank lottery tickets"
(NeurIPS 2022); the step here is this package's own. Nothing was tuned here.
"""

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from tuckerlab.experiments.context import Training
from tuckerlab.experiments.methods.base import Contender, setting
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.models import MODELS, build
from tuckerlab.training.run import Run
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.rank_policy import RankPolicy


@dataclass(frozen=True)
class Matrix(Contender):
    """Each kernel a matrix of low rank, small from the start: the dense weights never exist.

    Factorized are the layers that Tucker factorizes. Raises RankError for a budget that cannot be met: rank 1 of a
    matrix stores more than rank 1 in Tucker format.
    """

    policy: RankPolicy
    method = "matrix"

    @property
    def label(self) -> str:
        return f"matrix {setting(self.policy)}"

    @property
    def ranks(self) -> RankPolicy:
        return self.policy

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return materialize(_on_meta(spec))

    def check(self, arena: Arena) -> None:
        replace(arena.recipe, ranks=self.policy).make_optimizer(_on_meta(arena.spec), 1)

    def train(self, training: Training) -> Run:
        network = self.network(training.spec, training.seed)
        return training.fit(network, self.slug, ranks=self.policy, counts=training.arena.counts)


def _on_meta(spec: dict[str, Any]) -> nn.Module:
    with torch.device("meta"):
        network = build(**spec)
    vars(network).pop("spec")  # a checkpoint would rebuild another network from it
    return tuckerize(network, include=MODELS[spec["name"]].include, modes=(0,))
