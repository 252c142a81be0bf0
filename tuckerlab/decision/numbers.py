"""The numbers of a network out of the rows of a record: one row a seed in, the middle with its spread out.

>>> from tuckerlab import recorded
>>> runs = recorded("accuracy-digits-vgg_small").records.runs
>>> dense, small = runs[runs["method"] == "dense"], runs[runs["method"] == "tucker"]
>>> accuracy = measured(dense, "accuracy", "A")
>>> f"{accuracy.value:.2f} ({accuracy.low:.2f} to {accuracy.high:.2f})", accuracy.origin
('99.33 (99.16 to 99.44)', 'A')
>>> f"{share(small, dense, 'parameters', 'A').value:.3f}"
'0.107'

What a run has not measured is None, a gap that the page shows.
"""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from tuckerlab.decision.measured import Measured
from tuckerlab.experiments.records import memory_bytes


class Quantity(NamedTuple):
    """Where a record has it: `read` its values, a row each, and for a time `half` of its interquartile range."""

    read: Callable[[pd.DataFrame], pd.Series]
    half: Callable[[pd.DataFrame], pd.Series] | None = None

    @property
    def is_time(self) -> bool:
        """Whether it depends on the machine."""
        return self.half is not None


def _column(name: str, factor: float = 1.0) -> Quantity:
    return Quantity(lambda rows: factor * rows[name])


def _time(name: str) -> Quantity:
    return Quantity(lambda rows: rows[f"{name}_ms"], lambda rows: rows[f"{name}_iqr_ms"].fillna(0) / 2)


QUANTITIES = {
    "accuracy": _column("test_accuracy", 100),
    "parameters": _column("parameters"),
    "conv_parameters": _column("conv_parameters"),
    "file": _column("checkpoint_bytes", 1e-3),
    "time_1": _time("latency_1"),
    "time_128": _time("latency_128"),
    "step": _time("step"),
    "memory": Quantity(lambda rows: memory_bytes(rows) / 1e6),
}
"""Per cent, numbers stored, kilobytes, milliseconds (an answer alone, 128 answers, a training step), megabytes."""


def measured(rows: pd.DataFrame, quantity: str, origin: str) -> Measured | None:
    """The mean over the seeds, from the lowest to the highest; a time has its interquartile range in it as well."""
    of = QUANTITIES[quantity]
    values = of.read(rows)
    if of.half is None or values.isna().any() or values.empty:
        return Measured.over(quantity, values, origin)
    most = values + of.half(rows)
    least = values**2 / most  # as far down in proportion: a record has no quartiles, and no time is below nothing
    return Measured(quantity, float(values.mean()), float(least.min()), float(most.max()), origin)


def share(small: pd.DataFrame, dense: pd.DataFrame, quantity: str, origin: str) -> Measured | None:
    """The small network's share of the full one's, seed by seed; of one seed with the spread of its times."""
    of = QUANTITIES[quantity]
    ratios = (by_seed(small, of.read) / by_seed(dense, of.read)).dropna()
    if len(ratios) != 1 or of.half is None:
        return Measured.over(quantity, ratios, origin)
    mine, full = measured(small, quantity, origin), measured(dense, quantity, origin)
    if mine is None or full is None:
        return None
    return Measured(quantity, float(ratios.iloc[0]), mine.low / full.high, mine.high / full.low, origin)


def change(small: pd.DataFrame, dense: pd.DataFrame, origin: str) -> Measured | None:
    """The change in accuracy from the full network to the small one of the same seed, in points."""
    read = QUANTITIES["accuracy"].read
    return Measured.over("change", (by_seed(small, read) - by_seed(dense, read)).dropna(), origin)


def by_seed(rows: pd.DataFrame, read: Callable[[pd.DataFrame], pd.Series]) -> pd.Series:
    """A value for each seed: the mean where a seed was run several times."""
    return read(rows).groupby(rows["seed"]).mean()
