"""The size slider: move the size of a network, and see accuracy, parameters, file, time and cost move at once."""

from html import escape
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tuckerlab.experiments.size_table import Size, Sizes, recorded_sizes, yearly_cost
from tuckerlab.i18n import N_, _
from tuckerlab.panels.fast_png import MovingPicture
from tuckerlab.panels.widgets import (
    SLIDER,
    Line,
    Panel,
    labelled,
    picture_widget,
    recorded_name,
    row,
    tiles,
    unwatched,
    watch,
)
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

MOST_ANSWERS, HIGHEST_PRICE = 1e12, 1e6
BLUE, GREEN = PALETTE[0], PALETTE[2]
BARS = (N_("numbers stored"), N_("file"), N_("arithmetic"), N_("time, 1 answer"), N_("cost of a year"))
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
_LABEL: dict[str, Any] = {"va": "bottom", "fontsize": TEXT, "color": INK}
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least


class InstantSlider(Panel):
    """Move the size of a network, and see accuracy, parameters, file, time and cost move at once.

    `sizes` names a recorded table, or is one of your own networks (`Sizes.of`). exercise: the panel asks for the
    smallest network that loses at most so many points, and says when it is found. Moving one slider points at a `size`
    along it, and the other slider follows to the size that stores as much. Raises DataError where there are no tables.
    """

    def __init__(self, sizes: str | Sizes = "slider-digits", *, exercise: float | None = None) -> None:
        super().__init__()
        self.exercise = exercise
        self.source = labelled(ipywidgets.Dropdown, _("Network"))
        self.compression = labelled(
            ipywidgets.SelectionSlider, _("Weights removed"),
            _("How many of the weights in the convolutions the small network does without"), options=[0], layout=SLIDER,
        )  # fmt: skip
        self.tolerance = labelled(
            ipywidgets.SelectionSlider, _("Detail given up"),
            _("The tolerance: how much of each weight may be rounded away"), options=[0], layout=SLIDER,
        )  # fmt: skip
        self.sliders = {"compression": self.compression, "tolerance": self.tolerance}
        answers, price = _("Answers a day (yours)"), _("Price of a machine hour (yours)")
        self.answers = labelled(ipywidgets.BoundedFloatText, answers, value=1e6, max=MOST_ANSWERS, step=1e5)
        self.price = labelled(ipywidgets.BoundedFloatText, price, value=0.1, max=HIGHEST_PRICE, step=0.01)
        self.numbers, self.sentence, self.origin, self.task = ipywidgets.HTML(), Line(), Line(), Line()
        self.picture = picture_widget(_(
            "Left: test accuracy against the share of weights removed, with a needle at the chosen size. "
            "Right: what the chosen size needs, in per cent of the full network."
        ))  # fmt: skip
        self.children = [
            self.source, self.compression, self.tolerance, self.numbers, self.sentence, self.picture, self.task,
            row(self.answers, self.price), self.origin, self.alert,
        ]  # fmt: skip
        watch(self._move, *self.sliders.values())
        watch(self._show, self.answers, self.price)
        if isinstance(sizes, Sizes):
            self.source.layout.display = "none"
            self._begin(sizes)
        else:
            self._begin_recorded(sizes)
        watch(self._load, self.source)

    def _begin_recorded(self, name: str) -> None:
        """Begins with a recorded table; with the first that there is, and a problem, where none has that name."""
        names = recorded_sizes()
        found = next((one for one in names if one.startswith(name)), None)
        with self.reporting():
            if found is None:
                Sizes.recorded(name)
        self._begin(Sizes.recorded(found or next(iter(names), name)))
        self.source.options = [(recorded_name(one), one) for one in names]
        self.source.value = found or names[0]

    def _load(self, change: Any) -> None:
        """Another recorded table; one that is not there is a problem, and the one before stays."""
        with self.reporting():
            self._begin(Sizes.recorded(change.new))
        if self.problem:
            with unwatched(self._load, self.source):
                self.source.value = change.old

    def _begin(self, sizes: Sizes) -> None:
        """The sliders for a table, at the smallest network that loses nothing."""
        self.sizes, self._pictures = sizes, dict[str, SizePicture]()
        with unwatched(self._move, *self.sliders.values()):
            for by, slider in self.sliders.items():
                settings = [(_setting(size), size.setting) for size in sizes.series(by)]
                slider.options = settings or [("", 0.0)]
                slider.layout.display = "" if settings else "none"
        origin = sizes.origin | {"date": str(sizes.origin.get("date"))[:10]}
        self.origin.say("")
        if "device" in origin:
            self.origin.say(_(
                "Recorded on {device}, {cores} cores, {date}. The cost counts answers in batches of 128 on one such "
                "machine.",
                **origin,
            ))  # fmt: skip
        by = "compression" if sizes.series("compression") else "tolerance"
        self._point(by, sizes.smallest_within(by, 0))

    def _move(self, change: Any) -> None:
        by = next(by for by, slider in self.sliders.items() if slider is change.owner)
        self._point(by, self.sizes.at(by, change.new))

    def _point(self, by: str, size: Size) -> None:
        """Puts both sliders at a size along the setting `by`, and shows it."""
        self.by, self.size = by, size
        with unwatched(self._move, *self.sliders.values()):
            for name, slider in self.sliders.items():
                if self.sizes.series(name):
                    slider.value = size.setting if name == by else self.sizes.like(size, name).setting
        self._show()

    @property
    def solved(self) -> bool:
        """Whether the needle is at the smallest network that loses at most the points of the exercise."""
        if self.exercise is None:
            return False
        best = self.sizes.smallest_within(self.by, self.exercise)  # other settings may cut to the same network
        return (self.size.parameters, self.size.test_accuracy) == (best.parameters, best.test_accuracy)

    def cost(self, size: Size) -> float:
        """What a year of answers costs."""
        return yearly_cost(size, self.answers.value, self.price.value)

    def _show(self, change: object = None) -> None:
        size, full = self.size, self.sizes.full
        costs = self.cost(full), self.cost(size)
        points = round(100 * (size.test_accuracy - full.test_accuracy), 1)
        verdict = _("✓ as accurate as the full network") if points >= 0 else _("{points:+.1f} points", points=points)
        self.numbers.value = tiles([
            (_("Right on new images"), _("{value:.1f} %", value=100 * size.test_accuracy), verdict),
            (_("Numbers stored"), f"{size.parameters:,}", _times(full.parameters / size.parameters)),
            (_("File"), _("{value:,.0f} kB", value=size.file_bytes / 1e3),
             _("{share:.0f} % of the full network", share=100 * size.file_bytes / full.file_bytes)),
            (_("Time for one answer"), _("{value:.2f} ms", value=size.latency_1_ms),
             _("{share:.0f} % of the full network", share=100 * size.latency_1_ms / full.latency_1_ms)),
            (_("Cost of a year"), f"{costs[1]:,.2f}", _saved(costs[0] - costs[1])),
        ])  # fmt: skip
        self.sentence.say(self._said(size))
        if self.exercise is not None:
            task = _("Exercise: find the smallest network that loses at most {points:g} points.", points=self.exercise)
            found = _("✓ That is it.") if self.solved else _("Not yet.")
            self.task.show(f"{escape(task)} <b>{escape(found)}</b>")
        if self.by not in self._pictures:
            self._pictures[self.by] = SizePicture(self.sizes, self.by)
        self.picture.value = self._pictures[self.by].png(size, costs)

    def _said(self, size: Size) -> str:
        """Where a network comes from."""
        if size.setting == 0:
            return _("This is the full network: nothing is removed.")
        source = _("the full network") if size.source == self.sizes.full.source else size.source
        if size.trained:
            return _("◆ This network was trained at this size ({source}).", source=source)
        if size.conv_compression <= 0:
            return _(
                "With so little given up, the parts store more numbers than the full network: here nothing is saved."
            )
        return _(
            "This network was not trained at this size: it is “{source}”, cut to it without training. Where much is "
            "cut, training at the size gives more.",
            source=source,
        )


def _setting(size: Size) -> str:
    said = _("{value:.0f} %", value=100 * size.setting)
    return _("{setting} ◆ trained", setting=said) if size.trained else said


def _times(factor: float) -> str:
    if round(factor, 1) == 1:
        return _("{share:.0f} % of the full network", share=100 / factor)
    return (
        _("{times:.1f}× fewer than the full network", times=factor)
        if factor > 1
        else _("{times:.1f}× as many as in the full network", times=1 / factor)
    )


def _saved(value: float) -> str:
    if round(value, 2) == 0:
        return _("as much as the full network")
    if value > 0:
        return _("{value:,.2f} less than the full network", value=value)
    return _("{value:,.2f} more than the full network", value=-value)


class SizePicture:
    """Drawn once for a table and a setting; `png` moves the needle and the bars."""

    def __init__(self, sizes: Sizes, by: str) -> None:
        self.sizes, self.by = sizes, by
        figure = Picture(figsize=(10.6, 3.9))
        left, right = figure.subplots(1, 2, width_ratios=(1.75, 1))
        self._draw_curve(left)
        self._draw_bars(right)
        self.moving = MovingPicture(figure, [self.needle, self.dot, *self.bars, *self.labels])

    def png(self, size: Size, costs: tuple[float, float]) -> bytes:
        """The picture of one size; `costs` are the yearly costs of the full network and of this one."""
        full, x = self.sizes.full, _kept(size)
        self.needle.set_xdata([x, x])
        self.dot.set_data([x], [100 * size.test_accuracy])
        self.dot.set_marker("D" if size.trained else "o")
        shares = (
            size.parameters / full.parameters,
            size.file_bytes / full.file_bytes,
            size.multiply_adds / full.multiply_adds,
            size.latency_1_ms / full.latency_1_ms,
            costs[1] / costs[0] if costs[0] > 0 else size.latency_128_ms / full.latency_128_ms,
        )
        for share, bar, label in zip(shares, self.bars, self.labels, strict=True):
            bar.set_width(100 * min(share, 1.5))
            label.set_x(100 * min(share, 1.5) + 3)
            label.set_text(_("{share:.0f} %", share=100 * share))
        return self.moving.png()

    def _draw_curve(self, axes: Axes) -> None:
        series = self.sizes.series(self.by)
        full = 100 * self.sizes.full.test_accuracy
        x = np.array([_kept(size) for size in series])
        y = np.array([100 * size.test_accuracy for size in series])
        styled(axes, x=_("convolution weights removed"), y=_("right on new images, %"))
        axes.set_xscale("log")
        axes.set_xlim(max(105, 1.05 * x.max()), max(0.7 * x.min(), 0.5))
        axes.set_xticks([100 * (1 - tick) for tick in TICKS], [_("{value:.0f} %", value=100 * t) for t in TICKS])
        axes.xaxis.set_minor_locator(NullLocator())
        trained = np.array([size.trained for size in series])
        shown = y[trained].min() - 3 if trained.any() else y.min()
        bottom = min(shown, full - LEAST_SPAN)
        axes.set_ylim(bottom, full + 0.18 * (full - bottom))
        axes.axhline(full, color=INK, linewidth=1.2, linestyle=":")
        axes.text(0.995, full, _("the full network"), transform=axes.get_yaxis_transform(), **_LABEL, ha="right")
        for source in dict.fromkeys(size.source for size in series):  # each network's cuts are a line of their own
            own = np.array([size.source == source for size in series])
            axes.plot(x[own], y[own], color=QUIET, linewidth=1.2, marker=".", markersize=4)
        axes.plot(x[trained], y[trained], "D-", color=BLUE, markersize=7, label=_("trained at this size"))
        axes.plot([], [], ".-", color=QUIET, label=_("cut without training"))
        axes.plot(x[trained], np.full(trained.sum(), bottom), "|", color=BLUE, markersize=16, clip_on=False)
        good, top = self.sizes.smallest_within(self.by, 0), axes.get_ylim()[1]
        axes.plot([_kept(good)] * 2, [full, top], color=GREEN, linewidth=2)
        smallest = _("the smallest that is as accurate as the full network")
        axes.plot(_kept(good), top, "v", color=GREEN, markersize=12, clip_on=False, label=smallest)
        axes.legend(loc="lower left", fontsize=TEXT - 1.5, frameon=False)
        [self.needle] = axes.plot([x[0], x[0]], [bottom, axes.get_ylim()[1]], color="#D55E00", linewidth=2)
        [self.dot] = axes.plot([x[0]], [y[0]], "o", color="#D55E00", markersize=11, markeredgecolor="white")

    def _draw_bars(self, axes: Axes) -> None:
        styled(axes, x=_("% of the full network"), y="")
        self.bars = axes.barh([_(name) for name in BARS], [100] * len(BARS), color=BLUE, height=0.55).patches
        self.labels = [axes.text(100, i, "", va="center", fontsize=TEXT, color=INK) for i in range(len(BARS))]
        axes.set_xlim(0, 180)
        axes.set_xticks([0, 50, 100, 150])
        axes.axvline(100, color=INK, linewidth=1.2, linestyle=":")
        axes.invert_yaxis()
        axes.grid(visible=False, axis="y")


def _kept(size: Size) -> float:
    """The share of the convolution weights that is left, in per cent."""
    return 100 * (1 - size.conv_compression)
