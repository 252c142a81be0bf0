"""Training in several processes, as torchrun starts them: each computes its share of a batch, all take the same step.

Gradients are added up in one message a step, together with the loss: not in DistributedDataParallel, which would be one
more module around the model, to be made anew after each change of ranks. It would send while the backward pass goes on;
a network that is small from the start has little to send.
"""

import atexit
import datetime
import hashlib
import os
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode

from tuckerlab.errors import TuckerlabError

PATIENCE = datetime.timedelta(days=1)  # while process 0 measures, others wait; torchrun ends them where one has died

Found = TypeVar("Found")


def count() -> int:
    """How many processes train together; one that torchrun has started joins the others first."""
    if distributed.is_torchelastic_launched() and not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        store, rank, world = next(distributed.rendezvous("env://"))  # type: ignore[attr-defined]
        # torchrun's store outlives a restart, with the addresses of those who are gone; machines count restarts apart
        attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] if os.environ["GROUP_WORLD_SIZE"] == "1" else "several"
        store = distributed.PrefixStore(attempt, store)  # type: ignore[attr-defined]
        _heard(distributed.init_process_group, backend, None, PATIENCE, world, rank, store)
        atexit.register(distributed.destroy_process_group)
    return distributed.get_world_size() if distributed.is_initialized() else 1


def number() -> int:
    """Of this process, from 0."""
    return distributed.get_rank() if count() > 1 else 0


def share(batch: Tensor) -> Tensor:
    """The part of a batch that this process computes."""
    return batch[number() :: count()]


def add(tensors: Sequence[Tensor]) -> None:
    """Makes each tensor its sum over the processes, to the same bits in all, in one message."""
    if count() > 1:
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        _heard(distributed.all_reduce, flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        torch._foreach_copy_(list(tensors), [part.view_as(to) for part, to in zip(parts, tensors, strict=True)])


def of_all(value: Found) -> list[Found]:
    """What each process has given, in the order of their numbers."""
    found = [value] * count()
    if count() > 1:
        _heard(distributed.all_gather_object, found, value)
    return found


def first(function: Callable[[], Found]) -> Found:
    """What a function that process 0 alone calls returns; the others wait for it."""
    found = [function() if number() == 0 else None]
    if count() > 1:
        _heard(distributed.broadcast_object_list, found)
    return found[0]  # type: ignore[return-value]


def check_same(facts: Mapping[str, Any]) -> None:
    """TuckerlabError that names the first of these facts that is not the same in all processes."""
    ours, *others = of_all(facts)
    for name in ours:
        for process, theirs in enumerate(others, 1):
            if theirs[name] != ours[name]:
                raise TuckerlabError(
                    f"the processes of a training differ: {name} {ours[name]!r} in process 0, {theirs[name]!r} in "
                    f"process {process}; give all the same, and torch.manual_seed before the network is built"
                )


def digest(model: nn.Module) -> str:
    """Eight characters that tell weights and ranks apart; nothing where there is nobody to compare them with."""
    if count() == 1:
        return ""
    found = hashlib.sha256()
    for value in model.state_dict().values():
        found.update(repr(tuple(value.shape)).encode())
        found.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()[:8]


def _heard(collective: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """A call in which all processes take part; TuckerlabError where one is gone."""
    try:
        collective(*arguments, **options)
    except RuntimeError as error:
        said = textwrap.shorten(re.sub(r"^\[.*?\] ", "", str(error)), 90, placeholder=" …")
        raise TuckerlabError(
            f"another process of this training has ended ({said}); its own lines say why, and the same command goes on "
            "from the last checkpoint"
        ) from error


def shared_batch_norm() -> AbstractContextManager[object]:
    """While it is on, batch norms in train mode see the batch of all processes.

    Then a network does not depend on how many there are. torch's own SyncBatchNorm knows GPUs alone.
    """
    return _SharedBatchNorm() if count() > 1 else nullcontext()


class _SharedBatchNorm(TorchFunctionMode):
    def __torch_function__(
        self, function: Callable[..., Any], types: Any, given: Any = (), options: dict[str, Any] | None = None
    ) -> Any:
        options = options or {}
        return (_batch_norm if function is F.batch_norm and options["training"] else function)(*given, **options)


def _batch_norm(
    x: Tensor, running_mean: Tensor | None, running_var: Tensor | None, *, weight: Tensor | None, bias: Tensor | None,
    momentum: float, eps: float, training: bool,
) -> Tensor:  # fmt: skip
    dims, shape = [0, *range(2, x.dim())], [-1] + [1] * (x.dim() - 2)
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    variance, mean = (moment.double() for moment in torch.var_mean(values, dims, correction=0))
    own = torch.stack([mean, variance + mean.square()]) / count()
    moments: Tensor = _Sum.apply(own)  # type: ignore[no-untyped-call]
    mean, square = moments
    variance = square - mean.square()  # in double precision: the difference may be small
    if running_mean is not None and running_var is not None:
        images = count() * x.numel() // x.shape[1]
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * images / (images - 1)).to(running_var.dtype), momentum)
    scale = (variance + eps).rsqrt() * (1.0 if weight is None else weight)
    result: Tensor = (values - mean.to(values).view(shape)) * scale.to(values).view(shape)
    return (result if bias is None else result + bias.view(shape)).to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over the processes; each has a part of the loss, so the gradient is a sum over them too."""

    @staticmethod
    def forward(context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        add([total])
        return total

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        add([total])
        return total
