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
        if not folder.is_dir():
            raise DataError(f"{path}: there is no such folder; give one that tuckerlab poc has left")
        if any(folder.rglob(f"*{UNFINISHED}")) and not (folder / "runs.parquet").exists():
            raise DataError(f"{path}: its training was cut off; give the command that began it again, and it goes on")
        records = Records.load(folder)
        for column in ("dataset", "model"):
            if len(found := sorted(set(records.runs[column]))) > 1:
                raise DataError(f"{path}: holds runs of several kinds ({column}: {', '.join(found)}); give one of them")
        if records.runs.empty:
            raise DataError(f"{path}: its record has no runs; run again")
        return cls(folder, records)

    @property
    def labels(self) -> list[str]:
        """The networks, in the order of the record."""
        return list(dict.fromkeys(self.records.runs["label"]))

    @property
    def dense(self) -> str | None:
        """The label of the full network; None where the folder has no reference."""
        return next(iter(self._of_method("dense")), None)

    @property
    def small(self) -> str | None:
        """The label of the smallest network in Tucker format; None without any."""
        found = self._of_method("tucker")
        sizes = self.records.runs.groupby("label")["parameters"].mean()
        return min(found, key=lambda label: float(sizes[label]), default=None)

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
        name = f"{in_file_names(label)}.safetensors"
        places = [self.path / f"seed{seed}" / name]
        if len(seeds) == 1:
            places.insert(0, self.path / name)
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise DataError(
                f"{self.path}: the network {label!r} is not there ({places[-1].relative_to(self.path)}); records "
                "alone cannot be exported or audited: give the folder of a run, or run it again"
            )
        return found

    def network(self, label: str, seed: int | None = None) -> nn.Module:
        """A trained network on the CPU, in eval mode. DataError where there is none, CheckpointError for a bad file."""
        return load(self.checkpoint(label, seed)).model.eval()

    def data(self) -> ImageData:
        """The images that the networks were trained on; DataError if they are gone or have changed since."""
        row = self.records.runs.iloc[0]
        settings = json.loads(row["settings"]) if row["settings"] else {}
        spec, wanted = settings.get("spec", {}), settings.get("data")
        data = load_data(row["dataset"], image_size=spec.get("image_size"), grey=spec.get("in_channels", 3) == 1)
        if wanted is not None and data.fingerprint != wanted:
            raise DataError(
                f"{row['dataset']}: the images are not those that {self.path} was trained on; put those back, or "
                "train again"
            )
        return data

    def _of_method(self, method: str) -> list[str]:
        runs = self.records.runs
        return list(dict.fromkeys(runs.loc[runs["method"] == method, "label"]))
