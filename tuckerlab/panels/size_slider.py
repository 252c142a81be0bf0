"""The size slider: move the size of a network, and see accuracy, parameters, file, time and cost move at once."""

from collections.abc import Sequence
from html import escape
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from tuckerlab.decision.assumptions import KINDS, Assumptions
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.experiments.size_table import Size, Sizes, recorded_sizes, yearly_cost
from tuckerlab.files import file_size
from tuckerlab.i18n import _, day
from tuckerlab.panels import widgets
from tuckerlab.panels.field import Field, number
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, row, set_visible, unwatched, watch
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled
from tuckerlab.plotting.styles import label_name

BLUE, NEEDLE, GREEN, PINK = PALETTE[:4]
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
LEAST_SPAN, BELOW = 4.0, 12.0  # points of accuracy that the axis shows at least, and those at most of one training


class InstantSlider(Panel):
    """Move the size of a network, and see accuracy, parameters, file, time and cost move at once.

    `sizes` names a recorded table, or is one of your own networks (`Sizes.of`). exercise: the panel asks for the
    smallest network that loses at most so many points, and says when it is found. Moving one slider points at a `size`
    along it, and the others follow to the size that stores as much. Raises DataError for a table that is not there.
    """

    def __init__(self, sizes: str | Sizes = "slider-mnist", *, exercise: float | None = None) -> None:
        super().__init__()
        self.exercise = exercise
        self.source = widgets.source_choice(_("Network"), recorded_sizes(), sizes if isinstance(sizes, str) else "")
        hint = _("How many of the weights in the convolutions the small network does without")
        self.compression = choice(_("Weights removed"), hint, 0, [("", 0)], continuous_update=True)
        hint = _("The tolerance: how much of each weight may be rounded away")
        self.tolerance = choice(_("Detail given up"), hint, 0, [("", 0)], continuous_update=True)
        hint = _("One network, trained once so that it can be cut to each of these sizes without more training")
        self.nested = choice(_("Weights removed, one training"), hint, 0, [("", 0)], continuous_update=True)
        self.sliders = {"compression": self.compression, "tolerance": self.tolerance, "nested": self.nested}
        self.usual = Assumptions()  # those of the decision panel
        asked, hour = self.usual["answers_a_day"], self.usual["server_hour"]
        self.answers = Field(_(KINDS["answers_a_day"].name), asked.likely, number(0, 1e12))
        self.price = Field(f"{_(KINDS['server_hour'].name)}, {_(self.usual.currency)}", hour.likely, number(0, 1e6))
        self.numbers, self.sentence, self.origin, self.task = ipywidgets.HTML(), Line(), Line(), Line()
        self.picture = PictureBox(
            _("Test accuracy against the share of weights removed, with a needle at the chosen size.")
        )
        self.children = [
            self.source, *self.sliders.values(), self.numbers, self.sentence, self.picture, self.task,
            row(self.answers, self.price), self.origin, self.alert,
        ]  # fmt: skip
        watch(self._move, *self.sliders.values())
        watch(self._show, self.answers, self.price)
        set_visible(self.source, isinstance(sizes, str))
        if isinstance(sizes, str):
            sizes = Sizes.load(found_folder(self.source.value))
            watch(self._load, self.source)
        self._begin(sizes)

    def _load(self, change: Any) -> None:
        with self.reporting():
            self._begin(Sizes.load(found_folder(change.new)))

    def _begin(self, sizes: Sizes) -> None:
        """The sliders for a table, at the smallest network that loses nothing."""
        self.sizes, self.is_moved = sizes, False
        with unwatched(self._move, *self.sliders.values()):
            for by, slider in self.sliders.items():
                series = sizes.series(by)
                slider.options = [(_setting(size), size.setting) for size in series] or [("", 0)]
                set_visible(slider, len(series) > 1)
        told = {"device": "", "cores": "", **sizes.origin, "date": day(sizes.origin.get("date", "0-0-0"))}
        where = _(
            "Recorded on {device}, {cores} cores, {date}. The cost counts answers in batches of 128 on one such "
            "machine.",
            **told,
        )
        self.origin.say(where if told["device"] else "")
        by = next((by for by in self.sliders if len(sizes.series(by)) > 1), "compression")
        self._point(by, sizes.smallest_within(by, 0))
        stops = [size.setting for size in sizes.series(by) if size.trained or size.setting in (0, self.size.setting)]
        self.stops = self.sliders[by], stops

    def _move(self, change: Any) -> None:
        [by] = (by for by, slider in self.sliders.items() if slider is change.owner)
        self.is_moved = True
        self._point(by, self.sizes.at(by, change.new))

    def _point(self, by: str, size: Size) -> None:
        """Puts both sliders at a size along the setting `by`, and shows it."""
        self.by, self.size = by, size
        with unwatched(self._move, *self.sliders.values()):
            for name, slider in self.sliders.items():
                if self.sizes.series(name):
                    slider.value = size.setting if name == by else self.sizes.like(size, name).setting
        self._show()

    def _show(self, change: object = None) -> None:
        size, full = self.size, self.sizes.full
        points = round(100 * (size.test_accuracy - full.test_accuracy), 1)
        verdict = _("{points:+.1f} points", points=points)
        if size.test_accuracy >= full.lowest:
            verdict = _("✓ as accurate as the full network, within its spread")
        cost, full_cost = (yearly_cost(one, self.answers.value, self.price.value) for one in (size, full))
        self.numbers.value = widgets.tiles([
            (_("Right on new images"), _("{value:.1f} %", value=100 * size.test_accuracy), verdict),
            (_("Numbers stored"), f"{size.parameters:,}", _of_full(size.parameters, full.parameters)),
            (_("File"), file_size(size.file_bytes), _of_full(size.file_bytes, full.file_bytes)),
            (_("Time for one answer"), _("{value:.2f} ms", value=size.latency_1_ms),
             _of_full(size.latency_1_ms, full.latency_1_ms)),
            (_("Servers for a year"), self.usual.amount(cost),
             _("{amount} with the full network", amount=self.usual.amount(full_cost))),
        ])  # fmt: skip
        self.sentence.say(_said(size))
        if self.exercise is not None:
            task = _("Exercise: find the smallest network that loses at most {points:g} points.", points=self.exercise)
            best = self.sizes.smallest_within(self.by, self.exercise)
            # other settings may cut to the same network
            is_best = (size.parameters, size.test_accuracy) == (best.parameters, best.test_accuracy)
            reply = _("✓ That is it.") if is_best else _("Not yet.")
            self.task.show(f"{escape(task)} <b>{escape(reply if self.is_moved else '')}</b>")
        self.picture.show(draw(self.sizes, self.by, size))


def _setting(size: Size) -> str:
    said = _("{value:.0f} %", value=100 * size.setting)
    return _("{setting} ◆ trained", setting=said) if size.trained else said


def _of_full(value: float, full: float) -> str:
    return _("{share:.0f} % of the full network", share=100 * value / full)


def _said(size: Size) -> str:
    if size.setting == 0:
        return _("This is the full network: nothing is removed.")
    if size.trained:
        ends = {"low": 100 * size.lowest, "high": 100 * size.highest}
        return _(
            "◆ This network was trained at this size, from {count} starts: {low:.1f} to {high:.1f} %.",
            count=size.seeds, **ends,
        )  # fmt: skip
    if size.by == "nested":
        ends = {"low": 100 * size.lowest, "high": 100 * size.highest}
        return _(
            "This network is part of one that was trained once for all of these sizes, and cut out of it without more "
            "training: from {count} starts {low:.1f} to {high:.1f} %.",
            count=size.seeds, **ends,
        )  # fmt: skip
    if size.conv_compression <= 0:
        return _("With so little given up, the parts store more numbers than the full network: here nothing is saved.")
    return _(
        "This network was not trained at this size: it is “{source}”, cut to it without training. Where much is "
        "cut, training at the size gives more.",
        source=label_name(size.source),
    )


def draw(sizes: Sizes, by: str, size: Size) -> Picture:
    """All sizes along a setting and those of one training for every size, with a needle at one of them."""
    figure = Picture(figsize=(10.1, 4.1), layout="none")  # to find a layout takes longer than all the drawing
    axes = figure.add_axes((0.06, 0.145, 0.925, 0.735))
    nested, full = sizes.series("nested")[1:], 100 * sizes.full.test_accuracy
    series = sizes.series("compression" if by == "nested" else by)
    x, y, low, high = _curve(series)
    trained = np.array([one.trained for one in series])
    least = min(map(_kept, [*series, *nested]))
    styled(axes, x=_("convolution weights removed"), y=_("right on new images, %"))
    axes.set_xscale("log")
    axes.set_xticks([100 * (1 - tick) for tick in TICKS], [_("{value:.0f} %", value=100 * t) for t in TICKS])
    axes.set_xlim(max(105, 1.05 * x.max()), max(0.7 * least, 0.5))
    axes.xaxis.set_minor_locator(NullLocator())
    bottom = min(y[trained].min() - 3 if trained.any() else y.min(), full - LEAST_SPAN)
    bottom = min([bottom, *(max(100 * one.lowest, full - BELOW) for one in nested)])
    top = full + 0.18 * (full - bottom)
    axes.set_ylim(bottom, top)
    axes.axhline(full, color=INK, linewidth=1.2, linestyle=":")
    axes.axhspan(100 * sizes.full.lowest, 100 * sizes.full.highest, color=INK, alpha=0.08, linewidth=0)
    axes.text(0.995, full, _("the full network"), transform=axes.get_yaxis_transform(), va="bottom", ha="right",
              fontsize=TEXT, color=INK)  # fmt: skip
    for source in dict.fromkeys(one.source for one in series):  # each network's cuts are a line of their own
        own = np.array([one.source == source for one in series])
        axes.plot(x[own], y[own], color=QUIET, linewidth=1.2, marker=".", markersize=4)
    axes.errorbar(x[trained], y[trained], np.stack([y - low, high - y])[:, trained], color=BLUE, elinewidth=1.5,
                  capsize=3, fmt="D-", markersize=7, label=_("trained at this size"))  # fmt: skip
    if nested:
        x, y, low, high = _curve(nested)
        axes.fill_between(x, low, high, color=PINK, alpha=0.25, linewidth=0)
        axes.plot(x, y, color=PINK, linewidth=2, label=_("one training, cut to any size"))
    if len(series) > 1:
        axes.plot([], [], ".-", color=QUIET, label=_("cut without training"))
    label, smallest = _("the smallest that is as accurate as the full one"), sizes.smallest_within(by, 0)
    axes.plot(_kept(smallest), top, "v", color=GREEN, markersize=12, clip_on=False, label=label)
    axes.axvline(_kept(size), color=NEEDLE, linewidth=2, zorder=3)
    axes.plot(_kept(size), 100 * size.test_accuracy, "D" if size.trained else "o", color=NEEDLE, markersize=11,
              markeredgecolor="white", zorder=4)  # fmt: skip
    figure.legend(loc="upper left", ncols=4, columnspacing=1, fontsize=TEXT - 0.5, frameon=False)
    return figure


def _curve(series: Sequence[Size]) -> NDArray[np.float64]:
    """What is left of the weights, accuracy, and its ends over the seeds, in per cent."""
    rows = [(_kept(one), *(100 * value for value in (one.test_accuracy, one.lowest, one.highest))) for one in series]
    return np.array(rows).T


def _kept(size: Size) -> float:
    """The share of the convolution weights that is left, in per cent."""
    return float(100 * (1 - size.conv_compression))
