"""What a network stores, layer by layer, and why a layer has stayed dense: `summary`."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from tuckerlab.tucker.layers import TuckerConv
from tuckerlab.tucker.weight import TuckerLayer

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


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


def count_parameters(model: nn.Module) -> Counts:
    """Count the parameters of a dense or a Tucker network; a parameter used twice counts once.

    Convolution weights are those of `nn.Conv1d/2d/3d` and `TuckerConv1d/2d/3d`, without biases. A layer that
    `to_plain` has split into ordinary convolutions no longer knows its dense size: c.r. is then 0, take it
    from the Tucker network.
    """
    conv_stored, conv_saved, total_saved = 0, 0, 0
    seen: set[int] = set()
    for module in model.modules():
        weight = module.core if isinstance(module, TuckerLayer) else getattr(module, "weight", None)
        if not isinstance(weight, Tensor) or id(weight) in seen:
            continue
        seen.add(id(weight))
        if isinstance(module, TuckerLayer):
            saved = module.dense_numel - module.stored_numel
            total_saved += saved
            if isinstance(module, TuckerConv):
                conv_stored += module.stored_numel
                conv_saved += saved
        elif isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            conv_stored += weight.numel()
    total = sum(parameter.numel() for parameter in model.parameters())
    return Counts(conv_stored, conv_stored + conv_saved, total, total + total_saved)


class LayerRow(NamedTuple):
    """One layer with weights; `stored` and `dense` count the weight's numbers, without the bias."""

    layer: str
    kind: str
    shape: str
    ranks: str
    stored: int
    dense: int
    note: str


@dataclass(frozen=True)
class Summary:
    """The layers of a network and their sum; prints as a table, in a terminal and in a notebook."""

    rows: tuple[LayerRow, ...]
    counts: Counts

    @property
    def total(self) -> str:
        """The sum, over the convolution weights (the papers' convention) and over all parameters."""
        c = self.counts
        conv = f"{c.conv_stored:,} of {c.conv_dense:,} stored (c.r. {100 * c.conv_compression:.1f} %)"
        everything = f"{c.total_stored:,} of {c.total_dense:,} stored (c.r. {100 * c.compression:.1f} %)"
        return f"convolution weights: {conv}; all parameters: {everything}".replace(",", " ")

    def frame(self) -> "pd.DataFrame":
        """The rows as a DataFrame, for sorting and sums."""
        import pandas as pd

        return pd.DataFrame(self.rows, columns=LayerRow._fields)

    def __rich__(self) -> "Table":
        from rich.table import Table  # here: layers are made without it

        table = Table(caption=self.total, caption_justify="left")
        for name in LayerRow._fields:
            table.add_column(name, justify="right" if name in ("stored", "dense") else "left")
        for row in self.rows:
            table.add_row(*(value if isinstance(value, str) else f"{value:,}".replace(",", " ") for value in row))
        return table

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        Console(file=text, width=120, color_system=None, force_jupyter=False).print(self)
        return text.getvalue()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self.frame().to_html(index=False)}<p>{self.total}</p>"


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
        if isinstance(module, ParametrizationList):  # what the weight of a layer is computed from is the layer's
            continue
        kind, ranks, note = type(module).__name__, "", getattr(module, "dense_because", "")
        matrices = [p for p in module.parameters(recurse=False) if p.dim() > 1]
        if isinstance(module, TuckerLayer):
            shape: tuple[int, ...] = module.shape
            ranks, stored, dense = " × ".join(map(str, module.ranks)), module.stored_numel, module.dense_numel
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            shape, stored = tuple(module.weight.shape), module.weight.numel()
            dense = stored
        elif matrices:
            shape, stored = tuple(max(matrices, key=Tensor.numel).shape), sum(p.numel() for p in matrices)
            dense, note = stored, f"{kind} is not a convolution or linear layer of torch.nn"
        else:
            continue
        rows.append(LayerRow(name, kind, " × ".join(map(str, shape)), ranks, stored, dense, note))
    return Summary(tuple(rows), count_parameters(model))
