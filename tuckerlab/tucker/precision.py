"""Arithmetic in full precision, whatever the loop around it has chosen.

>>> with full_precision({"cpu"}):
...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
torch.float32
"""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch


@contextmanager
def full_precision(devices: Iterable[str]) -> Iterator[None]:
    """No autocast on these kinds of device and no TF32: in a lower precision a step would leave the manifold."""
    backends: Any = torch.backends
    with ExitStack() as stack:
        for backend in (backends.cuda.matmul, backends.mkldnn.matmul):
            stack.callback(setattr, backend, "fp32_precision", backend.fp32_precision)
            backend.fp32_precision = "ieee"
        for device in devices:
            stack.enter_context(torch.autocast(device, enabled=False))
        yield
