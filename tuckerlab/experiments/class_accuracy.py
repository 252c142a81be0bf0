"""What the runs of one network got right class by class: where classes differ in size, the accuracy says little."""

import json

import pandas as pd

from tuckerlab.experiments.records import Records
from tuckerlab.i18n import _
from tuckerlab.plotting.styles import label_name

UNBALANCED = 2.0  # times as many images of the largest class as of the smallest
NOTHING = 0.05  # of the way from guessing to being always right: who has not come so far has learned nothing


def by_class(runs: pd.DataFrame) -> pd.DataFrame:
    """Of each class that is tested the training and test images, those named rightly, and how often it was named."""
    parts = [pd.DataFrame(json.loads(told)).T for told in runs["by_class"] if told]
    counts = sum(parts[1:], start=parts[0]) if parts else pd.DataFrame([], columns=range(4))
    counts.columns = pd.Index(["train", "test", "right", "answers"])
    return counts[counts["test"] > 0]


def class_accuracies(runs: pd.DataFrame) -> pd.Series:
    """The share of each class's test images that is named rightly, in per cent."""
    counts = by_class(runs)
    return 100 * counts["right"] / counts["test"]


def is_unbalanced(runs: pd.DataFrame) -> bool:
    counts = by_class(runs)[["train", "test"]]
    return bool((counts.max() >= UNBALANCED * counts.min()).any()) and not counts.empty


def learned_nothing(records: Records) -> dict[str, str]:
    """A sentence about each network that is hardly better than one that guesses, by its name."""
    found = {}
    for name, runs in records.runs.groupby(records.names.to_numpy(), sort=False):
        counts, balanced = by_class(runs), class_accuracies(runs).mean()
        chance = 100 / max(len(counts), 1)
        if not counts.empty and balanced <= chance + NOTHING * (100 - chance):
            found[str(name)] = _(
                "{name} has learned nothing: {share:.0f} % of its answers are “{answer}”. It is right on "
                "{accuracy:.1f} % of the images, but on {balanced:.1f} % of a class on average, as often as by "
                "guessing.",
                name=label_name(str(name)),
                share=100 * counts["answers"].max() / counts["answers"].sum(),
                answer=counts["answers"].idxmax(),
                accuracy=100 * counts["right"].sum() / counts["test"].sum(),
                balanced=balanced,
            )
    return found
