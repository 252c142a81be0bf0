"""Runs to decide on: records of pairs that have settled, and a folder with networks, none of which was trained."""

import copy
import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from made_up import DENSE, facts

from tuckerlab import Budget, build
from tuckerlab.decision.evidence import Evidence
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.retruncation import cut
from tuckerlab.training.checkpoint import save

SPEC: dict[str, Any] = {"name": "vgg_small", "in_channels": 1, "image_size": 8, "num_classes": 10, "width": 0.25}
TIMES = {"latency_1_ms": 2.0, "latency_128_ms": 40.0, "step_ms": 9.0}
GOOD = [(0.98, 0.978), (0.975, 0.977), (0.98, 0.979)]
Row = dict[str, Any]


def run(method: str, seed: int, accuracy: float, **changes: Any) -> Row:
    """The row of a full network, or of a small one, which takes half of the time and a tenth of the file."""
    dense = method == "dense"
    told = {name: value if dense else value / 2 for name, value in TIMES.items()} | (DENSE if dense else {})
    told |= {"checkpoint_bytes": 1e5 if dense else 1e4, "settings": json.dumps({"spec": SPEC})}
    told |= {"seed": seed, "test_accuracy": accuracy, "model": "vgg_small", "method": method}
    return facts(f"{changes.get('label', method)}{seed}", **{**told, **changes})


def pairs(accuracies: list[tuple[float, float]], **changes: Any) -> list[Row]:
    """A full and a small network of each seed; of the small ones something is changed."""
    both = [(run("dense", i, full), run("tucker", i, small, **changes)) for i, (full, small) in enumerate(accuracies)]
    return [row for pair in both for row in pair]


def records(rows: list[Row], rise: float = 0.0, epochs: int = 10) -> Records:
    """Their record, with a course that has settled at their accuracy, or that rises by so much an epoch to its end."""
    course = [
        {"run": row["run"], "epoch": i, "step": i, "test_accuracy": row["test_accuracy"] - rise * (epochs - i)}
        for row in rows for i in range(1, epochs + 1)
    ]  # fmt: skip
    return Records(pd.DataFrame(rows), pd.DataFrame(course))


def tables(rows: list[Row], device: str = "another machine", threads: int = 1) -> pd.DataFrame:
    """What the brief reads of what `tuckerlab check` has measured of the first full network and the first small one."""
    first = {row["label"]: row for row in rows[::-1]}.values()
    forms = list(itertools.product(first, ("torch", "onnxruntime"), ("fp32", "int8"), (1, 128)))
    names = ["network", "run", "runtime", "precision", "batch"]
    made = pd.DataFrame([(row["label"], row["run"], *form) for row, *form in forms], columns=names)
    times = [1.0 if row["method"] == "tucker" else 4.0 for row, *_form in forms]
    return made.assign(median_ms=times, device=device, threads=threads)


def with_networks(folder: Path, rows: list[Row]) -> Path:
    """A folder in which the first pair of networks is there, with random weights; digits are what they answer."""
    torch.manual_seed(0)
    full = build(**SPEC)
    save(folder / "seed0" / "dense.safetensors", full)
    save(folder / "seed0" / "tucker.safetensors", cut(full, Budget(0.5)))
    records(rows).save(folder)
    return folder


def changed(evidence: Evidence, **values: Any) -> Evidence:
    made = copy.copy(evidence)
    vars(made).update(values)
    return made
