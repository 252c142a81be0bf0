"""What the money rests on: each assumption a range with its unit and its origin, entered, measured, or a default.

A number alone is one that you know; three are low, likely and high. Nothing is converted between currencies: there are
default prices in dollars and in yen, and under any other symbol stand the numbers of dollars until you enter your own.
"""

import dataclasses
import json
import math
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.tables import table
from tuckerlab.errors import TuckerlabError, is_number, is_whole
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _

DEFAULT, ENTERED = "default", "entered"
MOST_YEARS = 20
CURRENCY = re.compile(r"(?:[^\W\d_]|[$\u00a2-\u00a5\u20a0-\u20cf]){1,3}\.?")  # letters and signs of currencies
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
LEADING = ("answers_a_day", "server_hour", "day_rate", "devices")
"""What a manager changes first."""


class Range(NamedTuple):
    """A number that nobody knows exactly: `likely`, and the `low` and `high` it should lie between."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """So many times as much, at both ends and in the middle."""
        return Range(self.low * factor, self.likely * factor, self.high * factor)


@dataclass(frozen=True)
class Kind:
    """An assumption in words, its default with its reason and as a price in yen, and the numbers that are allowed."""

    name: str
    unit: str
    why: str
    default: Range
    most: float
    least: float = 0.0
    yen: Range | None = None


KINDS = {
    key: Kind(**row | {name: Range(*row[name]) for name in ("default", "yen") if name in row})
    for key, row in table("assumptions").items()
}


@dataclass(frozen=True)
class Assumption:
    """One assumption; `origin` is "default", "entered", or what a measured one was measured in."""

    key: str
    low: float
    likely: float
    high: float
    origin: str = ENTERED

    def __post_init__(self) -> None:
        if self.key not in KINDS:
            raise TuckerlabError(
                f"there is no assumption {self.key!r}; there are {', '.join(KINDS)}, and currency and years"
            )
        kind = KINDS[self.key]
        for value in self.range:
            if not is_number(value) or not math.isfinite(value) or not kind.least <= value <= kind.most:
                raise _refused(self.key, value, f"allowed are numbers from {kind.least:g} to {kind.most:,g}")
        if not self.low <= self.likely <= self.high:
            raise _refused(self.key, self.said, "low must not be above likely, nor likely above high")

    @classmethod
    def of(cls, key: str, value: Any) -> "Assumption":
        """From one number that is known, or from (low, likely, high). TuckerlabError for what cannot be."""
        if not isinstance(value, list | tuple):
            return cls(key, value, value, value)
        if len(value) != 3:
            raise _refused(key, value, "allowed is one number, or three: low, likely and high")
        return cls(key, *value)

    @property
    def range(self) -> Range:
        return Range(self.low, self.likely, self.high)

    @property
    def name(self) -> str:
        return _(KINDS[self.key].name)

    @property
    def said(self) -> str:
        """The range as people read and enter it: one number where it is known."""
        return " / ".join(map(plain, (self.likely,) if self.low == self.high else self.range))

    @property
    def said_origin(self) -> str:
        """Where it comes from, and for a default why it is that."""
        if self.origin == DEFAULT:
            return _("default: {why}", why=_(KINDS[self.key].why))
        return _("entered by you") if self.origin == ENTERED else _("measured in {run}", run=self.origin)


@dataclass(frozen=True)
class Assumptions:
    """All assumptions, the currency and the years that the case is looked at for; what is not given has its default."""

    given: Mapping[str, Assumption] = field(default_factory=dict)
    currency: str = "$"
    years: int = 3

    def __post_init__(self) -> None:
        if not is_whole(self.years) or not 1 <= self.years <= MOST_YEARS:
            raise TuckerlabError(f"years {self.years!r}: allowed are whole numbers from 1 to {MOST_YEARS}")
        if not isinstance(self.currency, str) or not CURRENCY.fullmatch(self.currency):
            raise TuckerlabError(
                f"currency {self.currency!r}: allowed are one to three letters or currency signs, as $, ¥ or CHF"
            )

    def __getitem__(self, key: str) -> Assumption:
        if key in self.given:
            return self.given[key]
        kind = KINDS[key]
        low, likely, high = kind.yen if kind.yen and self.currency == "¥" else kind.default
        return Assumption(key, low, likely, high, DEFAULT)

    def __iter__(self) -> Iterator[Assumption]:
        return (self[key] for key in KINDS)

    def unit(self, key: str) -> str:
        """The unit of an assumption, with the currency in it where it is a price."""
        return _(KINDS[key].unit, currency=self.currency)

    def amount(self, value: float) -> str:
        """An amount of money in three digits; no cents of yen, and none where there are tens."""
        value = float(f"{value:.3g}")
        decimals = 0 if self.currency == "¥" or abs(value) >= 10 or value == 0 else 2
        sign = "−" if round(value, decimals) < 0 else ""
        return f"{sign}{self.currency}{abs(value):,.{decimals}f}"

    def entered(self, **values: Any) -> "Assumptions":
        """With other numbers: each one number, or (low, likely, high). TuckerlabError for what cannot be."""
        return self.with_given({key: Assumption.of(key, value) for key, value in values.items()})

    def measured(self, values: Mapping[str, Measured]) -> "Assumptions":
        """With measured numbers in the place of defaults; what was entered stays."""
        free = {key: found for key, found in values.items() if self[key].origin != ENTERED}
        return self.with_given({key: Assumption(key, it.low, it.value, it.high, it.origin) for key, it in free.items()})

    def with_given(self, fresh: Mapping[str, Assumption]) -> "Assumptions":
        """With others in the place of these."""
        return dataclasses.replace(self, given={**self.given, **fresh})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Assumptions":
        """From a file of TOML: names with one number or [low, likely, high], and `currency` and `years`.

        Raises TuckerlabError, which names the file, for one that is not there or cannot be.
        """
        if not Path(path).is_file():
            raise TuckerlabError(f"{path}: there is no such file of assumptions")
        try:
            told = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            settings = {name: told.pop(name) for name in ("currency", "years") if name in told}
            return cls(**settings).entered(**told)
        except TuckerlabError as error:
            raise TuckerlabError(f"{path}: {error}") from None
        except ValueError as error:
            raise TuckerlabError(f"{path}: cannot be read as assumptions ({str(error).splitlines()[0]})") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """What was entered, as a file that `load` reads."""
        told: dict[str, Any] = {"currency": self.currency, "years": self.years}
        told |= {key: list(one.range) for key, one in self.given.items() if one.origin == ENTERED}
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in told.items())
        with atomic_path(path) as temporary:
            temporary.write_text(lines, encoding="utf-8")


def scaled(assumption: Assumption, likely: float) -> Assumption:
    """The same assumption about another likely value, as far apart as before in proportion; 0 is exactly 0."""
    kind, factor = KINDS[assumption.key], likely / assumption.likely if assumption.likely else 1.0
    low, high = (min(max(end * factor, kind.least), kind.most) for end in (assumption.low, assumption.high))
    return Assumption(assumption.key, min(low, likely), likely, max(high, likely) if likely else likely)


def parsed(key: str, said: str) -> Assumption:
    """An assumption as people type it: one number, or low / likely / high. TuckerlabError says how to write it."""
    parts = [part.strip() for part in said.split("/")]
    try:
        if any("," in part and not THOUSANDS.fullmatch(part) for part in parts):
            raise ValueError
        values = [float(part.replace(",", "")) for part in parts]
    except ValueError:
        how = "write one number, or three: low / likely / high; a comma only parts thousands, as in 1,500.5"
        raise _refused(key, said, how) from None
    return Assumption.of(key, values if len(values) > 1 else values[0])


def _refused(key: str, given: object, allowed: str) -> TuckerlabError:
    """The error of an assumption, which names it for people and for files."""
    name = f"{_(KINDS[key].name)} ({key})" if key in KINDS else key
    return TuckerlabError(f"{name}: {given!r} was given; {allowed}")


def plain(value: float) -> str:
    """A number as people write it, and `parsed` reads it: 40,000,000, 0.0001, 1.157."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
