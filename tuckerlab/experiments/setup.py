"""What all networks of a comparison share: architecture, images, recipe, device, and a folder for checkpoints."""

import hashlib
import json
import re
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn

from tuckerlab.data import ImageData, load_data
from tuckerlab.errors import TuckerlabError, check_choice
from tuckerlab.training import processes
from tuckerlab.training.config import Recipe
from tuckerlab.training.fit import fit
from tuckerlab.training.guard import Guard
from tuckerlab.training.machine import resolve_device
from tuckerlab.training.models import MODELS, build
from tuckerlab.training.run import Callback, Run
from tuckerlab.tucker.convert import FRACTION, tuckerize
from tuckerlab.tucker.model_size import Counts, count_parameters
from tuckerlab.tucker.rank_policy import Fixed

if TYPE_CHECKING:
    from tuckerlab.experiments.methods.base import Method

# What is known to work, by data set.
RECIPES = {
    "mnist": Recipe(epochs=4, batch_size=32, optimizer="muon"),
    "digits": Recipe(epochs=30, batch_size=64, optimizer="muon"),
    "folder": Recipe(epochs=20, batch_size=64, optimizer="muon", label_smoothing=0.1, class_weights=True),
    "cifar10": Recipe(epochs=12, batch_size=128, optimizer="muon"),
}
NETWORKS = {"mnist": ("vgg_small", 2.0), "cifar10": ("vgg16", 1.0)}  # what "auto" is, and its width
UNFINISHED = ".training.safetensors"


@dataclass(frozen=True)
class Experiment:
    """What all networks of a comparison share, and how their training is watched.

    One epoch of the recipe is one gradient evaluation for each batch of images; who takes two a step has half the
    epochs. folder: for checkpoints, where a part that is done is found; None keeps none. All else: as `fit` takes it.
    """

    spec: dict[str, Any]
    data: ImageData
    recipe: Recipe
    device: torch.device
    folder: Path | None = None
    progress: bool | str = False
    callbacks: Sequence[Callback] = ()
    stop: threading.Event | None = None
    guard: Guard | None = None

    def for_all(self, methods: Sequence["Method"]) -> "Experiment":
        """This experiment; TuckerlabError for what cannot be asked of these methods in it."""
        if len({method.slug for method in methods}) < len(methods):
            raise TuckerlabError(f"{', '.join(c.label for c in methods)}: give each network once")
        for method in methods:
            method.check(self)
        return self

    def of_seed(self, seed: int) -> "Experiment":
        return replace(self, recipe=replace(self.recipe, seed=seed))

    @property
    def plan(self) -> dict[str, Any]:
        """What decides the outcome, as plain JSON values."""
        recipe = self.recipe.settings()
        return {"spec": self.spec, "data": self.data.fingerprint, "recipe": recipe, "device": self.device.type}

    def folder_name(self, kind: str, *parts: str, **asked: Any) -> str:
        data, _, path = self.data.name.partition(":")
        data = "-".join([data, *re.findall(r"[\w.-]+", Path(path).name)])
        return "-".join([kind, data, self.spec["name"], *parts, digest(self.plan | asked)])

    @property
    def step_size(self) -> int:
        """Images in a training step: the recipe's batch, or all that there are."""
        return min(self.recipe.batch_size, len(self.data.train_images))

    @property
    def steps_per_epoch(self) -> int:
        return len(self.data.train_images) // self.step_size

    @property
    def steps(self) -> int:
        """Gradient evaluations in all."""
        return self.recipe.epochs * self.steps_per_epoch

    def counts(self, model: nn.Module) -> Counts:
        """The numbers that a network stores, against those of the dense one."""
        with torch.device("meta"):
            dense = count_parameters(build(**self.spec))
        own = count_parameters(model)
        return Counts(own.conv_stored, dense.conv_stored, own.total_stored, dense.total_stored)

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

    def split(self, share: float) -> tuple["Experiment", "Experiment"]:
        """The training in two: the first gets this share of the epochs; TuckerlabError where there is only one."""
        epochs = self.recipe.epochs
        if epochs < 2:
            raise TuckerlabError("epochs 1: what trains twice, before and after a cut, needs 2 or more")
        first = min(max(1, round(share * epochs)), epochs - 1)
        before, after = (replace(self.recipe, epochs=part) for part in (first, epochs - first))
        return replace(self, recipe=before), replace(self, recipe=after)

    def fit(
        self,
        model: nn.Module,
        name: str,
        counts: Callable[[nn.Module], Counts],
        callbacks: Sequence[Callback] = (),
        **options: Any,
    ) -> Run:
        """Trains with `options` of `fit`; its checkpoint goes by name and epochs, and who wants the same run waits."""
        options |= {"device": str(self.device), "progress": self.progress, "stop": self.stop, "guard": self.guard}
        options |= {"callbacks": [*callbacks, _Counting(counts), *self.callbacks]}
        if self.folder is None:
            return fit(model, self.data, self.recipe, **options)
        self.folder.mkdir(parents=True, exist_ok=True)
        checkpoint = self.folder / f"{name}-{self.recipe.epochs}{UNFINISHED}"
        lock, is_first = checkpoint.with_suffix(".lock"), processes.number() == 0
        with FileLock(lock) if is_first else nullcontext():
            processes.of_all(None)  # process 0 has it for all
            try:
                return fit(model, self.data, self.recipe, checkpoint=checkpoint, **options)
            finally:  # one who waits for it may then meet a third: both would do the same, and write it atomically
                if is_first:
                    with suppress(OSError):
                        lock.unlink()


@dataclass
class _Counting(Callback):
    """Has the epochs' rows count what is stored in another way."""

    counts: Callable[[nn.Module], Counts]

    def on_epoch(self, run: Run) -> None:
        run.epochs[-1] |= self.counts(run.model).row


def set_up(
    methods: Sequence["Method"] = (),
    *,
    dataset: str = "mnist",
    data: ImageData | None = None,
    recipe: Recipe | None = None,
    seed: int = 0,
    model: str = "auto",
    width: float | None = None,
    image_size: int | None = None,
    device: str = "auto",
    **changes: Any,
) -> Experiment:
    """An experiment with these settings; TuckerlabError for what cannot be asked for.

    data: the images, if not those of `dataset`. recipe: None is what is known to work. model: of `MODELS`; "auto" is
    that of `NETWORKS`, or else vgg_small. width: of all layers, as a multiple of the published one. image_size: pixels
    a side, of a folder's images. device: "auto", "cpu", "cuda" or "mps". changes: to the recipe, such as epochs,
    batch_size, optimizer, lr, precision; None changes nothing.
    """
    name, usual = NETWORKS.get(dataset, ("vgg_small", 1.0)) if model == "auto" else (model, 1.0)
    check_choice("model", name, MODELS)
    place = resolve_device(device)  # before the images are read
    changes = {field: value for field, value in changes.items() if value is not None}
    recipe = replace(recipe or recipe_for(dataset), seed=seed, **changes)
    data = data or load_data(dataset, image_size=image_size)
    spec = {"name": name, "num_classes": data.num_classes, "in_channels": data.channels}
    spec |= {"image_size": data.image_size, "width": usual if width is None else width}
    return Experiment(spec, data, recipe, place).for_all(methods)


def recipe_for(dataset: str) -> Recipe:
    return RECIPES.get(dataset.partition(":")[0], RECIPES["digits"])


def on_meta(spec: dict[str, Any], start: float | None = None, modes: str | Sequence[int] = "channels") -> nn.Module:
    """The Tucker network of a specification, without memory; raises what `build` would raise.

    start: no rank is larger than this share of the widest layer; None: they are those of `tuckerize`.
    """
    with torch.device("meta"):
        network = build(**spec)
    widest = max(max(weight.shape) for weight in network.parameters() if weight.dim() > 1)
    ranks = None if start is None else Fixed(FRACTION, max_rank=max(1, round(start * widest)))
    return tuckerize(network, ranks=ranks, include=MODELS[spec["name"]].include, modes=modes)


def digest(settings: dict[str, Any]) -> str:
    """Eight characters that tell settings apart."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
