"""Which optimizer learns best, dense and in Tucker format: SGD, AdamW or Muon, in four settings, as committed records.

    python benchmarks/optimizers.py                          # all that are not there yet, then the table
    python benchmarks/optimizers.py --only cifar10 --part 0/2    # every second one, for two processes at once

Everything but the optimizer is the same in a setting: epochs, images, batch, one-cycle schedule, ranks (from 70 % of
each mode down to the target, cubic over 60 % of the run). `--threads` is 1: times are of one core. A finished run is
kept and not trained again, an interrupted one goes on; the records go to data/results.
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import script
import torch

from tuckerlab import Budget, load_data
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.training.config import Recipe

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD": {"optimizer": "sgd"},
    "AdamW": {"optimizer": "adamw", "lr": 3e-3},
    "Muon": {"optimizer": "muon"},
}


@dataclass(frozen=True)
class Setting:
    """A data set, a network, and the shares of its weights that are removed; `changes` to the optimizers by name."""

    data: str
    model: str
    rates: tuple[float, ...]
    recipe: Recipe
    width: float = 1.0
    images: int | None = None
    size: int | None = None
    changes: tuple[tuple[str, dict[str, Any]], ...] = ()

    def of(self, name: str, rate: float, seed: int) -> Recipe:
        """The recipe with an optimizer, a target (0: dense) and a seed."""
        ranks = Budget(rate) if rate else None
        return replace(self.recipe, **OPTIMIZERS[name] | dict(self.changes).get(name, {}), ranks=ranks, seed=seed)


SETTINGS = {
    "cifar10": Setting(
        "cifar10", "vgg16", (0.95, 0.9, 0.98), Recipe(epochs=6, batch_size=128, label_smoothing=0.1), 0.25, 16_000
    ),
    "digits": Setting("digits", "vgg_small", (0.95, 0.9, 0.98), Recipe(epochs=30, batch_size=64)),
    "steel": Setting(
        "folder:neu_steel", "vgg_small", (0.95, 0.9, 0.98), Recipe(epochs=20, batch_size=64, label_smoothing=0.1),
        changes=(("SGD", {"lr": 0.05}),),
    ),
    "vit": Setting(
        "folder:neu_steel", "vit_small", (0.8, 0.65, 0.5), Recipe(epochs=20, batch_size=64, label_smoothing=0.1), 0.5,
        size=32, changes=(("AdamW", {"lr": 1e-3}),),
    ),
}  # fmt: skip


def run(place: str, optimizer: str, rate: float, seed: int, out: Path) -> None:
    """Trains one network, and leaves its record in a folder of its own."""
    setting = SETTINGS[place]
    data = load_data(setting.data, image_size=setting.size)
    if setting.images:
        data = data.subset(train=setting.images)
    label = f"{f'Tucker {100 * rate:g} %' if rate else 'dense'}, {optimizer}"
    script.train(
        label, out / f"{place}-{optimizer}-{100 * rate:g}-seed{seed}", data, setting.model, setting.width,
        setting.of(optimizer, rate, seed), start=0.7 if rate else None,
    )  # fmt: skip


def table(records: Records) -> pd.DataFrame:
    """Test accuracy in %, mean ± half the range over seeds (their number), for each network and optimizer."""
    runs = records.runs.copy()
    runs[["network", "optimizer"]] = runs["label"].str.split(", ", expand=True)
    grouped = runs.groupby(["dataset", "model", "network", "optimizer"], sort=False)["test_accuracy"]

    def cell(values: "pd.Series[float]") -> str:
        return f"{100 * values.mean():.1f} ± {50 * (values.max() - values.min()):.1f} ({len(values)})"

    return grouped.agg(cell).unstack("optimizer").sort_index().fillna("")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--part", default="0/1", help="i/n: every n-th run, from the i-th")
    parser.add_argument("--only", nargs="+", default=list(SETTINGS), help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--optimizers", nargs="+", default=list(OPTIMIZERS), help=f"of {', '.join(OPTIMIZERS)}")
    parser.add_argument("--rates", type=float, nargs="+", help="shares removed, 0 for dense; all where not given")
    parser.add_argument("--threads", type=script.positive, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/optimizers"))
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    for given, known in ((options.only, SETTINGS), (options.optimizers, OPTIMIZERS)):
        if unknown := [name for name in given if name not in known]:
            raise TuckerlabError(f"{unknown[0]!r}: known are {', '.join(known)}")
    known_rates = {0.0, *(rate for place in options.only for rate in SETTINGS[place].rates)}
    if unknown_rates := set(options.rates or ()) - known_rates:
        there_are = ", ".join(f"{rate:g}" for rate in sorted(known_rates))
        raise TuckerlabError(f"rate {min(unknown_rates):g}: known are {there_are}")
    plan = [
        (place, optimizer, rate, seed)
        for seed in options.seeds
        for place in options.only
        for rate in (0.0, *SETTINGS[place].rates)
        for optimizer in options.optimizers
        if options.rates is None or rate in options.rates
    ]
    torch.set_num_threads(options.threads)
    for settings in script.part(plan, options.part):
        run(*settings, options.out)
    records = Records.load(options.out)
    if options.part != "0/1":
        print("a part of the plan: the records are written by a call without --part")
    else:
        for (data, model), runs in records.runs.groupby(["dataset", "model"]):
            name = f"optimizers-{str(data).replace(':', '-')}-{model}"
            records.only(runs["run"]).save(options.results / name)
    print(table(records).to_string())


if __name__ == "__main__":
    script.run(main)
