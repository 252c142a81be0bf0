"""What the networks of a run answer to the test pictures, as a committed record for the simulated roll-outs.

    tuckerlab poc --dataset digits --model vgg_small --out runs && python benchmarks/answers.py runs/poc-digits-… digits
    python benchmarks/answers.py runs/headline-… cifar10

The record goes to data/results/answers/NAME.parquet.
"""

import argparse
from pathlib import Path

import pandas as pd
import script
from tqdm.auto import tqdm

from tuckerlab.deploy.rollout.simulate import ANSWER, LABEL, PLACE
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.files import atomic_path
from tuckerlab.training.machine import provenance
from tuckerlab.training.metrics import predict


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="a folder that tuckerlab poc has left")
    parser.add_argument("name", help="what the record is to be called")
    parser.add_argument("--results", type=Path, default=PLACE)
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    data, networks = folder.data(), {label: folder.network(label) for label in folder.labels}
    labels = data.test_labels.tolist()
    answers = {label: predict(network, data).argmax(1).tolist() for label, network in tqdm(networks.items())}
    row = folder.rows(folder.labels[0]).iloc[0]
    origin = {key: row[key] for key in ("dataset", "model", "epochs", "seed")} | provenance("cpu")
    table = pd.DataFrame({LABEL: labels} | {f"{ANSWER}{name}": given for name, given in answers.items()}, dtype="int16")
    with atomic_path(options.results / f"{options.name}.parquet") as temporary:
        table.assign(classes=data.num_classes, **origin).to_parquet(temporary, engine="pyarrow", index=False)
    print(f"record: {options.results / options.name}.parquet")


if __name__ == "__main__":
    script.run(main)
