"""What a network stores, layer by layer, and why a layer has stayed dense: `summary`.

>>> from tuckerlab import tuckerize
>>> model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 16, 3), nn.Flatten(), nn.Linear(16, 4))
>>> report = summary(tuckerize(model, ranks=0.5))
>>> report.frame()[["layer", "kind", "ranks", "stored", "dense"]]
  layer          kind  ranks  stored  dense
0     0        Conv2d             72     72
1     1  TuckerConv2d  8 × 4     448   1152
2     3        Linear             64     64
>>> report.total
'convolution weights: 520 of 1 224 stored (c.r. 57.5 %); all parameters: 612 of 1 316 stored (c.r. 53.5 %)'
"""

import io
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.utils.parametrize import ParametrizationList

from tuckerlab.measure import Counts, count_parameters
from tuckerlab.weight import TuckerLayer

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class LayerRow:
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

        return pd.DataFrame([asdict(row) for row in self.rows], columns=[f.name for f in fields(LayerRow)])

    def __rich__(self) -> Table:
        table = Table(caption=self.total, caption_justify="left")
        for f in fields(LayerRow):
            table.add_column(f.name, justify="right" if f.name in ("stored", "dense") else "left")
        for row in self.rows:
            numbers = f"{row.stored:,}".replace(",", " "), f"{row.dense:,}".replace(",", " ")
            table.add_row(row.layer, row.kind, row.shape, row.ranks, *numbers, row.note)
        return table

    def __str__(self) -> str:
        text = io.StringIO()
        Console(file=text, width=120, color_system=None, force_jupyter=False).print(self)
        return text.getvalue()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{self.frame().to_html(index=False)}<p>{self.total}</p>"


def own_parameters(module: nn.Module) -> list[nn.Parameter]:
    """A module's own parameters; those from which a layer's weight is computed are the layer's."""
    return [] if isinstance(module, ParametrizationList) else [*module.parameters(recurse=False)]


def summary(model: nn.Module) -> Summary:
    """Every layer with a weight matrix: its ranks, the numbers it stores, and why it is dense where that is known.

    >>> print(len(summary(nn.Sequential(nn.Linear(4, 2), nn.ReLU())).rows))
    1
    """
    rows = []
    for name, module in model.named_modules():
        if isinstance(module, TuckerLayer):
            sizes = module.shape, " × ".join(map(str, module.ranks)), module.stored_numel, module.dense_numel, ""
        elif isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            count = module.weight.numel()
            sizes = tuple(module.weight.shape), "", count, count, getattr(module, "dense_because", "")
        elif matrices := [p for p in own_parameters(module) if p.dim() > 1]:
            count = sum(p.numel() for p in matrices)
            why = f"{type(module).__name__} is not a convolution or linear layer of torch.nn"
            sizes = tuple(max(matrices, key=Tensor.numel).shape), "", count, count, why
        else:
            continue
        shape, ranks, stored, dense, note = sizes
        rows.append(LayerRow(name, type(module).__name__, " × ".join(map(str, shape)), ranks, stored, dense, note))
    return Summary(tuple(rows), count_parameters(model))
