"""The money in pictures: cash over time as a fan, and what moves the outcome most.

>>> from tuckerlab.brief.money import Assumptions, Basis, money
>>> [axes.get_title(loc="left") for axes in money_picture(money(Assumptions(), Basis())).axes]
['What was spent and saved', 'What moves it most']
"""

import textwrap
from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tuckerlab.brief.assumptions import Assumptions, plain
from tuckerlab.brief.kinds import KINDS
from tuckerlab.brief.money import Money
from tuckerlab.brief.money_words import ratio_name, verdict_line
from tuckerlab.brief.sensitivity import Bar, tornado
from tuckerlab.figure import INK, PALETTE, QUIET, TEXT, Picture, styled
from tuckerlab.texts import text

BLUE, ORANGE, GREEN = PALETTE[:3]
TIMES = 25
LINE, INSIDE = 0.2, 0.72  # inches of a line of a legend; the part of a picture's height inside its axes
LONGEST, LEAST = 7, 0.02  # so many bars of a tornado, none so short beside the longest


def money_picture(money: Money) -> Picture:
    """Both beside each other, under the verdict."""
    figure = Picture(figsize=(10.6, 4.3))
    left, right = figure.subplots(1, 2, width_ratios=(1, 1))
    draw_fan(left, money)
    draw_tornado(right, tornado(money), money.assumptions)
    figure.headline(verdict_line(money))
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
    """The longest bars, from the worth at the low end to that at the high end; the ends stand beside them."""
    shown = [bar for bar in bars[:LONGEST] if bar.swing > LEAST * bars[0].swing][::-1]
    styled(
        axes,
        x=text("money.picture.worth", years=assumptions.years, currency=assumptions.currency),
        y="",
        title=text("money.picture.tornado"),
    )
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
    axes.grid(visible=False, axis="y")
    for label, colour in ((text("money.picture.lower"), ORANGE), (text("money.picture.upper"), BLUE)):
        axes.barh([0], [0], color=colour, label=label)
    if shown:
        axes.axvline(shown[0].middle, color=QUIET, linewidth=1, linestyle=":")
    axes.margins(x=0.35)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(lambda value, _: _tick(value, assumptions))
    (lowest, highest), ends = axes.get_xlim(), [worth for bar in shown[:2] for worth in (bar.worth_low, bar.worth_high)]
    is_left = bool(ends) and min(ends) - lowest > highest - max(ends)
    corner: Literal["lower left", "lower right"] = "lower left" if is_left else "lower right"
    axes.legend(fontsize=TEXT - 0.5, frameon=False, loc=corner, handlelength=1.0)  # short bars are there


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
