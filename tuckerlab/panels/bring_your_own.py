"""Bring your own images: a look at a folder, at what prevents training and what else is good to know; then train."""

import io
import threading
from html import escape
from typing import Any

import ipywidgets
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tuckerlab.data.image_folder import FolderReport, inspect_folder
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import _
from tuckerlab.panels.training_panel import TrainingPanel
from tuckerlab.panels.widgets import SLIDER, Line, Panel, button, labelled, row, set_visible, watch
from tuckerlab.plotting.figure import INK, PALETTE, image_html

ROWS = 8  # classes shown


class BringYourOwn(Panel):
    """Look at a folder of images, then train on it: small from the start, and the full network beside it.

    `report` is what was found, if anything was yet; a folder that is given is looked at at once. `settings` are those
    of `TrainingPanel`, which appears when the folder is ready. attended=False: nobody is there to press Look and Train;
    the panel does, and raises TuckerlabError if the folder will not do.
    """

    def __init__(self, folder: str = "", *, attended: bool = True, **settings: Any) -> None:
        super().__init__()
        self.report: FolderReport | None = None
        self._stop = threading.Event()  # another one for each look
        self.folder = labelled(
            ipywidgets.Text, _("Folder of images"),
            _("The path of a folder that holds one folder of images for each class, or “train” and “test” with such "
              "folders in them"),
            value=folder, continuous_update=False, layout=SLIDER,
            placeholder=_("for example {path}", path="~/Pictures/parts"),
        )  # fmt: skip
        opens = _("Opens every image and tells what is wrong; nothing is trained or changed")
        self.look = button(_("Look"), self._look, opens, button_style="primary")
        self.stop = button(_("Stop"), lambda: self._stop.set(), disabled=True)
        self.state = Line(_("Type a folder and press Look. It needs one folder of images for each class."))
        self.findings, self.classes = ipywidgets.HTML(), ipywidgets.HTML()
        self.training = TrainingPanel(**{"dataset": "folder:", "dense": True, **settings})
        set_visible(self.training.dataset, False)  # the folder above is what is trained on
        self._epochs = settings.get("epochs")
        set_visible(self.training, self.training.busy)
        self.children = [
            self.folder, row(self.look, self.stop), self.state, self.alert, self.classes, self.findings, self.training,
        ]  # fmt: skip
        watch(self._look, self.folder)  # Enter
        if not attended:
            self._press()
        elif folder:
            self._look()

    @property
    def name(self) -> str:
        """The folder without what comes along when a path is pasted: blanks, quotation marks, `folder:`."""
        return str(self.folder.value).strip().strip("\"'").removeprefix("folder:").strip()

    @property
    def numbers(self) -> dict[str, float]:
        """Accuracies and sizes of the last training."""
        return self.training.numbers

    @property
    def finding(self) -> str:
        """The comparison in one line."""
        return self.training.finding or _(
            "No comparison yet: press Train above, wait until both networks are trained, then run this cell again."
        )

    @property
    def always_the_same(self) -> str:
        """How often one is right who always names the class trained most."""
        if self.report is None or not self.report.ready:
            return _("Look at a folder first, in the panel above.")
        return _("{share:.1f} %", share=100 * self.report.always_the_same)

    def _look(self, change: object = None) -> None:
        """Begins to look at the folder, and comes back at once; a look that is under way ends."""
        self._stop.set()
        self._stop = threading.Event()
        self._show(None)
        self.in_background(self._work, self.name, self._stop)

    def _work(self, name: str, stop: threading.Event) -> None:
        report = None
        with self.reporting():
            if name:
                self.stop.disabled = False
                self.state.say(_("Opening the folder …"), bold=True)
                report = inspect_folder(name, on_progress=self._tell, stop=stop)
        if stop is self._stop:  # else another look follows
            self.stop.disabled = True
            self._show(report)

    def _tell(self, done: int, total: int) -> None:
        self.state.say(_("Looking at the images: {done:,.0f} of {total:,.0f} …", done=done, total=total), bold=True)

    def _show(self, report: FolderReport | None) -> None:
        self.report = report
        self.state.say(_state(report) if report else "", bold=True)
        self.classes.value = _classes_html(report) if report else ""
        self.findings.value = _findings_html(report) if report else ""
        is_ready = report is not None and report.ready
        if is_ready:
            self.training.dataset.value = f"folder:{self.name}"  # which sets the epochs that suit it
            self.training.epochs.value = self._epochs or self.training.epochs.value
        set_visible(self.training, is_ready or self.training.busy)

    def _press(self) -> None:
        self._look()
        self.wait()
        if self.report and self.report.ready:
            self.training.train_now()
            return
        why = " ".join(self.report.problems.values()) if self.report else self.problem
        raise TuckerlabError(_("the folder {folder} could not be trained on: {why}", folder=self.name, why=why))


def _state(report: FolderReport) -> str:
    """Whether there can be training, in a line."""
    if report.problems:
        return _("✗ Not yet: what is listed below prevents training.")
    if not report.ready:
        done = {"done": report.checked, "total": report.total}
        return _("Stopped after {done:,.0f} of {total:,.0f} images. Press Look to see all of them.", **done)
    train, test = (sum(part) for part in zip(*report.classes.values(), strict=True))
    return _(
        "✓ Ready to train: {train:,.0f} images to train and {test:,.0f} to test, in {classes:,.0f} classes",
        train=train, test=test, classes=sum(count.train > 0 for count in report.classes.values()),
    )  # fmt: skip


def _findings_html(report: FolderReport) -> str:
    """Problems, then warnings."""
    html = ""
    for title, findings, colour in (
        (_("Prevents training"), report.problems, PALETTE[1]), (_("Good to know"), report.warnings, PALETTE[0]),
    ):  # fmt: skip
        items = "".join(f'<li style="margin:.3rem 0">{escape(said)}</li>' for said in findings.values())
        style = f"border-left:4px solid {colour};padding:.1rem .8rem;margin:.4rem 0;line-height:1.4;color:{INK}"
        if findings:
            html += f'<div style="{style}"><b>{escape(title)}</b><ul style="margin:.2rem 0">{items}</ul></div>'
    return html


def _classes_html(report: FolderReport) -> str:
    """A row for each class: some of its images as the network sees them, and how many there are."""
    if not any(report.samples.values()):
        return ""
    head = "", _("what the network will see"), _("to train"), _("to test")
    rows = ["".join(f"<th>{escape(title)}</th>" for title in head)]
    for name, count in list(report.classes.items())[:ROWS]:
        images = "".join(_image_html(pixels, name) for pixels in report.samples[name])
        cells = escape(name), images, f"{count.train:,}", f"{count.test:,}"
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    more = len(report.classes) - ROWS
    below = _("and {count:,.0f} more", count=more) if more > 0 else ""
    style = f"line-height:1.2;color:{INK};border-spacing:.8rem .3rem;border-collapse:separate;text-align:left"
    return f'<table style="{style}">{"".join(f"<tr>{row}</tr>" for row in rows)}</table>{escape(below)}'


def _image_html(pixels: NDArray[np.uint8], name: str) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return image_html(buffer.getvalue(), name, "height:3rem;image-rendering:pixelated;margin-right:3px")
