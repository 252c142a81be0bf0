"""How often the safety valve interferes with ordinary runs, and what became of the same run without it.

    python benchmarks/guard.py

33 settings of a small network on digits, three seeds each, and seven on a part of CIFAR-10 where it is there, two
seeds each; about ten minutes on one core. The record goes to data/results/guard.parquet.
"""

import argparse
from pathlib import Path

import pandas as pd
import script
import torch
from tqdm.auto import tqdm

from tuckerlab import Budget, Guard, Tolerance, fit, load_data
from tuckerlab.data import ImageData
from tuckerlab.errors import DataError
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.files import atomic_path
from tuckerlab.training.config import Recipe
from tuckerlab.training.machine import provenance

NETWORKS: list[Method] = [
    Dense(), *(Tucker(Budget(rate)) for rate in (0.8, 0.9, 0.95)), *(Tucker(Tolerance(tau)) for tau in (0.1, 0.3, 0.5))
]  # fmt: skip
SHORT = [Recipe(epochs=epochs, batch_size=64, lr=0.1) for epochs in (1, 3, 8)]
OTHERS = [
    Recipe(epochs=3, batch_size=16), Recipe(epochs=6, schedule="constant", lr=0.05),
    Recipe(epochs=6, label_smoothing=0.2), Recipe(epochs=6, optimizer="adamw", lr=3e-3),
]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=script.positive, default=3)
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    torch.set_num_threads(1)  # networks this small only wait for each other
    digits = load_data("digits")
    asked = [(digits, network, recipe) for recipe in SHORT for network in NETWORKS]
    asked += [(digits, network, recipe) for recipe in OTHERS for network in (NETWORKS[0], NETWORKS[2], NETWORKS[5])]
    runs = [(*one, seed) for one in asked for seed in range(options.seeds)]
    try:
        photographs = load_data("cifar10").subset(train=4000, test=1000)
        recipe = Recipe(epochs=3, batch_size=128, lr=0.1)
        runs += [(photographs, network, recipe, seed) for network in NETWORKS for seed in range(2)]
    except DataError as error:
        print(f"without CIFAR-10: {error}")
    rows = [row(*one) for one in tqdm(runs, desc="guarded runs")]
    table = pd.DataFrame(rows).assign(**provenance("cpu"))
    with atomic_path(options.results / "guard.parquet") as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False)
    acted = table[table["interventions"] > 0]
    print(f"{len(acted)} of {len(table)} runs: the valve interfered")
    print(acted[["dataset", "network", "recipe", "seed", "said", "guarded", "alone"]].to_string(index=False))
    print(f"record: {options.results / 'guard.parquet'}")


def row(data: ImageData, method: Method, recipe: Recipe, seed: int) -> dict[str, object]:
    """One guarded run, and where the valve interfered the same run without it."""
    spec = {"name": "vgg_small", "num_classes": data.num_classes, "in_channels": data.channels}
    spec |= {"image_size": data.image_size, "width": 0.25}

    def accuracy(guard: Guard | None) -> tuple[float, list[dict[str, object]]]:
        network = method.network(spec, seed)
        run = fit(network, data, recipe, seed=seed, ranks=method.ranks, guard=guard, device="cpu", progress=False)
        return run.test_accuracy, run.events

    guarded, events = accuracy(Guard())
    return {
        "dataset": data.name, "network": method.label, "seed": seed, "guarded": guarded,
        "recipe": f"{recipe.optimizer} {recipe.schedule} {recipe.epochs} epochs, batch {recipe.batch_size}",
        "alone": accuracy(None)[0] if events else float("nan"), "interventions": len(events),
        "said": " ".join(str(event["said"]) for event in events),
    }  # fmt: skip


if __name__ == "__main__":
    script.run(main)
