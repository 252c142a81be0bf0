"""One module put in the place of another, wherever a network holds it."""

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from tuckerlab.errors import TuckerlabError

OF_MODULES = vars(nn.Module()).keys()
# what a module does before and after its calls, in forward and backward passes
HOOKS = tuple(name for name in OF_MODULES if "forward" in name or "backward" in name)
ALL_HOOKS = tuple(name for name in OF_MODULES if "hook" in name)


def check_module(module: object, function: str) -> None:
    """TuckerlabError for what is no network of torch."""
    if not isinstance(module, nn.Module):
        raise TuckerlabError(f"{function}: {type(module).__name__}; give a network of torch (nn.Module)")


def check_replaceable(module: nn.Module, layers: Mapping[str, nn.Module]) -> None:
    """TuckerlabError for a layer that is called through a list or dictionary of Python, which would keep the old."""
    names = {layer: name for name, layer in layers.items()}
    for owner, part in module.named_modules():
        for attribute in vars(part).keys() - OF_MODULES:
            value = vars(part)[attribute]
            if held := next((m for m in _modules_in(value) if m in names), None):
                raise TuckerlabError(
                    f"{owner or 'the network'}'s `{attribute}`, a {type(value).__name__}, holds the layer "
                    f"{names[held]!r} as well, and would go on using it as it is: use nn.ModuleList or "
                    "nn.ModuleDict, or exclude the layer"
                )


def _modules_in(value: Any) -> Iterator[nn.Module]:
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, list | tuple | set | Mapping):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _modules_in(item)


def replaced(module: nn.Module, old: nn.Module, new: nn.Module) -> nn.Module:
    """The module with `old` replaced by `new`, in place, wherever it occurs; `new` itself if the module is `old`.

    Hooks on the calls of `old` go along.
    """
    new.train(old.training)
    vars(new).update((name, vars(old)[name]) for name in HOOKS)
    for parent in module.modules():
        for name, child in parent._modules.items():
            if child is old:
                parent._modules[name] = new
    return new if module is old else module
