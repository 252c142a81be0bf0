"""What run records say, in numbers a picture can show and in one line.

>>> finding(Records())
''
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from tuckerlab.experiments.records import Records
from tuckerlab.i18n import _, text

TOLERATED = 1.0
"""The line speaks of the smallest network that loses at most this much accuracy, in points."""

ROUNDING = 1e-9
"""Means of the same accuracies may differ by this much, in points."""

RATES = {"conv_parameters": "conv_compression", "parameters": "compression"}


def names(records: Records) -> pd.Series:
    """What people call each run: its label, with the data set where there are several. Indexed by run.

    >>> names(Records()).empty
    True
    """
    runs = records.runs.set_index("run")
    return runs["label"] + (" · " + runs["dataset"] if runs["dataset"].nunique() > 1 else "")


@dataclass(frozen=True)
class Network:
    """The runs of one name, over their seeds; `full` is its dense size, accuracies are in per cent.

    `size` counts what the networks are compared by: parameters, milliseconds, bytes; `least` and `most` are its range.
    """

    name: str
    method: str
    size: float
    full: float
    accuracy: float
    low: float
    high: float
    seeds: int
    least: float
    most: float


def networks(records: Records) -> tuple[list[Network], str]:
    """The networks of the runs that have a test accuracy and sizes, and what their sizes count.

    >>> networks(Records())
    ([], 'conv parameters')

    Sizes count convolution parameters where these are most of the dense network, or else all parameters.
    """
    runs = records.runs.dropna(subset=["test_accuracy", "conv_parameters", "parameters"])
    column = "conv_parameters" if counts_convolutions(runs) else "parameters"
    return networks_by(records.only(runs["run"]), column), text(f"finding.{column}")


def networks_by(records: Records, column: str) -> list[Network]:
    """The networks of the runs that have a test accuracy, with this column of the runs for their size.

    >>> networks_by(Records(), "latency_1_ms")
    []

    The dense size `full` is known of parameters alone, and NaN otherwise.
    """
    runs = records.runs.assign(name=names(records).to_numpy()).dropna(subset=["test_accuracy", column])
    rate = runs[RATES[column]].fillna(0) if column in RATES else float("nan")
    runs = runs.assign(size=runs[column], full=runs[column] / (1 - rate), accuracy=100 * runs["test_accuracy"])
    return [
        Network(
            name=str(name),
            method=str(group["method"].iloc[0]),
            size=float(group["size"].mean()),
            full=float(group["full"].mean()),
            accuracy=float(group["accuracy"].mean()),
            low=float(group["accuracy"].min()),
            high=float(group["accuracy"].max()),
            seeds=len(group),
            least=float(group["size"].min()),
            most=float(group["size"].max()),
        )
        for name, group in runs.groupby("name", sort=False)
    ]


def counts_convolutions(runs: pd.DataFrame) -> bool:
    """Whether convolutions hold most of the parameters of the dense runs, or of all where there are no dense ones.

    >>> counts_convolutions(pd.DataFrame({"method": ["dense"], "conv_parameters": [90], "parameters": [100]}))
    True
    """
    reference = runs[runs["method"] == "dense"] if (runs["method"] == "dense").any() else runs
    return bool((reference["conv_parameters"] > 0.5 * reference["parameters"]).all())


def smallest_within(found: Iterable[Network], accuracy: float, points: float) -> Network | None:
    """The smallest of the networks that lose at most `points` of this accuracy, or None.

    >>> smallest_within([], accuracy=98.0, points=1.0) is None
    True
    """
    near = [network for network in found if network.accuracy >= accuracy - points - ROUNDING]
    return min(near, key=lambda network: network.size, default=None)


def finding(records: Records) -> str:
    """The result in one line, of the smallest Tucker network within a point of the dense one, or the most accurate.

    Empty where the records hold no comparison: no dense network or several, no other, or several data sets.
    """
    found, counted = networks(records)
    dense = [network for network in found if network.method == "dense"]
    others = [network for network in found if network.method == "tucker"]
    if len(dense) != 1 or not others or records.runs["dataset"].nunique() > 1:
        return ""
    near = smallest_within((n for n in others if n.size < dense[0].size), dense[0].accuracy, TOLERATED)
    best = near or max(others, key=lambda network: network.accuracy)
    fewer, points = _times(dense[0].size / best.size), _points(best.accuracy - dense[0].accuracy)
    return _("{name}: {fewer} {parameters}, {points}", name=best.name, fewer=fewer, parameters=counted, points=points)


def _times(factor: float) -> str:
    """How many times fewer.

    >>> _times(19.97), _times(243.2), _times(0.75), _times(1.0)
    ('20× fewer', '243× fewer', '1.3× more', 'as many')
    """
    if abs(factor - 1) < 0.005:
        return _("as many")
    ratio, key = (factor, "finding.fewer") if factor > 1 else (1 / factor, "finding.more")
    return text(key, times=f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}")


def _points(change: float) -> str:
    """A change in accuracy.

    >>> _points(-0.31), _points(1.0), _points(0.04)
    ('−0.3 points of test accuracy', '+1.0 points of test accuracy', 'the same test accuracy')
    """
    return (
        _("{points:+.1f} points of test accuracy", points=change) if round(change, 1) else _("the same test accuracy")
    )
