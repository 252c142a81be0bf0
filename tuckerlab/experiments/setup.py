"""What all networks of a comparison share: architecture, images, recipe and device."""

import copy
import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.config import Recipe
from tuckerlab.training.environment import resolve_device
from tuckerlab.training.models import MODELS, build
from tuckerlab.tucker.convert import FRACTION, tuckerize
from tuckerlab.tucker.model_size import Counts, count_parameters
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import Fixed, RankPolicy

if TYPE_CHECKING:
    from tuckerlab.experiments.methods.base import Contender


@dataclass(frozen=True)
class Arena:
    """What all networks of a comparison share: architecture, images, recipe (with the seed) and device."""

    spec: dict[str, Any]
    data: ImageData
    recipe: Recipe
    device: torch.device

    @classmethod
    def of(
        cls, contenders: Sequence["Contender"], data: ImageData, model: str, width: float, recipe: Recipe, device: str
    ) -> "Arena":
        """The arena for a network by name; refuses what cannot be asked of these contenders."""
        spec = {"name": model, "num_classes": data.num_classes, "in_channels": data.channels}
        spec |= {"image_size": data.image_size, "width": width}
        return cls(spec, data, recipe, resolve_device(device)).for_all(contenders)

    def for_all(self, contenders: Sequence["Contender"]) -> "Arena":
        """This arena; TuckerlabError for what cannot be asked of these contenders in it."""
        if len({contender.slug for contender in contenders}) < len(contenders):
            raise TuckerlabError(f"{', '.join(c.label for c in contenders)}: give each network once")
        for contender in contenders:
            contender.check(self)
        return self

    def check(self, ranks: RankPolicy | None) -> None:
        """Raises RankError for a budget that this network cannot meet."""
        replace(self.recipe, ranks=ranks).make_optimizer(on_meta(self.spec), 1)

    def of_seed(self, seed: int) -> "Arena":
        """The same with another seed."""
        return replace(self, recipe=replace(self.recipe, seed=seed))

    @property
    def plan(self) -> dict[str, Any]:
        """What decides the outcome, as plain JSON values."""
        recipe = self.recipe.settings()
        return {"spec": self.spec, "data": self.data.fingerprint, "recipe": recipe, "device": self.device.type}

    @property
    def step_size(self) -> int:
        """Images in a training step: the recipe's batch, or all that there are."""
        return min(self.recipe.batch_size, len(self.data.train_images))

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

    def stepper(
        self,
        model: nn.Module,
        make_optimizer: Callable[[Recipe, nn.Module, int], TuckerOptimizer] = Recipe.make_optimizer,
    ) -> Callable[[], object]:
        """Forward, backward and optimizer step of a copy of the model at its ranks, as a function to be timed."""
        batch = self.batch(self.step_size)
        model = copy.deepcopy(model).train()
        # short steps: a hundred on the same batch must not lead anywhere
        optimizer = make_optimizer(replace(self.recipe, ranks=None, lr=1e-6), model, 1)

        def gradient() -> float:
            optimizer.zero_grad()
            self.loss(model, batch).backward()  # type: ignore[no-untyped-call]
            return 0.0  # nobody looks at the loss: that would hold up a GPU

        def step() -> None:
            for _ in range(optimizer.evaluations - 1):
                gradient()
            optimizer.step(gradient)

        return step


def on_meta(spec: dict[str, Any], start: float | None = None, modes: str | Sequence[int] = "channels") -> nn.Module:
    """The Tucker network of a specification, without memory; raises what `build` would raise.

    start: no rank is larger than this share of the widest layer; None: they are those of `tuckerize`. modes: as
    `tuckerize` takes them.
    """
    with torch.device("meta"):
        network = build(**spec)
    widest = max(max(weight.shape) for weight in network.parameters() if weight.dim() > 1)
    ranks = None if start is None else Fixed(FRACTION, max_rank=max(1, round(start * widest)))
    return tuckerize(network, ranks=ranks, include=MODELS[spec["name"]].include, modes=modes)


def in_file_names(dataset: str) -> str:
    """A data set in the name of a file: `digits`, or `folder-` and the last part of the path."""
    kind, _, path = dataset.partition(":")
    return "-".join([kind, *re.findall(r"[\w.-]+", Path(path).name)])


def digest(settings: dict[str, Any]) -> str:
    """Eight characters that tell settings apart."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]


def identities(contenders: Sequence["Contender"]) -> str:
    """All settings of these contenders, for a digest."""
    return f"[{', '.join(contender.identity for contender in contenders)}]"
