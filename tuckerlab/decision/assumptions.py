"""What the money rests on: each assumption a range with its unit and its origin, entered, measured, or a default.

A number alone is one that you know; three are low, likely and high. Default prices are in dollars and in yen; those in
other currencies, and prices that were entered before the currency changed, are converted by RATES.
"""

import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

from tuckerlab.errors import TuckerlabError, check_choice, check_whole, is_number
from tuckerlab.files import atomic_path
from tuckerlab.i18n import N_, _, language, large

DEFAULT, ENTERED, MEASURED = "default", N_("entered"), N_("measured")
MOST_YEARS = 20
RATES = {
    "$": 1.0,
    N_("¥"): 150.0,
    "€": 0.9,
    "£": 0.8,
    "₩": 1400.0,
    "CHF": 0.85,
}  # for a dollar: assumptions too
THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?")


@dataclass(frozen=True)
class Range:
    """A number that is not known exactly: `likely`, between `low` and `high`; and where an assumption comes from."""

    low: float
    likely: float
    high: float
    origin: str = MEASURED

    @classmethod
    def over(cls, values: Iterable[float]) -> "Range | None":
        """The mean of several measurements, from the worst to the best; None where there is none, or one failed."""
        taken = sorted(map(float, values))
        if not taken or not all(map(math.isfinite, taken)):
            return None
        mean = sum(taken) / len(taken)  # of equal numbers it may be rounded to just beside them
        return cls(taken[0], min(max(mean, taken[0]), taken[-1]), taken[-1])

    def times(self, factor: float) -> "Range":
        return Range(self.low * factor, self.likely * factor, self.high * factor, self.origin)


@dataclass(frozen=True)
class Kind:
    """An assumption in words, its default with its reason and as a price in yen, and the numbers that are allowed."""

    name: str
    unit: str
    why: str
    default: list[float]
    most: float
    least: float = 0.0
    yen: list[float] | None = None  # of a price alone


def table(name: str) -> dict[str, dict[str, Any]]:
    """A table of numbers and sentences that lies beside this file as TOML, by its name."""
    return tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text(encoding="utf-8"))


def sentences(file: BinaryIO, *_asked: object, options: object = None) -> Iterator[tuple[int, str, str, list[str]]]:
    """All that such a table says, as Babel asks for it."""
    for row in tomllib.load(file).values():
        yield from ((0, "_", said, []) for said in row.values() if isinstance(said, str))


KINDS = {key: Kind(**row) for key, row in table("assumptions").items()}


@dataclass(frozen=True)
class Assumptions:
    """All assumptions, the currency and the years that the case is looked at for; what is not given has its default."""

    given: Mapping[str, Range] = field(default_factory=dict)
    currency: str = field(default_factory=lambda: "¥" if language() == "ja" else "$")
    years: int = 3

    def __post_init__(self) -> None:
        check_whole("years", self.years, 1, MOST_YEARS)
        check_choice("currency", self.currency, RATES)

    def __getitem__(self, key: str) -> Range:
        kind = KINDS[key]
        if key in self.given:
            return self.given[key]
        own = kind.yen if self.currency == "¥" else None
        low, likely, high = own or kind.default
        return Range(low, likely, high, DEFAULT).times(RATES[self.currency] if kind.yen and not own else 1.0)

    @property
    def ranges(self) -> dict[str, Range]:
        """All of them by their keys."""
        return {key: self[key] for key in KINDS}

    def unit(self, key: str) -> str:
        """The unit of an assumption, with the currency in it where it is a price."""
        return _(KINDS[key].unit, currency=_(self.currency))

    def quantity(self, key: str, value: float) -> str:
        """A number of this assumption with its unit; "$19 an hour"."""
        if KINDS[key].yen:
            return _(KINDS[key].unit, currency=self.amount(value))
        return _("{value} {unit}", value=shown(value), unit=self.unit(key))

    def amount(self, value: float) -> str:
        """An amount of money in three digits; no cents of yen, and none where there are tens."""
        value = float(f"{value:.3g}")
        decimals = 0 if self.currency == "¥" or abs(value) >= 10 or value == 0 else 2
        sign = "−" if round(value, decimals) < 0 else ""
        said = large(abs(value), decimals)
        return sign + (_("¥{value}", value=said) if self.currency == "¥" else f"{self.currency}{said}")

    def converted(self, currency: str) -> "Assumptions":
        """The same in another currency."""
        factor = RATES[check_choice("currency", currency, RATES)] / RATES[self.currency]
        given = {key: it.times(factor) if KINDS[key].yen else it for key, it in self.given.items()}
        return replace(self, currency=currency, given=given)

    def entered(self, **values: Any) -> "Assumptions":
        """With other numbers: each one number, or (low, likely, high). TuckerlabError for what cannot be."""
        fresh = {key: entered(key, value) for key, value in values.items()}
        return replace(self, given={**self.given, **fresh})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Assumptions":
        """From a file of TOML: names with one number or [low, likely, high], and `currency` and `years`."""
        try:
            told = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            settings = {name: told.pop(name) for name in ("currency", "years") if name in told}
            return cls(**settings).entered(**told)
        except ValueError as error:  # also a TuckerlabError
            said, why = N_("{path}: cannot be read as assumptions ({why})"), str(error).splitlines()[0]
            raise TuckerlabError(_(said, path=path, why=why)) from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """What was entered, as a file that `load` reads."""
        told: dict[str, Any] = {"currency": self.currency, "years": self.years}
        told |= {key: [it.low, it.likely, it.high] for key, it in self.given.items() if it.origin == ENTERED}
        lines = "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in told.items())
        with atomic_path(path) as temporary:
            temporary.write_text(lines, encoding="utf-8")


def entered(key: str, value: Any) -> Range:
    """An assumption of the user's: one number that is known, or (low, likely, high). TuckerlabError for others."""
    if key not in KINDS:
        raise TuckerlabError(f"there is no assumption {key!r}; there are {', '.join(KINDS)}, and currency and years")
    kind, given = KINDS[key], list(value) if isinstance(value, list | tuple) else [value] * 3
    if len(given) == 3 and all(map(is_number, given)):
        low, likely, high = given
        if kind.least <= low <= likely <= high <= kind.most:
            return Range(low, likely, high, ENTERED)
    raise TuckerlabError(_(
        "{name} ({key}): {value} was given; allowed is one number, or three: low / likely / high, from {least:g} to "
        "{most:,g}; a comma only parts thousands, as in 1,500.5",
        name=_(kind.name), key=key, value=repr(value), least=kind.least, most=kind.most,
    ))  # fmt: skip


def scaled(key: str, old: Range, likely: float) -> Range:
    """The same assumption about another likely value, as far apart as before in proportion."""
    kind, factor = KINDS[key], likely / old.likely if old.likely else 1.0
    low, high = (min(max(end * factor, kind.least), kind.most) for end in (old.low, old.high))
    return Range(min(low, likely), likely, max(high, likely), ENTERED)


def parsed(key: str, said: str) -> Range:
    """An assumption as people type it: one number, or low / likely / high. TuckerlabError says how to write it."""
    parts = [part.strip() for part in said.split("/")]
    try:
        values = [float(part.replace(",", "") if THOUSANDS.fullmatch(part) else part) for part in parts]
    except ValueError:
        return entered(key, said)  # which it refuses
    return entered(key, values if len(values) > 1 else values[0])


def written(found: Range) -> str:
    """A range as people read and enter it: one number where it is known."""
    parts = [found.likely] if found.low == found.high else [found.low, found.likely, found.high]
    return " / ".join(map(plain, parts))


def shown(value: float) -> str:
    """A number as people read it, see `large`."""
    return large(value) if abs(value) >= 1e4 else plain(value)


def plain(value: float) -> str:
    """A number as people write it, and `parsed` reads it: 40,000,000, 0.0001, 1.157."""
    return f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.1f}"
