"""The size slider: move the size of a network, and see accuracy, parameters, file, time and cost move at once."""

from html import escape
from typing import Any

import ipywidgets
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from tuckerlab.decision.assumptions import KINDS, Assumptions
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.experiments.size_table import Size, Sizes, recorded_sizes, yearly_cost
from tuckerlab.files import file_size
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.field import Field, number
from tuckerlab.panels.widgets import (
    Line,
    Panel,
    PictureBox,
    choice,
    labelled,
    recorded_name,
    row,
    set_visible,
    tiles,
    unwatched,
    watch,
)
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture, styled

BLUE, NEEDLE, GREEN = PALETTE[:3]
TICKS = (0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
LEAST_SPAN = 4.0  # points of accuracy that the axis shows at least


class InstantSlider(Panel):
    """Move the size of a network, and see accuracy, parameters, file, time and cost move at once.

    `sizes` names a recorded table, or is one of your own networks (`Sizes.of`). exercise: the panel asks for the
    smallest network that loses at most so many points, and says when it is found. Moving one slider points at a `size`
    along it, and the other slider follows to the size that stores as much. Raises DataError for a table that is not
    there.
    """

    def __init__(self, sizes: str | Sizes = "slider-mnist", *, exercise: float | None = None) -> None:
        super().__init__()
        self.exercise = exercise
        self.source = labelled(ipywidgets.Dropdown, _("Network"))
        hint = _("How many of the weights in the convolutions the small network does without")
        self.compression = choice(_("Weights removed"), hint, 0, [("", 0)], continuous_update=True)
        hint = _("The tolerance: how much of each weight may be rounded away")
        self.tolerance = choice(_("Detail given up"), hint, 0, [("", 0)], continuous_update=True)
        self.sliders = {"compression": self.compression, "tolerance": self.tolerance}
        self.usual = Assumptions()  # those of the decision panel
        asked, hour = self.usual["answers_a_day"], self.usual["server_hour"]
        self.answers = Field(_(KINDS["answers_a_day"].name), asked.likely, number(0, 1e12))
        self.price = Field(f"{_(KINDS['server_hour'].name)}, {self.usual.currency}", hour.likely, number(0, 1e6))
        self.numbers, self.sentence, self.origin, self.task = ipywidgets.HTML(), Line(), Line(), Line()
        self.picture = PictureBox(_(
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
            set_visible(self.source, False)
            self._begin(sizes)
            return
        names = recorded_sizes()
        found = next((name for name in names if name.startswith(sizes)), sizes)
        self._begin(Sizes.load(found_folder(found)))
        self.source.options = [(recorded_name(name), name) for name in names]
        self.source.value = found
        watch(self._load, self.source)

    def _load(self, change: Any) -> None:
        with self.reporting():
            self._begin(Sizes.load(found_folder(change.new)))

    def _begin(self, sizes: Sizes) -> None:
        """The sliders for a table, at the smallest network that loses nothing."""
        self.sizes, self.moved, self._pictures = sizes, False, dict[str, SizePicture]()
        with unwatched(self._move, *self.sliders.values()):
            for by, slider in self.sliders.items():
                series = sizes.series(by)
                slider.options = [(_setting(size), size.setting) for size in series] or [("", 0)]
                set_visible(slider, series)
        self.origin.say("")
        if "device" in sizes.origin:
            origin = sizes.origin | {"date": str(sizes.origin.get("date"))[:10]}
            self.origin.say(_(
                "Recorded on {device}, {cores} cores, {date}. The cost counts answers in batches of 128 on one such "
                "machine.",
                **origin,
            ))  # fmt: skip
        by = "compression" if sizes.series("compression") else "tolerance"
        self._point(by, sizes.smallest_within(by, 0))
        stops = [size for size in sizes.series(by) if size.trained or size.setting in (0, self.size.setting)]
        self.stops = self.sliders[by], [(_("{value:.0f} %", value=100 * it.setting), it.setting) for it in stops]

    def _move(self, change: Any) -> None:
        by, self.moved = "compression" if change.owner is self.compression else "tolerance", True
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
        best = self.sizes.smallest_within(self.by, self.exercise or 0)  # other settings may cut to the same network
        return (self.size.parameters, self.size.test_accuracy) == (best.parameters, best.test_accuracy)

    def cost(self, size: Size) -> float:
        """What a year of answers costs."""
        return yearly_cost(size, self.answers.value, self.price.value)

    def _show(self, change: object = None) -> None:
        size, full = self.size, self.sizes.full
        costs = self.cost(full), self.cost(size)
        points = round(100 * (size.test_accuracy - full.test_accuracy), 1)
        verdict = _("✓ as accurate as the full network") if points >= 0 else _("{points:+.1f} points", points=points)
        if points < 0 and size.test_accuracy >= full.lowest:
            verdict = _("✓ as accurate as the full network, within its spread")
        self.numbers.value = tiles([
            (_("Right on new images"), _("{value:.1f} %", value=100 * size.test_accuracy), verdict),
            (_("Numbers stored"), f"{size.parameters:,}", _of_full(size.parameters / full.parameters)),
            (_("File"), file_size(size.file_bytes), _of_full(size.file_bytes / full.file_bytes)),
            (_("Time for one answer"), _("{value:.2f} ms", value=size.latency_1_ms),
             _of_full(size.latency_1_ms / full.latency_1_ms)),
            (_("Servers for a year"), self.usual.amount(costs[1]), self._saved(costs[0] - costs[1])),
        ])  # fmt: skip
        self.sentence.say(self._said(size))
        if self.exercise is not None:
            task = _("Exercise: find the smallest network that loses at most {points:g} points.", points=self.exercise)
            answer = _("✓ That is it.") if self.solved else _("Not yet.")
            self.task.show(f"{escape(task)} <b>{escape(answer if self.moved else '')}</b>")
        if self.by not in self._pictures:
            self._pictures[self.by] = SizePicture(self.sizes, self.by)
        self.picture.show(self._pictures[self.by].at(size, costs))

    def _saved(self, value: float) -> str:
        amount = self.usual.amount(abs(value))
        if amount == self.usual.amount(0):
            return _("as much as the full network")
        if value > 0:
            return _("{amount} less than the full network", amount=amount)
        return _("{amount} more than the full network", amount=amount)

    def _said(self, size: Size) -> str:
        """Where a network comes from."""
        if size.setting == 0:
            return _("This is the full network: nothing is removed.")
        source = _("the full network") if size.source == self.sizes.full.source else size.source
        if size.trained:
            ends = {"low": 100 * size.lowest, "high": 100 * size.highest}
            return ngettext(
                "◆ This network was trained at this size ({source}), once.",
                "◆ This network was trained at this size ({source}), from {count} starts: {low:.1f} to {high:.1f} %.",
                count=size.seeds, source=source, **ends,
            )  # fmt: skip
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


def _of_full(share: float) -> str:
    return _("{share:.0f} % of the full network", share=100 * share)


class SizePicture:
    """All sizes along a setting, drawn once; `at` moves the needle and the bars.

    A figure made anew for each move would leave so much behind that Python's collector of garbage is felt.
    """

    def __init__(self, sizes: Sizes, by: str) -> None:
        self.full, self.figure = sizes.full, Picture(figsize=(10.1, 4.1))
        self.figure.set_layout_engine("none")  # to find a layout takes longer than all the drawing
        margins = {"left": 0.06, "right": 0.985, "bottom": 0.145, "top": 0.88, "wspace": 0.38}
        left, right = self.figure.subplots(1, 2, width_ratios=(1.75, 1), gridspec_kw=margins)
        _draw_curve(left, sizes, by)
        self.needle = left.axvline(1, color=NEEDLE, linewidth=2)
        [self.dot] = left.plot([1], [1], color=NEEDLE, markersize=11, markeredgecolor="white")
        names = [_("numbers stored"), _("file"), _("arithmetic"), _("time, 1 answer"), _("servers for a year")]
        styled(right, x=_("% of the full network"), y="")
        self.bars = right.barh(names, [0] * len(names), color=BLUE, height=0.55).patches
        self.labels = [right.text(0, i, "", va="center", fontsize=TEXT, color=INK) for i in range(len(names))]
        right.set_xlim(0, 180)
        right.set_xticks([0, 50, 100, 150])
        right.axvline(100, color=INK, linewidth=1.2, linestyle=":")
        right.invert_yaxis()
        right.grid(visible=False, axis="y")

    def at(self, size: Size, costs: tuple[float, float]) -> Picture:
        """The picture of one size; `costs` are the yearly costs of the full network and of this one."""
        full, x = self.full, _kept(size)
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
            label.set_x(bar.get_width() + 3)
            label.set_text(_("{share:.0f} %", share=100 * share))
        return self.figure


def _draw_curve(axes: Axes, sizes: Sizes, by: str) -> None:
    series, full = sizes.series(by), 100 * sizes.full.test_accuracy
    x, y = np.array([(_kept(size), 100 * size.test_accuracy) for size in series]).T
    trained = np.array([size.trained for size in series])
    styled(axes, x=_("convolution weights removed"), y=_("right on new images, %"))
    axes.set_xscale("log")
    axes.set_xlim(max(105, 1.05 * x.max()), max(0.7 * x.min(), 0.5))
    axes.set_xticks([100 * (1 - tick) for tick in TICKS], [_("{value:.0f} %", value=100 * t) for t in TICKS])
    axes.xaxis.set_minor_locator(NullLocator())
    bottom = min(y[trained].min() - 3 if trained.any() else y.min(), full - LEAST_SPAN)
    top = full + 0.18 * (full - bottom)
    axes.set_ylim(bottom, top)
    axes.axhline(full, color=INK, linewidth=1.2, linestyle=":")
    axes.axhspan(100 * sizes.full.lowest, 100 * sizes.full.highest, color=INK, alpha=0.08, linewidth=0)
    label: dict[str, Any] = {"va": "bottom", "ha": "right", "fontsize": TEXT, "color": INK}
    axes.text(0.995, full, _("the full network"), transform=axes.get_yaxis_transform(), **label)
    for source in dict.fromkeys(size.source for size in series):  # each network's cuts are a line of their own
        own = np.array([size.source == source for size in series])
        axes.plot(x[own], y[own], color=QUIET, linewidth=1.2, marker=".", markersize=4)
    ends = np.array([[size.test_accuracy - size.lowest, size.highest - size.test_accuracy] for size in series]).T
    axes.errorbar(x[trained], y[trained], 100 * ends[:, trained], color=BLUE, elinewidth=1.5, capsize=3, fmt="D-",
                  markersize=7, label=_("trained at this size"))  # fmt: skip
    axes.plot([], [], ".-", color=QUIET, label=_("cut without training"))
    good = _kept(sizes.smallest_within(by, 0))
    axes.plot([good] * 2, [full, top], color=GREEN, linewidth=2)
    smallest = _("the smallest that is as accurate as the full one")
    axes.plot(good, top, "v", color=GREEN, markersize=12, clip_on=False, label=smallest)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.03), ncols=3, columnspacing=1, fontsize=TEXT - 0.5, frameon=False
    )


def _kept(size: Size) -> float:
    """The share of the convolution weights that is left, in per cent."""
    return 100 * (1 - size.conv_compression)
