"""Checkpoints: a `Snapshot` in one safetensors file with a JSON header; nothing is pickled or unpickled."""

import json
import os
import textwrap
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tuckerlab.errors import CheckpointError
from tuckerlab.files import atomic_path
from tuckerlab.training.models import build
from tuckerlab.tucker.convert import materialize, tuckerize
from tuckerlab.tucker.rank_policy import Fixed
from tuckerlab.tucker.weight import TuckerLayer

FORMAT = 1


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one moment: tensors ("model.NAME", "optimizer.INDEX.NAME"), the rest as plain JSON."""

    tensors: dict[str, Tensor]
    optimizer: dict[str, Any]  # its state_dict without the tensors; empty where there is none
    facts: dict[str, Any]

    @classmethod
    def of(
        cls, model: nn.Module, optimizer: Optimizer | None = None, facts: Mapping[str, Any] | None = None
    ) -> "Snapshot":
        """Of this moment; the tensors are those of the model and the optimizer, so the next step changes them."""
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        kept: dict[str, Any] = {}
        if optimizer is not None:
            state = optimizer.state_dict()
            kept = {**state, "state": {}}
            for index, entries in state["state"].items():
                kept["state"][index] = {k: v for k, v in entries.items() if not isinstance(v, Tensor)}
                tensors |= {f"optimizer.{index}.{k}": v for k, v in entries.items() if isinstance(v, Tensor)}
        return cls(tensors, kept, dict(facts or {}))

    def copied(self) -> "Snapshot":
        """With memory of its own: it stays as it is, whatever becomes of the model."""
        return deepcopy(self)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose names begin so, without the prefix."""
        return {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}

    def put_back(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Makes model and optimizer what they were; Tucker layers take the ranks that they had."""
        model.load_state_dict(self.part("model."))
        if optimizer is None:
            return
        state = {int(index): dict(entries) for index, entries in self.optimizer["state"].items()}
        for name, value in self.part("optimizer.").items():
            index, key = name.split(".", 1)
            state[int(index)][key] = value.clone()  # the optimizer goes on with the tensor that it is given
        optimizer.load_state_dict({**self.optimizer, "state": state})


class Checkpoint(NamedTuple):
    """What a file held: the model with its weights loaded, and the facts and tensors that were saved beside it."""

    model: nn.Module
    facts: dict[str, Any]
    beside: dict[str, Tensor]


def save(
    path: str | os.PathLike[str],
    model: nn.Module,
    *,
    optimizer: Optimizer | None = None,
    facts: Mapping[str, Any] | None = None,
    beside: Mapping[str, Tensor] | None = None,
) -> None:
    """Writes a model, an optimizer if given, any JSON facts and other tensors, atomically: the old file or the new."""
    state = Snapshot.of(model, optimizer, facts)
    header: dict[str, Any] = {
        "format": FORMAT,
        "spec": getattr(model, "spec", None),  # with the factorized modes, all that is needed to rebuild the model
        "tucker": {name: list(m.modes) for name, m in model.named_modules() if isinstance(m, TuckerLayer)},
        "facts": state.facts,
    }
    if optimizer is not None:
        header["optimizer"] = state.optimizer
    tensors = state.tensors | {f"beside.{name}": value for name, value in (beside or {}).items()}
    with atomic_path(path) as temporary:
        # each tensor gets memory of its own: safetensors refuses two names for the same
        plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        safetensors.torch.save_file(plain, temporary, metadata={"tuckerlab": json.dumps(header)})


def load(
    path: str | os.PathLike[str],
    model: nn.Module | None = None,
    *,
    optimizer: Optimizer | None = None,
    accept: Callable[[dict[str, Any]], None] | None = None,
) -> Checkpoint:
    """Reads a checkpoint into `model` (None: rebuilds it) and into `optimizer` if given.

    >>> import tempfile
    >>> from tuckerlab import build, tuckerize
    >>> path = Path(tempfile.mkdtemp()) / "model.safetensors"
    >>> save(path, tuckerize(build("lenet5", in_channels=1, image_size=28), ranks=0.3), facts={"epoch": 4})
    >>> load(path).model.features[4].ranks, load(path).facts
    ((15, 6), {'epoch': 4})

    Layers take the ranks of the file. `accept` may look at the facts first and raise. Raises CheckpointError if the
    file is missing, cut off, not a checkpoint of tuckerlab, or of another model; the model is then as it was.
    """
    header, tensors = _read(Path(path))
    if accept is not None:
        accept(header["facts"])
    state = Snapshot(tensors, header.get("optimizer", {}), header["facts"])
    if optimizer is not None:
        if "optimizer" not in header:
            raise CheckpointError(f"{path}: holds no optimizer state; load the model alone, or another file")
        if any(optimizer.defaults.keys() - group.keys() for group in state.optimizer["param_groups"]):
            raise CheckpointError(f"{path}: of another optimizer; give one made like the one that was saved")
    if model is None:
        model = _rebuilt(Path(path), header)
    before = Snapshot.of(model).copied()
    try:
        state.put_back(model, optimizer)
    except (RuntimeError, ValueError, LookupError) as error:
        before.put_back(model)
        said = textwrap.shorten(str(error), 300)
        raise CheckpointError(f"{path}: of another model or optimizer, give one like it ({said})") from error
    return Checkpoint(model, state.facts, state.part("beside."))


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give the path of a checkpoint (.safetensors)")
    try:
        content = path.read_bytes()  # at once: a run that goes on may replace the file at any moment
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["tuckerlab"])
        number = header["format"]
    except (KeyError, TypeError):
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of tuckerlab") from None
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: cut off or not a safetensors file ({error})") from None
    if number != FORMAT:
        raise CheckpointError(f"{path}: format {number!r}; this version reads format {FORMAT}")
    return header, tensors


def _rebuilt(path: Path, header: dict[str, Any]) -> nn.Module:
    if not header["spec"]:
        raise CheckpointError(f"{path}: holds a model that tuckerlab did not build; give load() such a model")
    with torch.device("meta"):
        model = build(**header["spec"])
    for name, modes in header["tucker"].items():
        tuckerize(model, include=[name], ranks=Fixed(1e-9), modes=tuple(modes))
    with torch.random.fork_rng(devices=[]):
        return materialize(model)
