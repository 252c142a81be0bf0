"""Memory and first weights for modules that were built on the "meta" device, without any: `materialize`."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from tuckerlab.errors import TuckerlabError


def materialize(module: nn.Module, device: torch.device | str = "cpu") -> nn.Module:
    """Gives memory and random initial weights to a module that was built on the "meta" device; returns it.

    >>> from tuckerlab import Fixed, tuckerize
    >>> with torch.device("meta"):
    ...     model = nn.Sequential(nn.Linear(8, 2**20), nn.Linear(2**20, 2**20), nn.Linear(2**20, 2))  # 4 TiB, if it had
    >>> model = materialize(tuckerize(model, include="1", ranks=Fixed(1e-6)))
    >>> model[1].ranks
    (1, 1)

    With `tuckerize` in between, the full weights never exist. What has weights already keeps them, and what is shared
    stays shared. Raises TuckerlabError if a module has parameters or buffers of its own and no `reset_parameters` that
    gives all of them values.
    """
    parts = {name: part for name, part in module.named_modules() if any(t.is_meta for t in _own(part).values())}
    for name, part in parts.items():
        if any(isinstance(tensor, UninitializedParameter) for tensor in _own(part).values()):
            raise TuckerlabError(
                f"{name or 'the layer'}: a lazy layer, whose size nobody knows yet: build it with its size"
            )
        if not callable(getattr(part, "reset_parameters", None)):
            raise TuckerlabError(
                f"{type(part).__name__} has weights but no reset_parameters(): build it off the meta device"
            )
    made: dict[Tensor, Tensor] = {}  # what takes the place of each tensor without memory
    for part in parts.values():
        _initialize(part, made, device)
    return module


def _own(part: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in (part._parameters | part._buffers).items() if tensor is not None}


def _initialize(part: nn.Module, made: dict[Tensor, Tensor], device: torch.device | str) -> None:
    """Gives a module its memory, tensors in `made` included, and those that are new their first values."""
    fresh = [name for name, tensor in _own(part).items() if tensor.is_meta and tensor not in made]
    for name, tensor in _own(part).items():
        if name in fresh:
            # NaN, which no initialisation leaves there
            value = torch.full_like(tensor, torch.nan if tensor.is_floating_point() else 0, device=device)
            is_parameter = isinstance(tensor, nn.Parameter)
            made[tensor] = nn.Parameter(value, tensor.requires_grad) if is_parameter else value
        store: dict[str, Any] = part._parameters if name in part._parameters else part._buffers
        store[name] = made.get(tensor, tensor)
    if not fresh:
        return
    kept = {name: tensor.detach().clone() for name, tensor in _own(part).items() if name not in fresh}
    part.reset_parameters()  # type: ignore[operator]
    own = _own(part)
    if left := [name for name in fresh if own[name].isnan().any()]:
        raise TuckerlabError(
            f"reset_parameters() of {type(part).__name__} gives no values to {', '.join(left)}: build it off the meta "
            "device"
        )
    with torch.no_grad():
        for name, value in kept.items():
            own[name].copy_(value)
