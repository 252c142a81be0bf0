"""What the money says in words: a verdict, the account line by line, what is missing, and what to be careful about.

>>> from tuckerlab.decision.money import Assumptions, Basis, money
>>> verdict_line(money(Assumptions().entered(answers_a_day=1000), Basis()))
'It does not pay back: within 3 years in less than 1 % of the cases'
"""

from dataclasses import dataclass
from html import escape

from tuckerlab.decision.assumptions import ENTERED
from tuckerlab.decision.cash_flows import LINES, ONCE, YEARLY
from tuckerlab.decision.measured import Measured
from tuckerlab.decision.money import Money, Spread
from tuckerlab.decision.sensitivity import Turn
from tuckerlab.i18n import text

FAR = 1000  # a turning point so many times away from what is likely is none that can be reached
OTHER_NETWORK = 3  # a time so many times another than the measured one is that of another network


def verdict_line(money: Money) -> str:
    """Whether it pays back, in one sentence that states how sure that is."""
    told = {"chance": chance(money.pays), "years": money.assumptions.years}
    return text(f"money.verdict.{money.verdict}", **told)


def outcome_line(money: Money) -> str:
    """What a year saves, what is spent once, and what both come to."""
    amount = money.assumptions.amount
    key = "saves" if money.yearly.median >= 0 else "costs"
    yearly = _spread(money, money.yearly) if key == "saves" else _spread(money, -money.yearly)
    return text(
        f"money.outcome.{key}",
        yearly=yearly,
        once=amount(-money.once.median),
        worth=_spread(money, money.worth),
        years=money.assumptions.years,
    )


def chance(share: float) -> str:
    """A share of the cases; none is called impossible or sure.

    >>> chance(0.0), chance(0.576), chance(1.0)
    ('less than 1 %', '58 %', 'more than 99 %')
    """
    if share < 0.01:
        return text("money.chance.least")
    return text("money.chance.most") if share > 0.99 else text("unit.whole_percent", value=100 * share)


def gap_lines(money: Money) -> list[str]:
    """The lines that count nothing because something was not measured, and what."""
    there = money.basis.measured
    return [
        text(
            "money.gap",
            line=LINES[key].name,
            missing=" · ".join(ratio_name(n) for n in LINES[key].needs if n not in there),
        )
        for key in money.gaps
    ]


def notes(money: Money) -> list[str]:
    """What a reader should know before trusting the numbers."""
    said, basis, assumptions = [], money.basis, money.assumptions
    if basis.accuracy and not basis.accuracy.has_spread:
        said.append(text("money.note.one_start"))
    for key in ("ms_1", "ms_128"):
        mine, found = assumptions[key], basis.full.get(key)
        if (
            found
            and mine.origin == ENTERED
            and not found.value / OTHER_NETWORK <= mine.likely <= found.value * OTHER_NETWORK
        ):
            said.append(text("money.note.scale", name=mine.name, measured=found.value, mine=mine.likely))
    if basis.time_1 and money.lines["devices"].high == 0 and assumptions["devices"].likely:
        told = {"time": 100 * basis.time_1.value, "speed": 100 * assumptions["smaller_device"].likely}
        said.append(text("money.note.device", **told))
    return said


def turn_line(money: Money, turn: Turn) -> str:
    """Which value of an assumption makes half of the cases pay back; empty where none can be reached."""
    likely = money.assumptions[turn.key]
    if turn.value is None or not likely.likely / FAR <= turn.value <= likely.likely * FAR:
        return ""
    told = {
        "name": likely.name,
        "value": f"{turn.value:,.2g}" if turn.value < 100 else f"{float(f'{turn.value:.2g}'):,.0f}",
    }
    return text(f"money.turn.{'above' if turn.pays_above else 'below'}", unit=money.assumptions.unit(turn.key), **told)


@dataclass(frozen=True)
class Row:
    """A line of the account as people read it, and what it rests on; `is_gap` where it counts nothing."""

    name: str
    mean: str
    span: str
    rests_on: str
    is_gap: bool = False


def rows(money: Money) -> tuple[list[Row], list[Row]]:
    """What is paid once, and what a year saves or costs. Means add up; each table ends with their sum."""
    once = [_row(money, line.key) for line in ONCE]
    yearly = [_row(money, line.key) for line in YEARLY]
    total = text("money.table.total")
    once.append(_sum(money, total, money.once))
    yearly.append(_sum(money, total, money.yearly))
    return once, yearly


def table(money: Money) -> str:
    """The rows as HTML."""
    parts = []
    for key, found in zip(("once", "yearly"), rows(money), strict=True):
        head = [text(f"money.table.{column}") for column in (key, "mean", "span", "rests_on")]
        body = [[row.name, row.mean, row.span, row.rests_on] for row in found]
        parts.append(html_table(head, body, numbers=(1, 2)))
    return "".join(parts)


def html_table(head: list[str], body: list[list[str]], numbers: tuple[int, ...] = ()) -> str:
    """A table of plain text as HTML, escaped; the columns of `numbers` are set to the right."""

    def cells(tag: str, row: list[str]) -> str:
        style = "padding:.15rem .6rem;vertical-align:top;text-align:"
        return "".join(
            f'<{tag} style="{style}{"right;white-space:nowrap" if i in numbers else "left"}">{escape(cell)}</{tag}>'
            for i, cell in enumerate(row)
        )

    lines = "".join(f"<tr>{cells('td', row)}</tr>" for row in body)
    table_style = "border-collapse:collapse;line-height:1.35;margin:.3rem 0"
    return f'<table style="{table_style}"><thead><tr>{cells("th", head)}</tr></thead><tbody>{lines}</tbody></table>'


def ratio_name(key: str) -> str:
    """What people call a measured share."""
    return text(f"money.name.{key}")


def ratio_line(key: str, found: Measured) -> str:
    """A measured share with its spread and its origin."""
    scale = 1 if key == "accuracy" else 100
    told = {"name": ratio_name(key), "value": scale * found.value, "low": scale * found.low, "high": scale * found.high}
    kind = "points" if key == "accuracy" else "share"
    return text(f"money.ratio.{kind}.{'spread' if found.has_spread else 'one'}", origin=found.origin, **told)


def _row(money: Money, key: str) -> Row:
    line = LINES[key]
    if key in money.gaps:
        missing = [ratio_name(name) for name in line.needs if name not in money.basis.measured]
        return Row(line.name, "–", "", text("money.table.missing", what=" · ".join(missing)), is_gap=True)
    measured = [ratio_line(name, money.basis.measured[name]) for name in line.needs]
    return _sum(money, line.name, money.lines[key], " · ".join(measured) or text("money.table.assumed"))


def _sum(money: Money, name: str, spread: Spread, rests_on: str = "") -> Row:
    amount = money.assumptions.amount
    return Row(
        name, amount(spread.mean), text("money.span", low=amount(spread.low), high=amount(spread.high)), rests_on
    )


def _spread(money: Money, spread: Spread) -> str:
    amount = money.assumptions.amount
    return text("money.spread", median=amount(spread.median), low=amount(spread.low), high=amount(spread.high))
