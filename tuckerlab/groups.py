"""What an optimizer on the manifold can be given: a module, or param groups of modules and dense parameters.

>>> from tuckerlab import TuckerLinear
>>> check_entries([TuckerLinear(8, 6, ranks=2), nn.Linear(2, 3).bias])
>>> check_entries([TuckerLinear(8, 6, ranks=2).core])
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: a param group holds the core or a factor of a Tucker layer as a tensor: give the ...
"""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.weight import is_tucker

Entry = nn.Module | nn.Parameter
Model = nn.Module | Iterable[dict[str, Any]] | Iterable[Entry]


def check_model(groups: Sequence[Any], optimizer: str) -> None:
    """TuckerlabError for `model.parameters()`: which tensors form one weight, only a module can say.

    >>> check_model(list(nn.Linear(2, 3).parameters()), "TuckerSGD")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: TuckerSGD was given 2 tensors (model.parameters()?): give it the model, or ...
    """
    if groups and all(isinstance(entry, Tensor) for entry in groups):
        raise TuckerlabError(
            f"{optimizer} was given {len(groups)} tensors (model.parameters()?): give it the model, "
            "or param groups with modules, so that it knows which parameters form one Tucker weight"
        )


def check_entries(entries: Sequence[Any]) -> None:
    """TuckerlabError for what is neither a module nor a dense parameter.

    >>> check_entries([("bias", nn.Linear(2, 3).bias)])
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: a param group with a tuple in its params (named_parameters()?): allowed are ...
    """
    for entry in entries:
        if not isinstance(entry, nn.Module | Tensor):
            raise TuckerlabError(
                f"a param group with a {type(entry).__name__} in its params (named_parameters()?): allowed are "
                "modules and dense parameters"
            )
    if any(isinstance(entry, Tensor) and is_tucker(entry) for entry in entries):
        raise TuckerlabError(
            "a param group holds the core or a factor of a Tucker layer as a tensor: give the layer, or a module "
            "around it, so that its parameters move together"
        )
