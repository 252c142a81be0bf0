"""What VGG16 on CIFAR-10 costs where it is deployed, dense and without 95 % of its convolution weights.

    python benchmarks/deployment.py --out runs/deployment-cifar10-vgg16

Both networks are trained a little, so that ranks and weights are those of a trained network and not of chance: 100
steps on a quarter of the images, about five minutes on two CPU cores. The accuracies are those of that little.
"""

import argparse
from pathlib import Path

import script

from tuckerlab import Budget, load_data
from tuckerlab.deploy.runtime.benchmark import measure_deployment, show
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.experiments.setup import Arena
from tuckerlab.training.config import Recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/deployment-cifar10-vgg16"))
    parser.add_argument("--train", type=script.positive, default=12_800, help="training images")
    parser.add_argument("--test", type=script.positive, default=2_000, help="test images")
    given = parser.parse_args()
    data = load_data("cifar10").subset(train=given.train, test=given.test)
    contenders = [Dense(), Tucker(Budget(0.95))]
    recipe = Recipe(epochs=1, batch_size=128, lr=0.1)
    contest(contenders, Arena.of(contenders, data, "vgg16", 1.0, recipe, "auto"), given.out)
    folder = RunFolder.open(given.out)
    measured = measure_deployment({label: folder.network(label) for label in folder.labels}, data, progress=True)
    measured.save(given.out)
    show(measured, False, given.out)


if __name__ == "__main__":
    script.run(main)
