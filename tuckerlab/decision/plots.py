"""The pictures of the decision: accuracy against size, costs, cash over time, what moves it most, and the plan."""

import base64
import io
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from tuckerlab.decision.assumptions import KINDS, Assumptions, plain
from tuckerlab.decision.business_case import RATIOS, Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.plan import Plan
from tuckerlab.decision.sensitivity import Bar, tornado
from tuckerlab.decision.wording import network_name, verdict_line
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, families, styled, write_names
from tuckerlab.plotting.styles import look

PRINTED = 8.7  # points that letters have on paper, where the look of all figures has TEXT
INCH = 25.4 * PRINTED / TEXT  # millimetres of paper for an inch of a picture
HALF, WHOLE = (87, 50), (180, 48)  # millimetres
BELOW = 6.0  # points under the full network where the picture of sizes ends
NEAR = 0.55  # of the picture of costs: what ends further right has its number near the dotted line
COSTS = {
    "parameters": N_("numbers stored"),
    "file": N_("file"),
    "time_1": N_("time, one answer"),
    "time_128": N_("time, 128 answers"),
    "step": N_("time, training step"),
    "memory": N_("memory to train"),
}
MOVERS, LONGEST, FEWEST, LEAST = 5, 7, 4, 0.02  # bars of a tornado: in the brief, most, room for; none so short
TIMES = 25  # points of a fan
LINE, INSIDE = 0.2, 0.72  # inches of a line of a legend; the part of a picture's height inside its axes
ROOM = 0.3  # of the bars, beside them on both sides, for the numbers at their ends
BLUE, ORANGE, GREEN = PALETTE[:3]
OTHERS: dict[str, Any] = {"color": "#9a9a9a", "marker": "o", "markerfacecolor": "white", "markeredgewidth": 1.2}


def picture(millimetres: tuple[float, float]) -> Picture:
    """An empty picture of this size on paper, with the letters of the page."""
    made = Picture((millimetres[0] / INCH, millimetres[1] / INCH))
    made.fonts = families("ja")  # the page has one font for all languages
    return made


def embedded(made: Picture) -> str:
    """The picture as the address of an SVG that holds all of it."""
    for label in made.findobj(Text):  # in that font it is as wide as a Japanese character
        label.set_text(label.get_text().replace("’", "'"))
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# --- the evidence ----------------------------------------------------------------------------------------------------


def size_picture(evidence: Evidence) -> Picture:
    """Accuracy against size, bars from the worst seed to the best: both networks by name, all others in grey."""
    made = picture(HALF)
    axes = styled(made.subplots(), x=_("numbers stored"), y=_("right on test images, %"))
    ours = {subject.label for subject in (evidence.dense, evidence.small) if subject}
    named = ours | {other.network.name for other in evidence.others if other.quantity == "accuracy"}
    dense = next((n for n in evidence.networks if evidence.dense and n.name == evidence.dense.label), None)
    shown = [n for n in evidence.networks if dense is None or n.accuracy >= dense.accuracy - BELOW]
    for network in sorted(shown, key=lambda n: n.name in ours):
        size, front = (8, 3) if network.name in ours else (5, 2)
        bars = [[network.accuracy - network.low], [network.high - network.accuracy]]
        axes.errorbar(
            network.size, network.accuracy, yerr=bars if network.seeds > 1 and network.name in named else None,
            **(look(network.method).style if network.name in named else OTHERS), capsize=3, elinewidth=1.2,
            markersize=size, zorder=front,
        )  # fmt: skip
    if dense:
        axes.axhline(dense.accuracy, color=INK, linewidth=1, linestyle=":")
        axes.axhspan(dense.accuracy - evidence.allowed, dense.accuracy, color=GREEN, alpha=0.13, linewidth=0)
    sizes = [n.size for n in shown]
    if max(sizes) > 3 * min(sizes) > 0:
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.6, max(sizes) * 1.6)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    low, high = min(n.accuracy for n in shown), max(n.high for n in shown)
    axes.set_ylim(low - 0.1 * (high - low) - 0.3, high + 0.2 * (high - low) + 0.3)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    points = sorted((n for n in shown if n.name in named), key=lambda n: n.name not in ours)
    names = [(network_name(n.name, n.method), n.size, n.accuracy) for n in points]
    write_names(axes, names, [(n.size, n.low, n.high) for n in points])
    return made


def cost_picture(evidence: Evidence) -> Picture:
    """What the small network needs of what the full one does: a bar for each cost, with its spread."""
    made = picture(HALF)
    axes = styled(made.subplots(), x=_("% of what the full network needs"), y="")
    shares = [evidence.shares[name] for name in COSTS]
    limit = 1.25 * max(100.0, *(100 * found.high for found in shares if found))
    for place, found in enumerate(shares):
        if found is None:
            axes.text(2, place, _("not measured"), va="center", fontsize=TEXT, color=QUIET)
            continue
        value, low, high = (100 * part for part in (found.value, found.low, found.high))
        axes.barh(place, value, color=BLUE if value <= 100 else ORANGE, height=0.6)
        if found.has_spread:
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, capsize=3, elinewidth=1.2)
        beside = 100 if NEAR * limit < high < 100 else high  # a number would stand on the dotted line
        axes.annotate(
            _("{share:.0f} %", share=value), (beside, place), (6, 0), textcoords="offset points",
            va="center", fontsize=TEXT, color=INK,
        )  # fmt: skip
    axes.axvline(100, color=INK, linewidth=1, linestyle=":")
    _rows(axes, [_(name) for name in COSTS.values()], len(shares))
    axes.set_xlim(0, limit)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return made


def _rows(axes: Axes, names: Sequence[str], room: int) -> None:
    """Bars under each other, the first on top, each with its name; for so many of them there is room."""
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(room - 0.5, -0.5)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)


# --- the money -------------------------------------------------------------------------------------------------------


def money_picture(money: Money, *, printed: bool = False) -> Picture:
    """Cash over time, and what moves the outcome most, under the verdict.

    `printed` is for the brief: flat, without the verdict, with the longest bars alone and their names in wide lines.
    """
    figure = picture(WHOLE) if printed else Picture(figsize=(10.1, 4.3))
    left, right = figure.subplots(1, 2, width_ratios=(0.9, 1) if printed else None)
    draw_fan(left, money)
    if not printed:
        draw_tornado(right, tornado(money), money.assumptions)
        figure.headline(verdict_line(money))
        return figure
    draw_tornado(right, tornado(money)[:MOVERS], money.assumptions, wrap=32, title_at=-0.72)
    bottom, top = left.get_ylim()
    left.set_ylim(bottom, top + 0.15 * (top - bottom))  # so flat a picture needs more of it for the legend
    right.set_yticks(right.get_yticks(), [label.get_text() for label in right.get_yticklabels()], linespacing=0.95)
    right.xaxis.set_major_locator(MaxNLocator(3))
    return figure


def draw_fan(axes: Axes, money: Money) -> None:
    """Cash from the first day on: the middle of the draws, the ranges of 50 % and 90 % of them, and the payback."""
    assumptions = money.assumptions
    cash = _("cash in today’s money, {currency}", currency=assumptions.currency)
    styled(axes, x=_("years from the first day"), y=cash, title=_("What was spent and saved"))
    years = np.linspace(0, assumptions.years, TIMES)
    low, lower, median, upper, high = money.case.fan(years, (0.05, 0.25, 0.5, 0.75, 0.95))
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
    legend = axes.legend(fontsize=TEXT - 0.5, frameon=False, loc="upper left")
    figure = axes.get_figure(root=True)
    height = figure.get_figheight() if figure else 1.0
    taken = min(LINE * len(legend.get_texts()) / (INSIDE * height), 0.6)  # of the height, by the legend
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, bottom + (top - bottom) / (1 - taken))


def draw_tornado(
    axes: Axes, bars: Sequence[Bar], assumptions: Assumptions, *, wrap: int = 26, title_at: float = -0.6
) -> None:
    """The longest bars, from the worth at the low end to that at the high end; the ends stand beside them.

    Names are broken into lines of `wrap` letters, and the title begins over them, at `title_at` widths of the axes.
    """
    shown = [bar for bar in bars[:LONGEST] if bar.swing > LEAST * bars[0].swing]
    styled(
        axes,
        x=_("worth over {years:.0f} years, {currency}", years=assumptions.years, currency=assumptions.currency),
        y="",
    )
    axes.set_title(_("What moves it most"), fontsize=TEXT, color=INK, loc="left", x=title_at, y=1.0)
    for i, bar in enumerate(shown):
        for end, worth, colour in ((bar.low, bar.worth_low, ORANGE), (bar.high, bar.worth_high, BLUE)):
            axes.barh(i, worth - bar.middle, left=bar.middle, color=colour, height=0.55)
            to_right = worth > bar.middle or worth == bar.middle == max(bar.worth_low, bar.worth_high)
            axes.annotate(
                _end(bar.key, end), (worth, i), (4 if to_right else -4, 0), textcoords="offset points", va="center",
                ha="left" if to_right else "right", fontsize=TEXT - 0.5, color=INK,
            )  # fmt: skip
    names = [_(KINDS[bar.key].name if bar.key in KINDS else RATIOS[bar.key]) for bar in shown]
    _rows(axes, [textwrap.fill(name, wrap) for name in names], max(len(shown), FEWEST))
    for label, colour in ((_("low end"), ORANGE), (_("high end"), BLUE)):
        axes.barh([0], [0], color=colour, label=label)
    if shown:
        label = _("middle of the cases")
        axes.axvline(shown[0].middle, color=INK, linewidth=1.2, linestyle=":", label=label)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, place: _tick(value, assumptions))
    axes.margins(x=ROOM)
    axes.legend(
        fontsize=TEXT - 0.5, frameon=False, handlelength=0.9, columnspacing=0.9, handletextpad=0.5, ncols=3,
        loc="lower right", bbox_to_anchor=(1.03, 0.985), borderaxespad=0,
    )  # fmt: skip


def _tick(value: float, assumptions: Assumptions) -> str:
    if abs(value) < 1e6:
        return assumptions.amount(value)
    sign = "−" if value < 0 else ""
    return sign + _("{currency}{value:.3g} M", currency=assumptions.currency, value=abs(value) / 1e6)


def _end(key: str, value: float) -> str:
    if key in KINDS:
        return _("{value:,.10g} M", value=float(f"{value / 1e6:.3g}")) if value >= 1e6 else plain(value)
    return f"{value:+.1f}".replace("-", "−") if key == "accuracy" else f"{value:.0%}"


# --- the plan --------------------------------------------------------------------------------------------------------


def plan_picture(plan: Plan) -> Picture:
    """Each stage from its likely start to its likely end, when it ends at the latest, and who works how many days."""
    figure = Picture(figsize=(9.4, 3.6))
    axes = styled(figure.subplots(), x=_("weeks from the first day"), y="")
    for i, step in enumerate(plan.steps):
        axes.barh(i, step.weeks.likely, left=step.start.likely, height=0.5, color=BLUE)
        axes.plot([step.end.likely, step.end.high], [i, i], color=QUIET, linewidth=1.6, solid_capstyle="butt")
        axes.plot(step.end.high, i, "|", color=QUIET, markersize=11, markeredgewidth=1.6)
    axes.plot([], [], "|-", color=QUIET, markersize=9, markeredgewidth=1.6, label=_("at the latest"))
    _rows(axes, [f"{step.name}\n{step.who}" for step in plan.steps], len(plan.steps))
    axes.set_xlim(0, 1.03 * max(plan.weeks.high, 1e-9))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.legend(fontsize=TEXT, frameon=False, loc="upper right")
    figure.headline(plan.headline)
    return figure
