"""The rank cycle panel: how often ranks adapt, and the way to the true rank from below and from above."""

from collections.abc import Sequence
from functools import lru_cache

from matplotlib.ticker import MaxNLocator

from tuckerlab.demos.planted_ranks import CYCLE_RANK, TAU, Path, follow
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, watch
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled

CYCLES = (1, 2, 5, 10, 20, 50)
FIRST = (2, 20)  # the ranks to start from: too small, and too large
BLUE, RED = PALETTE[0], PALETTE[1]
BELOW = 1e-13  # errors below this are rounding, and are drawn here


class CyclePanel(Panel):
    """Move how often the ranks adapt, and see whether a layer that starts too small finds the true rank."""

    def __init__(self) -> None:
        super().__init__()
        self.each_step = _paths(1)
        self.every = choice(
            _("Steps between two adaptations"),
            _("After so many steps the layer is cut to the tolerance, and then grows by new directions, on trial until "
              "the next time."),
            20, [(ngettext("{count:.0f} (every step)", "{count:.0f}", count=every), every) for every in CYCLES],
        )  # fmt: skip
        self.sentence, self.terms = Line(), Line()
        self.terms.say(_(
            "The true rank is {true:.0f}. Both layers live under a tolerance of {tau:.0%}: what makes up less of the "
            "weight is cut off. A new direction starts from nothing, so after one step it is still smaller than that.",
            true=CYCLE_RANK, tau=TAU,
        ))  # fmt: skip
        self.picture = PictureBox(_(
            "Left: the rank that the tolerance keeps, step by step, from a rank that is too small and from one that is "
            "too large. Right: the error of the weight on a logarithmic axis. Cut at every step, and in the chosen "
            "cycle."
        ))  # fmt: skip
        self.children = [self.every, self.sentence, self.picture, self.terms, self.alert]
        watch(self._show, self.every)
        self._show()

    def _show(self, change: object = None) -> None:
        with self.reporting():
            self.chosen = _paths(self.every.value)
            self.sentence.say(_(
                "From rank {first:.0f}, adapted every {every:.0f} steps, the layer comes to rank {rank:.0f}; cut at "
                "every step it ends at rank {cut:.0f}. The true rank is {true:.0f}.",
                first=FIRST[0], every=self.every.value, rank=self.chosen[0].found, cut=self.each_step[0].found,
                true=CYCLE_RANK,
            ))  # fmt: skip
            self.picture.show(draw(self.each_step, self.chosen))


@lru_cache
def _paths(every: int) -> tuple[Path, ...]:
    return tuple(follow(every, first) for first in FIRST)


def draw(each_step: Sequence[Path], chosen: Sequence[Path]) -> Picture:
    """Left the rank within the tolerance before each step, right the error; of each the path from below comes first."""
    figure = Picture(figsize=(10.1, 4.3), layout="none")  # to find a layout takes longer than all the drawing
    margins = {"left": 0.055, "right": 0.985, "bottom": 0.24, "top": 0.97, "wspace": 0.18}
    left, right = figure.subplots(1, 2, gridspec_kw=margins)
    styled(left, x=_("step"), y=_("rank within the tolerance"))
    styled(right, x=_("step"), y=_("error (squared, relative)"))
    groups = [(RED, _("cut at every step"), each_step)]
    if chosen[0].every != 1:
        groups.append((BLUE, _("cycle of {count:.0f} steps", count=chosen[0].every), chosen))
    for colour, name, paths in groups:
        below, above = _("{name}, from too small a rank", name=name), _("{name}, from too large a rank", name=name)
        for label, style, path in zip((below, above), ("-", "--"), paths, strict=True):
            left.plot(path.ranks, style, color=colour, linewidth=2.2, drawstyle="steps-post")
            errors = [max(loss, BELOW) for loss in path.losses]
            right.plot(errors, style, color=colour, linewidth=2.2, label=label)
    left.axhline(CYCLE_RANK, color=INK, linewidth=1, linestyle=":")
    left.text(1, CYCLE_RANK, _("true rank {rank:.0f}", rank=CYCLE_RANK), transform=left.get_yaxis_transform(),
              ha="right", va="bottom", fontsize=TEXT, color=INK)  # fmt: skip
    left.set_ylim(bottom=0)
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(yscale="log", ylim=(BELOW / 10, 100))
    figure.legend(loc="lower center", ncols=2, fontsize=TEXT, frameon=False)
    return figure
