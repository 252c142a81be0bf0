"""One nested training beside one training for each size, and beside cutting the largest of these: a table.

python benchmarks/nested.py digits
python benchmarks/nested.py folder:neu_steel --image-size 64 --sizes 0.5 0.8 0.9 0.95
"""

import argparse

import pandas as pd
import script
import torch
from torch import nn

from tuckerlab import Budget, Nested, build, cut, fit, load_data, tuckerize
from tuckerlab.experiments.setup import recipe_for
from tuckerlab.training.metrics import evaluate
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.rank_policy import RankPolicy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--model", default="vgg_small")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--sizes", type=float, nargs="+", default=[0.5, 0.8, 0.9, 0.95], help="shares to remove")
    parser.add_argument("--seeds", type=script.positive, default=3)
    options = parser.parse_args()
    data = load_data(options.dataset, image_size=options.image_size)
    sizes, rows = sorted(options.sizes), []

    def trained(ranks: RankPolicy, seed: int) -> tuple[nn.Module, float]:
        torch.manual_seed(seed)
        spec = {"in_channels": data.channels, "image_size": data.image_size, "num_classes": data.num_classes}
        network = build(options.model, width=options.width, **spec)
        network = tuckerize(network, include=MODELS[options.model].include, ranks=0.7)
        run = fit(network, data, recipe_for(options.dataset), seed=seed, ranks=ranks, progress=f"{ranks}, seed {seed}")
        return run.model, run.seconds

    def add(way: str, seed: int, seconds: float, networks: dict[float, nn.Module]) -> None:
        for size, network in networks.items():
            rows.append((way, seed, seconds, size, 100 * evaluate(network, data).accuracy))

    for seed in range(options.seeds):
        nested, seconds = trained(Nested(sizes[0], smallest=sizes[-1]), seed)
        add("one nested training", seed, seconds, {size: cut(nested, Budget(size), data.sample()) for size in sizes})
        alone = {size: trained(Budget(size), seed) for size in sizes}
        each, seconds = zip(*alone.values(), strict=True)
        add("one training for each size", seed, sum(seconds), dict(zip(sizes, each, strict=True)))
        cuts = {size: cut(each[0], Budget(size)) for size in sizes}
        add("the largest, cut", seed, seconds[0], cuts)
        refreshed = {size: cut(each[0], Budget(size), data.sample()) for size in sizes}
        add("the largest, cut, statistics refreshed", seed, seconds[0], refreshed)
    table = pd.DataFrame(rows, columns=["way", "seed", "training, s", "size", "accuracy"])
    print(table.groupby("way", sort=False)["training, s"].mean().round(0).to_string())
    accuracy = table.groupby(["way", "size"], sort=False)["accuracy"].agg(["mean", "min", "max"])
    print(accuracy.round(2).unstack().to_string())


if __name__ == "__main__":
    script.run(main)
