"""The money in pictures: cash over time as a fan, and what moves the outcome most.

>>> from tuckerlab.decision.money import Assumptions, Basis, money
>>> [axes.get_title(loc="left") for axes in money_picture(money(Assumptions(), Basis())).axes]
['What was spent and saved', 'What moves it most']
"""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator

from tuckerlab.decision.assumptions import Assumptions, plain
from tuckerlab.decision.kinds import KINDS
from tuckerlab.decision.money import Money
from tuckerlab.decision.money_words import ratio_name, verdict_line
from tuckerlab.decision.sensitivity import Bar, tornado
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled

BLUE, ORANGE, GREEN = PALETTE[:3]
TIMES = 25
LINE, INSIDE = 0.2, 0.72  # inches of a line of a legend; the part of a picture's height inside its axes
OVER_NAMES = -0.6  # where the title of a tornado begins, in widths of its axes
APART, ROUNDS = 7, 30  # points between a bar, its number and the edge; steps until all numbers have room
LONGEST, LEAST = 7, 0.02  # so many bars of a tornado, none so short beside the longest
FEWEST = 4  # bars that there is room for, however few there are


def money_picture(money: Money) -> Picture:
    """Both beside each other, under the verdict."""
    figure = Picture(figsize=(10.6, 4.3))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    draw_fan(left, money)
    draw_tornado(right, tornado(money), money.assumptions)
    figure.headline(verdict_line(money))
    make_room(right)
    return figure


def draw_fan(axes: Axes, money: Money) -> None:
    """Cash from the first day on: the middle of the draws, the ranges of 50 % and 90 % of them, and the payback."""
    assumptions = money.assumptions
    styled(
        axes,
        x=text("money.picture.years"),
        y=text("money.picture.cash", currency=assumptions.currency),
        title=text("money.picture.fan"),
    )
    years = np.linspace(0, assumptions.years, TIMES)
    low, lower, median, upper, high = money.case.fan(years, (0.05, 0.25, 0.5, 0.75, 0.95))
    axes.fill_between(years, low, high, color=BLUE, alpha=0.15, linewidth=0, label=text("money.picture.most"))
    axes.fill_between(years, lower, upper, color=BLUE, alpha=0.3, linewidth=0, label=text("money.picture.half"))
    axes.plot(years, median, color=BLUE, linewidth=2.2, label=text("money.picture.median"))
    axes.axhline(0, color=INK, linewidth=1)
    if money.payback.median <= assumptions.years:
        label = text("money.picture.payback", years=money.payback.median)
        axes.plot(money.payback.median, 0, "o", color=GREEN, markersize=9, zorder=4, clip_on=False, label=label)
    axes.set_xlim(0, assumptions.years)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_formatter(lambda value, _: _tick(value, assumptions))
    legend = axes.legend(fontsize=TEXT - 0.5, frameon=False, loc="upper left")
    taken = min(LINE * len(legend.get_texts()) / (INSIDE * _height(axes)), 0.6)  # of the height, by the legend
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, bottom + (top - bottom) / (1 - taken))


def draw_tornado(axes: Axes, bars: Sequence[Bar], assumptions: Assumptions) -> None:
    """The longest bars, from the worth at the low end to that at the high end; the ends stand beside them.

    When the axes have their place, `make_room` finds how much the numbers at the ends need.
    """
    shown = [bar for bar in bars[:LONGEST] if bar.swing > LEAST * bars[0].swing][::-1]
    styled(
        axes,
        x=text("money.picture.worth", years=assumptions.years, currency=assumptions.currency),
        y="",
    )
    axes.set_title(text("money.picture.tornado"), fontsize=TEXT, color=INK, loc="left", x=OVER_NAMES, y=1.0)
    for i, bar in enumerate(shown):
        for end, worth, colour in ((bar.low, bar.worth_low, ORANGE), (bar.high, bar.worth_high, BLUE)):
            axes.barh(i, worth - bar.middle, left=bar.middle, color=colour, height=0.55)
            side = (
                1 if worth > bar.middle or (worth == bar.middle and max(bar.worth_low, bar.worth_high) == worth) else -1
            )
            axes.annotate(
                _end(bar.key, end), (worth, i), (4 * side, 0), textcoords="offset points", va="center",
                ha="left" if side > 0 else "right", fontsize=TEXT - 0.5, color=INK,
            )  # fmt: skip
    axes.set_yticks(range(len(shown)), [textwrap.fill(_name(bar.key, assumptions), 26) for bar in shown])
    axes.set_ylim(len(shown) - 0.5 - max(len(shown), FEWEST), len(shown) - 0.5)
    axes.grid(visible=False, axis="y")
    for label, colour in ((text("money.picture.lower"), ORANGE), (text("money.picture.upper"), BLUE)):
        axes.barh([0], [0], color=colour, label=label)
    if shown:
        label = text("money.picture.middle")
        axes.axvline(shown[0].middle, color=INK, linewidth=1.2, linestyle=":", label=label)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value, assumptions))
    axes.legend(
        fontsize=TEXT - 0.5, frameon=False, handlelength=0.9, columnspacing=0.9, handletextpad=0.5, ncols=3,
        loc="lower right", bbox_to_anchor=(1.03, 0.985), borderaxespad=0,
    )  # fmt: skip


def make_room(axes: Axes) -> None:
    """Limits in which the numbers beside the bars have room, whatever their length; for axes that have their place."""
    figure, (least, most) = axes.get_figure(root=True), axes.dataLim.intervalx
    labels = [label for label in axes.texts if isinstance(label, Annotation)]
    if not isinstance(figure, Picture) or not labels or least == most:
        return
    for label in labels:
        label.set_fontfamily(list(figure.fonts))
    if isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.draw_without_rendering()
    place = axes.get_window_extent().width
    apart = APART * figure.dpi / 72
    wide = [(label.get_window_extent().width + apart, label.xy[0], label.get_horizontalalignment()) for label in labels]
    left = right = 0.0
    for _ in range(ROUNDS):  # with more room there are fewer pixels for all, until it fits
        pixel = (most - least + left + right) / place
        left = max([0.0, *(width * pixel - (at - least) for width, at, side in wide if side == "right")])
        right = max([0.0, *(width * pixel - (most - at) for width, at, side in wide if side == "left")])
    axes.set_xlim(least - left, most + right)


def _height(axes: Axes) -> float:
    figure = axes.get_figure(root=True)
    return float(figure.get_figheight()) if figure else 1.0


def _tick(value: float, assumptions: Assumptions) -> str:
    if abs(value) < 1e6:
        return assumptions.amount(value)
    sign = "−" if value < 0 else ""
    return sign + text("money.picture.amount", currency=assumptions.currency, value=abs(value) / 1e6)


def _name(key: str, assumptions: Assumptions) -> str:
    return assumptions[key].name if key in KINDS else ratio_name(key)


def _end(key: str, value: float) -> str:
    if key in KINDS:
        return text("money.picture.million", value=float(f"{value / 1e6:.3g}")) if value >= 1e6 else plain(value)
    return text("money.picture.change" if key == "accuracy" else "money.picture.share", value=value)
