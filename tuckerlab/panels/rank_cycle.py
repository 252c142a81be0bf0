"""The rank cycle panel: how often ranks adapt, and the way to the true rank from below and from above."""

from collections.abc import Sequence
from functools import lru_cache

from matplotlib.ticker import MaxNLocator

from tuckerlab.demos.rank_cycle import STEPS, TAU, TRUE_RANK, Path, follow
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.widgets import Line, Panel, PictureBox, choice, watch
from tuckerlab.plotting.figure import INK, PALETTE, TEXT, Picture, styled

CYCLES = (1, 2, 5, 10, 20, 50)
FIRST = (2, 20)
"""The ranks to start from: too small, and too large."""

BLUE, RED = PALETTE[0], PALETTE[1]
BELOW = 1e-13
"""Errors below this are rounding, and are drawn here."""


class CyclePanel(Panel):
    """Move how often the ranks adapt, and see whether a layer that starts too small finds the true rank.

    `each_step` and `chosen` are the paths, from below and from above, cut at every step and in the chosen cycle.
    """

    def __init__(self, steps: int = STEPS) -> None:
        super().__init__()
        self.steps, self.each_step, self.chosen = steps, _paths(1, steps), _paths(20, steps)
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
            true=TRUE_RANK, tau=TAU,
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
            self.chosen = _paths(self.every.value, self.steps)
            self.sentence.say(_sentence(self.each_step[0], self.chosen[0], self.steps))
            self.picture.show(draw(self.each_step, self.chosen, TRUE_RANK))


@lru_cache
def _paths(every: int, steps: int) -> tuple[Path, ...]:
    return tuple(follow(every, first, steps) for first in FIRST)


def _sentence(each_step: Path, chosen: Path, steps: int) -> str:
    """What becomes of the rank that is too small."""
    cut = _("Cut at every step it ends at rank {rank:.0f}.", rank=each_step.found)
    if chosen.every == 1:
        return cut
    told = {"first": FIRST[0], "every": chosen.every, "rank": chosen.found, "steps": steps, "true": TRUE_RANK}
    finds = _(
        "From rank {first:.0f}, adapted every {every:.0f} steps, the layer finds the true rank, {rank:.0f}.", **told
    )
    stays = _("From rank {first:.0f}, adapted every {every:.0f} steps, the layer stays at rank {rank:.0f}.", **told)
    comes = _(
        "From rank {first:.0f}, adapted every {every:.0f} steps, the layer comes to rank {rank:.0f} within "
        "{steps:.0f} steps: not to {true:.0f}.",
        **told,
    )
    end = {TRUE_RANK: finds, FIRST[0]: stays}.get(chosen.found, comes)
    return f"{end} {cut}"


def draw(each_step: Sequence[Path], chosen: Sequence[Path], true_rank: int) -> Picture:
    """Left the rank within the tolerance before each step, right the error; of each the path from below comes first."""
    figure = Picture(figsize=(10.1, 4.3))
    figure.set_layout_engine("none")  # to find a layout takes longer than all the drawing
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
    left.axhline(true_rank, color=INK, linewidth=1, linestyle=":")
    left.annotate(
        _("true rank {rank:.0f}", rank=true_rank), (0.98, true_rank), (0, 4), xycoords=("axes fraction", "data"),
        textcoords="offset points", ha="right", fontsize=TEXT, color=INK,
    )  # fmt: skip
    left.set_ylim(0, 2 + max(true_rank, *(rank for path in (*each_step, *chosen) for rank in path.ranks)))
    left.yaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(yscale="log", ylim=(BELOW / 10, 100))
    figure.legend(loc="lower center", ncols=2, fontsize=TEXT, frameon=False)
    return figure
