"""The pictures of the brief, drawn for the place that they have on paper, and as SVG that stands in the page.

>>> from tuckerlab.decision.evidence import Evidence
>>> from tuckerlab.experiments.recorded import found_folder
>>> evidence = Evidence.of([found_folder("accuracy-digits-vgg_small")])
>>> embedded(size_picture(evidence))[:26]
'data:image/svg+xml;base64,'

A headline stands in the page above its picture, in the letters of the page.
"""

import base64
import io
import textwrap
from typing import Any

from matplotlib.text import Text
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullLocator

from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.money import Money
from tuckerlab.decision.money_plots import draw_fan, draw_tornado, make_room
from tuckerlab.decision.others import called
from tuckerlab.decision.sensitivity import tornado
from tuckerlab.decision.words import joined, number, percent, short, times
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled
from tuckerlab.plotting.fonts import families
from tuckerlab.plotting.labels import write_names
from tuckerlab.plotting.styles import look

PRINTED = 8.7  # points that letters have on paper, where the look of all figures has TEXT
INCH = 25.4 * PRINTED / TEXT  # millimetres of paper for an inch of a picture
OTHERS = "#9a9a9a"
BELOW = 6.0  # points under the full network where the picture ends
MOVERS = 5  # bars of the tornado
HALF, WHOLE = (87, 50), (180, 48)


def drawn(evidence: Evidence, money: Money | None) -> dict[str, dict[str, str]]:
    """All of them: title, source and note of each. The source is empty where there is nothing to draw."""
    sizes, costs = evidence.shares["parameters"], (evidence.shares["time_1"], evidence.shares["time_128"])
    there = evidence.dense is not None and evidence.small is not None and evidence.change is not None and sizes
    found = {name: {"title": text(f"brief.picture.{name}.gap"), "source": "", "note": ""} for name in ("size", "cost")}
    found["money"] = dict.fromkeys(("title", "source", "note"), "")
    if there and sizes and evidence.change:
        told = {"times": times(sizes.value), "points": number(evidence.change.value, 1, signed=True)}
        found["size"] = _figure("size", size_picture(evidence), **told)
        note = "spread" if evidence.pairs > 1 else "one"
        others = [text("brief.picture.size.others")] if len(evidence.networks) > 2 else []
        notes = [text(f"brief.picture.size.{note}", seeds=evidence.pairs, allowed=evidence.allowed), *others]
        found["size"]["note"] = joined(notes)
        if costs[0] and costs[1]:
            told = {"one": percent(costs[0].value), "batch": percent(costs[1].value)}
            found["cost"] = _figure("cost", cost_picture(evidence), **told)
        else:
            found["cost"] = _figure("no_times", cost_picture(evidence))
        device, threads = evidence.timed_on
        kind = "deployed" if evidence.deployed else "note"
        said = {"device": short(device), "threads": text("brief.threads", count=threads)}
        found["cost"]["note"] = text(f"brief.picture.cost.{kind}", **said)
    if money is not None:
        found["money"]["source"] = embedded(money_picture(money))
    return found


def _figure(name: str, picture: Picture, **told: Any) -> dict[str, str]:
    return {"title": text(f"brief.picture.{name}", **told), "source": embedded(picture)}


def picture(millimetres: tuple[float, float]) -> Picture:
    """An empty picture of this size on paper, with the letters of the page."""
    made = Picture((millimetres[0] / INCH, millimetres[1] / INCH))
    made.fonts = families("ja")  # the page has one font for all languages
    return made


def embedded(made: Picture) -> str:
    """The picture as an address that holds all of it."""
    for label in made.findobj(Text):  # in that font it is as wide as a Japanese character
        label.set_text(label.get_text().replace("’", "'"))
    buffer = io.BytesIO()
    made.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return f"data:image/svg+xml;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def size_picture(evidence: Evidence) -> Picture:
    """Accuracy against size, bars from the worst seed to the best: both networks by name, all others in grey."""
    made = picture(HALF)
    axes = styled(made.subplots(), x=text("brief.axis.parameters"), y=text("brief.axis.accuracy"))
    named = {subject.label for subject in (evidence.dense, evidence.small) if subject}
    best = {other.network.name for other in evidence.others if other.quantity == "accuracy"}
    dense = next((n for n in evidence.networks if evidence.dense and n.name == evidence.dense.label), None)
    shown = [n for n in evidence.networks if dense is None or n.accuracy >= dense.accuracy - BELOW]
    for network in sorted(shown, key=lambda n: n.name in named):
        style: dict[str, Any] = look(network.method).style if network.name in named | best else _QUIET
        up = [[network.accuracy - network.low], [network.high - network.accuracy]]
        bars = up if network.seeds > 1 and network.name in named | best else None
        axes.errorbar(
            network.size, network.accuracy, yerr=bars, **style, capsize=3, elinewidth=1.2,
            markersize=8 if network.name in named else 5, zorder=3 if network.name in named else 2,
        )  # fmt: skip
    if dense:
        axes.axhline(dense.accuracy, color=INK, linewidth=1, linestyle=":")
        axes.axhspan(dense.accuracy - evidence.allowed, dense.accuracy, color=PALETTE[2], alpha=0.13, linewidth=0)
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
    points = [n for n in shown if n.name in named] + [n for n in shown if n.name in best]
    spreads = [(n.size, n.low, n.high) for n in shown if n.name in named | best]
    write_names(axes, [(called(n.name, n.method), n.size, n.accuracy) for n in points], spreads)
    return made


_QUIET: dict[str, Any] = {"color": OTHERS, "marker": "o", "markerfacecolor": "white", "markeredgewidth": 1.2}
NEAR = 0.55  # of the picture of costs: what ends further right has its number near the dotted line
COSTS = ("parameters", "file", "time_1", "time_128", "step", "memory")


def cost_picture(evidence: Evidence) -> Picture:
    """What the small network needs of what the full one does: a bar for each cost, with its spread."""
    made = picture(HALF)
    axes = styled(made.subplots(), x=text("brief.axis.share"), y="")
    shares = {name: evidence.shares[name] for name in COSTS}
    limit = 1.25 * max(100.0, *(100 * found.high for found in shares.values() if found))
    for place, found in enumerate(shares.values()):
        if found is None:
            axes.text(2, place, text("brief.not_measured"), va="center", fontsize=TEXT, color=QUIET)
            continue
        value, low, high = (100 * part for part in (found.value, found.low, found.high))
        colour = PALETTE[0] if value <= 100 else PALETTE[1]
        axes.barh(place, value, color=colour, height=0.6)
        if found.has_spread:
            axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, capsize=3, elinewidth=1.2)
        beside = max(high, value)
        beside = 100 if NEAR * limit < beside < 100 else beside  # a number would stand on the dotted line
        axes.annotate(
            text("unit.share", share=value), (beside, place), (6, 0), textcoords="offset points",
            va="center", fontsize=TEXT, color=INK,
        )  # fmt: skip
    axes.axvline(100, color=INK, linewidth=1, linestyle=":")
    axes.set_yticks(range(len(shares)), [text(f"brief.cost.{name}") for name in shares])
    axes.set_ylim(len(shares) - 0.5, -0.5)
    axes.set_xlim(0, limit)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    return made


def money_picture(money: Money) -> Picture:
    """Cash over time, and what moves the outcome most."""
    made = picture(WHOLE)
    left, right = made.subplots(1, 2, width_ratios=(0.9, 1))
    draw_fan(left, money)
    draw_tornado(right, tornado(money)[:MOVERS], money.assumptions)
    bottom, top = left.get_ylim()
    left.set_ylim(bottom, top + 0.15 * (top - bottom))  # so flat a picture needs more of it for the legend
    names = [" ".join(label.get_text().replace("’", "'").split("\n")) for label in right.get_yticklabels()]
    right.set_yticks(right.get_yticks(), [textwrap.fill(name, 32) for name in names], linespacing=0.95)
    right.set_title(right.get_title(loc="left"), loc="left", x=-0.72, fontsize=TEXT)  # over the names of the bars
    right.xaxis.set_major_locator(MaxNLocator(3))
    make_room(right)
    return made
