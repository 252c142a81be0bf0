"""How many requests it takes a roll-out to catch a loss, and how often it errs, by simulation with recorded answers.

    python benchmarks/rollout.py --repeats 500

A quarter of a minute on one core. The record goes to data/results/rollout.parquet.
"""

import argparse
from pathlib import Path

import pandas as pd
import script

from tuckerlab.deploy.rollout import Rule
from tuckerlab.deploy.rollout.simulate import compare_labels, recorded_traffic
from tuckerlab.files import atomic_path
from tuckerlab.training.machine import provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=script.positive, default=500)
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    found = [
        compare_labels(traffic, losses=(0.0, 1.0, 2.0, 5.0), repeats=options.repeats).assign(
            origin=name.partition(":")[0]
        )
        for name, traffic in recorded_traffic().items()
        if name.endswith("Tucker 90 %")
    ]
    facts = {"seed": 0, "repeats": options.repeats, "rule": repr(Rule()), **provenance("cpu")}
    table = pd.concat(found, ignore_index=True).assign(**facts)
    with atomic_path(options.results / "rollout.parquet") as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False)
    shares, requests = ["rolled_back", "rolled_out", "asked"], ["low", "median", "high", "labels"]
    columns = ["origin", "loss", "labelled", *shares, *requests]
    with pd.option_context("display.width", 160):
        print(table[columns].to_string(index=False))


if __name__ == "__main__":
    script.run(main)
