"""Where does the compressed network answer differently from the dense one, and does that matter?"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from tuckerlab.data import ImageData
from tuckerlab.errors import check_number
from tuckerlab.experiments.audit import answers as tables, plots
from tuckerlab.experiments.audit.answers import Answers, Floats, attribution, change, corrupted
from tuckerlab.experiments.summary import ROUNDING
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import Picture


@dataclass(frozen=True)
class Thresholds:
    """What a compressed network must keep, in per cent or points; TuckerlabError outside 0 to 100.

    `agreement` is a least value, the others are the most that may be lost: over all test pictures, in the class that
    loses most, in how far confidence lies from accuracy (expected calibration error), and at the worst noise or blur.
    """

    agreement: float = 95.0  # pictures that both networks answer alike
    accuracy_loss: float = 1.0
    class_loss: float = 5.0
    calibration_gap: float = 3.0
    robustness_loss: float = 5.0

    def __post_init__(self) -> None:
        for field in fields(self):
            check_number(field.name, getattr(self, field.name), 0, 100)


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
SHOWN = 3  # pictures of each kind whose maps are drawn
TABLES = ("criteria", "overall", "per_class", "calibration", "robustness", "flips")


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What an audit found. Accuracies in the tables are in per cent, changes in points, with 95 % intervals."""

    data: ImageData
    thresholds: Thresholds
    answers: Answers  # to the pictures as they are
    overall: pd.DataFrame  # `lost` answers went from right to wrong, `gained` ones from wrong to right
    per_class: pd.DataFrame  # the same, the largest loss first
    calibration: pd.DataFrame  # expected calibration error, mean confidence and accuracy of both networks
    robustness: pd.DataFrame  # the same change for each kind and strength of corruption, 0 being none
    flips: pd.DataFrame  # the answers that went from right to wrong, the surest first
    explained: list[int]  # test pictures: the surest flips, and some that both get right
    attribution: dict[str, Floats]  # what both networks' answers to them rest on; empty where no gradients pass

    @cached_property
    def criteria(self) -> pd.DataFrame:
        """A row for each threshold: what was measured, what is allowed, where, the interval of a loss, if it held."""
        error, worst = self.calibration["calibration_error"], self.per_class.iloc[0]
        corrupted = self.robustness[self.robustness["strength"] > 0].sort_values("change", kind="stable")
        rows: dict[str, dict[str, Any]] = {
            "agreement": {"measured": self.overall["agreement"].iloc[0]},
            "accuracy_loss": _loss(self.overall.iloc[0]),
            "class_loss": _loss(worst, str(worst.name)),
            "calibration_gap": {"measured": error["compressed"] - error["dense"]},
        }
        if len(corrupted):
            rows["robustness_loss"] = _loss(corrupted.iloc[0], tables.corruption(corrupted.iloc[0]))
        found = pd.DataFrame.from_dict(rows, orient="index").rename_axis("name").reset_index()
        found["allowed"] = [getattr(self.thresholds, name) for name in found["name"]]
        found["detail"] = found["detail"].fillna("")
        sign = np.where(found["name"] == "agreement", -1, 1)  # at least, not at most
        found["held"] = sign * found["measured"] <= sign * found["allowed"] + ROUNDING
        return found[["name", "measured", "allowed", "detail", "low", "high", "held"]]

    @property
    def passed(self) -> bool:
        """Whether all criteria held."""
        return bool(self.criteria["held"].all())

    @property
    def verdict(self) -> str:
        """One paragraph: which criteria failed and which held."""
        parts: dict[bool, list[str]] = {True: [], False: []}
        rows: Any = self.criteria.to_dict("records")
        for row in rows:
            change = {"change": 0.0 - row["measured"], "low": 0.0 - row["high"], "high": 0.0 - row["low"]}
            parts[row["held"]].append(_(SAID[row["name"]], **row | change))
        failed, held = parts[False], parts[True]
        counts = {"failed": len(failed), "all": len(failed) + len(held), "images": self.overall["count"].iloc[0]}
        said = [_("Passed: all {all} criteria held on {images:,.0f} test images.", **counts)]
        if failed:
            said = [_("Not passed: {failed} of {all} criteria failed on {images:,.0f} test images.", **counts)]
            said.append(_("Failed: {what}.", what=_("; ").join(failed)))
        if held:
            said.append(_("Held: {what}.", what=_("; ").join(held)))
        return " ".join(said).replace("。 ", "。")

    @cached_property
    def figures(self) -> dict[str, Picture]:
        """`classes`, and where there is something to show `robustness`, `flips` and `attribution`."""
        drawn = {"classes": plots.class_changes(self.per_class)}
        if (self.robustness["strength"] > 0).any():
            drawn["robustness"] = plots.robustness_curves(self.robustness)
        if len(self.flips):
            drawn["flips"] = plots.worst_flips(self.flips, self.data, int(self.overall["gained"].iloc[0]))
        if self.attribution:
            drawn["attribution"] = plots.attribution_maps(self.attribution, self.explained, self.flips, self.data)
        return drawn

    def __repr__(self) -> str:
        return f"Audit({self.verdict})"

    def _repr_html_(self) -> str:
        parts = [self.verdict, self.data.note, _("Accuracies in %, changes in points with their 95 % intervals.")]
        parts = [f"<p>{escape(said)}</p>" for said in parts if said]
        for name in TABLES:
            table = getattr(self, name).head(10)
            if len(table):
                shown = table.rename(columns=lambda column: column.replace("_", " "))
                parts.append(f"<p><b>{name.replace('_', ' ')}</b></p>")
                parts.append(shown.to_html(border=0, na_rep="", float_format="{:.1f}".format))
        return "".join(parts)


def _loss(row: "pd.Series[Any]", where: str = "") -> dict[str, Any]:
    """What is lost, from a row of a table of changes."""
    measured, low, high = (0.0 - row[column] for column in ("change", "high", "low"))
    return {"measured": measured, "low": low, "high": high, "detail": where}


def run_audit(
    dense: nn.Module,
    compressed: nn.Module,
    data: ImageData,
    *,
    thresholds: Thresholds | None = None,
    noise: Sequence[float] = (8.0, 16.0, 32.0),
    blur: Sequence[float] = (0.4, 0.7, 1.0),
    seed: int = 0,
) -> Audit:
    """Compares the answers of two networks to the test pictures, as they are and corrupted.

    >>> from tuckerlab import build, load_data
    >>> network = build("vgg_small", in_channels=1, image_size=8, width=0.25)
    >>> run_audit(network, network, load_data("digits").subset(test=20), noise=[], blur=[]).passed
    True

    `noise` is the standard deviation of Gaussian noise in pixel values 0..255, `blur` that of a Gaussian blur in
    pixels; the seed draws the noise and the sample of pictures whose attribution maps are compared. Any two modules
    that answer with logits will do, also pruned or quantized ones; both come out as they went in. Raises
    TuckerlabError where they do not fit each other or the data, and for what is not finite.
    """
    networks, asked = {"dense": dense, "compressed": compressed}, {"noise": noise, "blur": blur}
    for kind, strengths in asked.items():
        for strength in strengths:
            check_number(kind, strength, above=0, most=255)
    answers, robustness = Answers.of(networks, data, data.test_images), []
    for kind, strengths in asked.items():
        for strength in sorted({0.0, *strengths} if len(strengths) else ()):
            found = answers
            if strength:
                found = Answers.of(networks, data, corrupted(data.test_images, kind, strength, seed))
            robustness.append({"kind": kind, "strength": strength, **change(found)})
    flips = tables.flips(answers, data.classes)
    both = np.flatnonzero(answers.right("dense") & answers.right("compressed"))
    sample = np.random.default_rng(seed).permutation(both)
    explained = [*flips["index"][:SHOWN].tolist(), *sample[:SHOWN].tolist()]
    return Audit(
        data, thresholds or Thresholds(), answers, tables.overall(answers), tables.per_class(answers, data.classes),
        tables.calibration(answers), pd.DataFrame(robustness, columns=["kind", "strength", *tables.CHANGE]), flips,
        explained, attribution(networks, data, explained),
    )  # fmt: skip
