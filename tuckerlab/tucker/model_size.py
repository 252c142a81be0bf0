"""What a network stores, layer by layer, and why a layer has stayed dense: `summary`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from tuckerlab.tucker.layers import TuckerConv
from tuckerlab.tucker.weight import TuckerLayer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Counts:
    """Numbers stored, and stored by the same network dense: over convolution weights, and over everything."""

    conv_stored: int
    conv_dense: int
    total_stored: int
    total_dense: int

    @property
    def conv_compression(self) -> float:
        """c.r. = 1 − stored / dense over the convolution weights, the paper's convention; 0 without any."""
        return 1 - self.conv_stored / self.conv_dense if self.conv_dense else 0.0

    @property
    def compression(self) -> float:
        """c.r. = 1 − stored / dense over all parameters; 0 for a network without parameters."""
        return 1 - self.total_stored / self.total_dense if self.total_dense else 0.0

    @property
    def row(self) -> dict[str, float]:
        """As the tables of a record have them."""
        return {
            "conv_parameters": self.conv_stored, "parameters": self.total_stored,
            "conv_compression": self.conv_compression, "compression": self.compression,
        }  # fmt: skip

    def __str__(self) -> str:
        conv = f"{self.conv_stored:,} of {self.conv_dense:,} stored (c.r. {100 * self.conv_compression:.1f} %)"
        total = f"{self.total_stored:,} of {self.total_dense:,} stored (c.r. {100 * self.compression:.1f} %)"
        return f"convolution weights: {conv}; all parameters: {total}".replace(",", " ")


def count_parameters(model: nn.Module) -> Counts:
    """Counts the parameters of a dense or a Tucker network, each once (after `to_plain` dense sizes are unknown)."""
    tucker = {module.core: module for module in model.modules() if isinstance(module, TuckerLayer)}.values()
    saved = {layer: layer.dense_numel - layer.stored_numel for layer in tucker}
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    weights = {module.weight: module.weight.numel() for module in convolutions}
    conv_stored = sum(weights.values()) + sum(layer.stored_numel for layer in tucker if isinstance(layer, TuckerConv))
    conv_saved = sum(numbers for layer, numbers in saved.items() if isinstance(layer, TuckerConv))
    total = sum(parameter.numel() for parameter in model.parameters())
    return Counts(conv_stored, conv_stored + conv_saved, total, total + sum(saved.values()))


@dataclass(frozen=True)
class Summary:
    """The layers of a network and their sum; prints as a table, in a terminal and in a notebook."""

    rows: list[dict[str, Any]]
    counts: Counts

    def frame(self) -> "pd.DataFrame":
        """The rows as a DataFrame; `stored` and `dense` count the numbers of a weight, without the bias."""
        import pandas as pd  # here: layers are made without it

        return pd.DataFrame(self.rows, columns=["layer", "kind", "shape", "ranks", "stored", "dense", "note"])

    def __repr__(self) -> str:
        return f"{self.frame().to_string(index=False)}\n{self.counts}"

    def _repr_html_(self) -> str:
        return f"{self.frame().to_html(index=False)}<p>{self.counts}</p>"


def summary(model: nn.Module) -> Summary:
    """Every layer with a weight matrix: its ranks, the numbers it stores, and why it is dense where that is known.

    >>> from tuckerlab import tuckerize
    >>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(16, 4))
    >>> report = summary(tuckerize(model, ranks=0.5))
    >>> report.frame()[["layer", "kind", "ranks", "stored", "dense"]]
      layer          kind  ranks  stored  dense
    0     0        Conv2d             72     72
    1     1  TuckerConv2d  8 × 4     448   1152
    2     3        Linear             64     64
    """
    rows = []
    for name, module in model.named_modules():
        kind = type(module).__name__
        row: dict[str, Any] = {"layer": name, "kind": kind, "ranks": "", "note": getattr(module, "dense_because", "")}
        matrices = [p for p in module.parameters(recurse=False) if p.dim() > 1]
        if isinstance(module, TuckerLayer):
            row |= {"shape": module.shape, "stored": module.stored_numel, "dense": module.dense_numel}
            row["ranks"] = " × ".join(map(str, module.ranks))
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            row |= {"shape": module.weight.shape, "stored": module.weight.numel(), "dense": module.weight.numel()}
        elif matrices and not isinstance(module, ParametrizationList):  # that is part of the layer's weight
            stored = sum(parameter.numel() for parameter in matrices)
            row |= {"shape": max(matrices, key=Tensor.numel).shape, "stored": stored, "dense": stored}
            row["note"] = f"{kind} is not a convolution or linear layer of torch.nn"
        else:
            continue
        rows.append({**row, "shape": " × ".join(map(str, row["shape"]))})
    return Summary(rows, count_parameters(model))
