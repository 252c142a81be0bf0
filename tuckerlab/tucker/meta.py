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
    stays shared. Raises TuckerlabError if a module has parameters or buffers of its own that it has no
    `reset_parameters` for.
    """
    parts = [part for part in module.modules() if _on_meta(part)]
    for name, part in module.named_modules():
        if any(isinstance(parameter, UninitializedParameter) for parameter in part.parameters(recurse=False)):
            where = name or "the layer"
            raise TuckerlabError(f"{where}: a lazy layer, whose size nobody knows yet: build it with its size")
        if part in parts and not callable(getattr(part, "reset_parameters", None)):
            raise TuckerlabError(
                f"{type(part).__name__} has weights but no reset_parameters(): build it off the meta device"
            )
    before: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (store, dict(store)) for part in parts for store in (part._parameters, part._buffers)
    ]
    made: dict[Tensor, Tensor] = {}  # what takes the place of each tensor without memory
    try:
        for part in parts:
            _initialised(part, made, device)
    except BaseException:
        for store, tensors in before:
            store.update(tensors)
        raise
    return module


def _on_meta(part: nn.Module) -> bool:
    return any(tensor.is_meta for tensor in (*part.parameters(recurse=False), *part.buffers(recurse=False)))


def _initialised(part: nn.Module, made: dict[Tensor, Tensor], device: torch.device | str) -> None:
    """Gives a module its memory, tensors in `made` included, and those that are new their first values."""
    stores: list[tuple[dict[str, Any], str]] = [
        (store, name) for store in (part._parameters, part._buffers) for name in store if store[name] is not None
    ]
    fresh = []
    for store, name in stores:
        tensor = store[name]
        if tensor.is_meta and tensor not in made:
            made[tensor] = _blank(tensor, device)
            fresh.append(name)
        store[name] = made.get(tensor, tensor)
    if not fresh:
        return
    kept = [(store[name], store[name].detach().clone()) for store, name in stores if name not in fresh]
    versions = {name: getattr(part, name)._version for name in fresh}
    part.reset_parameters()  # type: ignore[operator]
    if left := [name for name in fresh if _is_blank(getattr(part, name), versions[name])]:
        raise TuckerlabError(
            f"reset_parameters() of {type(part).__name__} gives no values to {', '.join(left)}: build it off the meta "
            "device"
        )
    with torch.no_grad():
        for tensor, value in kept:
            tensor.copy_(value)


def _blank(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Memory for a tensor, filled with NaN where it can be, which no initialisation leaves there."""
    new = torch.empty_like(tensor, device=device)
    if _has_nan(new):
        new.fill_(torch.nan)
    return nn.Parameter(new, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else new


def _is_blank(tensor: Tensor, version: int) -> bool:
    return bool(tensor.isnan().any()) if _has_nan(tensor) else tensor._version == version


def _has_nan(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()
