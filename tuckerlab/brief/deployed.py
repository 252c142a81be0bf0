"""The times of both networks as exported files, where `tuckerlab check` has measured them.

>>> from tuckerlab.brief.sources import open_sources
>>> from tuckerlab.results import found_folder
>>> deployed(open_sources([found_folder("compare-folder-neu_steel")]), "dense", "Tucker 95 %") is None
True

They take the place of the times in the record: what will run is the exported file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tuckerlab.brief.measured import Measured
from tuckerlab.brief.sources import Source
from tuckerlab.errors import DataError

RUNTIME = "onnxruntime"
BATCHES = {"time_1": 1, "time_128": 128}


@dataclass(frozen=True)
class Deployed:
    """Times of both networks in onnxruntime, in fp32, by the names of the brief; `shares` are the small one's.

    `int8` is the small network in int8 against the full one in fp32: the share of the time of one answer, that of the
    file, and the change in accuracy in points; None where it was not measured.
    """

    dense: Mapping[str, Measured]
    small: Mapping[str, Measured]
    shares: Mapping[str, Measured]
    int8: tuple[float, float, float] | None
    threads: int


def deployed(sources: Sequence[Source], dense: str, small: str) -> Deployed | None:
    """Of the first folder that has both networks measured; a table that cannot be read counts as none."""
    from tuckerlab.deployment import Deployment

    for source in sources:
        try:
            table = Deployment.load(source.folder.path).rows
        except DataError:
            continue
        table = table[table["runtime"] == RUNTIME]
        if {dense, small} <= set(table["network"]):
            return _read(table, dense, small, f"{source.mark} ONNX")
    return None


def _read(table: pd.DataFrame, dense: str, small: str, origin: str) -> Deployed:
    forms = {key: row.iloc[0] for key, row in table.groupby(["network", "precision", "batch"], sort=False)}
    times: dict[str, dict[str, Measured]] = {dense: {}, small: {}}
    shares = {}
    for name, batch in BATCHES.items():
        rows = {network: forms.get((network, "fp32", batch)) for network in (dense, small)}
        if (full := rows[dense]) is None or (cut := rows[small]) is None:
            continue
        for network, row in ((dense, full), (small, cut)):
            times[network][name] = _time(name, row, origin)
        mine, reference, value = times[small][name], times[dense][name], 1 / float(cut["faster"])
        ends = mine.low / reference.high, mine.high / reference.low
        shares[name] = Measured(name, value, min(ends[0], value), max(ends[1], value), origin)
    full, cut = forms.get((dense, "fp32", 1)), forms.get((small, "int8", 1))
    int8 = None
    if full is not None and cut is not None:
        time, file = (float(cut[column] / full[column]) for column in ("median_ms", "file_bytes"))
        int8 = time, file, 100 * float(cut["accuracy"] - full["accuracy"])
    return Deployed(times[dense], times[small], shares, int8, int(table["threads"].iloc[0]))


def _time(name: str, row: pd.Series, origin: str) -> Measured:
    value, half = float(row["median_ms"]), float(row["iqr_ms"]) / 2
    return Measured(name, value, value**2 / (value + half), value + half, origin)
