"""What the money rests on: each assumption a range with its unit and its origin, entered, measured, or a default.

>>> mine = Assumptions().entered(server_hour=0.2, devices=(10, 20, 50))
>>> mine["server_hour"]
Assumption(key='server_hour', low=0.2, likely=0.2, high=0.2, origin='entered')
>>> mine["devices"].said, mine["day_rate"].origin
('10 / 20 / 50', 'default')
>>> Assumptions().entered(day_rate=(900, 800, 1000))
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: Price of a day of work (day_rate): low 900, likely 800, high 1000 were given; low must
not be above likely, nor likely above high

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
from typing import Any

from tuckerlab.decision.kinds import KINDS
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.stages import Range
from tuckerlab.errors import TuckerlabError, is_number, is_whole
from tuckerlab.files import atomic_path
from tuckerlab.i18n import text

DEFAULT, ENTERED = "default", "entered"
MOST_YEARS = 20
CURRENCY = re.compile(r"(?:[^\W\d_]|[$\u00a2-\u00a5\u20a0-\u20cf]){1,3}\.?")  # letters and signs of currencies
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


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
                allowed = f"allowed are numbers from {kind.least:g} to {kind.most:,g}"
                raise TuckerlabError(f"{called(self.key)}: {value!r} was given; {allowed}")
        if not self.low <= self.likely <= self.high:
            low, likely, high = (f"{value:g}" for value in self.range)
            raise TuckerlabError(
                f"{called(self.key)}: low {low}, likely {likely}, high {high} were given; low must not be above "
                "likely, nor likely above high"
            )

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
            return text("money.origin.default", why=text(f"money.why.{self.key}"))
        return (
            text("money.origin.entered") if self.origin == ENTERED else text("money.origin.measured", run=self.origin)
        )


@dataclass(frozen=True)
class Assumptions:
    """All assumptions, the currency and the years that the case is looked at for; what is not given has its default."""

    given: Mapping[str, Assumption] = field(default_factory=dict)
    currency: str = "$"
    years: int = 3

    def __post_init__(self) -> None:
        years = self.years
        if not is_whole(years) or not 1 <= years <= MOST_YEARS:
            raise TuckerlabError(f"years {years!r}: allowed are whole numbers from 1 to {MOST_YEARS}")
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
        """With other numbers: each one number, or (low, likely, high). TuckerlabError for what cannot be."""
        return self._with({key: _assumption(key, value) for key, value in values.items()})

    def measured(self, values: Mapping[str, Measured]) -> "Assumptions":
        """With measured numbers in the place of defaults; what was entered stays."""
        fresh = {
            key: Assumption(key, found.low, found.value, found.high, found.origin)
            for key, found in values.items()
            if self[key].origin != ENTERED
        }
        return self._with(fresh)

    @property
    def only_entered(self) -> "Assumptions":
        """Without what was measured, as before another run is looked at."""
        kept = {key: assumption for key, assumption in self.given.items() if assumption.origin == ENTERED}
        return dataclasses.replace(self, given=kept)

    def _with(self, fresh: Mapping[str, Assumption]) -> "Assumptions":
        return dataclasses.replace(self, given={**self.given, **fresh})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Assumptions":
        """From a file of TOML or JSON: names with one number or [low, likely, high], and `currency` and `years`.

        >>> Assumptions.load("no_such.toml")
        Traceback (most recent call last):
            ...
        tuckerlab.errors.TuckerlabError: no_such.toml: there is no such file of assumptions
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
        told |= {key: list(assumption.range) for key, assumption in self.only_entered.given.items()}
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
            raise TuckerlabError(f"{called(key)}: {part!r} was given; {_point(part)}")
    try:
        values = [float(part.replace(",", "")) for part in parts]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise TuckerlabError(f"{called(key)}: {said!r} was given; allowed is one number, or three: low / likely / high")
    return _assumption(key, values if len(values) == 3 else values[0])


def _point(part: str) -> str:
    """What to write in the place of a decimal comma, where that can be told."""
    decimal = re.fullmatch(r"([+-]?\d*),(\d+)", part) or re.fullmatch(r"([+-]?\d+(?:\.\d{3})+),(\d+)", part)
    write = f"{decimal[1].replace('.', '')}.{decimal[2]}" if decimal else "a point before decimals"
    return f"write {write}: a comma only parts thousands, as in 1,500"


def called(key: str) -> str:
    """How an error names an assumption: for people, and for files."""
    return f"{text(f'money.name.{key}')} ({key})"


def _assumption(key: str, value: Any) -> Assumption:
    if key not in KINDS:
        raise TuckerlabError(_unknown(key))
    if isinstance(value, list | tuple):
        if len(value) != 3:
            raise TuckerlabError(f"{called(key)}: {len(value)} numbers were given; allowed are one, or three")
        return Assumption(key, *value)
    return Assumption(key, value, value, value)


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
