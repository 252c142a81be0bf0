"""DistributedDataParallel and changing ranks: a wrapper that holds replaced parameters is not called again.

>>> forbid_stale(nn.Linear(2, 2))  # without a process group there is no wrapper
"""

import gc
from typing import Any

from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from tuckerlab.errors import TuckerlabError


def forbid_stale(changed: nn.Module) -> None:
    """Any DistributedDataParallel around this module, whose parameters were replaced, raises when it is called.

    It goes on averaging the gradients of the old parameters, those of the new ones differ from process to process, and
    with `find_unused_parameters=True` nothing would be said. One that is made anew is not concerned.
    """
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    wrappers = [found for found in gc.get_objects() if issubclass(type(found), DistributedDataParallel)]
    for wrapper in wrappers:
        if _refuse not in wrapper._forward_pre_hooks.values() and any(part is changed for part in wrapper.modules()):
            wrapper.register_forward_pre_hook(_refuse)


def _refuse(module: nn.Module, given: Any) -> None:
    raise TuckerlabError(
        "the ranks have changed since DistributedDataParallel was made, and it holds the old parameters: wrap the "
        "network anew after every rank change, or keep the ranks (ranks=Fixed())"
    )
