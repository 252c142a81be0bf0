"""What run records say, in numbers a picture can show and in one line.

>>> finding(Records())
''
"""

from dataclasses import dataclass

import pandas as pd

from tuckerlab.record import Records

TOLERATED = 1.0
"""The line speaks of the smallest network that loses at most this much accuracy, in points."""


def names(records: Records) -> pd.Series:
    """What people call each run: its label, with the data set where there are several. Indexed by run.

    >>> names(Records()).empty
    True
    """
    runs = records.runs.set_index("run")
    return runs["label"] + (" · " + runs["dataset"] if runs["dataset"].nunique() > 1 else "")


@dataclass(frozen=True)
class Network:
    """The runs of one name, over their seeds; `full` is its dense size, accuracies are in per cent."""

    name: str
    method: str
    size: float
    full: float
    accuracy: float
    low: float
    high: float
    seeds: int


def networks(records: Records) -> tuple[list[Network], str]:
    """The networks of the runs that have a test accuracy and sizes, and what their sizes count.

    >>> networks(Records())
    ([], 'conv parameters')

    Sizes count convolution parameters where these are most of the dense network, or else all parameters.
    """
    runs = records.runs.assign(name=names(records).to_numpy())
    runs = runs.dropna(subset=["test_accuracy", "conv_parameters", "parameters"])
    reference = runs[runs["method"] == "dense"] if (runs["method"] == "dense").any() else runs
    prefix = "conv_" if (reference["conv_parameters"] > 0.5 * reference["parameters"]).all() else ""
    size, rate = runs[f"{prefix}parameters"], runs[f"{prefix}compression"].fillna(0)
    runs = runs.assign(size=size, full=size / (1 - rate), accuracy=100 * runs["test_accuracy"])
    found = [
        Network(
            name=str(name),
            method=str(group["method"].iloc[0]),
            size=float(group["size"].mean()),
            full=float(group["full"].mean()),
            accuracy=float(group["accuracy"].mean()),
            low=float(group["accuracy"].min()),
            high=float(group["accuracy"].max()),
            seeds=len(group),
        )
        for name, group in runs.groupby("name", sort=False)
    ]
    return found, prefix.replace("_", " ") + "parameters"


def finding(records: Records) -> str:
    """The result in one line, of the smallest Tucker network within a point of the dense one, or the most accurate.

    Empty where the records hold no comparison: no dense network or several, no other, or several data sets.
    """
    found, text = networks(records)
    dense = [network for network in found if network.method == "dense"]
    others = [network for network in found if network.method == "tucker"]
    if len(dense) != 1 or not others or records.runs["dataset"].nunique() > 1:
        return ""
    near = [network for network in others if network.accuracy >= dense[0].accuracy - TOLERATED]
    best = min(near, key=lambda network: network.size) if near else max(others, key=lambda network: network.accuracy)
    fewer, points = _times(dense[0].size / best.size), _points(best.accuracy - dense[0].accuracy)
    return f"{best.name}: {fewer} {text}, {points}"


def _times(factor: float) -> str:
    """How many times fewer.

    >>> _times(19.97), _times(243.2), _times(0.75), _times(1.0)
    ('20× fewer', '243× fewer', '1.3× more', 'as many')
    """
    if abs(factor - 1) < 0.005:
        return "as many"
    ratio, word = (factor, "fewer") if factor > 1 else (1 / factor, "more")
    return f"{ratio:.0f}× {word}" if ratio >= 9.95 else f"{ratio:.1f}× {word}"


def _points(change: float) -> str:
    """A change in accuracy.

    >>> _points(-0.31), _points(1.0), _points(0.04)
    ('−0.3 points of test accuracy', '+1.0 points of test accuracy', 'the same test accuracy')
    """
    text = f"{change:+.1f}".replace("-", "−")
    return "the same test accuracy" if text[1:] == "0.0" else f"{text} points of test accuracy"
