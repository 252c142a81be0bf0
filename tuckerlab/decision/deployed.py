"""The times of both networks as exported files, where `tuckerlab check` has measured them.

>>> from tuckerlab.decision.sources import open_sources
>>> from tuckerlab.experiments.recorded import found_folder
>>> deployed(open_sources([found_folder("compare-folder-neu_steel")]), "dense", "Tucker 95 %") is None
True

They take the place of the times in the record: what will run is the exported file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from tuckerlab.decision.measured import Measured
from tuckerlab.decision.sources import Source
from tuckerlab.errors import DataError

RUNTIME = "onnxruntime"
BATCHES = {"time_1": 1, "time_128": 128}


@dataclass(frozen=True)
class Deployed:
    """Times of both networks in onnxruntime, in fp32, by the names of the brief; `shares` are the small one's.

    `int8` is the small network in int8 against the full one in fp32: the share of the time of one answer, that of the
    file, and the change in accuracy in points; None where it was not measured. All of it was timed on `device`.
    """

    dense: Mapping[str, Measured]
    small: Mapping[str, Measured]
    shares: Mapping[str, Measured]
    int8: tuple[float, float, float] | None
    device: str
    threads: int


def deployed(sources: Sequence[Source], dense: str, small: str) -> Deployed | None:
    """Of the first folder that has both networks timed, as they lie there now, in both batches of the brief.

    A table that cannot be read counts as none, and so does one of other runs of them.
    """
    from tuckerlab.deploy.runtime import Deployment

    for source in sources:
        try:
            found = Deployment.load(source.folder.path)
        except DataError:
            continue
        if found.is_of(source.folder, (dense, small)):
            read = _read(found.rows[found.rows["runtime"] == RUNTIME], dense, small, f"{source.mark} ONNX")
            if read:
                return read
    return None


def _read(table: pd.DataFrame, dense: str, small: str, origin: str) -> Deployed | None:
    forms = {key: row.iloc[0] for key, row in table.groupby(["network", "precision", "batch"], sort=False)}
    if not {(network, "fp32", batch) for network in (dense, small) for batch in BATCHES.values()} <= forms.keys():
        return None  # one time of the record beside one of these would be of two machines
    full, cut = (
        {name: _time(name, forms[network, "fp32", batch], origin) for name, batch in BATCHES.items()}
        for network in (dense, small)
    )
    shares = {}
    for name, batch in BATCHES.items():
        value = 1 / float(forms[small, "fp32", batch]["faster"])
        ends = cut[name].low / full[name].high, cut[name].high / full[name].low
        shares[name] = Measured(name, value, *ends, origin)
    int8 = None
    if (quantized := forms.get((small, "int8", 1))) is not None:
        plain = forms[dense, "fp32", 1]
        time, file = (float(quantized[column] / plain[column]) for column in ("median_ms", "file_bytes"))
        int8 = time, file, 100 * float(quantized["accuracy"] - plain["accuracy"])
    first = table.iloc[0]
    return Deployed(full, cut, shares, int8, str(first["device"]), int(first["threads"]))


def _time(name: str, row: pd.Series, origin: str) -> Measured:
    value, half = float(row["median_ms"]), float(row["iqr_ms"]) / 2
    return Measured(name, value, value**2 / (value + half), value + half, origin)
