"""The machine: its devices and threads, the time and memory that networks take on it, and what tells it from others."""

import copy
import ctypes
import datetime
import os
import platform
import random
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.utils._pytree import tree_leaves

from tuckerlab import __version__
from tuckerlab.errors import check_choice
from tuckerlab.training.metrics import eval_mode

OTHERS = ("--", ":/", ":(top,exclude)data/results")  # all files of the checkout but the records
SOFT = 1  # omp_pause_soft of OpenMP 5: settings stay


def resolve_device(name: str) -> torch.device:
    """The device of a name; "auto" is CUDA where there is one, else the CPU; with torchrun each process has its own."""
    cards = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    there = ["auto", "cpu", *(["cuda", *cards] if cards else []), *["mps"] * torch.backends.mps.is_available()]
    check_choice("device", name, there)
    name = name if name != "auto" else "cuda" if cards else "cpu"
    if name == "cuda" and distributed.is_torchelastic_launched():
        name = cards[int(os.environ["LOCAL_RANK"]) % len(cards)]
        torch.cuda.set_device(name)  # what torch does unasked is to happen there too
    return torch.device(name)


def release_workers() -> None:
    """Ends the OpenMP workers of the calling thread, which hands the work to another; later ones are made anew."""
    # With more workers than cores GNU's OpenMP wakes them for every operation: training takes up to three times as long
    pause = None if os.name == "nt" else getattr(ctypes.CDLL(None), "omp_pause_resource_all", None)
    if pause is not None:  # it is of OpenMP 5
        pause(SOFT)


def provenance(device: torch.device | str) -> dict[str, str | int]:
    """What belongs beside each number measured on `device`; dirty: tracked files differ from the commit."""
    commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", *OTHERS)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": commit or "unknown",
        "dirty": int(bool(changes)),
        "tuckerlab": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": _device_name(torch.device(device)),
        "cores": os.cpu_count() or 1,
        "threads": torch.get_num_threads(),
    }


def _device_name(device: torch.device) -> str:
    """The name of the processor or the graphics card, as its maker gave it."""
    if device.type != "cpu":
        return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    info = Path("/proc/cpuinfo")  # of Linux
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), "") or platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    """What git prints; nothing where it is missing or fails."""
    command = ["git", "--no-optional-locks", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


Times = NDArray[np.float64]  # of repeated calls, in milliseconds, warm-up left out


def iqr(times: Times) -> float:
    """The interquartile range: the middle half of the calls lies within it."""
    return float(np.ptp(np.percentile(times, (25, 75))))


def interleave(
    functions: Mapping[str, Callable[[], object]],
    *,
    repeats: int = 20,
    warmup: int = 3,
    before: Callable[[str], object] | None = None,
) -> dict[str, Times]:
    """Times of several functions in turn, so that a machine that slows down slows all; `before` each call: untimed."""
    samples: dict[str, list[float]] = {name: [] for name in functions}
    order, chance = list(functions), random.Random(0)
    for _ in range(warmup + repeats):
        chance.shuffle(order)  # whoever comes after a large one finds the caches full
        for name in order:
            if before is not None:
                before(name)
            _synchronize()
            start = time.perf_counter()
            functions[name]()
            _synchronize()
            samples[name].append(1e3 * (time.perf_counter() - start))
    return {name: np.array(times[warmup:]) for name, times in samples.items()}


def latencies(models: Mapping[str, nn.Module], example: Tensor, *, repeats: int, warmup: int = 3) -> dict[str, Times]:
    """Times from a batch to its answer, the networks in turn, in eval mode and without autograd."""
    with torch.inference_mode(), ExitStack() as stack:
        for model in models.values():
            stack.enter_context(eval_mode(model))
        answers = {name: partial(model, example) for name, model in models.items()}
        return interleave(answers, repeats=repeats, warmup=warmup)


class Memory(NamedTuple):
    """Bytes that one training step holds, by what they are for."""

    weights: int  # and buffers
    gradients: int
    optimizer: int
    activations: int  # what the forward pass saves for the backward pass, the batch included
    peak: int | None  # as CUDA's allocator saw it: with temporary memory, without tensors of others such as the data


def training_memory(model: nn.Module, optimizer: torch.optim.Optimizer, loss: Callable[[nn.Module], Tensor]) -> Memory:
    """Of one forward and backward pass of a copy of the model in train mode, and what `optimizer` holds by now."""
    model = copy.deepcopy(model).train()
    model.zero_grad()
    card = next((parameter.device for parameter in model.parameters() if parameter.is_cuda), None)
    if card is not None:
        torch.cuda.reset_peak_memory_stats(card)
        before = torch.cuda.memory_allocated(card)
    weights = _storages([*model.parameters(), *model.buffers()])
    saved: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        saved.append(tensor)
        return tensor

    with torch.random.fork_rng(devices=[torch.cuda.current_device()] if torch.cuda.is_available() else []):
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            value = loss(model)
        activations = [size for key, size in _storages(saved).items() if key not in weights]
        saved.clear()
        value.backward()  # type: ignore[no-untyped-call]
    gradients = _storages(parameter.grad for parameter in model.parameters())
    state = _storages(tree_leaves(list(optimizer.state.values())))
    held, grown, kept = (sum(sizes.values()) for sizes in (weights, gradients, state))
    peak = None if card is None else torch.cuda.max_memory_allocated(card) - before + held + kept
    return Memory(held, grown, kept, sum(activations), peak)


def _storages(values: Iterable[Any]) -> dict[tuple[torch.device, int], int]:
    """Bytes of each storage behind the tensors among `values`, by device and address: each once, and whole."""
    storages = [(tensor.device, tensor.untyped_storage()) for tensor in values if isinstance(tensor, Tensor)]
    return {(device, storage.data_ptr()): storage.nbytes() for device, storage in storages}


def _synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()
