"""Whether unbalanced classes need another recipe: as they are, drawn equally often, or weighted in the loss.

    python benchmarks/imbalance.py      # about ten minutes on two cores; prints the table

The steel defects, of whose classes 100, 50, 25, 12, 12 and 12 % of the training images are kept; the test split stays
as it is. Small VGG, 64 × 64, the recipe for folders, dense and Tucker 90 %. All take about as many steps.
"""

import argparse
from dataclasses import replace

import pandas as pd
import script
import torch

from tuckerlab import Budget, load_data
from tuckerlab.data import ImageData
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.setup import recipe_for, set_up
from tuckerlab.training.metrics import answers_by_class

KEPT = (1.0, 0.5, 0.25, 0.12, 0.12, 0.12)
WAYS = ("as they are", "drawn equally often", "weighted in the loss")


def unbalanced(data: ImageData) -> ImageData:
    """The data with so much of each class's training images."""
    own = [torch.nonzero(data.train_labels == label).flatten() for label in range(data.num_classes)]
    kept = torch.cat([index[: round(share * len(index))] for index, share in zip(own, KEPT, strict=True)]).sort().values
    return replace(data, train_images=data.train_images[kept], train_labels=data.train_labels[kept])


def drawn_equally(data: ImageData) -> ImageData:
    """The data with images of rare classes repeated until all classes are of one size."""
    own = [torch.nonzero(data.train_labels == label).flatten() for label in range(data.num_classes)]
    most = max(map(len, own))
    drawn = torch.cat([index[torch.arange(most) % len(index)] for index in own])
    return replace(data, train_images=data.train_images[drawn], train_labels=data.train_labels[drawn])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=script.positive, default=2)
    parser.add_argument("--optimizer", default="muon", choices=("muon", "sgd", "adamw"))
    options = parser.parse_args()
    data = unbalanced(load_data("folder:neu_steel", image_size=64))
    shares = data.train_labels.bincount() / len(data.train_labels)
    rows = []
    for way in WAYS:
        used = drawn_equally(data) if way == WAYS[1] else data
        recipe = replace(recipe_for("folder:"), optimizer=options.optimizer, class_weights=way == WAYS[2])
        recipe = replace(recipe, epochs=round(recipe.epochs * len(data.train_labels) / len(used.train_labels)))
        for method in (Dense(), Tucker(Budget(0.9))):
            for seed in range(options.seeds):
                experiment = set_up([method], data=used, recipe=recipe, seed=seed, model="vgg_small", device="cpu")
                run = method.train(experiment)
                found = torch.tensor(list(answers_by_class(run.network, used).values()))
                right = 100 * found[:, 2] / found[:, 1]
                measured = {
                    "balanced accuracy": right.mean(),
                    "worst class": right.min(),
                    "the three rare classes": right[shares < 0.1].mean(),
                    "accuracy where classes are as frequent as in training": right @ shares,
                }
                row = {"classes": way, "network": method.label, "seed": seed, "steps": run.step}
                rows.append(row | {name: float(value) for name, value in measured.items()})
                print(rows[-1], flush=True)
    means = pd.DataFrame(rows).groupby(["classes", "network"], sort=False).mean().drop(columns="seed")
    print(means.round(1).to_string())


if __name__ == "__main__":
    script.run(main)
