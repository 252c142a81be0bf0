"""One network at many sizes: what each stores, how long it takes and how often it is right.

Recorded tables come from `benchmarks/slider.py`; some rows were trained at their setting, those between are cut from
them, and those by "nested" from one training for every size.
"""

import os
from collections import namedtuple
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from tuckerlab.data import ImageData
from tuckerlab.errors import DataError, RankError
from tuckerlab.experiments.retruncation import cut
from tuckerlab.experiments.run_folder import found_folder, names
from tuckerlab.training.machine import latencies
from tuckerlab.training.metrics import checkpoint_bytes, evaluate, multiply_adds
from tuckerlab.tucker.convert import to_plain
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.rank_policy import Budget

FILE = "slider.parquet"
SETTINGS = (*np.arange(50, 90, 5) / 100, *np.arange(90, 96) / 100)  # of one training for every size


# A network at one setting; its accuracy is the mean over seeds, between `lowest` and `highest`, of 1.
Size = namedtuple(
    "Size",
    "by setting source trained parameters conv_parameters compression conv_compression multiply_adds file_bytes "
    "test_accuracy lowest highest seeds latency_1_ms latency_128_ms",
)


@dataclass(frozen=True)
class Sizes:
    """All sizes of one network on one data set, and where they were measured."""

    rows: tuple[Size, ...]
    origin: dict[str, Any]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Sizes":
        """From such a table, whose other columns say where it was measured; DataError without a full network."""
        fields = list(Size._fields)
        if not {*fields} <= {*table} or not (table["setting"] == 0).any():
            raise DataError("a table of sizes needs a row of the full network (setting 0), and all columns of a size")
        rows = tuple(Size(*row) for row in table[fields].itertuples(index=False))
        return cls(rows, {str(name): value for name, value in table.drop(columns=fields).iloc[0].items()})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Sizes":
        """From a folder, or the recorded result of a name."""
        try:
            return cls.of(pd.read_parquet(found_folder(folder) / FILE))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder}: no table of sizes there ({str(error).splitlines()[0]})") from None

    @property
    def full(self) -> Size:
        return next(row for row in self.rows if row.setting == 0)

    def series(self, by: str) -> tuple[Size, ...]:
        """The sizes along one setting, from the full network down."""
        rows = sorted((row for row in self.rows if row.by == by), key=lambda row: row.setting)
        return (self.full, *rows) if by == "nested" and rows else tuple(rows)

    def at(self, by: str, setting: float) -> Size:
        """The size whose setting is nearest."""
        return min(self.series(by), key=lambda row: abs(row.setting - setting))

    def like(self, size: Size, by: str) -> Size:
        """The size along another setting that stores most nearly as much."""
        return min(self.series(by), key=lambda row: abs(row.conv_parameters - size.conv_parameters))

    def smallest_within(self, by: str, points: float) -> Size:
        """The smallest that loses at most so many points, or is as accurate as the full network's worst start."""
        least = self.full.test_accuracy - points / 100
        least = min(self.full.lowest, least) if points >= 0 else least
        good = [row for row in self.series(by) if row.test_accuracy >= least - 1e-9]
        return min(good, key=lambda row: row.parameters, default=self.full)


class Networks(NamedTuple):
    """The networks of a row, one of each seed."""

    by: str
    setting: float
    source: str
    trained: bool
    models: Sequence[nn.Module]


def measured(sizes: Iterable[Networks], data: ImageData) -> pd.DataFrame:
    """The rows of a table: accuracies are the mean and the ends over the seeds, all else is of the first.

    The times of all sizes are taken in turn.
    """
    rows, plains = list[dict[str, Any]](), dict[str, nn.Module]()
    shape = (data.channels, data.image_size, data.image_size)
    for by, setting, source, trained, models in sizes:
        counts, plain = count_parameters(models[0]), to_plain(models[0])
        plains[str(len(rows))] = plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        accuracies = [evaluate(model, data).accuracy for model in models]
        rows.append({
            "by": by, "setting": setting, "source": source, "trained": trained,
            "parameters": counts.total_stored, "conv_parameters": counts.conv_stored,
            "compression": counts.compression, "conv_compression": counts.conv_compression,
            "multiply_adds": multiply_adds(plain, shape), "file_bytes": checkpoint_bytes(models[0]),
            "test_accuracy": np.mean(accuracies), "lowest": min(accuracies), "highest": max(accuracies),
            "seeds": len(models),
        })  # fmt: skip
    table = pd.DataFrame(rows)
    for count, repeats in ((1, 30), (128, 10)):
        batch = data.normalize(data.test_images[:count]).contiguous(memory_format=torch.channels_last)
        times = latencies(plains, batch, repeats=repeats)
        table[f"latency_{count}_ms"] = [float(np.median(times[name])) for name in plains]
    return table


def nested_sizes(full: nn.Module, nested: nn.Module, data: ImageData) -> Sizes:
    """The full network, and those that one training for every size is cut to."""
    rows, images = [Networks("compression", 0.0, "dense", True, [full])], data.sample()
    for setting in map(float, SETTINGS):
        with suppress(RankError):  # in a short training the smallest size does not come down to its end
            rows.append(Networks("nested", setting, "nested", False, [cut(nested, Budget(setting), images)]))
    return Sizes.of(measured(rows, data))


def recorded_sizes() -> list[str]:
    return [name for name in names() if (found_folder(name) / FILE).exists()]


def yearly_cost(size: Size, answers_a_day: float, price_an_hour: float) -> float:
    """What a year of answers costs on this machine, in batches of 128: time times price."""
    return float(365 * answers_a_day * size.latency_128_ms / 128 / 3.6e6 * price_an_hour)
