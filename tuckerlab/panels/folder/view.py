"""The look at a folder as widgets."""

import io
from collections.abc import Sequence
from html import escape

import ipywidgets

from tuckerlab.data.folder_check import Finding, FolderReport
from tuckerlab.i18n import text
from tuckerlab.panels.fast_png import SCREEN_DPI
from tuckerlab.panels.folder.model import FolderModel
from tuckerlab.panels.folder.picture import ROWS, folder_picture
from tuckerlab.panels.folder.words import advice, said
from tuckerlab.panels.widgets import (
    Panel,
    bind,
    button,
    labelled,
    line_widget,
    picture_widget,
    problem_widget,
    set_line,
)
from tuckerlab.plotting.figure import INK, PALETTE, QUIET

LISTED = 200  # unreadable files, in the folded list
BAR = {"width": "100%", "max_width": "46rem"}
ROW = {"flex_flow": "row wrap", "align_items": "center"}


class FolderInspector(Panel):
    """Type a folder of images, press Look, and read what prevents training on it and what else is good to know.

    `panel.model.dataset` is the name for `load_data` once the folder is ready.
    """

    model: FolderModel

    def __init__(self, folder: str = "", model: FolderModel | None = None) -> None:
        self.model = model or FolderModel(folder)
        example = self.model.example
        self.folder = labelled(
            ipywidgets.Text, "folder.folder", continuous_update=False, layout=BAR,
            placeholder=text("folder.placeholder", path=example or "~/Pictures/parts"),
        )  # fmt: skip
        self.look = button("folder.look", button_style="primary")
        self.stop = button("folder.stop")
        self.example = button("folder.example")
        self.example.layout.display = "" if example else "none"
        self.progress = ipywidgets.IntProgress(min=0, layout=BAR)
        self.state, self.findings = line_widget(), ipywidgets.HTML()
        self.picture = picture_widget(b"", "")
        bind(self.model, folder=self.folder)
        self.folder.observe(lambda _: self.model.look(), "value")  # Enter
        self.look.on_click(lambda _: self.model.look())
        self.stop.on_click(lambda _: self.model.stop())
        self.example.on_click(lambda _: self._take_example())
        self.model.observe(lambda _: self._show_state(), ["looking", "done", "report", "problem"])
        self.model.observe(lambda _: self._show_report(), "report")
        self._show_state()
        self._show_report()
        super().__init__([
            self.folder, ipywidgets.HBox([self.look, self.stop, self.example], layout=ROW), self.progress, self.state,
            problem_widget(self.model), self.picture, self.findings,
        ])  # fmt: skip

    def _take_example(self) -> None:
        if self.model.folder != self.model.example:
            self.model.folder = self.model.example  # and the text box looks
        else:
            self.model.look()

    def _show_state(self) -> None:
        model = self.model
        self.stop.disabled = not model.looking
        self.progress.layout.display = "" if model.looking else "none"
        with self.progress.hold_trait_notifications():
            self.progress.max, self.progress.value = max(model.total, 1), model.done
        set_line(self.state, f"<b>{escape(_state(model))}</b>" if model.report or model.looking else _state(model))

    def _show_report(self) -> None:
        report = self.model.report
        self.findings.value = _findings_html(report) if report is not None else ""
        if report is None or not any(report.samples.values()):
            self.picture.value, self.picture.layout.display = b"", "none"
            return
        buffer = io.BytesIO()
        folder_picture(report.classes, report.samples).savefig(
            buffer, format="png", dpi=SCREEN_DPI, bbox_inches="tight"
        )
        shown = list(report.classes.items())[:ROWS]
        rows = [text("folder.alt.row", name=name, train=count.train, test=count.test) for name, count in shown]
        self.picture.tooltip = text("folder.alt", rows=" ".join(rows))
        self.picture.value, self.picture.layout.display = buffer.getvalue(), ""


def _state(model: FolderModel) -> str:
    """Where things stand, in a line."""
    report = model.report
    if model.looking:
        return text(f"folder.state.{'looking' if model.total else 'opening'}", done=model.done, total=model.total)
    if report is None:
        return "" if model.problem else text("folder.state.idle")
    if report.problems:
        return text("folder.state.not_yet", count=len(report.problems))
    if not report.ready:
        return text("folder.state.stopped", done=report.checked, total=report.total)
    train, test = (sum(part) for part in zip(*report.classes.values(), strict=True))
    known = sum(count.train > 0 for count in report.classes.values())
    images = text("unit.images", count=train + test)
    return text("folder.state.ready", images=images, classes=known, train=train, test=test)


def _findings_html(report: FolderReport) -> str:
    """Problems, then warnings, then the files that cannot be read."""
    parts = [_list_html("folder.problems", report.problems, PALETTE[1])]
    if report.unreadable[1:]:
        rows = "".join(f"<li>{escape(name)} ({escape(why)})</li>" for name, why in report.unreadable[:LISTED])
        parts.append(f"<details><summary>{text('folder.all_unreadable')}</summary><ul>{rows}</ul></details>")
    parts.append(_list_html("folder.warnings", report.warnings, PALETTE[0]))
    return "".join(parts) or (escape(text("folder.nothing")) if report.ready else "")


def _list_html(title: str, findings: Sequence[Finding], colour: str) -> str:
    if not findings:
        return ""
    items = "".join(
        f'<li style="margin:.3rem 0">{escape(said(f))}<br><span style="color:{QUIET}">{escape(advice(f))}</span></li>'
        for f in findings
    )
    style = f"border-left:4px solid {colour};padding:.1rem .8rem;margin:.4rem 0;line-height:1.4;color:{INK}"
    return f'<div style="{style}"><b>{escape(text(title))}</b><ul style="margin:.2rem 0">{items}</ul></div>'
