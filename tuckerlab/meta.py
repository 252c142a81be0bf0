"""Memory and first weights for modules that were built on the "meta" device, without any: `materialize`.

>>> with torch.device("meta"):
...     layer = nn.Linear(8, 4)
>>> materialize(layer).weight.device
device(type='cpu')
"""

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
    stays shared. Raises TuckerlabError if a module has parameters or buffers of its own that it has no
    `reset_parameters` for.
    """
    for name, part in module.named_modules():
        if any(isinstance(parameter, UninitializedParameter) for parameter in part.parameters(recurse=False)):
            raise TuckerlabError(f"{name}: a lazy layer, whose size nobody knows yet: build it with its size")
    made: dict[Tensor, Tensor] = {}  # what takes the place of each tensor without memory
    for part in module.modules():
        stores: list[tuple[dict[str, Any], str]] = [
            (store, name) for store in (part._parameters, part._buffers) for name in store
        ]
        fresh = []
        for store, name in stores:
            tensor = store[name]
            if tensor is None or not tensor.is_meta:
                continue
            if tensor not in made:
                made[tensor] = _blank(tensor, device)
                fresh.append(name)
            store[name] = made[tensor]
        if not fresh:
            continue
        kept = [store[name] for store, name in stores if name not in fresh and store[name] is not None]
        values = [tensor.detach().clone() for tensor in kept]
        reset = getattr(part, "reset_parameters", None)
        if not callable(reset):
            raise TuckerlabError(
                f"{type(part).__name__} has weights but no reset_parameters(): build it off the meta device"
            )
        versions = {name: getattr(part, name)._version for name in fresh}
        reset()
        if left := [name for name in fresh if _is_blank(getattr(part, name), versions[name])]:
            raise TuckerlabError(
                f"reset_parameters() of {type(part).__name__} gives no values to {', '.join(left)}: build it off the "
                "meta device"
            )
        with torch.no_grad():
            for tensor, value in zip(kept, values, strict=True):
                tensor.copy_(value)
    return module


def _blank(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Memory for a tensor, filled with what no initialisation leaves there."""
    new = torch.empty_like(tensor, device=device)
    if new.is_floating_point() or new.is_complex():
        new.fill_(torch.nan)
    elif new.dtype != torch.bool:
        new.fill_(torch.iinfo(new.dtype).min)
    return nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new


def _is_blank(tensor: Tensor, version: int) -> bool:
    if tensor.is_floating_point() or tensor.is_complex():
        return bool(tensor.isnan().any())
    if tensor.dtype in (torch.bool, torch.uint8):  # has no number to spare for "blank"
        return tensor._version == version
    return bool((tensor == torch.iinfo(tensor.dtype).min).any())
