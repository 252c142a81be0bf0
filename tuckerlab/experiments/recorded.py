"""Recorded results: runs that took a GPU or an hour, loaded and drawn by name.

They lie in `data/results` of the checkout; each row says on what hardware, with which versions, seed and commit it
was measured (`recorded(name).records.runs`).
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tuckerlab.errors import DataError

if TYPE_CHECKING:
    from tuckerlab.experiments.proof import Proof

FOLDER = Path(__file__).resolve().parents[2] / "data" / "results"


def names() -> list[str]:
    """The recorded results that there are."""
    return sorted(path.parent.name for path in FOLDER.glob("*/runs.parquet"))


def recorded(name: str) -> "Proof":
    """A recorded result: shown in a notebook it is the finding and the table; `figures` has its pictures.

    `name` may be the beginning of one. Raises DataError for a name that fits none or several.
    """
    from tuckerlab.experiments.proof import Proof  # here: names and folders are found without torch
    from tuckerlab.experiments.records import Records

    folder = found_folder(name)
    return Proof(Records.load(folder), folder)


def run_folder(run: str | os.PathLike[str]) -> Path:
    """The folder that a run is: a path, or the name of a recorded result."""
    return path if (path := Path(run)).is_dir() else found_folder(str(run))


def found_folder(name: str) -> Path:
    """The folder of a recorded result."""
    known = names()
    found = [name] if name in known else [other for other in known if other.startswith(name)]
    if len(found) != 1:
        there = ", ".join(known) or f"none; they come with a checkout of the project, in {FOLDER}"
        raise DataError(f"recorded result or folder {name!r}: {len(found) or 'none'} of that name; there are {there}")
    return FOLDER / found[0]
