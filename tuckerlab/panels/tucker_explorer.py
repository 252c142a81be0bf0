"""The Tucker explorer: cut a photograph or a kernel at its ranks, and see what is left of it."""

from html import escape

import ipywidgets

from tuckerlab.demos.decompositions import PHOTOS, Goal, subject as named_subject, subjects
from tuckerlab.i18n import _
from tuckerlab.panels.explorer_picture import DPI, MODES, ExplorerPicture
from tuckerlab.panels.widgets import LABELLED, Line, Panel, PictureBox, labelled, tiles, unwatched, watch
from tuckerlab.tucker.tensor import check_fraction

SLIDER = {"width": "100%", "max_width": "34rem"}  # a layout for each slider: they are hidden one by one
MOST_MODES = 4


class TuckerExplorer(Panel):
    """Choose a photograph or a kernel, move its ranks, and see what is left of it and what it takes to store.

    `subject` is a name from `tuckerlab.demos.decompositions.subjects()` or the beginning of one; with a `goal` the
    panel says whether it is reached. The tolerance sets all ranks, and each may be moved afterwards; `cut` is what is
    shown, and `by` says what set its ranks: "tolerance" or "ranks".
    """

    def __init__(self, subject: str = PHOTOS[0], tolerance: float = 0.15, goal: Goal | None = None) -> None:
        super().__init__()
        self.goal, self._pictures = goal, dict[str, ExplorerPicture]()
        name, start = PHOTOS[0], 0.0
        with self.reporting():
            check_fraction("tolerance", tolerance)
            start = tolerance
            name = named_subject(subject).name
        options = [(subject_name(name), name) for name in subjects()]
        self.subject = labelled(ipywidgets.Dropdown, _("Subject"), options=options, value=name, layout=SLIDER)
        self.tolerance = labelled(
            ipywidgets.FloatSlider, _("Tolerance (sets all ranks)"),
            _("The largest error that is allowed: every rank is then made as small as it can be"),
            value=start, max=0.9, step=0.01, readout_format=".0%", layout=SLIDER,
        )  # fmt: skip
        self.ranks = [ipywidgets.IntSlider(1, min=1, layout=SLIDER, style=LABELLED) for mode in range(MOST_MODES)]
        self.task, self.numbers, self.sentence = Line(), ipywidgets.HTML(), Line()
        self.picture = PictureBox(_(
            "Above: the original, what the chosen ranks rebuild, and the error between the two on a scale of its own. "
            "Below: a chart for each mode with its singular values, largest first; those that are kept are solid, "
            "those that are dropped pale, and a line marks the cut."
        ))  # fmt: skip
        sliders = ipywidgets.GridBox(self.ranks, layout=ipywidgets.Layout(grid_template_columns="1fr 1fr"))
        self.children = [
            self.task, self.subject, self.tolerance, sliders, self.numbers, self.picture, self.sentence, self.alert,
        ]  # fmt: skip
        watch(self._set_by_tolerance, self.subject, self.tolerance)
        watch(self._set_by_hand, *self.ranks)
        self._cut_within_tolerance()

    def _set_by_tolerance(self, change: object) -> None:
        with self.reporting():
            self._cut_within_tolerance()

    def _cut_within_tolerance(self) -> None:
        of = named_subject(self.subject.value)
        asked = of.ranks_within(self.tolerance.value)
        self.by, self.cut = "tolerance", of.cut(asked)
        with unwatched(self._set_by_hand, *self.ranks):
            for i, slider in enumerate(self.ranks):
                slider.layout.display = "" if i < len(of.shape) else "none"
                if i < len(of.shape):
                    slider.description = _("Rank, {mode}", mode=_(MODES[of.modes[i]]))
                    slider.max, slider.value = of.shape[i], asked[i]
        self._show()

    def _set_by_hand(self, change: object) -> None:
        with self.reporting():
            of = self.cut.of
            self.by, self.cut = "ranks", of.cut(tuple(slider.value for slider in self.ranks[: len(of.shape)]))
            self._show()

    @property
    def solved(self) -> bool:
        """Whether there is a goal and it is met."""
        return self.goal is not None and self.goal.met(self.cut)

    def _show(self) -> None:
        cut = self.cut
        told = {"share": 100 * cut.share, "count": cut.original}
        share = _("{share:.1f} % of the original’s {count:,.0f}", **told)
        if cut.share >= 1:
            share = _("✗ no saving: {share:.0f} % of the original’s {count:,.0f}", **told)
        sizes = " × ".join(str(rank) for rank in cut.ranks)
        is_within = self.by == "tolerance"
        within = _("within the tolerance of {value:.0f} %", value=100 * self.tolerance.value) if is_within else ""
        self.numbers.value = tiles([
            (_("Numbers stored"), f"{cut.stored:,}", share),
            (_("of these: the core"), f"{cut.core:,}", sizes),
            (_("of these: the factors"), f"{cut.factors:,}", _("one table for each mode")),
            (_("Error"), _("{value:.1f} %", value=100 * cut.error), within),
        ])  # fmt: skip
        self._say()
        if cut.of.name not in self._pictures:
            self._pictures[cut.of.name] = ExplorerPicture(cut.of)
        self.picture.show(self._pictures[cut.of.name].of(cut), DPI)

    def _say(self) -> None:
        """The lines: what the ranks are, what could not be, and the task."""
        cut, said = self.cut, [_("The ranks are set by hand.")]
        if self.by == "tolerance":
            value = 100 * self.tolerance.value
            said = [_("The ranks are those that a tolerance of {value:.0f} % needs.", value=value)]
        for mode, asked, rank in zip(cut.of.modes, cut.asked, cut.ranks, strict=True):
            if asked != rank:
                said.append(_(
                    "Rank of {mode}: {rank} instead of {asked}, because the other ranks leave room for no more.",
                    mode=_(MODES[mode]), asked=asked, rank=rank,
                ))  # fmt: skip
        if cut.share >= 1:
            said.append(_("At these ranks the Tucker form stores more numbers than the original: it saves nothing."))
        if not cut.of.is_photo:
            said.append(_(
                "The picture shows the first 16 × 16 of the {out} × {into} little squares; the numbers count all of "
                "them.",
                out=cut.of.shape[0], into=cut.of.shape[1],
            ))  # fmt: skip
        self.sentence.say(" ".join(said))
        if self.goal is None:
            return
        task = _(
            "Your task: store less than {share:.0f} % of the numbers, at an error below {error:.1f} %.",
            share=100 * self.goal.share,
            error=100 * self.goal.error,
        )
        told = {"share": 100 * cut.share, "error": 100 * cut.error}
        state = (
            _("✓ Right: {share:.1f} % stored, error {error:.1f} %.", **told)
            if self.solved
            else _("Not yet: {share:.1f} % stored, error {error:.1f} %.", **told)
        )
        self.task.show(f"{escape(task)} <b>{escape(state)}</b>")


def subject_name(name: str) -> str:
    """What a subject is called."""
    if name in PHOTOS:
        return _("Photograph: a temple") if name == PHOTOS[0] else _("Photograph: a flower")
    of = named_subject(name)
    return _(
        "Trained kernel: layer {layer} of the digits network ({out} × {into} × 3 × 3)",
        layer=int(name.partition(".")[2]),
        out=of.shape[0],
        into=of.shape[1],
    )
