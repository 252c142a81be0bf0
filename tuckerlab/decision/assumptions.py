"""What the money rests on: each assumption a range with its unit and its origin, entered, measured, or a default.

>>> mine = Assumptions().entered(server_hour=0.2, devices=(10, 20, 50))
>>> mine["server_hour"]
Assumption(key='server_hour', low=0.2, likely=0.2, high=0.2, origin='entered')
>>> mine["devices"].said, mine["day_rate"].origin
('10 / 20 / 50', 'default')

A number alone is one that you know; three are low, likely and high. Nothing is converted between currencies: there are
default prices in dollars and in yen, and under any other symbol stand the numbers of dollars until you enter your own.
"""

import dataclasses
import difflib
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
from tuckerlab.errors import TuckerlabError, is_number, is_whole
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _, text

DEFAULT, ENTERED = "default", "entered"
MOST_YEARS = 20
CURRENCY = re.compile(r"(?:[^\W\d_]|[$\u00a2-\u00a5\u20a0-\u20cf]){1,3}\.?")  # letters and signs of currencies
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


class Range(NamedTuple):
    """A number that nobody knows exactly: `likely`, and the `low` and `high` it should lie between."""

    low: float
    likely: float
    high: float

    def times(self, factor: float) -> "Range":
        """So many times as much, at both ends and in the middle.

        >>> Range(1, 2, 4).times(0.5)
        Range(low=0.5, likely=1.0, high=2.0)
        """
        return Range(self.low * factor, self.likely * factor, self.high * factor)


class Kind(NamedTuple):
    """What an assumption may be: its default range, the allowed numbers, and the default as a price in yen."""

    default: Range
    least: float
    most: float
    yen: Range | None


def _read_kinds() -> dict[str, Kind]:
    found = {}
    for key, told in tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8")).items():
        yen = Range(*told["yen"]) if "yen" in told else None
        found[key] = Kind(Range(*told["default"]), told.get("least", 0.0), told["most"], yen)
    return found


KINDS = _read_kinds()
"""All assumptions by their keys, in the order of assumptions.toml."""

LEADING = ("answers_a_day", "server_hour", "day_rate", "devices")
"""What a manager changes first."""


@dataclass(frozen=True)
class Assumption:
    """One assumption; `origin` is "default", "entered", or what a measured one was measured in."""

    key: str
    low: float
    likely: float
    high: float
    origin: str = ENTERED

    def __post_init__(self) -> None:
        kind = KINDS[self.key]
        for value in self.range:
            number = is_number(value)
            if not number or not math.isfinite(value) or not kind.least <= value <= kind.most:
                raise _refused(self.key, repr(value), f"allowed are numbers from {kind.least:g} to {kind.most:,g}")
        if not self.low <= self.likely <= self.high:
            low, likely, high = (f"{value:g}" for value in self.range)
            wrong = f"low {low}, likely {likely}, high {high}"
            raise _refused(self.key, wrong, "low must not be above likely, nor likely above high", "were")

    @classmethod
    def of(cls, key: str, value: Any) -> "Assumption":
        """From one number that is known, or from (low, likely, high). TuckerlabError for what cannot be."""
        if key not in KINDS:
            raise TuckerlabError(_unknown(key))
        if not isinstance(value, list | tuple):
            return cls(key, value, value, value)
        if len(value) != 3:
            raise _refused(key, f"{len(value)} numbers", "allowed are one, or three", "were")
        return cls(key, *value)

    @property
    def range(self) -> Range:
        """The three numbers."""
        return Range(self.low, self.likely, self.high)

    @property
    def name(self) -> str:
        """What people call it."""
        return text(f"money.name.{self.key}")

    @property
    def said(self) -> str:
        """The range as people read and enter it: one number where it is known."""
        values = self.range if self.low < self.high else (self.likely,)
        return " / ".join(plain(value) for value in values)

    @property
    def said_origin(self) -> str:
        """Where it comes from, and for a default why it is that."""
        if self.origin == DEFAULT:
            return _("default: {why}", why=text(f"money.why.{self.key}"))
        if self.origin == ENTERED:
            return _("entered by you")
        return _("measured in {run}", run=self.origin)


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
        if key not in KINDS:
            raise TuckerlabError(_unknown(key))
        if key in self.given:
            return self.given[key]
        kind = KINDS[key]
        return Assumption(key, *(kind.yen if kind.yen and self.currency == "¥" else kind.default), origin=DEFAULT)

    def __iter__(self) -> Iterator[Assumption]:
        return (self[key] for key in KINDS)

    def unit(self, key: str) -> str:
        """The unit of an assumption, with the currency in it where it is a price."""
        return text(f"money.unit.{key}", currency=self.currency)

    def amount(self, value: float) -> str:
        """An amount of money in three digits; no cents of yen, and none where there are tens.

        >>> Assumptions().amount(-12_345), Assumptions().amount(0.25), Assumptions(currency="¥").amount(1234.5)
        ('−$12,300', '$0.25', '¥1,230')
        """
        value = float(f"{value:.3g}")
        decimals = 0 if self.currency == "¥" or abs(value) >= 10 or value == 0 else 2
        sign = "−" if round(value, decimals) < 0 else ""
        return f"{sign}{self.currency}{abs(value):,.{decimals}f}"

    def entered(self, **values: Any) -> "Assumptions":
        """With other numbers: each one number, or (low, likely, high). TuckerlabError for what cannot be.

        >>> Assumptions().entered(day_rate=(900, 800, 1000))
        Traceback (most recent call last):
            ...
        tuckerlab.errors.TuckerlabError: Price of a day of work (day_rate): low 900, likely 800, high 1000 were given;
        low must not be above likely, nor likely above high
        """
        fresh = {key: Assumption.of(key, value) for key, value in values.items()}
        return dataclasses.replace(self, given={**self.given, **fresh})

    def measured(self, values: Mapping[str, Measured]) -> "Assumptions":
        """With measured numbers in the place of defaults; what was entered stays."""
        fresh = {
            key: Assumption(key, found.low, found.value, found.high, found.origin)
            for key, found in values.items()
            if self[key].origin != ENTERED
        }
        return dataclasses.replace(self, given={**self.given, **fresh})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Assumptions":
        """From a file of TOML or JSON: names with one number or [low, likely, high], and `currency` and `years`.

        Raises TuckerlabError, which names the file, for one that is not there or cannot be.
        """
        file = Path(path)
        if not file.is_file():
            raise TuckerlabError(f"{path}: there is no such file of assumptions")
        try:
            said = file.read_text(encoding="utf-8")
            told = json.loads(said) if file.suffix == ".json" else tomllib.loads(said)
            if not isinstance(told, dict):
                raise ValueError("it holds no names")
        except ValueError as error:
            raise TuckerlabError(f"{path}: cannot be read as assumptions ({str(error).splitlines()[0]})") from None
        try:
            settings = {name: told.pop(name) for name in ("currency", "years") if name in told}
            return cls(**settings).entered(**told)
        except TuckerlabError as error:
            raise TuckerlabError(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> Path:
        """What was entered, as a file that `load` reads: TOML, or JSON where the name ends so."""
        told: dict[str, Any] = {"currency": self.currency, "years": self.years}
        told |= {key: list(one.range) for key, one in self.given.items() if one.origin == ENTERED}
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in told.items())
        with atomic_path(path) as temporary:
            is_json = Path(path).suffix == ".json"
            temporary.write_text(json.dumps(told, indent=1) if is_json else lines, encoding="utf-8")
        return Path(path)


def scaled(assumption: Assumption, likely: float) -> Assumption:
    """The same assumption about another likely value, as far apart as before in proportion; 0 is exactly 0.

    >>> scaled(Assumption("devices", 50, 100, 200), 10).range
    Range(low=5.0, likely=10, high=20.0)
    """
    kind, factor = KINDS[assumption.key], likely / assumption.likely if assumption.likely else 1.0
    low, high = (min(max(end * factor, kind.least), kind.most) for end in (assumption.low, assumption.high))
    return Assumption(assumption.key, min(low, likely), likely, max(high, likely) if likely else likely)


def parsed(key: str, said: str) -> Assumption:
    """An assumption as people type it: one number, or low / likely / high. A comma only parts thousands.

    >>> parsed("devices", "1,000 / 2e3 / 5000").range
    Range(low=1000.0, likely=2000.0, high=5000.0)
    >>> parsed("server_hour", "0,5")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: Price of a server hour (server_hour): '0,5' was given; write 0.5: a comma only
    parts thousands, as in 1,500
    """
    parts = [part.strip() for part in said.split("/")]
    for part in parts:
        if "," in part and not THOUSANDS.fullmatch(part):
            decimal = re.fullmatch(r"[+-]?\d*,\d+", part)
            write = part.replace(",", ".") if decimal else "a point before decimals"
            raise _refused(key, repr(part), f"write {write}: a comma only parts thousands, as in 1,500")
    try:
        values = [float(part.replace(",", "")) for part in parts]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise _refused(key, repr(said), "allowed is one number, or three: low / likely / high")
    return Assumption.of(key, values if len(values) == 3 else values[0])


def _refused(key: str, given: str, allowed: str, was: str = "was") -> TuckerlabError:
    """The error of an assumption, which names it for people and for files."""
    return TuckerlabError(f"{text(f'money.name.{key}')} ({key}): {given} {was} given; {allowed}")


def _unknown(key: str) -> str:
    near = difflib.get_close_matches(key, KINDS, n=1)
    meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}, and currency and years"
    return f"there is no assumption {key!r}; {meant}"


def plain(value: float) -> str:
    """A number as people write it, and `parsed` reads it.

    >>> plain(40e6), plain(0.0001), plain(1.157440)
    ('40,000,000', '0.0001', '1.157')
    """
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
