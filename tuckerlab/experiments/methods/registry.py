"""The methods that can be asked for by name: from how small a network is to be, to the contender that does it.

>>> contender("tucker", Budget(0.9)).label, contender("dense").label
('Tucker 90 %', 'dense')
>>> contender("pruning", Tolerance(0.1))
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: pruning takes a compression, not a tolerance: give --compressions

A rival is one line here; its file is loaded when it is asked for.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.methods.base import Contender, Dense, Tucker, WithAdamW
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance


class Method(NamedTuple):
    """How a contender is made of a policy, and the policies that it understands; none: it has no setting."""

    make: Callable[[Any], Contender]
    policies: tuple[type[RankPolicy], ...] = (Budget, Tolerance)


def _rival(file: str, name: str, *more: Any) -> Callable[[Any], Contender]:
    def make(given: Any) -> Contender:
        made: Contender = getattr(import_module(f"tuckerlab.experiments.methods.{file}"), name)(given, *more)
        return made

    return make


def _share(file: str, name: str, *more: Any) -> Callable[[Budget], Contender]:
    make = _rival(file, name, *more)
    return lambda budget: make(budget.compression)


def _int8(of: Contender) -> Contender:
    return _rival("int8", "Int8")(of)


METHODS: dict[str, Method] = {
    "dense": Method(lambda policy: Dense(), ()),
    "tucker": Method(Tucker),
    "dense-adamw": Method(lambda policy: WithAdamW(Dense()), ()),
    "tucker-adamw": Method(lambda policy: WithAdamW(Tucker(policy))),
    "pruning": Method(_share("magnitude_pruning", "Pruned"), (Budget,)),
    "cut": Method(_rival("post_training", "Cut")),
    "cut-tuned": Method(_rival("post_training", "CutAndTuned")),
    "factors-sgd": Method(_rival("plain_factors", "Factors", "sgd")),
    "factors-adamw": Method(_rival("plain_factors", "Factors", "adamw")),
    "factors-muon": Method(_rival("plain_factors", "Factors", "muon")),
    "two-gradients": Method(_rival("two_gradient", "TwoGradients")),
    "matrix": Method(_rival("low_rank", "Matrix")),
    "cp": Method(_share("cp_tt", "Tensorized", "cp"), (Budget,)),
    "tt": Method(_share("cp_tt", "Tensorized", "tt"), (Budget,)),
    "channels": Method(_share("channel_pruning", "Channels"), (Budget,)),
    "int8": Method(lambda policy: _int8(Dense()), ()),
    "tucker-int8": Method(lambda policy: _int8(Tucker(policy))),
}


def method(name: str) -> Method:
    """The method of a name; TuckerlabError, which lists them, where there is none.

    >>> method("dense").policies
    ()
    """
    if name not in METHODS:
        raise TuckerlabError(f"unknown method {name!r}: known are {', '.join(METHODS)}")
    return METHODS[name]


def contender(name: str, policy: RankPolicy | None = None) -> Contender:
    """The contender of a method, as small as the policy says.

    >>> contender("cut", Tolerance(0.1)).label
    'cut τ 0.1'

    Raises TuckerlabError for an unknown name, and for a policy that the method cannot follow.
    """
    found = method(name)
    if found.policies and not isinstance(policy, found.policies):
        raise TuckerlabError(f"{name} takes a compression, not a tolerance: give --compressions")
    return found.make(policy)
