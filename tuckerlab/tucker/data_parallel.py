"""Training in several processes: torch's DistributedDataParallel follows a rank change, which replaces parameters."""

import inspect
from typing import Any
from weakref import WeakSet

from torch import nn
from torch.nn.modules.module import register_module_module_registration_hook
from torch.nn.parallel import DistributedDataParallel

_WRAPPERS = WeakSet[DistributedDataParallel]()  # nobody else knows what is around a module


def _note(owner: nn.Module, name: str, part: nn.Module | None) -> None:
    if isinstance(owner, DistributedDataParallel):
        _WRAPPERS.add(owner)


register_module_module_registration_hook(_note)


def renew_wrappers(changed: nn.Module) -> None:
    """Has DistributedDataParallel around a module whose parameters were replaced take up the new ones."""
    for wrapper in _WRAPPERS:
        if _renew not in wrapper._forward_pre_hooks.values() and any(part is changed for part in wrapper.modules()):
            wrapper.register_forward_pre_hook(_renew)  # once all layers have changed


def _renew(wrapper: DistributedDataParallel, given: Any) -> None:
    """Its constructor again, which gives process 0's numbers to all, and finds out if shapes differ between them."""
    old, asked = dict(vars(wrapper)), inspect.signature(DistributedDataParallel).parameters
    kept = {name: value for name, value in old.items() if name in asked and name != "device_mesh"}
    DistributedDataParallel.__init__(wrapper, wrapper.module, **kept)
    for name in ("training", "require_backward_grad_sync", "_forward_hooks", "_forward_pre_hooks"):
        setattr(wrapper, name, old[name])
    for key in [key for key, hook in wrapper._forward_pre_hooks.items() if hook is _renew]:
        del wrapper._forward_pre_hooks[key]
    for hook, state in old["_comm_hooks"]:
        wrapper.register_comm_hook(state, hook)
