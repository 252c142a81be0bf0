"""A trained network at fewer ranks: its weights are cut further, and nothing is trained again.

This makes a slider instant (`benchmarks/slider.py` measures such networks), and is what methods that cut after training
begin with. A network that was cut is worse than one that was trained at that size.
"""

import copy

from torch import nn

from tuckerlab.training.models import MODELS, Network
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.rank_policy import RankPolicy
from tuckerlab.tucker.sgd_adamw import TuckerSGD
from tuckerlab.tucker.weight import TuckerLayer


def cut(model: nn.Module, policy: RankPolicy) -> nn.Module:
    """A copy at the ranks that `policy` chooses now: a truncated HOSVD of each weight, and no training.

    A dense network is brought into Tucker format. Raises RankError for a budget that cannot be met.
    """
    model = copy.deepcopy(model)
    if not any(isinstance(module, TuckerLayer) for module in model.modules()):
        include = MODELS[model.spec["name"]].include if isinstance(model, Network) else None
        return tuckerize(model, include=include, ranks=policy)
    TuckerSGD(model, lr=1.0, ranks=policy).adapt(grow=False)
    return model
