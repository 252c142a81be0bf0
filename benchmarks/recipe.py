"""Which recipe compresses best: start ranks, schedule, score and weight decay of `Budget`, tried one at a time.

    python benchmarks/recipe.py                      # all that are not there yet, then the table
    python benchmarks/recipe.py --part 0/2           # every second one, for two processes at once

VGG16 at a quarter of its width, 16 000 images of CIFAR-10, 6 epochs, 95 % of the convolution weights removed: small
enough for many runs on a CPU, and so a guide to the recipe, not a result about the method. The variants are ranked on
the test images, with one seed or two, whose own spread is about half a point. Most change one thing in "start 70 %,
cubic 60 %" (score: energy alone); the last ones combine what had helped. A finished run is kept and not trained again;
the record goes to data/results/recipe.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import script
import torch
from torch import Tensor, nn

from tuckerlab import Budget, load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import standings
from tuckerlab.training.config import Recipe
from tuckerlab.tucker.optimizer import TuckerOptimizer
from tuckerlab.tucker.rank_policy import Spectrum
from tuckerlab.tucker.sgd_adamw_muon import TuckerSGD
from tuckerlab.tucker.tensor import left_singular, unfold
from tuckerlab.tucker.weight import TuckerLayer

RATE, WIDTH, IMAGES, EPOCHS = 0.95, 0.25, 16_000, 6


@dataclass(frozen=True)
class Tried(Budget):
    """A budget with the parts exchanged that the table is about."""

    schedule: str = "cubic"
    ramp: float = 0.6
    score: str = "energy"
    per_number: bool = False
    trained: list[TuckerOptimizer] = field(default_factory=list, repr=False, compare=False)

    def over(self, total_steps: int) -> "Tried":
        return replace(self, steps=int(self.ramp * total_steps))

    def target(self, step: int | None) -> float:
        return self.compression * (self.progress(step) if self.schedule == "linear" else super().target(step) / RATE)

    def scores(self, spectra: Sequence[Spectrum]) -> list[list[Tensor]]:
        worth = self.sensitivities() if self.score == "sensitivity" and self.trained else [s.energies for s in spectra]
        if not self.per_number:
            return worth
        pairs = zip(spectra, worth, strict=True)
        return [[score / spectrum.freed(i) for i, score in enumerate(layer)] for spectrum, layer in pairs]

    def sensitivities(self) -> list[list[Tensor]]:
        """|σ ∂L/∂σ| of each direction, to first order, with the momentum as the gradient; falling in each mode.

        It decides how many directions each mode loses; those with the smallest σ go.
        """
        optimizer, found = self.trained[0], []
        for layer in (held.layer for held in optimizer._counted()[0]):
            velocity = optimizer.state[layer.core].get("momentum_buffer", torch.zeros_like(layer.core))
            modes = []
            for mode in layer.modes:
                matrix = unfold(layer.core.detach(), mode)
                vectors, _ = left_singular(matrix)
                changes = (vectors.mT @ matrix * (vectors.mT @ unfold(velocity, mode))).sum(1)
                modes.append(changes.abs().double().sort(descending=True).values.cpu())
            found.append(modes)
        return found


@dataclass(frozen=True, kw_only=True)
class TriedRecipe(Recipe):
    """A recipe with a weight decay of its own for the cores."""

    core_decay: float = 1.0

    def make_optimizer(self, model: nn.Module, total_steps: int) -> TuckerOptimizer:
        ordinary = super().make_optimizer(model, total_steps)
        layers = [module for module in model.modules() if isinstance(module, TuckerLayer)]
        if not layers or not isinstance(ordinary.ranks, Tried):
            return ordinary
        ordinary.ranks.trained.append(ordinary)
        if self.core_decay == 1:
            return ordinary
        own = {id(p) for layer in layers for p in (layer.core, *layer.factors)}
        rest = [p for p in model.parameters() if id(p) not in own]
        groups: Any = [{"params": rest}, {"params": layers, "weight_decay": self.core_decay * (self.decay or 0.0)}]
        options = {"ranks": ordinary.ranks, "adapt_every": ordinary.adapt_every}
        optimizer = TuckerSGD(groups, self.rate, self.momentum, self.decay or 0.0, True, **options)
        ordinary.ranks.trained[:] = [optimizer]
        return optimizer


VARIANTS: dict[str, dict[str, Any]] = {  # what differs from the first Tucker network
    "dense": {},
    "start 70 %, cubic 60 %": {},
    "start 30 %": {"start": 0.3},
    "start 100 %": {"start": 1.0},
    "cubic 30 %": {"ramp": 0.3},
    "cubic 85 %": {"ramp": 0.85},
    "linear 60 %": {"schedule": "linear"},
    "energy per number": {"per_number": True},
    "sensitivity": {"score": "sensitivity"},
    "sensitivity per number": {"score": "sensitivity", "per_number": True},
    "no decay of the core": {"core_decay": 0.0},
    "4 x decay of the core": {"core_decay": 4.0},
    "growth 10 %": {"growth": 0.1},
    "linear 85 %": {"schedule": "linear", "ramp": 0.85},
    "energy per number, 9 epochs": {"per_number": True, "epochs": 9},
    "start 100 %, linear 60 %": {"start": 1.0, "schedule": "linear"},
    "start 85 %, linear 75 %, energy per number": {
        "start": 0.85,
        "schedule": "linear",
        "ramp": 0.75,
        "per_number": True,
    },
}


def run(name: str, seed: int, out: Path) -> None:
    """Trains one variant, and leaves its record in a folder of its own."""
    folder = out / f"{name.replace(' ', '-').replace('%', 'p').replace(',', '')}-seed{seed}"
    data = load_data("cifar10").subset(train=IMAGES)
    variant = dict(VARIANTS[name])
    start, core_decay, epochs = variant.pop("start", 0.7), variant.pop("core_decay", 1.0), variant.pop("epochs", EPOCHS)
    ranks = None if name == "dense" else Tried(compression=RATE, **variant)
    recipe = TriedRecipe(
        epochs=epochs, batch_size=128, label_smoothing=0.1, core_decay=core_decay, seed=seed, ranks=ranks
    )
    script.train(
        name, folder, data, "vgg16", WIDTH, recipe, start=None if name == "dense" else start,
        policy=f"start {start}, core decay x {core_decay}, {ranks}",
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--part", default="0/1", help="i/n: every n-th run, from the i-th")
    parser.add_argument("--only", nargs="+", help="these variants alone")
    parser.add_argument("--threads", type=script.positive, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/recipe"))
    parser.add_argument("--results", type=Path, default=Path("data/results/recipe"))
    options = parser.parse_args()
    if unknown := [name for name in options.only or () if name not in VARIANTS]:
        raise TuckerlabError(f"variant {unknown[0]!r}: known are {'; '.join(VARIANTS)}")
    plan = [(name, seed) for seed in options.seeds for name in (options.only or VARIANTS)]
    torch.set_num_threads(options.threads)
    for name, seed in script.part(plan, options.part):
        run(name, seed, options.out)
    records = Records.load(options.out)
    records.save(options.results)
    shown = ["test accuracy, %", "worst to best", "against dense", "training, s"]
    print(standings(records).sort_values(shown[0], ascending=False)[shown].to_string())


if __name__ == "__main__":
    script.run(main)
