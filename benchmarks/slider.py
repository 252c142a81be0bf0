"""Networks at many sizes for the instant slider of the course, as a committed record.

    python benchmarks/slider.py digits
    python benchmarks/slider.py folder:neu_steel --image-size 64
    python benchmarks/slider.py cifar10 --networks runs/headline-…/seed0 --record data/results/headline-cpu

Trains a dense network and Tucker networks at several targets and tolerances, and cuts them to the sizes between; with
--networks it takes the networks of a finished run instead of training. The record goes to data/results/, with the table
of all sizes (slider.parquet) and, for digits, the dense network. An interrupted call goes on.
"""

import argparse
import shutil
from pathlib import Path

import script

from tuckerlab import Budget, Tolerance, load, load_data
from tuckerlab.errors import DataError
from tuckerlab.experiments.contest import contest
from tuckerlab.experiments.methods.base import Dense, Tucker
from tuckerlab.experiments.proof import arranged
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.retruncation import retruncations
from tuckerlab.files import atomic_path
from tuckerlab.training.device import resolve_device
from tuckerlab.training.provenance import provenance

COMPRESSIONS, TOLERANCES = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98), (0.1, 0.2, 0.3, 0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset")
    parser.add_argument("--image-size", type=int)
    parser.add_argument("--model", default="vgg_small")
    parser.add_argument("--epochs", type=script.positive)
    parser.add_argument("--optimizer", help="muon, sgd or adamw; the records there are were trained with sgd")
    parser.add_argument("--lr", type=float)
    parser.add_argument("--networks", type=Path, help="a folder with trained networks (*.safetensors)")
    parser.add_argument("--record", type=Path, help="the record of these networks")
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--results", type=Path, default=Path("data/results"))
    options = parser.parse_args()
    contenders = [Dense()]
    contenders += [Tucker(Budget(rate)) for rate in COMPRESSIONS]
    contenders += [Tucker(Tolerance(tau)) for tau in TOLERANCES]
    data = load_data(options.dataset, image_size=options.image_size)
    if options.networks is None:
        given = {
            name: getattr(options, name) for name in ("dataset", "image_size", "model", "epochs", "optimizer", "lr")
        }
        arena = arranged(contenders, **given, device="cpu")
        folder = options.out / f"slider-{Path(data.name).name.replace(':', '-')}-{options.model}"
        records = contest(contenders, arena, folder)
    else:
        folder = options.networks
        records = Records.load(options.record or folder)
    files = {contender: folder / f"{contender.slug}.safetensors" for contender in contenders}
    networks = {contender: load(file).model for contender, file in files.items() if file.exists()}
    if not networks:
        raise DataError(f"{folder}: no trained networks there; expected dense.safetensors, tucker-90.safetensors, …")
    table = retruncations(networks, data, progress=True)
    for name, value in provenance(resolve_device("cpu")).items():
        table[name] = value
    place = options.results / f"slider-{Path(data.name).name.replace(':', '-')}-{records.runs['model'].iloc[0]}"
    labels = {contender.label for contender in networks}
    records.only(records.runs["run"][records.runs["label"].isin(labels)]).save(place)
    with atomic_path(place / "slider.parquet") as path:
        table.to_parquet(path, engine="pyarrow", index=False)
    if data.name == "digits":  # the course shows kernels of it
        shutil.copyfile(files[contenders[0]], place / "dense.safetensors")
    columns = ["by", "setting", "source", "conv_compression", "test_accuracy", "latency_1_ms", "latency_128_ms"]
    print(table[columns].to_string())
    print(f"record: {place}")


if __name__ == "__main__":
    script.run(main)
