"""Ways to make a network small, with the same images and as many gradient evaluations; by name in `METHODS`."""

from collections.abc import Callable
from typing import Any, NamedTuple

from tuckerlab.errors import TuckerlabError, check_choice
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.methods.cp_tt import Tensorized
from tuckerlab.experiments.methods.pruning import Channels, Pruned
from tuckerlab.experiments.methods.tucker_variants import Cut, CutAndTuned, CutNested, Factors, Matrix
from tuckerlab.experiments.methods.two_gradient import TwoGradients
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance


class Entry(NamedTuple):
    """How a method is made of a policy, and the policies that it understands; none: it has no setting."""

    make: Callable[[Any], Method]
    policies: tuple[type[RankPolicy], ...] = (Budget, Tolerance)


METHODS: dict[str, Entry] = {
    "dense": Entry(lambda policy: Dense(), ()),
    "tucker": Entry(Tucker),
    "nested": Entry(CutNested, (Budget,)),
    "dense-adamw": Entry(lambda policy: Dense(adamw=True), ()),
    "tucker-adamw": Entry(lambda policy: Tucker(policy, adamw=True)),
    "pruning": Entry(lambda budget: Pruned(budget.compression), (Budget,)),
    "cut": Entry(Cut),
    "cut-tuned": Entry(CutAndTuned),
    "factors-sgd": Entry(lambda policy: Factors(policy, "sgd")),
    "factors-adamw": Entry(lambda policy: Factors(policy, "adamw")),
    "factors-muon": Entry(lambda policy: Factors(policy, "muon")),
    "two-gradients": Entry(TwoGradients),
    "matrix": Entry(Matrix),
    "cp": Entry(lambda budget: Tensorized(budget.compression, "cp"), (Budget,)),
    "tt": Entry(lambda budget: Tensorized(budget.compression, "tt"), (Budget,)),
    "channels": Entry(lambda budget: Channels(budget.compression), (Budget,)),
}


def make_method(name: str, policy: RankPolicy | None = None) -> Method:
    """The method of a name at a policy; TuckerlabError for an unknown name, and for a policy that it cannot follow."""
    make, policies = METHODS[check_choice("method", name, METHODS)]
    if policies and not isinstance(policy, policies):
        raise TuckerlabError(f"{name} takes a compression, not a tolerance: give --compressions")
    return make(policy)
