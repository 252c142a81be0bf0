"""Networks at many sizes for the instant slider of the course, as a committed record.

    python benchmarks/slider.py mnist
    python benchmarks/slider.py folder:neu_steel --image-size 64
    python benchmarks/slider.py cifar10 --networks runs/headline-…

Trains a dense network, Tucker networks at several targets and tolerances, and one for every size, with several seeds,
and cuts them to the sizes between; with --networks it takes the networks of a finished run instead of training. The
record goes to data/results/, with the table of all sizes (slider.parquet). An interrupted call goes on.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import script
from torch import nn
from tqdm.auto import tqdm

from tuckerlab import Budget, Nested, Tolerance, load, load_data
from tuckerlab.data import ImageData
from tuckerlab.errors import DataError, RankError
from tuckerlab.experiments.methods.base import Dense, Method, Tucker
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.retruncation import cut
from tuckerlab.experiments.run import run_experiment
from tuckerlab.experiments.setup import set_up
from tuckerlab.experiments.size_table import Networks, measured
from tuckerlab.files import atomic_path
from tuckerlab.training.machine import provenance, resolve_device
from tuckerlab.tucker.rank_policy import RankPolicy

COMPRESSIONS, TOLERANCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98), (0.1, 0.2, 0.3, 0.5)
SETTINGS = {
    "compression": [*np.arange(0, 50, 10) / 100, *np.arange(50, 90, 2) / 100, *np.arange(90, 100) / 100],
    "tolerance": [*np.arange(0, 81, 2) / 100],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--model", default="vgg_small")
    parser.add_argument("--epochs", type=script.positive)
    parser.add_argument("--optimizer", help="muon, sgd or adamw")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--seeds", type=script.positive, default=3, help="train every network so often")
    parser.add_argument("--networks", type=Path, help="the folder of a finished run, with seed0, seed1, …")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    methods = [Dense()]
    methods += [Tucker(Budget(rate)) for rate in COMPRESSIONS]
    methods += [Tucker(Tolerance(tau)) for tau in TOLERANCES]
    methods += [Tucker(Nested())]
    data = load_data(options.dataset, image_size=options.image_size)
    if options.networks is None:
        given = {
            name: getattr(options, name) for name in ("dataset", "image_size", "model", "epochs", "optimizer", "lr")
        }
        experiment = set_up(methods, **given, device="cpu")
        folder = options.out / f"slider-{Path(data.name).name.replace(':', '-')}-{options.model}"
        records = run_experiment(methods, experiment, folder, seeds=options.seeds).records
    else:
        folder, records = options.networks, Records.load(options.networks)
        methods += [replace(each, epochs=1) for each in methods if isinstance(each, Tucker)]  # in equal time
    seeds = [
        {each: load(file).model for each in methods if (file := place / f"{each.slug}.safetensors").exists()}
        for place in sorted(folder.glob("seed*"))
    ]
    if not seeds or not seeds[0]:
        raise DataError(f"{folder}: no trained networks there; expected seed0/dense.safetensors, seed0/tucker-90.…")
    table = retruncations(seeds, data, progress=True)
    for name, value in provenance(resolve_device("cpu")).items():
        table[name] = value
    place = options.results / f"slider-{Path(data.name).name.replace(':', '-')}-{records.runs['model'].iloc[0]}"
    labels = {method.label for method in seeds[0]}
    records.only(records.runs["run"][records.runs["label"].isin(labels)]).save(place)
    with atomic_path(place / "slider.parquet") as path:
        table.to_parquet(path, engine="pyarrow", index=False)
    columns = ["by", "setting", "source", "conv_compression", "test_accuracy", "lowest", "highest", "latency_128_ms"]
    print(table[columns].to_string())
    print(f"record: {place}")


def retruncations(
    seeds: Sequence[Mapping[Method, nn.Module]],
    data: ImageData,
    settings: Mapping[str, Sequence[float]] | None = None,
    *,
    progress: bool = False,
) -> pd.DataFrame:
    """One row for each setting of the compression and of the tolerance: sizes, test accuracy, time of an answer.

    At each setting stands the trained network with the nearest setting at or below it, cut to the setting; dense
    networks count as trained at 0. Networks trained for every size are cut to each compression. Settings that no
    network can be cut to are left out. The columns are those of `tuckerlab.experiments.size_table.Size`.
    """
    asked = [(by, float(value)) for by, values in (settings or SETTINGS).items() for value in values]
    asked += [("nested", value) for by, value in asked if by == "compression"]
    sizes = (_networks(seeds, data, *one) for one in tqdm(asked, desc="sizes between", disable=not progress))
    return measured(filter(None, sizes), data)


def _networks(seeds: Sequence[Mapping[Method, nn.Module]], data: ImageData, by: str, setting: float) -> Networks | None:
    """The networks of a setting; None where it cannot be had."""
    policy: RankPolicy = Tolerance(setting) if by == "tolerance" else Budget(setting)
    trained = [(at, c) for c in seeds[0] if (at := _trained_at(c, by)) is not None and at <= setting + 1e-9]
    if not trained:
        return None
    start, source = max(trained, key=lambda pair: pair[0])
    is_trained = by != "nested" and abs(start - setting) < 1e-9
    images = data.sample() if by == "nested" else None
    try:
        models = [networks[source] if is_trained else cut(networks[source], policy, images) for networks in seeds]
    except RankError:
        return None
    return Networks(by, setting, source.label, is_trained, models)


def _trained_at(method: Method, by: str) -> float | None:
    """The setting that a network was trained at; None where it is of another kind."""
    ranks = method.ranks
    if by == "nested":
        return ranks.compression if isinstance(ranks, Nested) else None
    if method.name == "dense":
        return 0.0
    if by == "compression" and isinstance(ranks, Budget) and not isinstance(ranks, Nested):
        return ranks.compression
    return ranks.tau if by == "tolerance" and isinstance(ranks, Tolerance) else None


if __name__ == "__main__":
    script.run(main)
