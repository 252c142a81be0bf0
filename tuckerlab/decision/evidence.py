"""What run folders say about one decision: the full network, the small one, what else was tried, what is not known.

Nothing is made up: a number that no run has measured is None, and the reason is among the gaps.
"""

import math
import os
from collections.abc import Sequence
from itertools import chain

import pandas as pd

from tuckerlab.decision.assumptions import Range
from tuckerlab.decision.business_case import RATIOS
from tuckerlab.errors import DataError
from tuckerlab.experiments.audit import Audit, run_audit
from tuckerlab.experiments.class_accuracy import class_accuracies, learned_nothing
from tuckerlab.experiments.records import Records, memory_bytes
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.summary import OURS, TOLERATED, Network, networks_by, smallest_within
from tuckerlab.i18n import N_, _

QUANTITIES = {
    "accuracy": (N_("Right on test images"), "%"),
    "balanced": (N_("Right in a class, on average"), "%"),
    "parameters": (N_("Numbers stored"), ""),
    "conv_parameters": (N_("Numbers in convolutions"), ""),
    "file": (N_("File"), "kB"),
    "time_1": (N_("One answer"), "ms"),
    "time_128": (N_("128 answers"), "ms"),
    "step": (N_("Training step"), "ms"),
    "memory": (N_("Memory to train"), "MB"),
}
"""What is measured of a network, in words, and its unit."""
BATCHES = {"time_1": 1, "time_128": 128}
CHOSEN = (OURS, ("tucker-adamw",))  # of the first of these that there are
WEIGHT_BYTES = 4
NOISE = (16.0,)  # one strength, in pixel values: a brief tells of it, it does not study it
SETTLED = 1.0  # points that the accuracy may still rise by in the last tenth of the epochs


class Subject:
    """One of the two networks; `seeds` has a row for each, with QUANTITIES, and none where there is no such network."""

    def __init__(self, runs: pd.DataFrame) -> None:
        self.label, self.method = map(str, runs[["label", "method"]].iloc[0]) if len(runs) else ("", "")
        balanced = [class_accuracies(runs.iloc[[row]]).mean() for row in range(len(runs))]
        found = runs.assign(
            accuracy=100 * runs["test_accuracy"], balanced=balanced, file=runs["checkpoint_bytes"] / 1e3,
            memory=memory_bytes(runs) / 1e6, time_1=runs["latency_1_ms"], time_128=runs["latency_128_ms"],
            step=runs["step_ms"],
        )  # fmt: skip
        self.seeds: pd.DataFrame = found.groupby("seed")[list(QUANTITIES)].mean()

    def __getitem__(self, quantity: str) -> Range | None:
        return Range.over(self.seeds[quantity])


class Evidence:
    """All that the brief knows of run folders, or recorded results by name, of one task.

    `network` is the label of the small one; without it that is the smallest network in Tucker format that loses at most
    TOLERATED points against the full one, or the most accurate if all lose more. DataError for folders of several
    kinds, or an unknown label.

    `runs`: rows of both networks. `pairs`: seeds that both have. `shares`: of the small network in the full one's, by
    QUANTITIES; of accuracies the change in points. `timed_on`: a device and its threads; `exported`: as files.
    `gaps`: what was not measured, or not well enough, with what to do about it.
    """

    def __init__(
        self, runs: Sequence[str | os.PathLike[str]], network: str | None = None, *, audit: bool = True
    ) -> None:
        opened = map(RunFolder.open, runs)
        folders = list({folder.folder.resolve(): folder for folder in opened}.values())  # each once
        records = Records.concat(folder.records for folder in folders)
        for column in ("dataset", "model", "width"):
            if len(kinds := sorted(map(str, set(records.runs[column])))) > 1:
                raise DataError(f"the runs are of several kinds ({column}: {', '.join(kinds)}); give those of one kind")
        label = choose_small(records, network)
        full_label = reference(records, label)
        dense, small = (records.runs[records.runs["label"] == one] for one in (full_label, label))
        self.sources = tuple(folder.folder.resolve().name for folder in folders)
        self.runs = records.runs if dense.empty or small.empty else pd.concat([dense, small])
        self.dense, self.small = full, ours = Subject(dense), Subject(small)
        self.networks = networks_by(records, "parameters")
        self.gaps = find_gaps(records, dense, small)
        if MACHINES in self.gaps:
            full.seeds[[*BATCHES, "step"]] = math.nan
        files = exported(folders, full.label, ours.label)
        self.exported = len(files) > 0
        for name, batch in BATCHES.items() if self.exported else ():
            for subject in (full, ours):
                subject.seeds[name] = float(files["median_ms"].loc[subject.label, batch])
        timed = (files if self.exported else self.runs).iloc[0]
        self.timed_on = str(timed["device"]), int(timed["threads"])
        self.pairs = len(full.seeds.index.intersection(ours.seeds.index))
        self.shares = {name: Range.over((ours.seeds[name] / full.seeds[name]).dropna()) for name in QUANTITIES}
        for name in ("accuracy", "balanced"):
            self.shares[name] = Range.over((ours.seeds[name] - full.seeds[name]).dropna())
        self.audit = audit_pair(folders, full.label, ours.label) if audit else None

    @property
    def is_valid(self) -> bool:
        """Whether there is a comparison to decide on at all."""
        return set(self.gaps) <= {MACHINES}

    @property
    def better(self) -> list[Network]:
        """Those that are neither larger nor less accurate than the small network, the most accurate first."""
        ours = next((n for n in self.networks if n.name == self.small.label), None)
        found = [n for n in self.networks if ours and n.size <= ours.size and n.accuracy >= ours.accuracy and n != ours]
        return sorted(found, key=lambda network: -network.accuracy)

    @property
    def measured(self) -> dict[str, Range]:
        """What the money needs of it: shares by RATIOS, and of the full network the assumptions that it tells."""
        shares = {**self.shares, "memory": self.shares["parameters"], "training": self.shares["step"]}
        units = {  # of the assumptions
            "ms_1": ("time_1", 1.0),
            "ms_128": ("time_128", 1 / BATCHES["time_128"]),
            "file_mb": ("file", 1e-3),
            "memory_mb": ("parameters", WEIGHT_BYTES / 1e6),
        }
        known = {name: found for name in RATIOS if (found := shares[name])}
        return known | {key: it.times(unit) for key, (name, unit) in units.items() if (it := self.dense[name])}


def choose_small(records: Records, network: str | None) -> str | None:
    """The label of the small network: the one asked for, or as `Evidence` says; None without any."""
    small = records.runs[~records.runs["method"].str.startswith("dense")]
    if network is not None:
        there = list(dict.fromkeys(small["label"]))
        if network not in there:
            said = N_("network {network!r}: there is no small one of that label; name one of {there}")
            raise DataError(_(said, network=network, there=", ".join(there)))
        return network
    networks = networks_by(records, "parameters")
    for methods in CHOSEN:
        found = [one for one in networks if one.method in methods]
        if found:
            full = next((one for one in networks if one.name == reference(records, found[0].name)), None)
            near = smallest_within(found, full.accuracy, TOLERATED) if full else None
            return (near or max(found, key=lambda one: one.accuracy)).name
    return next(iter(small.loc[small["method"].isin([*chain(*CHOSEN)]), "label"]), None)  # no accuracy, which is a gap


def reference(records: Records, small: str | None) -> str | None:
    """The label of the full network that was trained with the same optimizer, or as usual; None without any."""
    runs = records.runs
    adamw = runs.loc[runs["label"] == small, "method"].str.endswith("-adamw").any()
    labels = runs.drop_duplicates("method").set_index("method")["label"]
    return (adamw and labels.get("dense-adamw")) or labels.get("dense")


def exported(folders: Sequence[RunFolder], dense: str, small: str) -> pd.DataFrame:
    """The times that `tuckerlab check` left of both networks of these runs, by network and batch; else empty."""
    from tuckerlab.deploy.runtime import Deployment  # here: it loads the runtimes

    for folder in folders:
        try:
            rows = Deployment.load(folder.folder).rows
            runs = {folder.rows(label)["run"].iloc[0] for label in (dense, small)}
        except DataError:
            continue
        rows = rows[rows["network"].isin((dense, small)) & rows["batch"].isin(BATCHES.values())]
        rows = rows[(rows["runtime"] == "onnxruntime") & (rows["precision"] == "fp32")]
        if len(rows) == 4 and "run" in rows and set(rows["run"]) == runs:
            return rows.set_index(["network", "batch"])
    return pd.DataFrame()


def audit_pair(folders: Sequence[RunFolder], dense: str, small: str) -> Audit | None:
    """Audits the first pair of networks that is there; None where there is none, or the images are not at hand."""
    for folder in folders:
        runs = folder.records.runs
        seeds = (set(runs.loc[runs["label"] == label, "seed"]) for label in (dense, small))
        for seed in sorted(set.intersection(*seeds)):
            try:
                networks = folder.network(dense, seed), folder.network(small, seed)
                return run_audit(*networks, folder.data(), noise=NOISE, blur=())
            except DataError:
                continue
    return None


MACHINES = "hardware"  # the one gap with which there is a comparison all the same
GAPS = {
    "unfinished": N_("A training was stopped before its end, or was not tested. Go on with it."),
    "recipes": N_("The networks were not trained equally long: the comparison is not fair. Train both alike."),
    "guess": N_("The full network has learned nothing: it is right as often as by guessing. Train longer."),
    "unsettled": N_(
        "Accuracy still rose by {points:.1f} points in the last tenth of the training: too short to compare. "
        "Train longer."
    ),
    "no_pairs": N_(
        "Both networks have no seed in common: luck cannot be told from the method. Train both with the same seeds."
    ),
    MACHINES: N_("The runs are from several machines: their times cannot be compared. Measure both on one."),
}


def find_gaps(records: Records, dense: pd.DataFrame, small: pd.DataFrame) -> dict[str, str]:
    """What is missing in the rows of the full network and of the small one."""
    if dense.empty or small.empty:
        return {
            "no_pair": _("These runs do not hold both a full network and a small one. `tuckerlab poc` trains both.")
        }
    both = pd.concat([dense, small])
    rise = max(_rise(records, rows) for rows in (dense, small))
    found = {
        "unfinished": both["test_accuracy"].isna().any() or (both["state"] != "finished").any(),
        "recipes": set(dense["epochs"]) != set(small["epochs"]),
        "guess": dense["label"].iloc[0] in learned_nothing(records),
        "unsettled": rise > SETTLED,
        "no_pairs": not set(dense["seed"]) & set(small["seed"]),
        MACHINES: len(both[["device", "threads"]].drop_duplicates()) > 1,
    }
    return {key: _(GAPS[key], points=rise) for key, there in found.items() if there}


def _rise(records: Records, rows: pd.DataFrame) -> float:
    """How much the accuracy, a mean over the seeds, rose in the last tenth of the epochs; all of it in a single one."""
    epochs = records.epochs[records.epochs["run"].isin(rows["run"])].dropna(subset=["test_accuracy"])
    if (rows["method"] == "nested").all():  # whose last epoch is that of the network which was cut
        epochs = epochs[epochs["epoch"] < epochs["epoch"].max()]
    course = 100 * epochs.groupby("epoch")["test_accuracy"].mean()
    before = [0.0, *course.iloc[: -math.ceil(len(course) / 10)]]
    return float(course.iloc[-1] - before[-1]) if len(course) else 0.0
