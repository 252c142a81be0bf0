"""The pictures of the decision: accuracy against size, costs, and cash over time beside what moves it most."""

import base64
import io
import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from tuckerlab.decision.assumptions import Assumptions, shown
from tuckerlab.decision.business_case import NAMES, Money, tornado
from tuckerlab.decision.evidence import QUANTITIES, Evidence
from tuckerlab.decision.wording import network_name, number
from tuckerlab.experiments.summary import TOLERATED
from tuckerlab.i18n import UNITS, _, language
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, counts, families, styled, write_names
from tuckerlab.plotting.styles import look

PRINTED = 8.7  # points that letters have on paper, where the look of all figures has TEXT
INCH = 25.4 * PRINTED / TEXT  # millimetres of paper for an inch of a picture
HALF, WHOLE = (87 / INCH, 50 / INCH), (180 / INCH, 62 / INCH)  # sizes on paper
BELOW = 6.0  # points under the full network where the picture of sizes ends
COSTS = ("parameters", "file", "time_1", "time_128", "step", "memory")
MOVERS = 5  # bars of a tornado
TIMES = 25  # points of a fan
BLUE, ORANGE, GREEN = PALETTE[:3]


def embedded(made: Picture) -> str:
    """The picture as the address of an SVG that holds all of it, with the letters of the page."""
    made.fonts = families("ja")  # the page has one font for all languages
    for label in made.findobj(Text):  # in that font it is as wide as a Japanese character
        label.set_text(label.get_text().replace("’", "'"))
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def size_picture(evidence: Evidence) -> Picture:
    """Accuracy against size, bars from the worst seed to the best: both networks by name, all others in grey."""
    made = Picture(HALF)
    axes = styled(made.subplots(), x=_("numbers stored"), y=_("right on test images, %"))
    named = [n for n in evidence.networks if n.name in (evidence.dense.label, evidence.small.label)]
    full = next(n.accuracy for n in named if n.name == evidence.dense.label)
    others = [n for n in evidence.networks if n not in named and n.accuracy >= full - BELOW]
    axes.plot([n.size for n in others], [n.accuracy for n in others], "o", color="#9a9a9a", markerfacecolor="white")
    for one in named:
        ends = [[max(one.accuracy - one.low, 0)], [max(one.high - one.accuracy, 0)]]  # a mean may be rounded
        axes.errorbar(one.size, one.accuracy, ends, **look(one.method).style, markersize=8, capsize=3, zorder=3)
    axes.axhline(full, color=INK, linewidth=1, linestyle=":")
    axes.axhspan(full - TOLERATED, full, color=GREEN, alpha=0.13, linewidth=0)
    axes.margins(x=0.15, y=0.15)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(counts())
    axes.yaxis.set_major_locator(MaxNLocator(5))
    write_names(axes, [(network_name(n.name, n.method), n.size, n.accuracy, n.low, n.high) for n in named])
    return made


def cost_picture(evidence: Evidence) -> Picture:
    """What the small network needs of what the full one does: a bar for each cost, with its spread."""
    made = Picture(HALF)
    axes = styled(made.subplots(), x=_("% of what the full network needs"), y="")
    for place, name in enumerate(COSTS):
        found = evidence.shares[name]
        if found is None:
            axes.text(2, place, _("not measured"), va="center", fontsize=TEXT, color=QUIET)
            continue
        value, low, high = (100 * part for part in (found.likely, found.low, found.high))
        axes.barh(place, value, color=BLUE if value <= 100 else ORANGE, height=0.6)
        if low < high:
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, capsize=3, elinewidth=1.2)
        axes.annotate(
            _("{share:.0f} %", share=value), (high, place), (6, 0), textcoords="offset points", va="center",
            fontsize=TEXT, color=INK, bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
        )  # fmt: skip
    axes.axvline(100, color=INK, linewidth=1, linestyle=":")
    _rows(axes, [_(QUANTITIES[name][0]) for name in COSTS])
    axes.set_xlim(0, max(125, 1.2 * axes.get_xlim()[1]))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return made


def _rows(axes: Axes, names: list[str]) -> None:
    """Bars under each other, the first on top, each with its name."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


def money_picture(money: Money) -> Picture:
    """Cash over time, and what moves the outcome most; in a fixed layout, since finding one takes long."""
    made = Picture(WHOLE, layout="none")
    _draw_fan(made.add_axes((0.14, 0.19, 0.31, 0.71)), money)
    _draw_tornado(made.add_axes((0.68, 0.19, 0.28, 0.71)), money)
    return made


def _draw_fan(axes: Axes, money: Money) -> None:
    """Cash from the first day on: the middle of the draws, the ranges of 50 % and 90 % of them, and the payback."""
    assumptions = money.assumptions
    cash = _("cash in today’s money, {currency}", currency=_(assumptions.currency))
    styled(axes, x=_("years from the first day"), y=cash, title=_("What was spent and saved"))
    years = np.linspace(0, assumptions.years, TIMES)
    low, lower, median, upper, high = money.fan(years, (0.05, 0.25, 0.5, 0.75, 0.95))
    axes.fill_between(years, low, high, color=BLUE, alpha=0.15, linewidth=0, label=_("90 % of the cases"))
    axes.fill_between(years, lower, upper, color=BLUE, alpha=0.3, linewidth=0, label=_("50 % of the cases"))
    axes.plot(years, median, color=BLUE, linewidth=2.2, label=_("half of the cases are above"))
    axes.axhline(0, color=INK, linewidth=1)
    if (after := money.payback.median) <= assumptions.years:
        label = _("back at nothing: {years:.1f} years", years=after)
        axes.plot(after, 0, "o", color=GREEN, markersize=9, zorder=4, clip_on=False, label=label)
    axes.set_xlim(0, assumptions.years)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(lambda value, place: _tick(value, assumptions))
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, bottom + 1.9 * (top - bottom))  # the legend is above
    axes.legend(fontsize=TEXT - 0.5, frameon=False, loc="upper left", labelspacing=0.3)


def _draw_tornado(axes: Axes, money: Money) -> None:
    """The longest bars, from the worth at the low end to that at the high end; the ends stand beside them."""
    assumptions, bars, middle = money.assumptions, list(tornado(money).items())[:MOVERS], money.worth_with()
    worth = _("worth over {years:.0f} years, {currency}", years=assumptions.years, currency=_(assumptions.currency))
    styled(axes, x=worth, y="")
    title = _("What moves it most (orange: low end, blue: high end)")
    axes.set_title(title, fontsize=TEXT, color=INK, loc="right", x=1.1)
    for place, (key, worths) in enumerate(bars):
        ends = money.ranges[key].low, money.ranges[key].high
        for end, worth_there, colour in zip(ends, worths, (ORANGE, BLUE), strict=True):
            axes.barh(place, worth_there - middle, left=middle, color=colour, height=0.55)
            is_right = worth_there > min(worths)
            axes.annotate(
                _end(key, end), (worth_there, place), (4 if is_right else -4, 0), textcoords="offset points",
                va="center", ha="left" if is_right else "right", fontsize=TEXT - 0.5, color=INK,
            )  # fmt: skip
    _rows(axes, [textwrap.fill(_(NAMES[key]), 22) for key, _worths in bars])
    axes.axvline(middle, color=INK, linewidth=1.2, linestyle=":")
    axes.xaxis.set_major_locator(MaxNLocator(2))
    axes.xaxis.set_major_formatter(lambda value, place: _tick(value, assumptions))
    axes.margins(x=0.3)


def _tick(value: float, assumptions: Assumptions) -> str:
    if abs(value) < 1e6 or language() in UNITS:
        return assumptions.amount(value)
    sign = "−" if value < 0 else ""
    return sign + _("{currency}{value:.3g} M", currency=assumptions.currency, value=abs(value) / 1e6)


def _end(key: str, value: float) -> str:
    """The end of a bar: of the accuracy with its sign."""
    if value >= 1e6 and language() not in UNITS:
        return _("{value:,.10g} M", value=float(f"{value / 1e6:.3g}"))
    return number(value, 1, signed=True) if key == "accuracy" else shown(float(f"{value:.3g}"))
