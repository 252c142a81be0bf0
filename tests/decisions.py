"""Runs to decide on: records of pairs that have settled, and a folder with networks, none of which was trained."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from made_up import facts

from tuckerlab import Budget, build
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.retruncation import cut
from tuckerlab.training.checkpoint import save

SPEC: dict[str, Any] = {"name": "vgg_small", "in_channels": 1, "image_size": 8, "num_classes": 10, "width": 0.25}
TIMES = {"latency_1_ms": 2.0, "latency_128_ms": 40.0, "step_ms": 9.0}
DENSE = {"label": "dense", "conv_parameters": 10_000, "parameters": 10_500, "conv_compression": 0.0}
GOOD = [(0.98, 0.978), (0.975, 0.977), (0.98, 0.979)]
Row = dict[str, Any]


def run(method: str, seed: int, accuracy: float, **changes: Any) -> Row:
    """The row of a full network, or of a small one, which takes half of the time and a tenth of the file."""
    dense = method == "dense"
    told = {name: value if dense else value / 2 for name, value in TIMES.items()} | (DENSE if dense else {})
    told |= {"checkpoint_bytes": 1e5 if dense else 1e4, "settings": json.dumps({"spec": SPEC}), "compression": 0.0}
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


def tables(rows: list[Row], device: str = "another machine", **changes: Any) -> pd.DataFrame:
    """What `tuckerlab check` has measured of the first run of the full network and of the small one."""
    names = ("onnxruntime", "torch", "date", "note", "dataset", "platform", "python", "commit", "tuckerlab")
    numbers = ("p95_ms", "iqr_ms", "images_per_second", "agreement", "smaller", "faster", "file_bytes", "accuracy")
    form: Row = dict.fromkeys(names, "") | dict.fromkeys((*numbers, "peak_bytes", "difference"), 1.0)
    form |= {"rounds": 9, "threads": 1, "device": device, "test_images": 9, "cores": 1, "dirty": 0} | changes
    first = {row["label"]: row for row in rows[::-1]}
    made = [
        form | {"network": label, "run": row["run"], "runtime": runtime, "precision": precision, "batch": batch,
                "median_ms": 1.0 if row["method"] == "tucker" else 4.0}
        for label, row in first.items() for runtime in ("torch", "onnxruntime")
        for precision in ("fp32", "int8") for batch in (1, 128)
    ]  # fmt: skip
    return pd.DataFrame(made)


def with_networks(folder: Path, rows: list[Row]) -> Path:
    """A folder in which the first pair of networks is there, with random weights; digits are what they answer."""
    torch.manual_seed(0)
    full = build(**SPEC)
    save(folder / "seed0" / "dense.safetensors", full)
    save(folder / "seed0" / "tucker.safetensors", cut(full, Budget(0.5)))
    records(rows).save(folder)
    return folder
