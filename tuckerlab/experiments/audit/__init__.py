"""Where does the compressed network answer differently from the dense one, and does that matter?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape

import numpy as np
import pandas as pd
from torch import nn

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError, is_number
from tuckerlab.experiments.audit import plots, tables
from tuckerlab.experiments.audit.criteria import Thresholds, criteria, verdict
from tuckerlab.experiments.audit.predictions import CORRUPTIONS, Answers, Attribution, attribution, has_gradients
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.plotting.figure import Picture

__all__ = ["Audit", "Thresholds", "run_audit"]

TITLES = {
    "criteria": N_("Criteria, with the 95 % interval of what may be chance"),
    "overall": N_("All test images"),
    "per_class": N_("By class, the largest loss first"),
    "calibration": N_("Calibration"),
    "robustness": N_("Robustness (noise in pixel values 0..255, blur in pixels)"),
    "flips": N_("From right to wrong, the surest first"),
}
NOISE = (8.0, 16.0, 32.0)
BLUR = (0.4, 0.7, 1.0)


@dataclass(frozen=True, eq=False, repr=False)
class Audit:
    """What an audit found. Accuracies in the tables are in per cent, changes in points, with 95 % intervals.

    - `answers`: what both networks say to the pictures as they are.
    - `overall`: one row; `lost` answers went from right to wrong, `gained` ones from wrong to right.
    - `per_class`: the same for each class, the largest loss first.
    - `calibration`: expected calibration error, mean confidence and accuracy of both.
    - `robustness`: the same change for each kind and strength of corruption, 0 being none.
    - `flips`: the answers that went from right to wrong, the surest first.
    - `attribution`: what both networks' answers rest on; None where a network in `without_gradients` has none.
    """

    data: ImageData
    thresholds: Thresholds
    answers: Answers
    overall: pd.DataFrame
    per_class: pd.DataFrame
    calibration: pd.DataFrame
    robustness: pd.DataFrame
    flips: pd.DataFrame
    attribution: Attribution | None
    without_gradients: tuple[str, ...]

    @cached_property
    def criteria(self) -> pd.DataFrame:
        """What was measured, what was allowed, and whether it held."""
        return criteria(self.thresholds, self.overall, self.per_class, self.calibration, self.robustness)

    @property
    def passed(self) -> bool:
        """Whether all criteria held."""
        return bool(self.criteria["held"].all())

    @property
    def verdict(self) -> str:
        """One paragraph: which criteria held and which failed, and how much the pictures can tell."""
        return " ".join(self._sentences)

    @property
    def _sentences(self) -> list[str]:
        return [*verdict(self.criteria, self.overall, self.per_class), self._maps_said]

    @property
    def _maps_said(self) -> str:
        if self.attribution is None:
            networks = _(" and ").join(_(tables.NETWORKS[name]) for name in self.without_gradients)
            return _(
                "There are no attribution maps: no gradients pass through the network ({networks}).", networks=networks
            )
        if not self.attribution.sample:
            return _("Attribution maps were not compared: there is no image that both get right.")
        said = {"similarity": self.attribution.similarity, "chance": self.attribution.chance}
        return ngettext(
            "Attribution maps (the pixels that an answer rests on) of {count} image that both get right: "
            "rank correlation {similarity:.2f}.",
            "Attribution maps (the pixels that an answer rests on) of {count} images that both get right: "
            "mean rank correlation {similarity:.2f}, against {chance:.2f} for maps of different images.",
            **said,
            count=self.attribution.sample,
        )

    @cached_property
    def figures(self) -> dict[str, Picture]:
        """`classes`, and where there is something to show `robustness`, `flips` and `attribution`."""
        drawn = {"classes": plots.class_changes(self.per_class)}
        if (self.robustness["strength"] > 0).any():
            drawn["robustness"] = plots.robustness_curves(self.robustness)
        if len(self.flips):
            drawn["flips"] = plots.worst_flips(self.flips, self.data, int(self.overall["gained"].iloc[0]))
        if self.attribution is not None and len(self.attribution.index):
            drawn["attribution"] = plots.attribution_maps(self.attribution, self.data)
        return drawn

    def __repr__(self) -> str:
        return f"Audit({self.verdict})"

    def _repr_html_(self) -> str:
        first, *others = map(escape, self._sentences)
        parts = [f"<p><b>{first}</b> {' '.join(others)}</p>"]
        parts += [f"<p>{escape(self.data.note)}</p>"] if self.data.note else []
        for name, title in TITLES.items():
            table: pd.DataFrame = getattr(self, name)
            if len(table):
                rows = tables.rounded(table.head(10) if name == "flips" else table)
                parts.append(f"<p>{escape(_(title))}</p>{rows.to_html(border=0)}")
        return "".join(parts)


def run_audit(
    dense: nn.Module,
    compressed: nn.Module,
    data: ImageData,
    *,
    thresholds: Thresholds | None = None,
    noise: Sequence[float] = NOISE,
    blur: Sequence[float] = BLUR,
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
    asked = {"noise": noise, "blur": blur}
    for kind, strength in ((kind, strength) for kind, strengths in asked.items() for strength in strengths):
        if not is_number(strength) or not 0 < strength <= 255:
            raise TuckerlabError(f"{kind} {strength!r}: a strength lies above 0 and up to 255")
    networks = {"dense": dense, "compressed": compressed}
    answers = Answers.of(networks, data, data.test_images)
    versions: dict[tuple[str, float], Answers] = {}
    for kind, strengths in asked.items():
        if len(strengths):
            versions[kind, 0.0] = answers
        for strength in sorted(strengths):
            corrupted = CORRUPTIONS[kind](data.test_images, strength, seed)
            versions[kind, float(strength)] = Answers.of(networks, data, corrupted)
    flips = tables.flips(answers, data.classes)
    without = tuple(name for name, model in networks.items() if not has_gradients(model, data))
    return Audit(
        data,
        thresholds or Thresholds(),
        answers,
        tables.overall(answers),
        tables.per_class(answers, data.classes),
        tables.calibration(answers),
        tables.robustness(versions),
        flips,
        None if without else attribution(networks, data, answers, np.asarray(flips["index"]), seed),
        without,
    )
