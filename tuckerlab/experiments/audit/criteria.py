"""Whether a compressed network may take the dense one's place: what is asked, and whether it held."""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from tuckerlab.errors import TuckerlabError, is_number
from tuckerlab.experiments.audit.tables import beyond, corruption
from tuckerlab.experiments.summary import ROUNDING
from tuckerlab.i18n import N_, _


@dataclass(frozen=True)
class Thresholds:
    """What a compressed network must keep; `agreement` at least, the others at most.

    - `agreement`: pictures that both networks answer alike, in per cent.
    - `accuracy_loss`: accuracy lost over all test pictures, in points.
    - `class_loss`: accuracy lost in the class that loses most, in points.
    - `calibration_gap`: how much further confidence lies from accuracy than it did (expected calibration error), in
      points.
    - `robustness_loss`: how far the compressed network is behind at the worst strength of noise or blur, in points.

    Raises TuckerlabError outside 0 to 100.
    """

    agreement: float = 95.0
    accuracy_loss: float = 1.0
    class_loss: float = 5.0
    calibration_gap: float = 3.0
    robustness_loss: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not is_number(value) or not 0 <= value <= 100:
                unit = "per cent" if field.name == "agreement" else "points"
                raise TuckerlabError(f"{field.name} {value!r}: a threshold lies between 0 and 100 {unit}")


SAID = {
    "agreement": N_("same answer on {measured:.1f} % of the images (at least {allowed:g} % asked)"),
    "accuracy_loss": N_(
        "accuracy changes by {change:+.1f} points (95 % interval {low:+.1f} to {high:+.1f}; may fall by {allowed:g})"
    ),
    "class_loss": N_(
        "accuracy in the worst class, {detail}, changes by {change:+.1f} points (95 % interval {low:+.1f} to "
        "{high:+.1f}; may fall by {allowed:g})"
    ),
    "calibration_gap": N_("calibration error changes by {measured:+.1f} points (may grow by {allowed:g})"),
    "robustness_loss": N_(
        "under {detail}, the worst case, accuracy differs by {change:+.1f} points (95 % interval {low:+.1f} to "
        "{high:+.1f}; may be behind by {allowed:g})"
    ),
}


def criteria(
    asked: Thresholds,
    overall: pd.DataFrame,
    per_class: pd.DataFrame,
    calibration: pd.DataFrame,
    robustness: pd.DataFrame,
) -> pd.DataFrame:
    """A row for each threshold: what was measured, what is allowed, where, the 95 % interval of a loss, and if it held.

    Robustness is left out where nothing was corrupted.
    """
    error, worst = calibration["calibration_error"], per_class.iloc[0]
    rows: dict[str, dict[str, Any]] = {
        "agreement": {"measured": overall["agreement"].iloc[0]},
        "accuracy_loss": _loss(overall.iloc[0]),
        "class_loss": _loss(worst, str(worst.name)),
        "calibration_gap": {"measured": error["compressed"] - error["dense"]},
    }
    corrupted = robustness[robustness["strength"] > 0].sort_values("change", kind="stable")
    if len(corrupted):
        rows["robustness_loss"] = _loss(corrupted.iloc[0], corruption(corrupted.iloc[0]))
    table = pd.DataFrame([
        {"name": name, "allowed": getattr(asked, name), "detail": "", "low": math.nan, "high": math.nan, **row}
        for name, row in rows.items()
    ])  # fmt: skip
    sign = np.where(table["name"] == "agreement", -1, 1)  # at least, not at most
    table["held"] = sign * table["measured"] <= sign * table["allowed"] + ROUNDING
    return table[["name", "measured", "allowed", "detail", "low", "high", "held"]]


def _loss(row: pd.Series, where: str = "") -> dict[str, Any]:
    """What is lost, from a row of a table of changes."""
    measured, low, high = (0.0 - float(row[column]) for column in ("change", "high", "low"))
    return {"measured": measured, "low": low, "high": high, "detail": where}


def verdict(found: pd.DataFrame, overall: pd.DataFrame, per_class: pd.DataFrame) -> list[str]:
    """In sentences: whether it passed, what failed, what held, and how much so few pictures can tell."""
    parts: dict[bool, list[str]] = {True: [], False: []}
    for row in found.to_dict("records"):
        change = {"change": 0.0 - row["measured"], "low": 0.0 - row["high"], "high": 0.0 - row["low"]}
        told = {"measured": row["measured"], "allowed": row["allowed"], "detail": row["detail"]}
        parts[row["held"]].append(_(SAID[row["name"]], **told, **change))
    failed, held = parts[False], parts[True]
    counts = {"failed": len(failed), "all": len(found), "images": overall["count"].iloc[0]}
    said = [_("Passed: all {all} criteria held on {images:,.0f} test images.", **counts)]
    if failed:
        said = [_("Not passed: {failed} of {all} criteria failed on {images:,.0f} test images.", **counts)]
        said.append(_("Failed: {what}.", what="; ".join(failed)))
    if held:
        said.append(_("Held: {what}.", what="; ".join(held)))
    images = float(per_class["count"].median())
    said.append(_(
        "A class has about {images:.0f} images, so one answer there is {one:.1f} points; for {beyond} of {classes} "
        "classes the change is beyond its own 95 % interval.",
        images=images, one=100 / images, beyond=int(beyond(per_class).sum()), classes=len(per_class),
    ))  # fmt: skip
    return said
