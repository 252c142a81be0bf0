"""What was not measured, or not well enough, each with what to do about it."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from tuckerlab.experiments.records import Records
from tuckerlab.i18n import N_, _, ngettext

ENOUGH_SEEDS = 3
SETTLED = 1.0  # points that the accuracy may still rise by in the last tenth of the epochs
CHANCE = 1.5  # a network that is right at most so many times as often as a guess has not learned

# fmt: off
NO_COMPARISON = {
    "no_dense": N_("These runs have no full network beside the small one: nothing can be compared. `tuckerlab poc` "
                   "trains both."),
    "no_small": N_("These runs have no small network. `tuckerlab poc` trains both."),
    "no_accuracy": N_("A run has no accuracy on test images. Finish it, or train again."),
    "unfinished": N_("A training was stopped before its end: its numbers are not those of a finished network. Go on "
                     "with it."),
    "recipes": N_("The networks were not trained equally long: the comparison is not fair. Train both alike."),
    "guess": N_("The full network is right on {accuracy:.1f} % of the images, guessing is on {guess:.1f} %: it has not "
                "learned. Train longer."),
    "unsettled": N_("Accuracy still rose by {points:.1f} points in the last tenth of the training: too short to "
                    "compare. Train longer."),
    "no_pairs": N_("Both networks have no seed in common: luck cannot be told from the method. Train both with the "
                   "same seeds."),
}
"""Gaps with which there is nothing to decide on."""
NO_AUDIT = {
    "no_networks": N_("Which answers change is not known: the networks are not beside the record. `{command}` trains "
                      "both and keeps them."),
    "no_images": N_("Which answers change is not known: the images ({dataset}) are not at hand, or have changed. Put "
                    "them back, and write the brief again."),
    "no_package": N_("Which answers change is not known: the audit needs the package {package}. `tuckerlab doctor` "
                     "says how to get it."),
    "missing_network": N_("Which answers change is not known: the file {file} of {run} is missing. Put it back, or "
                          "train again: `{command}`."),
    "broken_network": N_("Which answers change is not known: the file {file} of {run} is damaged. Put a whole one in "
                         "its place, or train again."),
}
# fmt: on
HARDWARE = N_("The runs are from several machines: their times cannot be compared. Measure both on one.")
GAPS = {**NO_COMPARISON, **NO_AUDIT, "hardware": HARDWARE}


@dataclass(frozen=True)
class Gap:
    """Something that was not measured, or not well enough."""

    key: str
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def said(self) -> str:
        """In a sentence, with what to do."""
        if self.key == "one_seed":
            return ngettext(
                "With {count} training of each, luck cannot be told from skill: train with three seeds.",
                "With {count} trainings of each, luck cannot be told from skill: train with three seeds.",
                **self.values,
            )
        return _(GAPS[self.key], **self.values)


def find_gaps(records: Records, dense: pd.DataFrame, small: pd.DataFrame, pairs: int) -> Iterator[Gap]:
    """What is missing in the rows of the full network and of the small one, of which so many seeds are the same."""
    if dense.empty or small.empty:
        yield Gap("no_dense" if dense.empty else "no_small")
        return
    both = pd.concat([dense, small])
    if both["test_accuracy"].isna().any():
        yield Gap("no_accuracy")
    if (both["state"] != "finished").any():
        yield Gap("unfinished")
    if set(dense["epochs"]) != set(small["epochs"]):
        yield Gap("recipes")
    settings = records.runs["settings"].iloc[0]
    guess = 1 / (json.loads(settings)["spec"]["num_classes"] if settings else 10)
    if dense["test_accuracy"].mean() <= CHANCE * guess:
        yield Gap("guess", {"accuracy": 100 * float(dense["test_accuracy"].mean()), "guess": 100 * guess})
    elif (rise := max(_rise(records, rows) for rows in (dense, small))) > SETTLED:
        yield Gap("unsettled", {"points": rise})
    if not pairs:
        yield Gap("no_pairs")
    elif pairs < ENOUGH_SEEDS:
        yield Gap("one_seed", {"count": pairs})
    if len(both[["device", "threads"]].drop_duplicates()) > 1:
        yield Gap("hardware")


def _rise(records: Records, rows: pd.DataFrame) -> float:
    """How much the accuracy, a mean over the seeds, rose in the last tenth of the epochs; all of it in a single one."""
    epochs = records.epochs[records.epochs["run"].isin(rows["run"])].dropna(subset=["test_accuracy"])
    course = 100 * epochs.groupby("epoch")["test_accuracy"].mean()
    if course.empty:  # a record without its course cannot be blamed
        return 0.0
    before = course.iloc[: -math.ceil(len(course) / 10)]
    return float(course.iloc[-1] - (before.iloc[-1] if len(before) else 0.0))
