"""Ways to make a network small, with the same images and as many gradient evaluations; by name in `METHODS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tuckerlab.errors import TuckerlabError, check_choice
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.pruning import Channels, Pruned
from tuckerlab.experiments.methods.tucker_variants import Cut, CutAndTuned, Factors, Matrix
from tuckerlab.experiments.methods.two_gradient import TwoGradients
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance


class Method(NamedTuple):
    """How a contender is made of a policy, and the policies that it understands; none: it has no setting."""

    make: Callable[[Any], Contender]
    policies: tuple[type[RankPolicy], ...] = (Budget, Tolerance)


METHODS: dict[str, Method] = {
    "dense": Method(lambda policy: Dense(), ()),
    "tucker": Method(Tucker),
    "dense-adamw": Method(lambda policy: Dense(adamw=True), ()),
    "tucker-adamw": Method(lambda policy: Tucker(policy, adamw=True)),
    "pruning": Method(lambda budget: Pruned(budget.compression), (Budget,)),
    "cut": Method(Cut),
    "cut-tuned": Method(CutAndTuned),
    "factors-sgd": Method(lambda policy: Factors(policy, "sgd")),
    "factors-adamw": Method(lambda policy: Factors(policy, "adamw")),
    "factors-muon": Method(lambda policy: Factors(policy, "muon")),
    "two-gradients": Method(TwoGradients),
    "matrix": Method(Matrix),
    "cp": Method(lambda budget: Tensorized(budget.compression, "cp"), (Budget,)),
    "tt": Method(lambda budget: Tensorized(budget.compression, "tt"), (Budget,)),
    "channels": Method(lambda budget: Channels(budget.compression), (Budget,)),
}


def contender(name: str, policy: RankPolicy | None = None) -> Contender:
    """The contender of a method; TuckerlabError for an unknown name, and for a policy that it cannot follow."""
    make, policies = METHODS[check_choice("method", name, METHODS)]
    if policies and not isinstance(policy, policies):
        raise TuckerlabError(f"{name} takes a compression, not a tolerance: give --compressions")
    return make(policy)
