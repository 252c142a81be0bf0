"""The methods that can be asked for by name: from how small a network is to be, to the contender that does it."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker
from tuckerlab.experiments.methods.channel_pruning import Channels
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.int8 import Int8
from tuckerlab.experiments.methods.low_rank import Matrix
from tuckerlab.experiments.methods.magnitude_pruning import Pruned
from tuckerlab.experiments.methods.plain_factors import Factors
from tuckerlab.experiments.methods.post_training import Cut, CutAndTuned
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
    "int8": Method(lambda policy: Int8(Dense()), ()),
    "tucker-int8": Method(lambda policy: Int8(Tucker(policy))),
}


def method(name: str) -> Method:
    """The method of a name; TuckerlabError, which lists them, where there is none."""
    if name not in METHODS:
        raise TuckerlabError(f"unknown method {name!r}: known are {', '.join(METHODS)}")
    return METHODS[name]


def contender(name: str, policy: RankPolicy | None = None) -> Contender:
    """The contender of a method, as small as the policy says.

    Raises TuckerlabError for an unknown name, and for a policy that the method cannot follow.
    """
    found = method(name)
    if found.policies and not isinstance(policy, found.policies):
        raise TuckerlabError(f"{name} takes a compression, not a tolerance: give --compressions")
    return found.make(policy)
