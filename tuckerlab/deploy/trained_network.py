"""A trained network taken out of a run, and what a receiver must know of it.

>>> network = build("vgg_small", num_classes=6, in_channels=1, image_size=64, width=0.25)
>>> found = Trained(network, "Tucker 90 %", Path("runs/mine"))  # or Trained.find("runs/mine")
>>> found.slug, found.metadata["input"]
('tucker-90', 'float32, N × 1 × 64 × 64, normalised as in training')
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tuckerlab.data import ImageData
from tuckerlab.errors import DataError
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.training.checkpoint import load
from tuckerlab.training.models import build
from tuckerlab.training.provenance import provenance

IMAGES = 8  # as examples


@dataclass(frozen=True)
class Trained:
    """A network in eval mode, its label, the folder it was found in, its seed and commit, and the data it knows.

    data: None for a checkpoint that lies in no run folder, which does not know its data.
    """

    network: nn.Module
    label: str
    folder: Path
    data: ImageData | None = None
    seed: int | None = None
    commit: str = "unknown"
    several: bool = False  # whether there are other seeds

    @classmethod
    def find(cls, run: str | os.PathLike[str], label: str | None = None, seed: int | None = None) -> "Trained":
        """The network of a run folder, by label and seed, or that of a checkpoint file in one or elsewhere.

        >>> Trained.find("no/such/run")
        Traceback (most recent call last):
            ...
        tuckerlab.errors.DataError: no/such/run: there is no such folder; give one that tuckerlab poc has left

        Without a label it is the smallest network in Tucker format. Raises DataError or CheckpointError.
        """
        path = Path(run)
        if path.is_file():
            return cls._of_file(path, label, seed)
        folder = RunFolder.open(path)
        label = label or folder.small
        if label is None:
            known = ", ".join(folder.labels)
            raise DataError(f"{path}: no network in Tucker format; give --network and one of {known}")
        return cls._of_run(folder, label, seed)

    @classmethod
    def _of_file(cls, path: Path, label: str | None, seed: int | None) -> "Trained":
        if label is not None or seed is not None:
            raise DataError(f"{path}: is one network already; give its folder to choose a network or a seed")
        place, number = path.parent, None
        here = path.absolute().parent  # a relative path may begin in the folder itself
        if not (place / "runs.parquet").exists() and (of_seed := re.fullmatch(r"seed(\d+)", here.name)):
            place, number = here.parent, int(of_seed[1])
        if (place / "runs.parquet").exists():
            folder = RunFolder.open(place)
            for known in folder.labels:
                if in_file_names(known) == path.stem and _is_there(folder, known, number, path):
                    return cls._of_run(folder, known, number)
        return cls(load(path).model.eval(), path.stem, path.parent)

    @classmethod
    def _of_run(cls, folder: RunFolder, label: str, seed: int | None) -> "Trained":
        network, rows = folder.network(label, seed), folder.rows(label)
        row = rows.iloc[0] if seed is None else rows[rows["seed"] == seed].iloc[0]
        place = int(row["seed"]), str(row["commit"]), len(rows) > 1
        return cls(network, label, folder.path, folder.data(), *place)

    @property
    def slug(self) -> str:
        """Its name in the names of files."""
        return in_file_names(self.label) + (f"-seed{self.seed}" if self.several else "")

    @property
    def spec(self) -> dict[str, Any]:
        """As `build` takes it."""
        return dict(self.network.spec)  # type: ignore[arg-type]

    @property
    def dense_bytes(self) -> int:
        """Bytes of the weights of the same network uncompressed, four a number."""
        with torch.device("meta"):
            return 4 * sum(parameter.numel() for parameter in build(**self.spec).parameters())

    @property
    def images(self) -> Tensor:
        """A few test images, normalised as in training; random numbers without the data."""
        if self.data is not None:
            return self.data.normalize(self.data.test_images[:IMAGES])
        side = self.spec["image_size"]
        return torch.randn(IMAGES, self.spec["in_channels"], side, side, generator=torch.Generator().manual_seed(0))

    @property
    def metadata(self) -> dict[str, str]:
        """What goes with the file: input and output, classes, where the network comes from, versions."""
        spec, here = self.spec, provenance("cpu")
        shape = f"float32, N × {spec['in_channels']} × {spec['image_size']} × {spec['image_size']}"
        known = self.data is not None
        return {
            "input": f"{shape}, pixels from 0 to 255" if known else f"{shape}, normalised as in training",
            "output": f"N × {spec['num_classes']}: a score for each class, the highest is the answer",
            "classes": json.dumps(self.data.classes if self.data is not None else None, ensure_ascii=False),
            "dataset": self.data.name if self.data is not None else "unknown",
            "model": json.dumps(spec),
            "network": self.label,
            "run": self.folder.name,
            "seed": "unknown" if self.seed is None else str(self.seed),
            "commit": self.commit,
            "tuckerlab": str(here["tuckerlab"]),
            "torch": str(here["torch"]),
            "date": str(here["date"]),
        }


def _is_there(folder: RunFolder, label: str, seed: int | None, path: Path) -> bool:
    """Whether the record means this file by a label and a seed: not one that another training has left beside it."""
    try:
        return folder.checkpoint(label, seed).samefile(path)
    except DataError:
        return False
