"""A run folder: the record with its tables and pictures, and the networks and images behind its rows.

Results that took a GPU or an hour lie in `data/results` of the checkout, and are found there by name.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pandas as pd
from rich.console import Console
from torch import nn

from tuckerlab.data import ImageData, load_data
from tuckerlab.errors import DataError
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.setup import UNFINISHED
from tuckerlab.experiments.standings import rich_standings, standings
from tuckerlab.experiments.summary import OURS, finding
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import Picture
from tuckerlab.training.checkpoint import load

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results"


@dataclass(frozen=True)
class RunFolder:
    """What an experiment leaves behind: the record, and the folder with all else. Networks go by their labels."""

    records: Records
    folder: Path

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Self:
        """Reads the record; DataError where there is none, or it is of several data sets or networks."""
        folder = found_folder(path)
        if any(folder.rglob(f"*{UNFINISHED}")) and not (folder / "runs.parquet").exists():
            raise DataError(f"{path}: its training was cut off; give the command that began it again, and it goes on")
        records = Records.load(folder)
        for column in ("dataset", "model"):
            if len(found := sorted(set(records.runs[column]))) != 1:
                raise DataError(f"{path}: needs runs of one {column}, has {', '.join(found) or 'none'}; give another")
        return cls(records, folder)

    @property
    def shown(self) -> Records:
        """What the tables show."""
        return self.records

    @property
    def finding(self) -> str:
        return finding(self.records)

    @property
    def remarks(self) -> list[str]:
        """What has to be known beside the table."""
        return [note for note in self.records.runs["note"].unique() if note]

    @property
    def figures(self) -> dict[str, Picture]:
        return figures(self.records)

    def _repr_html_(self) -> str:
        return f"<p><b>{self.finding}</b></p>{standings(self.shown).to_html(border=0)}"

    @property
    def labels(self) -> list[str]:
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
        sizes = runs[runs["method"].isin(OURS)].groupby("label", sort=False)["parameters"].mean()
        return str(sizes.idxmin()) if len(sizes) else None

    def rows(self, label: str) -> pd.DataFrame:
        """The rows of a network, one for each seed; DataError for a label that is not there."""
        runs = self.records.runs
        if label not in self.labels:
            raise DataError(f"{self.folder}: there is no network {label!r}; there are {', '.join(self.labels)}")
        return runs[runs["label"] == label].sort_values("seed")

    def checkpoint(self, label: str, seed: int | None = None) -> Path:
        """The file of a network: of its first seed, if not of another. DataError where it is missing."""
        seeds = self.rows(label)["seed"].tolist()
        seed = seeds[0] if seed is None else seed
        file = f"{in_file_names(label)}.safetensors"
        places = [self.folder / f"seed{seed}" / file, *([self.folder / file] if seeds == [seed] else [])]
        for place in places:
            if place.is_file():
                return place
        raise DataError(
            f"{self.folder}: {label!r} of seed {seed} is not there ({file}); records alone cannot be exported or "
            f"audited: give the folder of a run, or run it again; seeds in the record: {', '.join(map(str, seeds))}"
        )

    def network(self, label: str, seed: int | None = None) -> nn.Module:
        """A trained network on the CPU, in eval mode."""
        return load(self.checkpoint(label, seed)).model.eval()

    def data(self) -> ImageData:
        """The images that the networks were trained on; DataError if they are gone or have changed since."""
        row = self.records.runs.iloc[0]
        settings = json.loads(row["settings"] or "{}")
        spec, wanted = settings.get("spec", {}), settings.get("data")
        data = load_data(row["dataset"], image_size=spec.get("image_size"), grey=spec.get("in_channels", 3) == 1)
        if wanted is not None and data.fingerprint != wanted:
            raise DataError(f"{row['dataset']}: not the images that {self.folder} was trained on; put those back")
        return data

    def show(self) -> None:
        """Prints the table, the result in one line, what has to be known beside it, and where to look next."""
        console = Console(soft_wrap=True, highlight=False)
        console.print(rich_standings(self.shown), soft_wrap=False)
        if self.finding:
            console.print(f"[bold]{self.finding}[/bold]")
        for remark in self.remarks:
            console.print(remark, markup=False)
        console.print(f"record, checkpoints and pictures: {self.folder}")
        if pictures := sorted(self.folder.glob("*.png")):
            console.print(f"to look at first: {pictures[0]}")
        console.print("to go on: make lab opens the course")


def names() -> list[str]:
    """Of all recorded results."""
    return sorted(path.parent.name for path in FOLDER.glob("*/runs.parquet"))


def recorded(name: str) -> RunFolder:
    """A recorded result: shown in a notebook it is the finding and the table; `figures` has its pictures.

    `name` may be the beginning of one. Raises DataError for a name that fits none or several.
    """
    folder = found_folder(name)
    return RunFolder(Records.load(folder), folder)


def found_folder(run: str | os.PathLike[str]) -> Path:
    """The folder that a run is: a path, or the name of a recorded result or its beginning; DataError otherwise."""
    if (path := Path(run)).is_dir():
        return path
    known, name = names(), str(run)
    found = [name] if name in known else [other for other in known if other.startswith(name)]
    if len(found) != 1:
        there = ", ".join(known) or f"none; they come with a checkout of the project, in {FOLDER}"
        said = N_("recorded result or folder {name!r}: {count} of that name; there are {there}")
        raise DataError(_(said, name=name, count=len(found), there=there))
    return FOLDER / found[0]
