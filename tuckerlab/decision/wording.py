"""Numbers as people read them, and the sentences that the brief, the decision panel and the figures share.

>>> number(1.0439), number(37.27), number(287_654), number(-0.5, signed=True)
('1.04', '37.3', '287,654', '−0.50')
>>> spread(Measured("accuracy", 98.24, 97.78, 98.61, "[1]"), digits=1)
'98.2 (97.8–98.6)'
"""

import re
from collections.abc import Iterable
from functools import reduce
from html import escape
from unicodedata import east_asian_width

from tuckerlab.decision.assumptions import ENTERED
from tuckerlab.decision.business_case import LINES, ONCE, YEARLY, Money, Spread
from tuckerlab.decision.measurements import Measured
from tuckerlab.decision.sensitivity import Turn
from tuckerlab.i18n import _, ngettext, text
from tuckerlab.plotting.styles import method_name

LONGEST_NAME = 34  # letters of a name that a user gave: of a class, a data set, a folder
FAR = 1000  # a turning point so many times away from what is likely is none that can be reached
OTHER_NETWORK = 3  # a time so many times another than the measured one is that of another network
CELL = "padding:.15rem .6rem;vertical-align:top;text-align:"


# --- numbers ---------------------------------------------------------------------------------------------------------


def number(value: float, digits: int | None = None, *, signed: bool = False) -> str:
    """Three digits, or so many after the point; a minus is as long as a plus."""
    if digits is None:
        digits = 0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2
    value = round(value, digits) + 0.0  # no minus before a nought
    return f"{value:{'+' if signed and value else ''},.{digits}f}".replace("-", "−")


def spread(found: Measured, digits: int | None = None, *, signed: bool = False, scale: float = 1.0) -> str:
    """The middle, and the lowest and highest in brackets where there is more than one value."""
    value, low, high = (number(scale * part, digits, signed=signed) for part in (found.value, found.low, found.high))
    return between(value, low, high, signed=signed) if found.has_spread else value


def between(value: str, low: str, high: str, *, signed: bool = False) -> str:
    """A number with its range, where rounding leaves one.

    >>> between("98.2", "97.8", "98.6"), between("50", "50", "50")
    ('98.2 (97.8–98.6)', '50')
    """
    if low == high:
        return value
    return text("brief.in_signed_range" if signed else "brief.in_range", value=value, low=low, high=high)


def percent(share: float) -> str:
    """A share without its sign: two digits below ten per cent."""
    return number(100 * share, 1 if 100 * share < 9.95 else 0)


def times(share: float) -> str:
    """How many times fewer a share is.

    >>> times(0.0553), times(0.5), times(1.25)
    ('18', '2.0', '0.80')
    """
    ratio = 1 / share
    return number(ratio, 0 if ratio >= 9.95 else 1 if ratio >= 0.995 else 2)


def chance(share: float) -> str:
    """A share of the cases; none is called impossible or sure.

    >>> chance(0.0), chance(0.576), chance(1.0)
    ('less than 1 %', '58 %', 'more than 99 %')
    """
    if share < 0.01:
        return _("less than 1 %")
    return _("more than 99 %") if share > 0.99 else _("{value:.0f} %", value=100 * share)


# --- names and lines -------------------------------------------------------------------------------------------------


def short(name: str, most: int = LONGEST_NAME) -> str:
    """A name that a user gave, in one line and not too long for its place; a Japanese character is as wide as two.

    >>> short("a\\nb"), short("x" * 40, 6), short("鋼板の表面", 6)
    ('a b', 'xxxxx…', '鋼板…')
    """
    one_line = " ".join(name.split())
    if _width(one_line) <= most:
        return one_line
    while _width(one_line) >= most:
        one_line = one_line[:-1]
    return f"{one_line}…"


def _width(name: str) -> int:
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in name)


def network_name(label: str, method: str) -> str:
    """What people call a network of ours: its method, and its size where the label ends with one.

    >>> network_name("dense", "dense"), network_name("pruned 90 %", "pruning"), network_name("my own", "mine")
    ('Full network', 'Pruned 90 %', 'my own')
    """
    name = method_name(method)
    if name == method:  # a method that there are no words for
        return label
    rate = re.search(r"(\d[\d.]*) %", label)
    return _("{method} {rate:g} %", method=name, rate=float(rate[1])) if rate else name


def joined(sentences: Iterable[str]) -> str:
    """Sentences one after the other; Japanese has no space between them.

    >>> joined(["One.", "Two."]), joined([])
    ('One. Two.', '')
    """
    return reduce(lambda first, second: _("{first} {second}", first=first, second=second), sentences, "").strip()


def some(lines: list[str], most: int) -> list[str]:
    """So many lines at most, the last of which says how many more there are.

    >>> some(["one", "two", "three"], 2)
    ['one', 'and 2 more']
    """
    return (
        lines
        if len(lines) <= most
        else [*lines[: most - 1], ngettext("and {count:.0f} more", "and {count:.0f} more", count=len(lines) - most + 1)]
    )


def unbroken(said: str) -> str:
    """No line ends between a number and its sign, or its unit.

    >>> unbroken("−$5 in 1 %").replace("\\u2060", "|").replace("\\u00a0", "_")
    '−|$5 in 1_%'
    """
    said = re.sub(r"−(?=[^\d\s\u2060])", "−\u2060", said)
    return said.replace(" %", "\u00a0%").replace(" ×", "\u00a0×")


# --- the money -------------------------------------------------------------------------------------------------------


def verdict_line(money: Money) -> str:
    """Whether it pays back, in one sentence that states how sure that is.

    >>> from tuckerlab.decision.business_case import Assumptions, Basis, money
    >>> verdict_line(money(Assumptions().entered(answers_a_day=1000), Basis()))
    'It does not pay back: within 3 years in less than 1 % of the cases'
    """
    return text(f"money.verdict.{money.verdict}", chance=chance(money.pays), years=money.assumptions.years)


def outcome_line(money: Money) -> str:
    """What a year saves, what is spent once, and what both come to."""
    amount, saves = money.assumptions.amount, money.yearly.median >= 0

    def said(spread: Spread) -> str:
        return _(
            "{median}, in 90 % of the cases {low} to {high}",
            median=amount(spread.median),
            low=amount(spread.low),
            high=amount(spread.high),
        )

    return text(
        "money.outcome.saves" if saves else "money.outcome.costs",
        yearly=said(money.yearly if saves else -money.yearly),
        once=amount(-money.once.median),
        worth=said(money.worth),
        years=money.assumptions.years,
    )


def gap_lines(money: Money) -> list[str]:
    """The lines that count nothing because something was not measured, and what."""
    return [
        _("{line}: not counted. Not measured: {missing}.", line=LINES[key].name, missing=_missing(money, key))
        for key in money.gaps
    ]


def _missing(money: Money, key: str) -> str:
    return " · ".join(ratio_name(name) for name in LINES[key].needs if name not in money.basis.measured)


def notes(money: Money) -> list[str]:
    """What a reader should know before trusting the numbers."""
    said, basis, assumptions = [], money.basis, money.assumptions
    if basis.accuracy and not basis.accuracy.has_spread:
        said.append(
            _(
                "Accuracy was measured with one start. How much it varies from start to start is not known: "
                "repeat with three seeds."
            )
        )
    for key in ("ms_1", "ms_128"):
        entered, found = assumptions[key], basis.full.get(key)
        if not found or entered.origin != ENTERED:
            continue
        if not found.value / OTHER_NETWORK <= entered.likely <= found.value * OTHER_NETWORK:
            told = {"name": entered.name, "measured": found.value, "mine": entered.likely}
            said.append(
                _(
                    "{name}: the run measured {measured:.3g} ms, and {mine:.3g} ms is entered. A network of another "
                    "size may gain more or less: measure yours in the first stage of the plan.",
                    **told,
                )
            )
    if basis.time_1 and money.lines["devices"].high == 0 and assumptions["devices"].likely:
        speed = 100 * assumptions["smaller_device"].likely
        said.append(
            _(
                "Smaller devices save nothing here: they would be too slow. A smaller device works at "
                "{speed:.0f} % of today’s speed, so the network would have to answer in {speed:.0f} % of today’s "
                "time; it needs {time:.0f} %.",
                time=100 * basis.time_1.value,
                speed=speed,
            )
        )
    return said


def turn_line(money: Money, turn: Turn) -> str:
    """Which value of an assumption makes half of the cases pay back; empty where none can be reached."""
    one = money.assumptions[turn.key]
    if turn.value is None or not one.likely / FAR <= turn.value <= one.likely * FAR:
        return ""
    value = f"{turn.value:,.2g}" if turn.value < 100 else f"{float(f'{turn.value:.2g}'):,.0f}"
    key = "money.turn.above" if turn.pays_above else "money.turn.below"
    return text(key, name=one.name, value=value, unit=money.assumptions.unit(turn.key))


def rows(money: Money) -> dict[str, list[list[str]]]:
    """Two tables, `once` and `yearly`: name, mean, range, what it rests on. Means add up to the sum in the last row."""
    amount = money.assumptions.amount

    def row(name: str, spread: Spread, rests_on: str = "") -> list[str]:
        return [
            name,
            amount(spread.mean),
            _("{low} to {high}", low=amount(spread.low), high=amount(spread.high)),
            rests_on,
        ]

    def line(key: str) -> list[str]:
        one, measured = LINES[key], money.basis.measured
        if key in money.gaps:
            return [one.name, "–", "", _("not counted; not measured: {what}", what=_missing(money, key))]
        shares = " · ".join(ratio_line(name, measured[name]) for name in one.needs)
        return row(one.name, money.lines[key], shares or _("assumptions alone"))

    total = _("Together")
    return {
        "once": [*(line(one.key) for one in ONCE), row(total, money.once)],
        "yearly": [*(line(one.key) for one in YEARLY), row(total, money.yearly)],
    }


def table(money: Money) -> str:
    """The rows as HTML."""
    columns = [text(f"money.table.{column}") for column in ("mean", "span", "rests_on")]
    found = rows(money).items()
    return "".join(html_table([text(f"money.table.{key}"), *columns], body, numbers=(1, 2)) for key, body in found)


def html_table(head: list[str], body: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    """A table of plain text as HTML, escaped; the columns of `numbers` are set to the right."""

    def cells(tag: str, row: list[str]) -> str:
        sides = ["right;white-space:nowrap" if i in numbers else "left" for i in range(len(row))]
        return "".join(
            f'<{tag} style="{CELL}{side}">{escape(cell)}</{tag}>' for side, cell in zip(sides, row, strict=True)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in body)
    style = "border-collapse:collapse;line-height:1.35;margin:.3rem 0"
    return f'<table style="{style}"><thead><tr>{cells("th", head)}</tr></thead><tbody>{lines}</tbody></table>'


def ratio_name(key: str) -> str:
    """What people call a measured share."""
    return text(f"money.name.{key}")


def ratio_line(key: str, found: Measured) -> str:
    """A measured share with its spread and its origin."""
    kind, scale = ("points", 1) if key == "accuracy" else ("share", 100)
    told = {"value": scale * found.value, "low": scale * found.low, "high": scale * found.high}
    form = "spread" if found.has_spread else "one"
    return text(f"money.ratio.{kind}.{form}", name=ratio_name(key), origin=found.origin, **told)
