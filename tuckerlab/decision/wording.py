"""Numbers and names as people read them, and the sentences about the money that page, panel and pictures share."""

import re
from itertools import accumulate
from unicodedata import east_asian_width

from tuckerlab.decision.assumptions import Range
from tuckerlab.decision.business_case import NAMES, ONCE, YEARLY, Money, turning_point
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.styles import method_name

LONGEST_NAME = 34  # letters of a name that a user gave: of a class, a data set, a folder
FAR = 1000  # a turning point so many times away from what is likely is none that can be reached


def number(value: float, digits: int | None = None, *, signed: bool = False) -> str:
    """Three digits, or so many after the point; a minus is as long as a plus."""
    if digits is None:
        digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    value = round(value, digits) + 0.0  # no minus before a nought
    return f"{value:{'+' if signed and value else ''},.{digits}f}".replace("-", "−")


def spread(found: Range, digits: int | None = None, *, signed: bool = False) -> str:
    """The middle, and the lowest and highest in brackets where rounding leaves a range: 98.2 (97.8 to 98.6)."""
    likely, low, high = (number(part, digits, signed=signed) for part in (found.likely, found.low, found.high))
    return likely if low == high else _("{value} ({low} to {high})", value=likely, low=low, high=high)


def percent(found: Range) -> str:
    """A share: two digits below ten per cent."""
    return _("{value} %", value=spread(found.times(100), 1 if found.likely < 0.0995 else 0))


def chance(share: float) -> str:
    """A share of the cases; none is called impossible or sure."""
    if share < 0.01:
        return _("less than 1 %")
    return _("more than 99 %") if share > 0.99 else _("{value:.0f} %", value=100 * share)


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A name that a user gave, in one line and not too long for its place; a Japanese character is as wide as two."""
    one_line = " ".join(name.split())
    widths = list(accumulate(2 if east_asian_width(letter) in "WF" else 1 for letter in one_line))
    fits = sum(width < most for width in widths)
    return one_line if not widths or widths[-1] <= most else f"{one_line[:fits]}…"


def network_name(label: str, method: str) -> str:
    """What people call a network of ours: its method, and its size where the label ends with one."""
    name = method_name(method)
    if name == method:  # a method that there are no words for
        return short(label)
    rate = re.search(r"(\d[\d.]*)(?: to [\d.]+)? %", label)  # of several sizes the largest
    return _("{method} {rate:g} %", method=name, rate=float(rate[1])) if rate else name


def unbroken(said: str) -> str:
    """No line ends between a number and its sign, or its unit; Japanese has no space after a full stop."""
    said = said.replace("。 ", "。").replace("。、", "。").replace(".; ", ". ")  # of sentences in a list
    said = re.sub(r"−(?=[^\d\s\u2060])", "−\u2060", said)
    return said.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")


def verdict_line(money: Money) -> str:
    """Whether it pays back, and how sure that is."""
    said = N_("It pays back within {years:.0f} years in {chance} of the cases.")
    return _(said, years=money.assumptions.years, chance=chance(money.pays))


def totals(money: Money) -> list[tuple[str, str, str]]:
    """What a year saves, what is spent once, and what both come to: in words, the amount, and its range."""
    amount, years = money.assumptions.amount, money.assumptions.years
    found = {
        _("Saved in a year, net"): money.yearly,
        _("Spent once"): money.once,
        _("Both over {years:.0f} years, today’s money", years=years): money.worth,
    }
    return [
        (name, amount(it.median), _("90 % of the cases: {low} to {high}", low=amount(it.low), high=amount(it.high)))
        for name, it in found.items()
    ]


def uncounted(money: Money) -> str:
    """The lines of the account that count nothing; empty without any."""
    lines = _(", ").join(_({**ONCE, **YEARLY}[key]) for key in money.gaps)
    return _("Not counted as money, because it was not measured: {lines}.", lines=lines) if lines else ""


def turn_line(money: Money, key: str) -> str:
    """Which value of an assumption makes half of the cases pay back; empty where none can be reached."""
    value = turning_point(money, key, FAR)
    if value is None:
        return ""
    told = {"name": _(NAMES[key]), "value": money.assumptions.quantity(key, float(f"{value:.2g}"))}
    pays_above = money.worth_with(**{key: 2 * value}) >= 0
    return _("{name}: {value} or more", **told) if pays_above else _("{name}: {value} or less", **told)
