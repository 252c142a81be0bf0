"""A look at a folder of images before anything is trained: what prevents it, and what else is good to know."""

import threading
from collections.abc import Mapping, Sequence
from html import escape

import ipywidgets
import numpy as np
import traitlets
from numpy.typing import NDArray

from tuckerlab.data import data_roots
from tuckerlab.data.findings import Finding
from tuckerlab.data.folder_check import SAMPLES, Count, FolderReport, inspect_folder
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.widgets import SLIDER, Line, Panel, PictureBox, button, folded, labelled, row
from tuckerlab.plotting.figure import INK, PALETTE, QUIET, TEXT, Picture

EXAMPLE = "neu_steel"  # offered where it is among the data
LISTED = 200  # unreadable files, in the folded list
ROWS = 8  # classes shown
GAP = 5  # pixels between images
LONGEST = 24  # letters of a name
BARS = 0.5  # of the width of the images

Pixels = NDArray[np.uint8]


class FolderInspector(Panel):
    """Type a folder of images, press Look, and read what prevents training on it and what else is good to know.

    `dataset` is the name for `load_data` once the folder is ready to train on, and empty before; `report` is what was
    found, if anything was yet.
    """

    dataset = traitlets.Unicode()

    def __init__(self, folder: str = "") -> None:
        super().__init__()
        self.report: FolderReport | None = None
        self.looking, self._stop = False, threading.Event()  # an event for each look: the last one counts
        self._lock = threading.RLock()  # the thread that looks, and the one that types
        example = EXAMPLE if any((root / EXAMPLE).is_dir() for root in data_roots()) else ""
        self.folder = labelled(
            ipywidgets.Text, _("Folder of images"),
            _("The path of a folder that holds one folder of images for each class, or “train” and “test” with such "
              "folders in them"),
            value=folder, continuous_update=False, layout=SLIDER,
            placeholder=_("for example {path}", path=example or "~/Pictures/parts"),
        )  # fmt: skip
        opens = _("Opens every image and tells what is wrong; nothing is trained or changed")
        self.look = button(_("Look"), self.start, opens, button_style="primary")
        self.stop = button(_("Stop"), lambda: self._stop.set())
        self.example = button(_("Example: defects on steel"), self._take_example)
        self.example.layout.display = "" if example else "none"
        self.progress = ipywidgets.IntProgress(min=0, layout=SLIDER)
        self.state, self.findings, self.picture = Line(), ipywidgets.HTML(), PictureBox("")
        self.children = [
            self.folder, row(self.look, self.stop, self.example), self.progress, self.state,
            self.alert, self.picture, self.findings,
        ]  # fmt: skip
        self.folder.observe(self._typed, "value")  # Enter
        self._show_report()

    @property
    def name(self) -> str:
        """The folder without what comes along when a path is pasted: blanks, quotation marks, `folder:`."""
        return str(self.folder.value).strip().strip("\"'").removeprefix("folder:").strip()

    def start(self) -> None:
        """Begins to look at the folder, and comes back at once; nothing happens while it is at it already."""
        if self.name and not self.looking:
            self._stop, self.looking = threading.Event(), True
            self.show_problem(None)
            self._show_progress(0, 0)
            self.in_background(self._work, self.name, self._stop)

    def _typed(self, change: object) -> None:
        """What was found in one folder says nothing about another."""
        with self._lock:
            self._stop.set()
            self._stop = threading.Event()
            self.looking, self.report, self.dataset = False, None, ""
            self.show_problem(None)
            self._show_report()
        self.start()

    def _take_example(self) -> None:
        if self.folder.value != EXAMPLE:
            self.folder.value = EXAMPLE  # and the text box looks
        else:
            self.start()

    def _work(self, name: str, stop: threading.Event) -> None:
        def progress(done: int, total: int) -> None:
            if self._stop is stop:
                self._show_progress(done, total)

        found, error = None, None
        try:
            found = inspect_folder(name, on_progress=progress, stop=stop)
        except Exception as caught:  # shown in the panel
            error = caught
        with self._lock:  # another folder may be typed at any moment
            if self._stop is stop:
                self.looking, self.report = False, found
                self.show_problem(error)
                self._show_report()
                self.dataset = f"folder:{name}" if found is not None and found.ready else ""

    def _show_progress(self, done: int, total: int) -> None:
        self.stop.disabled = not self.looking
        self.progress.layout.display = "" if self.looking else "none"
        with self.progress.hold_trait_notifications():
            self.progress.max, self.progress.value = max(total, 1), done
        if self.looking:
            looking = _("Looking at the images: {done:,.0f} of {total:,.0f} …", done=done, total=total)
            self.state.say(looking if total else _("Opening the folder …"), bold=True)

    def _show_report(self) -> None:
        self._show_progress(0, 0)
        report = self.report
        self.findings.value = _findings_html(report) if report is not None else ""
        self.picture.show(None)
        if report is None:
            idle = _("Type a folder and press Look. It needs one folder of images for each class.")
            self.state.say("" if self.problem else idle)
            return
        self.state.say(_state(report), bold=True)
        if any(report.samples.values()):
            rows = [
                _("{name}: {train:,.0f} to train, {test:,.0f} to test.", name=name, train=count.train, test=count.test)
                for name, count in list(report.classes.items())[:ROWS]
            ]
            self.picture.tooltip = _(
                "A row for each class: a few of its images, as the network sees them, and bars for the number of "
                "training and test images. {rows}",
                rows=" ".join(rows),
            )
            self.picture.show(draw(report.classes, report.samples))


def _state(report: FolderReport) -> str:
    """Whether there can be training, in a line."""
    if report.problems:
        return ngettext(
            "✗ Not yet: {count:.0f} thing below prevents training",
            "✗ Not yet: {count:.0f} things below prevent training",
            count=len(report.problems),
        )
    if not report.ready:
        return _(
            "Stopped after {done:,.0f} of {total:,.0f} images. Press Look to see all of them.",
            done=report.checked,
            total=report.total,
        )
    train, test = (sum(part) for part in zip(*report.classes.values(), strict=True))
    known = sum(count.train > 0 for count in report.classes.values())
    images = ngettext("{count:,.0f} image", "{count:,.0f} images", count=train + test)
    return _(
        "✓ Ready to train: {images} in {classes:,.0f} classes ({train:,.0f} to train, {test:,.0f} to test)",
        images=images,
        classes=known,
        train=train,
        test=test,
    )


def _findings_html(report: FolderReport) -> str:
    """Problems, then warnings, then the files that cannot be read."""
    parts = [_list_html(_("Prevents training"), report.problems, PALETTE[1])]
    if report.unreadable[1:]:
        rows = "".join(f"<li>{escape(name)} ({escape(why)})</li>" for name, why in report.unreadable[:LISTED])
        parts.append(folded(_("All files that cannot be read"), f"<ul>{rows}</ul>"))
    parts.append(_list_html(_("Good to know"), report.warnings, PALETTE[0]))
    return "".join(parts) or (escape(_("Nothing else to report.")) if report.ready else "")


def _list_html(title: str, findings: Sequence[Finding], colour: str) -> str:
    if not findings:
        return ""
    advice = f'<br><span style="color:{QUIET}">'
    items = "".join(
        f'<li style="margin:.3rem 0">{escape(it.message)}{advice}{escape(it.advice)}</span></li>' for it in findings
    )
    style = f"border-left:4px solid {colour};padding:.1rem .8rem;margin:.4rem 0;line-height:1.4;color:{INK}"
    return f'<div style="{style}"><b>{escape(title)}</b><ul style="margin:.2rem 0">{items}</ul></div>'


def draw(counts: Mapping[str, Count], samples: Mapping[str, Sequence[Pixels]]) -> Picture:
    """Images of each class (uint8, square, of one size) and bars of the numbers to train and to test."""
    names = list(counts)[:ROWS]
    side = next((len(picture) for name in names for picture in samples[name]), 1)
    step, width = side + GAP, (side + GAP) * SAMPLES - GAP
    figure = Picture(figsize=(10.6, 1.1 + 0.64 * len(names)))
    axes = figure.subplots()
    axes.imshow(_mosaic([samples[name] for name in names], side), interpolation="nearest")
    middles = step * np.arange(len(names)) + (side - 1) / 2
    axes.set_yticks(middles, [_short(name) for name in names], parse_math=False)
    axes.set_xticks([])
    axes.tick_params(axis="y", length=0, labelsize=TEXT, labelcolor=INK)
    axes.spines[:].set_visible(False)

    # Bars beside the images, in the images' own units, so that rows stay in line
    begin, longest = width + 2 * GAP, BARS * width
    most = max((max(counts[name]) for name in names), default=0) or 1
    for part, label, shift, colour in ((0, _("to train"), -0.2, PALETTE[0]), (1, _("to test"), 0.2, PALETTE[5])):
        values = np.array([counts[name][part] for name in names])
        places = middles + shift * side
        axes.barh(places, values / most * longest, 0.36 * side, begin, color=colour, label=label)
        for place, value in zip(places, values, strict=True):
            at = begin + value / most * longest + GAP
            axes.text(at, place, f"{value:,}", va="center", fontsize=TEXT - 0.5, color=INK)
    end = begin + 1.16 * longest
    axes.set_xlim(-0.5, end)
    axes.set_ylim(step * len(names) - GAP, -0.5)
    axes.axvline(begin, color=QUIET, linewidth=1)
    axes.set_title(_("what the network will see"), loc="left", fontsize=TEXT, color=INK)
    above = {"bbox_to_anchor": (begin / end, 1.0), "borderaxespad": 0.4, "handlelength": 1.2}
    axes.legend(loc="lower left", ncols=2, fontsize=TEXT, frameon=False, **above)
    if len(counts) > ROWS:
        more = ngettext("and {count:,.0f} more class", "and {count:,.0f} more classes", count=len(counts) - ROWS)
        axes.set_xlabel(more, fontsize=TEXT, color=QUIET, loc="left")
    return figure


def _mosaic(rows: Sequence[Sequence[Pixels]], side: int) -> Pixels:
    """All images in one, white where there is none."""
    step = side + GAP
    canvas = np.full((max(1, step * len(rows) - GAP), step * SAMPLES - GAP, 3), 255, dtype=np.uint8)
    for i, pictures in enumerate(rows):
        for j, picture in enumerate(pictures[:SAMPLES]):
            colours = picture if picture.ndim == 3 else picture[..., None]
            canvas[step * i : step * i + side, step * j : step * j + side] = colours
    return canvas


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
