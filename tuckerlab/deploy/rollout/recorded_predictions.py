"""What several networks answer to the test pictures, recorded: the requests that roll-outs are simulated with.

>>> answers = Recorded.open("digits")
>>> answers.networks, len(answers.labels)
(('dense', 'Tucker 90 %'), 359)
>>> traffic = answers.traffic("Tucker 90 %")
>>> 0 <= traffic.differing <= 100
True

`benchmarks/answers.py` writes them from a run folder.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from tuckerlab.deploy.rollout.traffic import Traffic
from tuckerlab.errors import DataError
from tuckerlab.experiments.recorded import FOLDER
from tuckerlab.files import atomic_path

PLACE = FOLDER / "answers"
LABEL = "label"
ANSWER = "answer of "


@dataclass(frozen=True)
class Recorded:
    """The right classes and the answers of each network, in one table, and where they come from."""

    name: str
    table: pd.DataFrame

    @classmethod
    def open(cls, name: str) -> "Recorded":
        """Recorded answers by name; DataError for a name that there is none of, or a broken file."""
        if name not in recorded_answers():
            raise DataError(f"recorded answers {name!r}: there are {', '.join(recorded_answers()) or 'none'}")
        try:
            table = pd.read_parquet(PLACE / f"{name}.parquet", engine="pyarrow")
        except (OSError, ValueError) as error:
            raise DataError(f"{name}: no recorded answers ({str(error).splitlines()[0]})") from None
        if LABEL not in table or not any(str(column).startswith(ANSWER) for column in table) or table.empty:
            raise DataError(f"{name}: no recorded answers (its columns are {', '.join(map(str, table.columns))})")
        return cls(name, table)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks, the full one first."""
        return tuple(str(c).removeprefix(ANSWER) for c in self.table if str(c).startswith(ANSWER))

    @property
    def labels(self) -> list[int]:
        """The right classes."""
        return [int(label) for label in self.table[LABEL]]

    @property
    def origin(self) -> dict[str, Any]:
        """Data set, network, seed, hardware, versions, commit and date of what was measured."""
        columns = [c for c in self.table if c != LABEL and not str(c).startswith(ANSWER)]
        return {str(name): value for name, value in self.table[columns].iloc[0].items()}

    def traffic(self, new: str, old: str = "dense") -> Traffic:
        """Requests that both networks answer; DataError for a network that is not there."""
        for label in (old, new):
            if label not in self.networks:
                raise DataError(f"{self.name}: there is no network {label!r}; there are {', '.join(self.networks)}")
        columns = self.table[f"{ANSWER}{old}"].to_numpy(int), self.table[f"{ANSWER}{new}"].to_numpy(int)
        return Traffic.of(*columns, self.table[LABEL].to_numpy(int), int(self.table["classes"].iloc[0]))


def recorded_answers() -> list[str]:
    """The names of what is recorded.

    >>> "digits" in recorded_answers()
    True
    """
    return sorted(path.stem for path in PLACE.glob("*.parquet"))


def write(
    path: str | os.PathLike[str], labels: list[int], answers: dict[str, list[int]], classes: int, origin: dict[str, Any]
) -> None:
    """Writes answers to a Parquet file, with where they come from beside each row.

    >>> import tempfile
    >>> write(Path(tempfile.mkdtemp()) / "made-up.parquet", [1, 0], {"dense": [1, 1]}, 2, {"dataset": "made up"})
    """
    table = pd.DataFrame({LABEL: labels} | {f"{ANSWER}{name}": given for name, given in answers.items()}, dtype="int16")
    table = table.assign(classes=classes, **origin)
    with atomic_path(Path(path)) as temporary:
        table.to_parquet(temporary, engine="pyarrow", index=False)
