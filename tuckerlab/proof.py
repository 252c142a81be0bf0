"""The main job: one network trained twice on the same images, dense and in Tucker format, compared in one record.

>>> import tempfile
>>> proof = run_poc(epochs=1, width=0.25, quiet=True, out=tempfile.mkdtemp())
>>> proof.records.runs["label"].tolist()
['dense', 'Tucker 90 %']

A finished run is found again by its settings, not trained again; one that was cut off is resumed.
"""

import copy
import hashlib
import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn

from tuckerlab import checkpoint as checkpoints
from tuckerlab.convert import materialize, to_plain, tuckerize
from tuckerlab.datasets import ImageData, load_data
from tuckerlab.device import resolve_device
from tuckerlab.errors import RankError, TuckerlabError
from tuckerlab.figure import Picture
from tuckerlab.finding import finding
from tuckerlab.measure import (
    Timing,
    checkpoint_bytes,
    count_parameters,
    interleave,
    latency,
    multiply_adds,
    training_memory,
)
from tuckerlab.models import MODELS, build
from tuckerlab.plots import figures, save_figures
from tuckerlab.ranks import Budget, RankPolicy, Tolerance
from tuckerlab.recipe import Recipe
from tuckerlab.record import Records, provenance
from tuckerlab.run import Run
from tuckerlab.train import fit

FIRST_RANKS = 0.8  # of each mode: start large and come down

# What is known to work, by data set; the command line's options change single fields.
RECIPES = {
    "digits": Recipe(epochs=30, batch_size=64, lr=0.1),
    "folder": Recipe(epochs=20, batch_size=64, lr=0.05, label_smoothing=0.1),
    "cifar10": Recipe(epochs=12, batch_size=128, lr=0.1),
}


@dataclass(frozen=True)
class Proof:
    """What the main job leaves behind: the record, and the folder with everything else."""

    records: Records
    folder: Path

    @property
    def finding(self) -> str:
        """The result in one line."""
        return finding(self.records)

    @property
    def figures(self) -> dict[str, Picture]:
        """Training curves, ranks over time, and accuracy against parameters."""
        return figures(self.records)

    def _repr_html_(self) -> str:
        return f"<p><b>{self.finding}</b></p>{self.records._repr_html_()}"


def run_poc(
    *,
    dataset: str = "digits",
    image_size: int | None = None,
    model: str = "auto",
    width: float = 1.0,
    compression: "Rates" = None,
    tolerance: "Rates" = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] = "runs",
    device: str = "auto",
    resume: bool | None = None,
    quiet: bool = False,
) -> Proof:
    """Trains a network dense and in Tucker format, measures both, and writes a run folder below `out`.

    >>> run_poc(compression=0.9, tolerance=0.1)
    Traceback (most recent call last):
        ...
    tuckerlab.errors.RankError: compression 0.9 and tolerance 0.1: give one of them, not both

    dataset: "digits", "cifar10" or "folder:PATH" (with `image_size`, pixels a side). model: a name from
    `tuckerlab.models.MODELS`, or "auto" for vgg_small (vgg16 on CIFAR-10). compression: the share of the convolution
    weights to remove, 0.9 if neither it nor a `tolerance` is given; of several, each trains a network. resume=False
    begins anew even if the folder holds a run of these settings. All networks get the same recipe, seed and order of
    images; a Tucker network starts small and never holds its full weights.

    The folder has the record (three Parquet files), a checkpoint of each network, and the pictures. Raises
    TuckerlabError for what cannot be asked for, before anything is trained.
    """
    policies = _policies(compression, tolerance)
    place = resolve_device(device)
    if model != "auto" and model not in MODELS:
        raise TuckerlabError(f"unknown model {model!r}: known are auto, {', '.join(MODELS)}")
    given: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "seed": seed}
    recipe = replace(RECIPES[_kind(dataset)], **{key: value for key, value in given.items() if value is not None})
    data = load_data(dataset, image_size=image_size)
    name = ("vgg16" if dataset == "cifar10" else "vgg_small") if model == "auto" else model
    spec = {"name": name, "num_classes": data.num_classes, "in_channels": data.channels, "image_size": data.image_size}
    spec["width"] = width
    for policy in policies:
        replace(recipe, ranks=policy).make_optimizer(_on_meta(spec), 1)  # refuses a budget that cannot be met
    plan = {"spec": spec, "data": data.fingerprint, "recipe": recipe.settings(), "ranks": repr(policies)}
    digest = _digest({**plan, "device": place.type})
    folder = Path(out) / f"poc-{_in_file_names(dataset)}-{name}-seed{recipe.seed}-{digest}"
    if (folder / "runs.parquet").exists() and resume is not False:
        return Proof(Records.load(folder), folder)

    contenders = {"dense": None, **{_label(policy): policy for policy in policies}}
    unfinished = {label: folder / f"{_slug(label)}.training.safetensors" for label in contenders}
    folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out now, not afterwards
    runs = {}
    for label, ranks in contenders.items():
        network = _network(spec, recipe.seed, tucker=ranks is not None)
        runs[label] = fit(
            network, data, recipe, ranks=ranks, device=device, progress=False if quiet else f"{label:12s}",
            checkpoint=unfinished[label], resume=resume is not False,
        )  # fmt: skip
    records = _records(runs, contenders, data, spec, recipe, place)
    save_figures(records, folder)
    for label, run in runs.items():
        checkpoints.save(folder / f"{_slug(label)}.safetensors", run.model, facts=plan)
    records.save(folder)  # last: where a record is, the folder is complete
    for file in unfinished.values():
        file.unlink(missing_ok=True)
    return Proof(records, folder)


def show(proof: Proof) -> None:
    """Prints the table, the result in one line, and where everything lies."""
    console = Console()
    console.print(proof.records.rich_table())
    console.print(f"[bold]{proof.finding}[/bold]")
    note = proof.records.runs["note"].iloc[0]
    if isinstance(note, str) and note:
        console.print(f"data: {note}", highlight=False)
    console.print(f"record, checkpoints and pictures: {proof.folder}", highlight=False, soft_wrap=True)


def _kind(dataset: str) -> str:
    return "folder" if dataset.startswith("folder:") else dataset if dataset in RECIPES else "digits"


Rates = float | Sequence[float] | None


def _policies(compression: Rates, tolerance: Rates) -> list[RankPolicy]:
    if compression is not None and tolerance is not None:
        raise RankError(f"compression {compression} and tolerance {tolerance}: give one of them, not both")
    if tolerance is not None:
        return [Tolerance(tau) for tau in _each(tolerance)]
    return [Budget(rate) for rate in _each(0.9 if compression is None else compression)]


def _each(rates: "float | Sequence[float]") -> Sequence[Any]:
    many = rates if isinstance(rates, list | tuple) else [rates]
    if not many:
        raise RankError(f"compression or tolerance {rates!r}: give one number or more")
    return many


def _in_file_names(dataset: str) -> str:
    """`digits`, or `folder-` and the last part of the path."""
    kind, _, path = dataset.partition(":")
    return "-".join([kind, *re.findall(r"[\w.-]+", Path(path).name)])


def _digest(settings: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _slug(label: str) -> str:
    return label.lower().replace(" %", "").replace(" τ", "").replace(" ", "-")


def _label(policy: RankPolicy) -> str:
    if isinstance(policy, Budget):
        return f"Tucker {100 * policy.compression:g} %"
    return f"Tucker τ {policy.tau:g}" if isinstance(policy, Tolerance) else f"Tucker {policy}"


def _network(spec: dict[str, Any], seed: int, *, tucker: bool) -> nn.Module:
    """A new network from the seed; a Tucker network is small from the start: its dense weights never exist."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if not tucker:
            return build(**spec)
        return materialize(_on_meta(spec))


def _on_meta(spec: dict[str, Any]) -> nn.Module:
    """The Tucker network without memory; raises what `build` would raise."""
    with torch.device("meta"):
        network = build(**spec)
    return tuckerize(network, ranks=FIRST_RANKS)


def _records(
    runs: dict[str, Run],
    policies: dict[str, RankPolicy | None],
    data: ImageData,
    spec: dict[str, Any],
    recipe: Recipe,
    device: torch.device,
) -> Records:
    """The record of all runs, with what is measured afterwards, on the same machine in turn."""
    steps = _step_times(runs, data, recipe, device)
    parts = []
    for label, run in runs.items():
        policy = policies[label]
        settings = {"spec": spec, "data": data.fingerprint, "recipe": replace(recipe, ranks=policy).settings()}
        digest = _digest({**settings, "device": device.type})  # in a tree of records no two runs are taken for one
        counts, plain = count_parameters(run.model), to_plain(run.model)
        memory = training_memory(run.model, run.optimizer, _batch(data, recipe.batch_size, device))
        times = {n: latency(plain, _batch(data, n, device)[0]) for n in (1, 128)}
        facts = {
            "run": f"{data.name}-{spec['name']}-{label}-seed{recipe.seed}-{digest}", "label": label,
            "method": "dense" if policy is None else "tucker", "dataset": data.name, "model": spec["name"],
            "width": spec["width"], "seed": recipe.seed, "epochs": recipe.epochs, "batch_size": recipe.batch_size,
            "lr": recipe.lr, "ranks_policy": "" if policy is None else repr(policy),
            "test_accuracy": run.test_accuracy, "conv_parameters": counts.conv_stored,
            "parameters": counts.total_stored, "conv_compression": counts.conv_compression,
            "compression": counts.compression,
            "multiply_adds": multiply_adds(plain, (data.channels, data.image_size, data.image_size)),
            "latency_1_ms": times[1].median_ms, "latency_1_iqr_ms": times[1].iqr_ms,
            "latency_128_ms": times[128].median_ms, "latency_128_iqr_ms": times[128].iqr_ms,
            "step_ms": steps[label].median_ms, "step_iqr_ms": steps[label].iqr_ms,
            "memory_weights_bytes": memory.weights, "memory_gradients_bytes": memory.gradients,
            "memory_optimizer_bytes": memory.optimizer_state, "memory_activations_bytes": memory.activations,
            "memory_peak_bytes": memory.peak_allocated,
            "checkpoint_bytes": checkpoint_bytes(run.model), "train_seconds": run.seconds, "state": run.state,
            "note": data.note,
        }  # fmt: skip
        parts.append(Records.single(facts | provenance(device), run.epochs, run.ranks))
    return Records.concat(parts)


def _step_times(runs: dict[str, Run], data: ImageData, recipe: Recipe, device: torch.device) -> dict[str, Timing]:
    """Forward, backward and optimizer step at the final ranks, the networks in turn; on copies, which may move."""
    images, labels = _batch(data, recipe.batch_size, device)

    def stepper(model: nn.Module) -> Callable[[], None]:
        model = copy.deepcopy(model).train()
        optimizer = replace(recipe, ranks=None).make_optimizer(model, 1)

        def step() -> None:
            with recipe.autocast(device):
                loss = F.cross_entropy(model(images).float(), labels)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        return step

    return interleave({label: stepper(run.model) for label, run in runs.items()}, repeats=10)


def _batch(data: ImageData, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """`size` training images as the network sees them (repeated where there are fewer), and their labels."""
    chosen = torch.arange(size) % len(data.train_images)
    images = data.normalize(data.train_images[chosen].to(device)).contiguous(memory_format=torch.channels_last)
    return images, data.train_labels[chosen].to(device)
