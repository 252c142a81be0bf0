"""Checkpoints: a `Snapshot` in one safetensors file with a JSON header; nothing is pickled or unpickled.

A model of `tuckerlab.build` is rebuilt from its `spec` in the header; any other is given to `load`, dense or of any
ranks, and takes up the weights and ranks of the file.
"""

import json
import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tuckerlab.errors import CheckpointError
from tuckerlab.files import atomic_path
from tuckerlab.training.models import build
from tuckerlab.tucker.convert import tuckerize
from tuckerlab.tucker.meta import materialize
from tuckerlab.tucker.rank_policy import Fixed
from tuckerlab.tucker.tensor import shape_of_core
from tuckerlab.tucker.weight import TuckerLayer

FORMAT = 1


@dataclass(frozen=True)
class Snapshot:
    """The state of a training at one moment: tensors by name ("model.…", "optimizer.INDEX.…"), the rest as plain JSON.

    >>> from tuckerlab import TuckerLinear
    >>> model = TuckerLinear(6, 4, ranks=2)
    >>> good = Snapshot.of(model).copied()
    >>> with torch.no_grad():
    ...     _ = model.core.fill_(torch.nan)
    >>> good.put_back(model)
    >>> bool(model.core.isfinite().all())
    True
    """

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
        """With memory of its own for all but the facts: it stays as it is, whatever becomes of the model."""
        tensors = {name: value.detach().clone() for name, value in self.tensors.items()}
        return Snapshot(tensors, deepcopy(self.optimizer), self.facts)

    @property
    def weights(self) -> dict[str, Tensor]:
        """The model's state_dict."""
        return {name.removeprefix("model."): v for name, v in self.tensors.items() if name.startswith("model.")}

    def put_back(self, model: nn.Module, optimizer: Optimizer | None = None) -> None:
        """Makes model and optimizer what they were; Tucker layers take the ranks that they had."""
        model.load_state_dict(self.weights)
        if optimizer is None:
            return
        state = {int(index): dict(entries) for index, entries in self.optimizer["state"].items()}
        for name, value in self.tensors.items():
            if name.startswith("optimizer."):
                _, index, key = name.split(".", 2)
                state[int(index)][key] = value.clone()  # the optimizer goes on with the tensor that it is given
        optimizer.load_state_dict({**self.optimizer, "state": state})


@dataclass(frozen=True)
class Checkpoint:
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
    """Writes a model, an optimizer if given, and any JSON facts, atomically: the old file or the new, never half.

    beside: other tensors by name, to be kept in the same file.
    """
    state = Snapshot.of(model, optimizer, facts)
    layers = dict(model.named_modules())
    header: dict[str, Any] = {
        "format": FORMAT,
        "spec": getattr(model, "spec", None),  # with the factorized modes, all that is needed to rebuild the model
        "tucker": {name: list(m.modes) for name, m in layers.items() if isinstance(m, TuckerLayer)},
        "dense": {n: m.dense_because for n, m in layers.items() if isinstance(vars(m).get("dense_because"), str)},
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
        _check_optimizer(Path(path), optimizer, state.optimizer)
    model = _rebuilt(Path(path), header) if model is None else model
    _check(Path(path), model, state.weights)
    state.put_back(model, optimizer)
    beside = {name.removeprefix("beside."): v for name, v in tensors.items() if name.startswith("beside.")}
    return Checkpoint(model, state.facts, beside)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give the path of a checkpoint (.safetensors)")
    try:
        content = path.read_bytes()  # at once: a run that goes on may replace the file at any moment
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["tuckerlab"])
    except KeyError:
        raise CheckpointError(f"{path}: a safetensors file, but not a checkpoint of tuckerlab") from None
    except (safetensors.SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path}: cut off or not a safetensors file ({error})") from None
    number = header.get("format") if isinstance(header, dict) else None
    if number != FORMAT:
        raise CheckpointError(f"{path}: format {number!r}; this version reads format {FORMAT}")
    if missing := sorted({"spec", "tucker", "dense", "facts"} - header.keys()):
        raise CheckpointError(f"{path}: its header lacks {', '.join(missing)}; write it anew with this version")
    return header, tensors


def _rebuilt(path: Path, header: dict[str, Any]) -> nn.Module:
    if not header["spec"]:
        raise CheckpointError(f"{path}: holds a model that tuckerlab did not build; give load() such a model")
    with torch.device("meta"):
        model = build(**header["spec"])
    for modes in ("channels", "all"):
        names = [name for name, factorized in header["tucker"].items() if (len(factorized) > 2) == (modes == "all")]
        if names:
            tuckerize(model, include=names, ranks=Fixed(1e-9), modes=modes)
    for name, layer in model.named_modules():
        if name in header["dense"]:
            setattr(layer, "dense_because", header["dense"][name])  # noqa: B010 (a note on a module of torch)
    with torch.random.fork_rng(devices=[]):
        return materialize(model)


def _check(path: Path, model: nn.Module, weights: dict[str, Tensor]) -> None:
    nested = {f"{name}.smallest".lstrip(".") for name, layer in model.named_modules() if isinstance(layer, TuckerLayer)}
    own = {name: value for name, value in model.state_dict().items() if name not in nested}
    weights = {name: value for name, value in weights.items() if name not in nested}
    if strange := sorted(own.keys() ^ weights.keys()):
        where = "the file, not the model," if strange[0] in weights else "the model, not the file,"
        raise CheckpointError(
            f"{path}: of another model: {where} has {strange[0]!r}; {len(strange)} of "
            f"{len(own.keys() | weights.keys())} names differ; give a checkpoint of this network"
        )
    expected = {name: tuple(value.shape) for name, value in own.items()}
    for name, layer in model.named_modules():
        if isinstance(layer, TuckerLayer):  # takes up other ranks, but not another shape
            expected |= _shapes_at_ranks_of(weights, f"{name}." if name else "", layer)
    for name, shape in expected.items():
        if shape != tuple(weights[name].shape):
            raise CheckpointError(
                f"{path}: of another model: {name!r} is {tuple(weights[name].shape)} there, {shape} here"
            )


def _check_optimizer(path: Path, optimizer: Optimizer, saved: dict[str, Any]) -> None:
    if not saved:
        raise CheckpointError(f"{path}: holds no optimizer state; load the model alone, or another file")
    groups = saved["param_groups"]
    sizes = [[len(group["params"]) for group in of] for of in (groups, optimizer.param_groups)]
    settings = [sorted({*group} & {*optimizer.defaults}) for group in (*groups, optimizer.defaults)]
    if sizes[0] != sizes[1] or any(of != settings[-1] for of in settings):
        raise CheckpointError(
            f"{path}: of another optimizer: param groups of {sizes[0]} parameters there, {sizes[1]} here, or other "
            f"settings than {', '.join(optimizer.defaults)}; give one made like the one that was saved"
        )


def _shapes_at_ranks_of(weights: dict[str, Tensor], prefix: str, layer: TuckerLayer) -> dict[str, tuple[int, ...]]:
    """The shapes of a layer's core and factors, had it the ranks of the weights."""
    factors = [weights[f"{prefix}factor{i}"] for i in range(len(layer.modes))]
    ranks = [factor.shape[-1] if factor.dim() else 0 for factor in factors]
    shapes = {f"{prefix}factor{i}": (layer.shape[m], ranks[i]) for i, m in enumerate(layer.modes)}
    return {**shapes, f"{prefix}core": shape_of_core(layer.shape, layer.modes, ranks)}
