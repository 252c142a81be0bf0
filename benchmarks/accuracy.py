"""Accuracy of Tucker training beside the dense network, over several seeds, as a committed record.

    python benchmarks/accuracy.py digits --seeds 5
    python benchmarks/accuracy.py folder:neu_steel --image-size 64 --seeds 3
    python benchmarks/accuracy.py cifar10 --width 0.5 --epochs 3 --compression 0.8 0.9 0.95

Each seed is the main job, with its run folder: an interrupted call goes on where it was. The record goes to
data/results/, with a picture; the table has the mean over the seeds and the range.
"""

import argparse
from pathlib import Path

import script
import torch
from rich.console import Console

from tuckerlab import run_poc
from tuckerlab.experiments.plots import save_figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import rich_standings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--model", default="auto")
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--epochs", type=script.positive)
    parser.add_argument("--optimizer", help="muon, sgd or adamw; the records there are were trained with sgd")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--compression", type=float, nargs="+", default=[0.9])
    parser.add_argument("--seeds", type=script.positive, default=3)
    parser.add_argument("--threads", type=script.positive, help="CPU threads; the default is torch's")
    parser.add_argument("--out", default="runs")
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    options.results.mkdir(parents=True, exist_ok=True)  # a folder that cannot be written is found out now
    names = ("dataset", "image_size", "model", "width", "epochs", "optimizer", "lr", "out")
    given = {name: getattr(options, name) for name in names}
    proofs = [run_poc(**given, compression=options.compression, seed=seed, quiet=True) for seed in range(options.seeds)]
    records = Records.concat([proof.records for proof in proofs])
    first = records.runs.iloc[0]
    folder = options.results / f"accuracy-{Path(first['dataset']).name.replace(':', '-')}-{first['model']}"
    records.save(folder)
    save_figures(records, folder)
    Console().print(rich_standings(records))
    print(f"record and pictures: {folder}")


if __name__ == "__main__":
    script.run(main)
