"""The tables of an audit; accuracies, agreement and confidence in per cent, changes in points of them.

>>> change_interval(lost=0, gained=0, count=36)  # no answer changed, which 36 pictures do not prove for all
(-7.29..., 7.29...)
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tuckerlab.experiments.audit.predictions import Answers, Bools, Floats
from tuckerlab.i18n import text

Z95 = 1.959964
BINS = 15
CHANGE = ("count", "dense", "compressed", "change", "low", "high", "lost", "gained", "p")


def change_interval(lost: int, gained: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a change in accuracy, in points, from the answers that were lost and gained.

    >>> low, high = change_interval(lost=9, gained=1, count=100)
    >>> round(low, 1), round(high, 1)
    (-14.3, -1.4)

    Both networks see the same pictures, so only changed answers count. This is Wald's interval with the adjustment
    of Bonett and Price (2012), as Fagerland, Lydersen and Laake (2014) recommend for small samples.
    """
    down, up, total = (lost + 1) / (count + 2), (gained + 1) / (count + 2), count + 2
    middle, half = up - down, Z95 * math.sqrt((up + down - (up - down) ** 2) / total)
    return 100 * max(middle - half, -1.0), 100 * min(middle + half, 1.0)


def change(answers: Answers, chosen: Bools | None = None) -> dict[str, Any]:
    """How many pictures, the accuracy of both, and what changed; `p` is McNemar's exact test of "nothing changed"."""
    from scipy.stats import binomtest

    here = np.ones(len(answers), dtype=bool) if chosen is None else chosen
    before, after = answers.dense_right[here], answers.compressed_right[here]
    count, lost, gained = len(before), int((before & ~after).sum()), int((~before & after).sum())
    low, high = change_interval(lost, gained, count)
    return {
        "count": count,
        "dense": 100 * before.mean(),
        "compressed": 100 * after.mean(),
        "change": 100 * (gained - lost) / count,
        "low": low,
        "high": high,
        "lost": lost,
        "gained": gained,
        "p": float(binomtest(lost, lost + gained).pvalue) if lost + gained else 1.0,
    }


def overall(answers: Answers) -> pd.DataFrame:
    """One row: the change over all test pictures, the agreement, and how often both are wrong in different ways."""
    differently = ~answers.dense_right & ~answers.compressed_right & ~answers.agree
    others = {"agreement": 100 * answers.agree.mean(), "both_wrong_differently": int(differently.sum())}
    return pd.DataFrame([change(answers) | others])


def per_class(answers: Answers, classes: tuple[str, ...]) -> pd.DataFrame:
    """One row for each class that is tested, the largest loss first."""
    chosen = {name: answers.labels == label for label, name in enumerate(classes)}
    rows = {name: change(answers, here) for name, here in chosen.items() if here.any()}
    return pd.DataFrame.from_dict(rows, orient="index").sort_values("change", kind="stable")


def calibration(answers: Answers) -> pd.DataFrame:
    """Expected calibration error (15 bins), mean confidence and accuracy of both networks, in per cent."""
    rows = {"dense": _calibration(answers.dense, answers), "compressed": _calibration(answers.compressed, answers)}
    return pd.DataFrame.from_dict(rows, orient="index")


def _calibration(probabilities: Floats, answers: Answers) -> dict[str, float]:
    import torch
    from torchmetrics.classification import MulticlassCalibrationError

    measure = MulticlassCalibrationError(num_classes=probabilities.shape[1], n_bins=BINS)
    error = measure(torch.from_numpy(probabilities), torch.from_numpy(answers.labels))
    confidence, accuracy = probabilities.max(1).mean(), (probabilities.argmax(1) == answers.labels).mean()
    return {
        "calibration_error": 100 * float(error),
        "confidence": 100 * confidence,
        "accuracy": 100 * accuracy,
        "overconfidence": 100 * (confidence - accuracy),
    }


def robustness(versions: Mapping[tuple[str, float], Answers]) -> pd.DataFrame:
    """One row for each kind and strength of corruption; strength 0 is the pictures as they are."""
    rows = [{"kind": kind, "strength": strength, **change(answers)} for (kind, strength), answers in versions.items()]
    return pd.DataFrame(rows, columns=["kind", "strength", *CHANGE])


def flips(answers: Answers, classes: tuple[str, ...]) -> pd.DataFrame:
    """The pictures whose answer went from right to wrong, the surest first: product of both confidences.

    `index` is the place in the test split, `label` and the answers are names of classes, confidences are in per cent.
    """
    index = np.flatnonzero(answers.dense_right & ~answers.compressed_right)
    before, after = answers.dense[index], answers.compressed[index]
    order = np.argsort(-before.max(1) * after.max(1), kind="stable")
    index, before, after = index[order], before[order], after[order]
    names = np.asarray(classes, dtype=object)
    return pd.DataFrame({
        "index": index,
        "label": names[answers.labels[index]],
        "dense_answer": names[before.argmax(1)],
        "dense_confidence": 100 * before.max(1),
        "compressed_answer": names[after.argmax(1)],
        "compressed_confidence": 100 * after.max(1),
    })  # fmt: skip


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: numbers to a tenth, signs where it is a change, heads and names in words.

    >>> rounded(pd.DataFrame({"change": [-1.25]})).to_dict("list")
    {'change, points': ['−1.2']}
    """
    shown = pd.DataFrame({name: [_cell(value, str(name)) for value in table[name]] for name in table}, table.index)
    if isinstance(table.index, pd.RangeIndex):
        shown.index = pd.Index([""] * len(table))
    words = {name: text(f"audit.{name}") for name in ("dense", "compressed")}
    return shown.rename(index=words, columns=lambda column: text(f"audit.column.{column}"))


FORMATS = {"p": "thousandth", "strength": "exact", "allowed": "exact"}
FORMATS |= dict.fromkeys(("change", "low", "high", "overconfidence"), "signed")


def _cell(value: Any, column: str) -> str:
    if column == "held":
        return text("audit.held" if value else "audit.failed_cell")
    if column in ("name", "kind"):
        return text(f"audit.{column}.{value}")
    if isinstance(value, int | np.integer | str):
        return f"{value}"
    return "" if math.isnan(value) else text(f"audit.{FORMATS.get(column, 'tenth')}", value=float(value))
