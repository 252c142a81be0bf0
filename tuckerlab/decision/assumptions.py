"""What the money rests on: each assumption a range with its unit and its origin, entered, measured, or a default.

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

from tuckerlab.decision.kinds import KINDS, Range
from tuckerlab.decision.measurements import Measured
from tuckerlab.errors import TuckerlabError, is_number, is_whole
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _

DEFAULT, ENTERED = "default", "entered"
MOST_YEARS = 20
CURRENCY = re.compile(r"(?:[^\W\d_]|[$\u00a2-\u00a5\u20a0-\u20cf]){1,3}\.?")  # letters and signs of currencies
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")
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
        if self.key not in KINDS:
            near = difflib.get_close_matches(self.key, KINDS, n=1)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(KINDS)}, and currency and years"
            raise TuckerlabError(f"there is no assumption {self.key!r}; {meant}")
        kind = KINDS[self.key]
        for value in self.range:
            number = is_number(value)
            if not number or not math.isfinite(value) or not kind.least <= value <= kind.most:
                raise _refused(self.key, f"{value!r} was", f"allowed are numbers from {kind.least:g} to {kind.most:,g}")
        if not self.low <= self.likely <= self.high:
            given = f"low {self.low:g}, likely {self.likely:g}, high {self.high:g} were"
            raise _refused(self.key, given, "low must not be above likely, nor likely above high")

    @classmethod
    def of(cls, key: str, value: Any) -> "Assumption":
        """From one number that is known, or from (low, likely, high). TuckerlabError for what cannot be."""
        if not isinstance(value, list | tuple):
            return cls(key, value, value, value)
        if len(value) != 3:
            raise _refused(key, f"{len(value)} numbers were", "allowed are one, or three")
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
        values = self.range if self.low < self.high else (self.likely,)
        return " / ".join(plain(value) for value in values)

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
        return Assumption(key, *(kind.yen if kind.yen and self.currency == "¥" else kind.default), origin=DEFAULT)

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
            content = file.read_text(encoding="utf-8")
            told = json.loads(content) if file.suffix == ".json" else tomllib.loads(content)
            if not isinstance(told, dict):
                raise ValueError("it holds no names")
        except ValueError as error:
            raise TuckerlabError(f"{path}: cannot be read as assumptions ({str(error).splitlines()[0]})") from None
        try:
            settings = {name: told.pop(name) for name in ("currency", "years") if name in told}
            return cls(**settings).entered(**told)
        except TuckerlabError as error:
            raise TuckerlabError(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """What was entered, as a file that `load` reads: TOML, or JSON where the name ends so."""
        told: dict[str, Any] = {"currency": self.currency, "years": self.years}
        told |= {key: list(one.range) for key, one in self.given.items() if one.origin == ENTERED}
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in told.items())
        with atomic_path(path) as temporary:
            is_json = Path(path).suffix == ".json"
            temporary.write_text(json.dumps(told, indent=1) if is_json else lines, encoding="utf-8")


def scaled(assumption: Assumption, likely: float) -> Assumption:
    """The same assumption about another likely value, as far apart as before in proportion; 0 is exactly 0."""
    kind, factor = KINDS[assumption.key], likely / assumption.likely if assumption.likely else 1.0
    low, high = (min(max(end * factor, kind.least), kind.most) for end in (assumption.low, assumption.high))
    return Assumption(assumption.key, min(low, likely), likely, max(high, likely) if likely else likely)


def parsed(key: str, said: str) -> Assumption:
    """An assumption as people type it: one number, or low / likely / high. A comma only parts thousands.

    Raises TuckerlabError, which says how to write it.
    """
    parts = [part.strip() for part in said.split("/")]
    for part in parts:
        if "," in part and not THOUSANDS.fullmatch(part):
            decimal = re.fullmatch(r"[+-]?\d*,\d+", part)
            write = part.replace(",", ".") if decimal else "a point before decimals"
            raise _refused(key, f"{part!r} was", f"write {write}: a comma only parts thousands, as in 1,500")
    try:
        values = [float(part.replace(",", "")) for part in parts]
    except ValueError:
        values = []
    if len(values) not in (1, 3):
        raise _refused(key, f"{said!r} was", "allowed is one number, or three: low / likely / high")
    return Assumption.of(key, values if len(values) == 3 else values[0])


def _refused(key: str, given: str, allowed: str) -> TuckerlabError:
    """The error of an assumption, which names it for people and for files."""
    name = f"{_(KINDS[key].name)} ({key})" if key in KINDS else key
    return TuckerlabError(f"{name}: {given} given; {allowed}")


def plain(value: float) -> str:
    """A number as people write it, and `parsed` reads it: 40,000,000, 0.0001, 1.157."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
