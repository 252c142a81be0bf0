"""A run folder as later commands need it: the record, and the networks and images behind its rows.

`poc` and the training panel leave the networks beside the record, what trains several seeds in a folder for each.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

from tuckerlab.data import ImageData, load_data
from tuckerlab.errors import DataError
from tuckerlab.experiments.context import UNFINISHED
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.records import Records
from tuckerlab.training.checkpoint import load


@dataclass(frozen=True)
class RunFolder:
    """The record of a folder, and the way to what lies beside it. Networks go by their labels."""

    path: Path
    records: Records

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "RunFolder":
        """Reads the record; DataError where there is none, or it is of several data sets or networks."""
        folder = Path(path)
        if any(folder.rglob(f"*{UNFINISHED}")) and not (folder / "runs.parquet").exists():
            raise DataError(f"{path}: its training was cut off; give the command that began it again, and it goes on")
        records = Records.load(folder)
        for column in ("dataset", "model"):
            if len(found := sorted(set(records.runs[column]))) != 1:
                raise DataError(f"{path}: needs runs of one {column}, has {', '.join(found) or 'none'}; give another")
        return cls(folder, records)

    @property
    def labels(self) -> list[str]:
        """The networks, in the order of the record."""
        return list(dict.fromkeys(self.records.runs["label"]))

    @property
    def dense(self) -> str | None:
        """The label of the full network; None where the folder has no reference."""
        runs = self.records.runs
        return next(iter(runs.loc[runs["method"] == "dense", "label"]), None)

    @property
    def small(self) -> str | None:
        """The label of the smallest network in Tucker format; None without any."""
        runs = self.records.runs
        sizes = runs[runs["method"] == "tucker"].groupby("label", sort=False)["parameters"].mean()
        return str(sizes.idxmin()) if len(sizes) else None

    def rows(self, label: str) -> pd.DataFrame:
        """The rows of a network, one for each seed, the first seed first; DataError for a label that is not there."""
        runs = self.records.runs
        if label not in self.labels:
            raise DataError(f"{self.path}: there is no network {label!r}; there are {', '.join(self.labels)}")
        return runs[runs["label"] == label].sort_values("seed")

    def checkpoint(self, label: str, seed: int | None = None) -> Path:
        """The file of a network: of its first seed, if not of another. DataError where it is missing."""
        seeds = self.rows(label)["seed"].tolist()
        seed = seeds[0] if seed is None else seed
        if seed not in seeds:
            raise DataError(f"{self.path}: {label} has no seed {seed}; there are {', '.join(map(str, seeds))}")
        file = Path(f"{in_file_names(label)}.safetensors")
        for place in ([self.path / file] if len(seeds) == 1 else []) + [self.path / f"seed{seed}" / file]:
            if place.is_file():
                return place
        raise DataError(
            f"{self.path}: the network {label!r} is not there ({file}); records alone cannot be exported or audited: "
            "give the folder of a run, or run it again"
        )

    def network(self, label: str, seed: int | None = None) -> nn.Module:
        """A trained network on the CPU, in eval mode. DataError where there is none, CheckpointError for a bad file."""
        return load(self.checkpoint(label, seed)).model.eval()

    def data(self) -> ImageData:
        """The images that the networks were trained on; DataError if they are gone or have changed since."""
        row = self.records.runs.iloc[0]
        settings = json.loads(row["settings"] or "{}")
        spec, wanted = settings.get("spec", {}), settings.get("data")
        data = load_data(row["dataset"], image_size=spec.get("image_size"), grey=spec.get("in_channels", 3) == 1)
        if wanted is not None and data.fingerprint != wanted:
            said = f"{row['dataset']}: the images are not those that {self.path} was trained on"
            raise DataError(f"{said}; put those back, or train again")
        return data
