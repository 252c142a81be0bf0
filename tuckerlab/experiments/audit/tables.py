"""The tables of an audit; accuracies, agreement and confidence in per cent, changes in points of them."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from tuckerlab.experiments.audit.predictions import Answers, Bools
from tuckerlab.i18n import N_, _

Z95 = 1.959964
BINS = 15
NETWORKS = {"dense": N_("dense"), "compressed": N_("compressed")}

CORRUPTION = {"noise": N_("noise of {strength:g} pixel values"), "blur": N_("blur of {strength:g} pixels")}

CHANGE = ("count", "dense", "compressed", "change", "low", "high", "lost", "gained", "p")


def change_interval(lost: int, gained: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a change in accuracy, in points, from the answers that were lost and gained.

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
    import torch
    from torchmetrics.functional.classification import multiclass_calibration_error

    rows = {}
    for name in NETWORKS:
        said = getattr(answers, name)
        found, labels = torch.from_numpy(said), torch.from_numpy(answers.labels)
        error = multiclass_calibration_error(found, labels, num_classes=said.shape[1], n_bins=BINS)
        confidence, accuracy = said.max(1).mean(), (said.argmax(1) == answers.labels).mean()
        shares = {"calibration_error": float(error), "confidence": confidence, "accuracy": accuracy}
        shares["overconfidence"] = confidence - accuracy
        rows[name] = {column: 100 * share for column, share in shares.items()}
    return pd.DataFrame.from_dict(rows, orient="index")


def robustness(versions: Mapping[tuple[str, float], Answers]) -> pd.DataFrame:
    """One row for each kind and strength of corruption; strength 0 is the pictures as they are."""
    rows = [{"kind": kind, "strength": strength, **change(answers)} for (kind, strength), answers in versions.items()]
    return pd.DataFrame(rows, columns=["kind", "strength", *CHANGE])


def beyond(changes: pd.DataFrame) -> "pd.Series[bool]":
    """Where a change is more than chance: 0 lies outside its interval."""
    return (changes["high"] < 0) | (changes["low"] > 0)


def corruption(row: pd.Series) -> str:
    """The kind and strength of a row of the table of robustness."""
    return _(CORRUPTION[row["kind"]], strength=row["strength"])


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


# --- for people ------------------------------------------------------------------------------------------------------

HEADS = {
    "name": N_("criterion"),
    "measured": N_("measured"),
    "allowed": N_("allowed"),
    "detail": N_("where"),
    "held": N_("result"),
    "count": N_("images"),
    "dense": N_("dense, %"),
    "compressed": N_("compressed, %"),
    "change": N_("change, points"),
    "low": N_("95 %: from"),
    "high": N_("to"),
    "lost": N_("right → wrong"),
    "gained": N_("wrong → right"),
    "p": N_("p (McNemar)"),
    "agreement": N_("same answer, %"),
    "both_wrong_differently": N_("both wrong, differently"),
    "calibration_error": N_("calibration error, %"),
    "confidence": N_("mean confidence, %"),
    "accuracy": N_("accuracy, %"),
    "overconfidence": N_("confidence − accuracy, points"),
    "kind": N_("kind"),
    "strength": N_("strength"),
    "index": N_("test image"),
    "label": N_("label"),
    "dense_answer": N_("dense"),
    "dense_confidence": N_("confidence, % (dense)"),
    "compressed_answer": N_("compressed"),
    "compressed_confidence": N_("confidence, % (compressed)"),
}

WORDS = {
    "agreement": N_("same answer, % (at least)"),
    "accuracy_loss": N_("accuracy lost, points"),
    "class_loss": N_("accuracy lost in the worst class, points"),
    "calibration_gap": N_("calibration error grown, points"),
    "robustness_loss": N_("behind under noise or blur, points"),
    "noise": N_("noise"),
    "blur": N_("blur"),
}
"""Names of criteria and of kinds of corruption that stand in cells."""


def rounded(table: pd.DataFrame) -> pd.DataFrame:
    """The table for people: numbers to a tenth, signs where it is a change, heads and names in words."""
    shown = pd.DataFrame({name: [_cell(value, str(name)) for value in table[name]] for name in table}, table.index)
    if isinstance(table.index, pd.RangeIndex):
        shown.index = pd.Index([""] * len(table))
    names = {name: _(word) for name, word in NETWORKS.items()}
    return shown.rename(index=names, columns={name: _(HEADS[str(name)]) for name in table})


FORMATS = {"p": "{value:.3f}", "strength": "{value:g}", "allowed": "{value:g}"}
FORMATS |= dict.fromkeys(("change", "low", "high", "overconfidence"), "{value:+.1f}")


def _cell(value: Any, column: str) -> str:
    if column == "held":
        return _("held") if value else _("failed")
    if column in ("name", "kind"):
        return _(WORDS[value])
    if isinstance(value, int | np.integer | str):
        return f"{value}"
    return "" if math.isnan(value) else _(FORMATS.get(column, "{value:.1f}"), value=float(value))
