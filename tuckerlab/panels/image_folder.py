"""A look at a folder of images before anything is trained: what prevents it, and what else is good to know."""

import base64
import io
import threading
from collections.abc import Collection
from html import escape

import ipywidgets
import numpy as np
import traitlets
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.data.folder_check import FolderReport, inspect_folder
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.panels.widgets import SLIDER, Line, Panel, button, labelled, row, set_visible
from tuckerlab.plotting.figure import INK, PALETTE

ROWS = 8  # classes shown
PARTS = ((N_("to train"), PALETTE[0]), (N_("to test"), PALETTE[5]))


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
        self.folder = labelled(
            ipywidgets.Text, _("Folder of images"),
            _("The path of a folder that holds one folder of images for each class, or “train” and “test” with such "
              "folders in them"),
            value=folder, continuous_update=False, layout=SLIDER,
            placeholder=_("for example {path}", path="~/Pictures/parts"),
        )  # fmt: skip
        opens = _("Opens every image and tells what is wrong; nothing is trained or changed")
        self.look = button(_("Look"), self.start, opens, button_style="primary")
        self.stop = button(_("Stop"), lambda: self._stop.set())
        self.progress = ipywidgets.IntProgress(min=0, layout=SLIDER)
        self.state, self.findings, self.classes = Line(), ipywidgets.HTML(), ipywidgets.HTML()
        self.children = [
            self.folder, row(self.look, self.stop), self.progress, self.state,
            self.alert, self.classes, self.findings,
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
        set_visible(self.progress, self.looking)
        with self.progress.hold_trait_notifications():
            self.progress.max, self.progress.value = max(total, 1), done
        if self.looking:
            looking = _("Looking at the images: {done:,.0f} of {total:,.0f} …", done=done, total=total)
            self.state.say(looking if total else _("Opening the folder …"), bold=True)

    def _show_report(self) -> None:
        self._show_progress(0, 0)
        report = self.report
        self.findings.value = _findings_html(report) if report else ""
        self.classes.value = _classes_html(report) if report else ""
        idle = _("Type a folder and press Look. It needs one folder of images for each class.")
        if report:
            self.state.say(_state(report), bold=True)
        else:
            self.state.say("" if self.problem else idle)


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
    """Problems, then warnings."""
    parts = [
        _list_html(_("Prevents training"), report.problems.values(), PALETTE[1]),
        _list_html(_("Good to know"), report.warnings.values(), PALETTE[0]),
    ]
    return "".join(parts) or (escape(_("Nothing else to report.")) if report.ready else "")


def _list_html(title: str, findings: Collection[str], colour: str) -> str:
    if not findings:
        return ""
    items = "".join(f'<li style="margin:.3rem 0">{escape(said)}</li>' for said in findings)
    style = f"border-left:4px solid {colour};padding:.1rem .8rem;margin:.4rem 0;line-height:1.4;color:{INK}"
    return f'<div style="{style}"><b>{escape(title)}</b><ul style="margin:.2rem 0">{items}</ul></div>'


def _classes_html(report: FolderReport) -> str:
    """A row for each class: some of its images as the network sees them, and bars of how many there are."""
    if not any(report.samples.values()):
        return ""
    most = max(max(count) for count in report.classes.values()) or 1
    key = "".join(f'<span style="color:{colour}">■</span> {escape(_(part))} ' for part, colour in PARTS)
    rows = [f"<tr><td></td><td>{escape(_('what the network will see'))}</td><td>{key}</td></tr>"]
    for name, count in list(report.classes.items())[:ROWS]:
        images = "".join(_image_html(pixels, name) for pixels in report.samples[name])
        bars = "".join(
            f'<div style="white-space:nowrap"><span style="display:inline-block;height:.7em;background:{colour};'
            f'width:{10 * value / most:.2f}rem"></span> {value:,}</div>'
            for value, (_part, colour) in zip(count, PARTS, strict=True)
        )
        cells = (escape(name), images, bars)
        rows.append("<tr>" + "".join(f'<td style="text-align:left">{cell}</td>' for cell in cells) + "</tr>")
    more = len(report.classes) - ROWS
    below = ngettext("and {count:,.0f} more class", "and {count:,.0f} more classes", count=more) if more > 0 else ""
    style = f"line-height:1.2;color:{INK};border-spacing:.8rem .3rem;border-collapse:separate;text-align:left"
    return f'<table style="{style}">{"".join(rows)}</table>{escape(below)}'


def _image_html(pixels: NDArray[np.uint8], name: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    data, style = base64.b64encode(buffer.getvalue()).decode(), "height:3rem;image-rendering:pixelated;margin-right:3px"
    return f'<img src="data:image/png;base64,{data}" alt="{escape(name, quote=True)}" style="{style}">'
