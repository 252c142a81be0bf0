"""What training needs in memory, counted to the byte from the tensors themselves."""

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from tuckerlab.errors import TuckerlabError
from tuckerlab.training.eval_mode import undisturbed


@dataclass(frozen=True)
class Memory:
    """Bytes that one training step holds, by what they are for.

    `weights` are the parameters and buffers; `activations` is what the forward pass saves for the backward
    pass, the batch included. `peak_allocated` is what CUDA's allocator saw at the worst moment of a forward
    and a backward pass, temporary workspace included and tensors of others (such as the data set) left out;
    None on other devices.
    """

    weights: int
    gradients: int
    optimizer_state: int
    activations: int
    peak_allocated: int | None = None

    @property
    def total(self) -> int:
        """The sum of the four parts: the same on every machine."""
        return self.weights + self.gradients + self.optimizer_state + self.activations


def training_memory(
    model: nn.Module, optimizer: torch.optim.Optimizer, batch: tuple[Tensor, Tensor] | Callable[[], Tensor]
) -> Memory:
    """Measure one forward and backward pass in train mode, and the state that `optimizer` holds by now.

    `batch` is (images, labels), taken with cross-entropy, or a function that returns the loss (it calls
    neither `backward` nor `step`; autocast goes inside it). Nothing is stepped, and the model is left as it
    was.

    Storage counts once, whatever number of tensors look into it, and whole, even if they see a part of it.

    Raises TuckerlabError when the optimizer has made no step yet and so holds no state to be counted (plain
    SGD without momentum never does, and passes).
    """
    weights = _storages([*model.parameters(), *model.buffers()])
    state = _storages(tree_leaves(list(optimizer.state.values())), besides=weights)
    if not state and any(group.get("momentum", 1) for group in optimizer.param_groups):
        raise TuckerlabError(f"{type(optimizer).__name__} has no state yet: measure its memory after its first step")
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    device = next((tensor.device for tensor in model.parameters()), torch.device("cpu"))
    with undisturbed(model, training=True):
        before = _reset_peak(device)
        with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            if isinstance(batch, tuple):
                images, labels = batch[0].clone(), batch[1].clone()  # they may be slices of a whole data set
                loss = F.cross_entropy(model(images), labels)
            else:
                loss = batch()
        activations = _storages(saved, besides=weights)
        saved.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        gradients = _storages([p.grad for p in model.parameters()], besides=weights)
    held, grown, kept, saved_bytes = (sum(part.values()) for part in (weights, gradients, state, activations))
    peak = None if before is None else torch.cuda.max_memory_allocated(device) - before + held + kept
    return Memory(held, grown, kept, saved_bytes, peak)


def _storages(
    values: Iterable[Any], besides: Container[tuple[torch.device, int]] = ()
) -> dict[tuple[torch.device, int], int]:
    """Bytes of each storage behind the tensors among `values`, by device and address."""
    storages = {}
    for tensor in values:
        if isinstance(tensor, Tensor):
            storage = tensor.untyped_storage()
            storages[tensor.device, storage.data_ptr()] = storage.nbytes()
    return {key: size for key, size in storages.items() if key not in besides}


def _reset_peak(device: torch.device) -> int | None:
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)
