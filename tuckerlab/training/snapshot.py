"""The state of a training at one moment, to return to: `Snapshot` of the model, of its optimizer, and of any facts.

>>> import torch
>>> from tuckerlab import TuckerLinear, TuckerSGD
>>> model = TuckerLinear(6, 4, ranks=2)
>>> optimizer = TuckerSGD(model, lr=0.1)
>>> good = Snapshot.of(model, optimizer).copied()
>>> with torch.no_grad():
...     _ = model.core.fill_(torch.nan)
>>> good.put_back(model, optimizer)
>>> bool(model.core.isfinite().all())
True

A checkpoint is a snapshot in a file.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Snapshot:
    """Tensors by name ("model.…", "optimizer.INDEX.…"), and the rest as plain JSON.

    >>> sorted(Snapshot.of(nn.Linear(2, 3)).tensors)
    ['model.bias', 'model.weight']
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
