"""Requests as they come: how often the answers of two networks are alike, lost or gained, and what becomes known.

Requests are drawn from a test split with replacement: what the networks answer is real, that the next request is like
the last is assumed. The answers of networks to test pictures are recorded (`benchmarks/answers.py` writes them).
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
import pandas as pd

from tuckerlab.deploy.rollout.anytime_test import Answers
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.experiments.run_folder import FOLDER

PLACE = FOLDER / "answers"
LABEL, ANSWER = "label", "answer of "  # columns of a record; of each network one that begins so


class Truth(IntEnum):
    """What a request is in truth, known or not."""

    alike_right, alike_wrong, lost, gained, both_wrong = range(5)


@dataclass(frozen=True)
class Traffic:
    """How likely a request is each kind of `Truth`, and which of the truth is known later.

    `labelled` is the share of requests whose label arrives, `delay` the days until then, `requests_a_day` all requests,
    whoever answers them.
    """

    chances: tuple[float, ...]
    classes: int
    labelled: float = 1.0
    delay: float = 0.0
    requests_a_day: float = 10_000.0

    def __post_init__(self) -> None:
        for name, least, most in (("labelled", 0, 1), ("delay", 0, 365), ("requests_a_day", 1, 1e9)):
            if not least <= getattr(self, name) <= most:
                raise TuckerlabError(f"{name} {getattr(self, name)!r}: allowed are numbers from {least} to {most:,.0f}")

    @classmethod
    def of(cls, old: Answers, new: Answers, labels: Answers, classes: int) -> "Traffic":
        """Requests like those of a test split, all of whose labels are known; TuckerlabError where they do not fit."""
        before, now, right = map(np.asarray, (old, new, labels))
        if not before.shape == now.shape == right.shape or not right.size or right.min() < 0:
            raise TuckerlabError("requests are drawn from a test split: give its answers with a label for each")
        alike, was, holds = before == now, before == right, now == right
        kinds = (alike & holds, alike & ~holds, was & ~alike, holds & ~alike, ~(alike | was | holds))
        return cls(tuple(float(kind.mean()) for kind in kinds), classes)

    @property
    def loss(self) -> float:
        """How much less often the new network is right, in points."""
        return 100 * (self.chances[Truth.lost] - self.chances[Truth.gained])

    @property
    def differing(self) -> float:
        """The share of the requests that are answered differently, in per cent."""
        return 100 * (1 - self.chances[Truth.alike_right] - self.chances[Truth.alike_wrong])

    def balanced(self) -> "Traffic":
        """The same with as many answers gained as lost: networks that differ, and are right equally often."""
        alike_right, alike_wrong, lost, gained, both_wrong = self.chances
        half = (lost + gained) / 2
        return replace(self, chances=(alike_right, alike_wrong, half, half, both_wrong))

    def with_loss(self, points: float) -> "Traffic":
        """The same with a fault: so many points of right answers of the new network become any other class.

        Raises TuckerlabError for more than the network has.
        """
        alike_right, alike_wrong, lost, gained, both_wrong = self.chances
        right = alike_right + gained
        if not 0 <= points <= 100 * right:
            raise TuckerlabError(
                f"a loss of {points!r} points: from 0 to {100 * right:.1f}, what the network has right"
            )
        fault = points / 100 / right if right else 0.0
        like_old = gained * fault / (self.classes - 1)  # by chance the wrong class that the old network names
        chances = (
            alike_right * (1 - fault), alike_wrong + like_old, lost + alike_right * fault, gained * (1 - fault),
            both_wrong + gained * fault - like_old,
        )  # fmt: skip
        return replace(self, chances=chances)


@dataclass(frozen=True)
class Recorded:
    """The right classes and the answers of each network to the test pictures, in one table.

    >>> Recorded.open("digits").networks
    ('dense', 'Tucker 90 %')
    """

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
        return cls(name, table)

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks, the full one first."""
        return tuple(str(c).removeprefix(ANSWER) for c in self.table if str(c).startswith(ANSWER))

    def traffic(self, new: str) -> Traffic:
        """Requests that the full network and another answer; DataError for a network that is not there."""
        if new not in self.networks:
            raise DataError(f"{self.name}: there is no network {new!r}; there are {', '.join(self.networks)}")
        before, now, labels = (self.table[c].to_numpy(int) for c in (f"{ANSWER}dense", f"{ANSWER}{new}", LABEL))
        return Traffic.of(before, now, labels, int(self.table["classes"].iloc[0]))


def recorded_answers() -> list[str]:
    """The names of what is recorded."""
    return sorted(path.stem for path in PLACE.glob("*.parquet"))
