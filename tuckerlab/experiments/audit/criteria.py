"""Whether a compressed network may take the dense one's place: what is asked, and whether it held."""

import math
from dataclasses import dataclass, fields

import pandas as pd

from tuckerlab.errors import TuckerlabError, is_number
from tuckerlab.experiments.audit.tables import CORRUPTION
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


@dataclass(frozen=True)
class Criterion:
    """One thing that was asked for; `detail` is where it was measured: a class, a kind and strength of corruption.

    A loss of accuracy has the 95 % interval from `low` to `high` of what may be chance.
    """

    name: str
    measured: float
    allowed: float
    detail: str = ""
    low: float = math.nan
    high: float = math.nan

    @classmethod
    def loss(cls, name: str, row: pd.Series, allowed: float, detail: str = "") -> "Criterion":
        """A loss of accuracy, from a row of a table of changes."""
        measured, low, high = (0.0 - float(row[column]) for column in ("change", "high", "low"))
        return cls(name, measured, allowed, detail, low, high)

    @property
    def held(self) -> bool:
        """Whether it was met."""
        if self.name == "agreement":
            return self.measured >= self.allowed - ROUNDING
        return self.measured <= self.allowed + ROUNDING

    @property
    def said(self) -> str:
        """In words, with both numbers."""
        change = {"change": 0.0 - self.measured, "low": 0.0 - self.high, "high": 0.0 - self.low}
        return _(SAID[self.name], measured=self.measured, allowed=self.allowed, detail=self.detail, **change)


def criteria(
    thresholds: Thresholds,
    overall: pd.DataFrame,
    per_class: pd.DataFrame,
    calibration: pd.DataFrame,
    robustness: pd.DataFrame,
) -> tuple[Criterion, ...]:
    """What the tables say to each threshold; robustness is left out where nothing was corrupted."""
    row, worst = overall.iloc[0], per_class.iloc[0]
    error = calibration["calibration_error"]
    found = [
        Criterion("agreement", float(row["agreement"]), thresholds.agreement),
        Criterion.loss("accuracy_loss", row, thresholds.accuracy_loss),
        Criterion.loss("class_loss", worst, thresholds.class_loss, str(worst.name)),
        Criterion("calibration_gap", float(error["compressed"] - error["dense"]), thresholds.calibration_gap),
    ]
    corrupted = robustness[robustness["strength"] > 0].sort_values("change", kind="stable")
    if len(corrupted):
        row = corrupted.iloc[0]
        detail = _(CORRUPTION[row["kind"]], strength=row["strength"])
        found.append(Criterion.loss("robustness_loss", row, thresholds.robustness_loss, detail))
    return tuple(found)


def verdict(found: tuple[Criterion, ...], overall: pd.DataFrame, per_class: pd.DataFrame) -> list[str]:
    """In sentences: whether it passed, what failed, what held, and how much so few pictures can tell."""
    failed, held = [c.said for c in found if not c.held], [c.said for c in found if c.held]
    row = overall.iloc[0]
    counts = {"failed": len(failed), "all": len(found), "images": row["count"]}
    said = [_("Passed: all {all} criteria held on {images:,.0f} test images.", **counts)]
    if failed:
        said = [_("Not passed: {failed} of {all} criteria failed on {images:,.0f} test images.", **counts)]
        said.append(_("Failed: {what}.", what="; ".join(failed)))
    if held:
        said.append(_("Held: {what}.", what="; ".join(held)))
    beyond = int(((per_class["high"] < 0) | (per_class["low"] > 0)).sum())
    images = float(per_class["count"].median())
    said.append(
        _(
            "A class has about {images:.0f} images, so one answer there is {one:.1f} points; for {beyond} of "
            "{classes} classes the change is beyond its own 95 % interval.",
            images=images,
            one=100 / images,
            beyond=beyond,
            classes=len(per_class),
        )
    )
    return said
