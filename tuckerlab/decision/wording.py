"""Numbers as people read them, and the sentences that the brief, the decision panel and the figures share."""

import re
from typing import Any
from unicodedata import east_asian_width

from tuckerlab.decision.business_case import RATIOS, Line, Money, Spread
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.sensitivity import Turn
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.plotting.styles import method_name

LONGEST_NAME = 34  # letters of a name that a user gave: of a class, a data set, a folder
FAR = 1000  # a turning point so many times away from what is likely is none that can be reached
VERDICTS = (
    (0.8, N_("It pays back: within {years:.0f} years in {chance} of the cases")),
    (0.5, N_("It may pay back: within {years:.0f} years in {chance} of the cases")),
    (0.2, N_("It hardly pays back: within {years:.0f} years in {chance} of the cases")),
    (0.0, N_("It does not pay back: within {years:.0f} years in {chance} of the cases")),
)
"""The least share of the draws that pay back, and what is then said."""


# --- numbers ---------------------------------------------------------------------------------------------------------


def number(value: float, digits: int | None = None, *, signed: bool = False) -> str:
    """Three digits, or so many after the point; a minus is as long as a plus."""
    if digits is None:
        digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    value = round(value, digits) + 0.0  # no minus before a nought
    return f"{value:{'+' if signed and value else ''},.{digits}f}".replace("-", "−")


def spread(found: Measured, digits: int | None = None, *, signed: bool = False, scale: float = 1.0) -> str:
    """The middle, and the lowest and highest in brackets where there is more than one value: 98.2 (97.8–98.6)."""
    value, low, high = (number(scale * part, digits, signed=signed) for part in (found.value, found.low, found.high))
    return between(value, low, high, signed=signed) if found.has_spread else value


def between(value: str, low: str, high: str, *, signed: bool = False) -> str:
    """A number with its range, where rounding leaves one."""
    if low == high:
        return value
    if signed:
        return _("{value} ({low} to {high})", value=value, low=low, high=high)
    return _("{value} ({low}–{high})", value=value, low=low, high=high)


def percent(share: float) -> str:
    """A share without its sign: two digits below ten per cent."""
    return number(100 * share, 1 if 100 * share < 9.95 else 0)


def times(share: float) -> str:
    """How many times fewer a share is: 18, 2.0, 0.80."""
    ratio = 1 / share
    return number(ratio, 0 if ratio >= 9.95 else 1 if ratio >= 0.995 else 2)


def chance(share: float) -> str:
    """A share of the cases; none is called impossible or sure."""
    if share < 0.01:
        return _("less than 1 %")
    return _("more than 99 %") if share > 0.99 else _("{value:.0f} %", value=100 * share)


# --- names and lines -------------------------------------------------------------------------------------------------


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A name that a user gave, in one line and not too long for its place; a Japanese character is as wide as two."""
    one_line = " ".join(name.split())
    if _width(one_line) <= most:
        return one_line
    while _width(one_line) >= most:
        one_line = one_line[:-1]
    return f"{one_line}…"


def _width(name: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)


def network_name(label: str, method: str) -> str:
    """What people call a network of ours: its method, and its size where the label ends with one."""
    name = method_name(method)
    if name == method:  # a method that there are no words for
        return label
    rate = re.search(r"(\d[\d.]*) %", label)
    return _("{method} {rate:g} %", method=name, rate=float(rate[1])) if rate else name


def some(lines: list[str], most: int) -> list[str]:
    """So many lines at most, the last of which says how many more there are."""
    if len(lines) <= most:
        return lines
    more = len(lines) - most + 1
    return [*lines[: most - 1], ngettext("and {count:.0f} more", "and {count:.0f} more", count=more)]


def unbroken(said: str) -> str:
    """No line ends between a number and its sign, or its unit."""
    said = re.sub(r"−(?=[^\d\s\u2060])", "−\u2060", said)
    return said.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")


# --- the money -------------------------------------------------------------------------------------------------------


def verdict_line(money: Money) -> str:
    """Whether it pays back, in one sentence that states how sure that is."""
    sentence = next(sentence for least, sentence in VERDICTS if money.pays >= least)
    return _(sentence, chance=chance(money.pays), years=money.assumptions.years)


def outcome_line(money: Money) -> str:
    """What a year saves, what is spent once, and what both come to."""
    amount, saves = money.assumptions.amount, money.yearly.median >= 0

    def said(spread: Spread) -> str:
        ends = {"low": amount(spread.low), "high": amount(spread.high)}
        return _("{median}, in 90 % of the cases {low} to {high}", median=amount(spread.median), **ends)

    told: dict[str, Any] = {"yearly": said(money.yearly if saves else -money.yearly), "worth": said(money.worth)}
    told |= {"once": amount(-money.once.median), "years": money.assumptions.years}
    if saves:
        return _(
            "A year saves, net: {yearly}. Spent once: {once}. Both over {years:.0f} years, in today’s money: {worth}.",
            **told,
        )
    return _(
        "A year costs more than today: {yearly}. Spent once: {once}. Both over {years:.0f} years, in today’s money: "
        "{worth}.",
        **told,
    )


def turn_line(money: Money, turn: Turn) -> str:
    """Which value of an assumption makes half of the cases pay back; empty where none can be reached."""
    one = money.assumptions[turn.key]
    if turn.value is None or not one.likely / FAR <= turn.value <= one.likely * FAR:
        return ""
    value = f"{turn.value:,.2g}" if turn.value < 100 else f"{float(f'{turn.value:.2g}'):,.0f}"
    told = {"name": one.name, "value": value, "unit": money.assumptions.unit(turn.key)}
    return (
        _("{name}: {value} {unit} or more", **told) if turn.pays_above else _("{name}: {value} {unit} or less", **told)
    )


def ratio_line(key: str, found: Measured) -> str:
    """A measured share with its spread and its origin."""
    scale = 1 if key == "accuracy" else 100
    told: dict[str, Any] = {"name": _(RATIOS[key]), "origin": found.origin}
    told |= {"value": scale * found.value, "low": scale * found.low, "high": scale * found.high}
    if key == "accuracy":
        if found.has_spread:
            return _("{name}: {value:+.2f} ({low:+.2f} to {high:+.2f}), {origin}", **told)
        return _("{name}: {value:+.2f}, {origin}", **told)
    if found.has_spread:
        return _("{name}: {value:.0f} % ({low:.0f} to {high:.0f} %), {origin}", **told)
    return _("{name}: {value:.0f} %, {origin}", **told)


def rests_on(money: Money, line: Line) -> str:
    """The measurements that a line of the account rests on, or that it lacks."""
    if line.key in money.gaps:
        return _("not counted; not measured: {what}", what=missing(money, line))
    measured = money.basis.measured
    return " · ".join(ratio_line(name, measured[name]) for name in line.needs) or _("assumptions alone")


def missing(money: Money, line: Line) -> str:
    """What a line lacks."""
    return " · ".join(_(RATIOS[name]) for name in line.needs if name not in money.basis.measured)
