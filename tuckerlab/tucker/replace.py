"""One module put in the place of another, wherever a network holds it; and what a network holds out of sight."""

from collections import UserList, deque
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType
from typing import Any

from torch import Tensor, nn

from tuckerlab.errors import TuckerlabError
from tuckerlab.tucker.weight import TuckerLayer, forbid_stale

OF_MODULES = vars(nn.Module()).keys()
# what a module does before and after its calls, in forward and backward passes
HOOKS = tuple(name for name in OF_MODULES if "forward" in name or "backward" in name)
ALL_HOOKS = tuple(name for name in OF_MODULES if "hook" in name)


def check_module(module: object, function: str) -> None:
    """TuckerlabError for what is no network of torch."""
    if not isinstance(module, nn.Module):
        raise TuckerlabError(f"{function}: {type(module).__name__}; give a network of torch (nn.Module)")


def check_replaceable(module: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """TuckerlabError for a layer that is called in a way that a replacement would not change."""
    names, registered = {layer: name for name, layer in layers.items()}, set(module.modules())
    for name, layer in layers.items():
        if isinstance(layer, TuckerLayer) and "forward" in vars(layer):
            raise TuckerlabError(f"{name}: its forward was exchanged for another on this instance: undo that first")
    for owner, part in module.named_modules():
        for attribute in vars(part).keys() - OF_MODULES:
            value = vars(part)[attribute]
            for held in _modules_in(value, registered, set()):
                if held in names:
                    raise TuckerlabError(
                        f"{owner or 'the network'}'s `{attribute}`, a {type(value).__name__}, holds the layer "
                        f"{names[held]!r} as well, and would go on using it as it is: use nn.ModuleList or "
                        "nn.ModuleDict, or exclude the layer"
                    )


def _modules_in(value: Any, registered: Collection[nn.Module], seen: set[int]) -> Iterator[nn.Module]:
    """The modules in a value that torch does not look into: containers, functions, objects, modules not registered."""
    if id(value) in seen or isinstance(value, str | bytes | int | float | Tensor | type | ModuleType):
        return
    seen.add(id(value))
    inside: list[Any] = []
    if isinstance(value, nn.Module):
        yield value
        inside = [] if value in registered else [*value.modules()]
    elif isinstance(value, Mapping):
        inside = [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset | deque | UserList):
        inside = [*value]
    elif isinstance(value, MethodType):
        inside = [value.__self__]
    elif isinstance(value, partial):
        inside = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, FunctionType):
        inside = [cell.cell_contents for cell in value.__closure__ or () if cell != CellType()]
    elif hasattr(value, "__dict__"):
        inside = [*vars(value).values()]
    for item in inside:
        yield from _modules_in(item, registered, seen)


def replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The module with `old` replaced by `new`, in place, wherever it occurs; `new` itself if the module is `old`.

    Hooks on the calls of `old` go along.
    """
    new.train(old.training)
    forbid_stale(old)
    vars(new).update((name, vars(old)[name]) for name in HOOKS)
    for parent in module.modules():
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
    return new if module is old else module
