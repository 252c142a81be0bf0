"""Networks trained on the same images in the same order, and measured in turn: the record of a comparison.

>>> import tempfile
>>> from tuckerlab import Budget, load_data
>>> data = load_data("digits").subset(train=128, test=64)
>>> contenders = [Contender("dense"), Contender.tucker(Budget(0.9))]
>>> arena = Arena.of(contenders, data, "vgg_small", 0.25, Recipe(epochs=1, batch_size=64), "cpu")
>>> records = contest(contenders, arena, tempfile.mkdtemp(), quiet=True)
>>> records.runs["method"].tolist()
['dense', 'tucker']
"""

import copy
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab import checkpoint as checkpoints
from tuckerlab.convert import materialize, to_plain, tuckerize
from tuckerlab.datasets import ImageData
from tuckerlab.device import resolve_device
from tuckerlab.errors import TuckerlabError
from tuckerlab.measure import (
    Counts,
    Timing,
    checkpoint_bytes,
    count_parameters,
    interleave,
    multiply_adds,
    training_memory,
)
from tuckerlab.models import MODELS, build
from tuckerlab.plots import save_figures
from tuckerlab.ranks import Budget, RankPolicy, Tolerance
from tuckerlab.recipe import Recipe
from tuckerlab.record import Records, provenance
from tuckerlab.rivals.magnitude import MagnitudePruning, convolution_weights, count_nonzero, file_bytes
from tuckerlab.run import Run
from tuckerlab.tensor import check_fraction
from tuckerlab.train import fit


@dataclass(frozen=True)
class Contender:
    """One network of a comparison: in Tucker format with `ranks`, or `pruned` by so much, or else dense."""

    label: str
    ranks: RankPolicy | None = None
    pruned: float | None = None

    @property
    def method(self) -> str:
        """ "dense", "tucker" or "pruning"."""
        return "tucker" if self.ranks is not None else "dense" if self.pruned is None else "pruning"

    @property
    def slug(self) -> str:
        """The label in file names."""
        return self.label.lower().replace(" %", "").replace(" τ", "").replace(" ", "-")

    @classmethod
    def tucker(cls, policy: RankPolicy) -> "Contender":
        """The Tucker network of a policy, with the name that people see.

        >>> Contender.tucker(Budget(0.95)).label
        'Tucker 95 %'
        """
        if isinstance(policy, Budget):
            return cls(f"Tucker {100 * policy.compression:g} %", ranks=policy)
        return cls(f"Tucker τ {policy.tau:g}" if isinstance(policy, Tolerance) else f"Tucker {policy}", ranks=policy)

    @classmethod
    def pruning(cls, rate: float) -> "Contender":
        """The dense network, pruned by a share of its convolution weights.

        >>> Contender.pruning(0.95).label
        'pruned 95 %'
        """
        check_fraction("pruning", rate)
        return cls(f"pruned {100 * rate:g} %", pruned=rate)

    def network(self, spec: dict[str, Any], seed: int) -> nn.Module:
        """A new network from the seed; a Tucker network is small from the start: its dense weights never exist."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build(**spec) if self.ranks is None else materialize(on_meta(spec))

    def counts(self, model: nn.Module) -> Counts:
        """The numbers stored."""
        return count_parameters(model) if self.pruned is None else count_nonzero(model)

    def mask_bytes(self, model: nn.Module) -> int:
        """What training keeps to know which weights are zero: a byte for each."""
        return 0 if self.pruned is None else sum(weight.numel() for weight in convolution_weights(model))

    def file_bytes(self, model: nn.Module) -> int:
        """The size of the network's file."""
        return checkpoint_bytes(model) if self.pruned is None else file_bytes(model)


@dataclass(frozen=True)
class Arena:
    """What all networks of a comparison share: architecture, images, recipe (with the seed) and device."""

    spec: dict[str, Any]
    data: ImageData
    recipe: Recipe
    device: torch.device

    @classmethod
    def of(
        cls, contenders: Sequence[Contender], data: ImageData, model: str, width: float, recipe: Recipe, device: str
    ) -> "Arena":
        """The arena for a network by name; refuses what cannot be asked of these contenders."""
        place = resolve_device(device)
        if len({contender.slug for contender in contenders}) < len(contenders):
            raise TuckerlabError(f"{', '.join(c.label for c in contenders)}: give each network once")
        spec = {"name": model, "num_classes": data.num_classes, "in_channels": data.channels}
        spec |= {"image_size": data.image_size, "width": width}
        for contender in contenders:  # a budget that cannot be met
            replace(recipe, ranks=contender.ranks).make_optimizer(on_meta(spec), 1)
        return cls(spec, data, recipe, place)

    @property
    def plan(self) -> dict[str, Any]:
        """What decides the outcome, as plain JSON values."""
        recipe = self.recipe.settings()
        return {"spec": self.spec, "data": self.data.fingerprint, "recipe": recipe, "device": self.device.type}

    def batch(self, size: int) -> tuple[Tensor, Tensor]:
        """`size` training images as the network sees them (repeated where there are fewer), and their labels."""
        chosen = torch.arange(size) % len(self.data.train_images)
        images = self.data.normalize(self.data.train_images[chosen].to(self.device))
        labels = self.data.train_labels[chosen].to(self.device)
        return images.contiguous(memory_format=torch.channels_last), labels

    def loss(self, model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        """The forward pass in the recipe's precision, and the cross-entropy."""
        images, labels = batch
        with self.recipe.autocast(self.device):
            logits = model(images)
        return F.cross_entropy(logits.float(), labels)

    def stepper(self, model: nn.Module) -> Callable[[], None]:
        """Forward, backward and optimizer step of a copy of the model at its ranks, as a function to be timed."""
        batch = self.batch(self.recipe.batch_size)
        model = copy.deepcopy(model).train()
        # short steps: a hundred on the same batch must not lead anywhere
        optimizer = replace(self.recipe, ranks=None, lr=1e-6).make_optimizer(model, 1)

        def step() -> None:
            loss = self.loss(model, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        return step


def contest(
    contenders: Sequence[Contender],
    arena: Arena,
    folder: str | os.PathLike[str],
    *,
    resume: bool = True,
    quiet: bool = False,
    facts: dict[str, Any] | None = None,
) -> Records:
    """Trains the contenders one after the other, measures them in turn, and leaves everything in `folder`.

    The folder gets the record (three Parquet files), a checkpoint of each network (with `facts` beside the plan), and
    the pictures. If it was cut off it goes on where it was; a folder with a record is complete and is read.
    """
    folder = Path(folder)
    unfinished = {contender: folder / f"{contender.slug}.training.safetensors" for contender in contenders}
    if (folder / "runs.parquet").exists() and resume:
        return _complete(unfinished.values(), Records.load(folder))
    folder.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out now, not afterwards
    runs = {
        contender: _trained(contender, arena, file, resume=resume, quiet=quiet)
        for contender, file in unfinished.items()
    }
    records = _records(runs, arena)
    save_figures(records, folder)
    for contender, run in runs.items():
        path = folder / f"{contender.slug}.safetensors"
        checkpoints.save(path, run.model, facts={**arena.plan, **(facts or {})})
    records.save(folder)  # last: where a record is, the folder is complete
    return _complete(unfinished.values(), records)


def _complete(unfinished: Iterable[Path], records: Records) -> Records:
    for file in unfinished:
        file.unlink(missing_ok=True)
    return records


def on_meta(spec: dict[str, Any]) -> nn.Module:
    """The Tucker network of a specification, without memory; raises what `build` would raise.

    >>> spec = {"name": "vgg_small", "num_classes": 10, "in_channels": 1, "image_size": 8, "width": 0.25}
    >>> on_meta(spec).features[3].core.device
    device(type='meta')
    """
    with torch.device("meta"):
        network = build(**spec)
    return tuckerize(network, include=MODELS[spec["name"]].include)


def suited(recipe: Recipe, model: str, **given: Any) -> Recipe:
    """The recipe with the optimizer that a network, by name, learns with; and with what was given (not None) changed.

    >>> suited(Recipe(), "vit_small", epochs=3, lr=None).optimizer
    'adamw'

    Raises TuckerlabError for an unknown network.
    """
    if model not in MODELS:
        raise TuckerlabError(f"unknown model {model!r}: known are {', '.join(MODELS)}")
    if MODELS[model].optimizer == "adamw":
        recipe = replace(recipe, optimizer="adamw", lr=1e-3, weight_decay=0.05)
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})


def in_file_names(dataset: str) -> str:
    """A data set in the name of a file: `digits`, or `folder-` and the last part of the path.

    >>> in_file_names("folder:/mnt/images/steel")
    'folder-steel'
    """
    kind, _, path = dataset.partition(":")
    return "-".join([kind, *re.findall(r"[\w.-]+", Path(path).name)])


def digest(settings: dict[str, Any]) -> str:
    """Eight characters that tell settings apart.

    >>> digest({"lr": 0.1}) == digest({"lr": 0.2})
    False
    """
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def _trained(contender: Contender, arena: Arena, checkpoint: Path, *, resume: bool, quiet: bool) -> Run:
    recipe, callbacks = arena.recipe, []
    if contender.pruned is not None:
        images = len(arena.data.train_images)
        steps = recipe.epochs * (images // min(recipe.batch_size, images))
        callbacks = [MagnitudePruning(contender.pruned, steps, recipe.every(steps))]
    return fit(
        contender.network(arena.spec, recipe.seed), arena.data, recipe, ranks=contender.ranks, device=str(arena.device),
        progress=False if quiet else f"{contender.label:12s}", checkpoint=checkpoint, resume=resume,
        callbacks=callbacks,
    )  # fmt: skip


def _answers(models: Mapping[str, nn.Module], images: Tensor) -> dict[str, Timing]:
    """Times from a batch to its answer, the networks in turn."""

    def answer(model: nn.Module) -> Callable[[], None]:
        def run() -> None:
            with torch.inference_mode():
                model(images)

        return run

    evaluated = {label: answer(copy.deepcopy(model).eval()) for label, model in models.items()}
    return interleave(evaluated, repeats=40 if len(images) == 1 else 12)


def _records(runs: dict[Contender, Run], arena: Arena) -> Records:
    """The record of all runs, with what is measured afterwards, on the same machine in turn."""
    spec, data, recipe, device = arena.spec, arena.data, arena.recipe, arena.device
    steps = interleave({c.label: arena.stepper(run.model) for c, run in runs.items()}, repeats=10)
    plains = {
        contender.label: to_plain(run.model).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for contender, run in runs.items()
    }
    answers = {size: _answers(plains, arena.batch(size)[0]) for size in (1, 128)}
    parts = []
    for contender, run in runs.items():
        settings = {**arena.plan, "recipe": replace(recipe, ranks=contender.ranks).settings()}
        if contender.pruned is not None:
            settings["pruned"] = contender.pruned
        counts, plain = contender.counts(run.model), plains[contender.label]
        batch = arena.batch(recipe.batch_size)
        memory = training_memory(run.model, run.optimizer, partial(arena.loss, run.model, batch))
        times = {n: answers[n][contender.label] for n in answers}
        facts = {  # the digest: in a tree of records no two runs are taken for one
            "run": f"{data.name}-{spec['name']}-{contender.label}-seed{recipe.seed}-{digest(settings)}",
            "label": contender.label, "method": contender.method, "dataset": data.name, "model": spec["name"],
            "width": spec["width"], "seed": recipe.seed, "epochs": recipe.epochs, "batch_size": recipe.batch_size,
            "lr": recipe.lr, "ranks_policy": "" if contender.ranks is None else repr(contender.ranks),
            "settings": json.dumps(settings, sort_keys=True),
            "test_accuracy": run.test_accuracy, "conv_parameters": counts.conv_stored,
            "parameters": counts.total_stored, "conv_compression": counts.conv_compression,
            "compression": counts.compression,
            "multiply_adds": multiply_adds(plain, (data.channels, data.image_size, data.image_size)),
            "latency_1_ms": times[1].median_ms, "latency_1_iqr_ms": times[1].iqr_ms,
            "latency_128_ms": times[128].median_ms, "latency_128_iqr_ms": times[128].iqr_ms,
            "step_ms": steps[contender.label].median_ms, "step_iqr_ms": steps[contender.label].iqr_ms,
            "memory_weights_bytes": memory.weights, "memory_gradients_bytes": memory.gradients,
            "memory_optimizer_bytes": memory.optimizer_state + contender.mask_bytes(run.model),
            "memory_activations_bytes": memory.activations,
            "memory_peak_bytes": memory.peak_allocated, "checkpoint_bytes": contender.file_bytes(run.model),
            "train_seconds": run.seconds, "state": run.state, "note": data.note,
        }  # fmt: skip
        parts.append(Records.single(facts | provenance(device), run.epochs, run.ranks))
    return Records.concat(parts)
