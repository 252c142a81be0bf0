"""What panels are built of: the panel itself, a picture with its description, tiles of numbers, lines of text.

>>> panel = Panel()
>>> with panel.reporting():
...     raise TuckerlabError("epochs 0: allowed are whole numbers from 1")
>>> panel.problem
'epochs 0: allowed are whole numbers from 1'
"""

import base64
import contextlib
import traceback
from collections.abc import Callable, Iterable, Iterator
from html import escape
from typing import Any

import ipywidgets
import traitlets

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import _, has_text, text
from tuckerlab.plotting.figure import INK, QUIET

LABELLED = {"description_width": "initial"}
# plain dictionaries: one Layout object on two widgets would hide both where one is hidden
WIDE = {"width": "100%", "max_width": "68rem"}
# sliders as wide as the text; a dictionary for the same reason
SLIDER = {"width": "100%", "max_width": "46rem"}
ROW = {"flex_flow": "row wrap", "align_items": "center"}
# one transparent pixel: a browser takes a picture of no bytes for a broken one
BLANK = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


class Panel(ipywidgets.VBox):
    """A panel: its widgets, which are its state, and a static picture of it for readers without a kernel.

    `problem` is one readable line about what went wrong, or empty. Subclasses put `alert`, which shows it, among their
    children.
    """

    def __init__(self, children: Iterable[ipywidgets.Widget] = ()) -> None:
        super().__init__(list(children), layout=WIDE)
        self.problem, self.alert = "", ipywidgets.HTML(layout={"display": "none"})

    def show_problem(self, error: BaseException | None) -> None:
        """Shows what went wrong in a line, with the traceback of a defect folded below it; None: nothing did."""
        self.problem, details = described(error) if error is not None else ("", "")
        self.alert.value = problem_html(self.problem, details)
        self.alert.layout.display = "" if self.problem else "none"

    @contextlib.contextmanager
    def reporting(self, *, fresh: bool = True) -> Iterator[None]:
        """Shows what goes wrong in the block, in place of a traceback in a log that nobody reads.

        fresh=False: what has gone wrong before stays where nothing does now.
        """
        if fresh:
            self.show_problem(None)
        try:
            yield
        except Exception as error:
            self.show_problem(error)

    def static(self) -> str:
        """What the panel shows now, as HTML that needs no widgets: by default its pictures, tiles and lines."""
        return "".join(_static(widget) for widget in _leaves(self))

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        data["text/html"] = f'<div class="tuckerlab-panel">{self.static()}</div>'
        return bundle


class _Picture(ipywidgets.Image):
    """An image with a tooltip: the part of ipywidgets in the browser fails on one that has no description beside it."""

    description = traitlets.Unicode().tag(sync=True)


def described(error: BaseException) -> tuple[str, str]:
    """An error in one line; and its traceback, where it is neither a mistake of the user's nor of the disk."""
    if isinstance(error, TuckerlabError):
        return str(error), ""
    if isinstance(error, OSError):
        name, reason = error.filename or type(error).__name__, error.strerror or error
        return _("{name}: cannot be read or written ({reason}); choose another place", name=name, reason=reason), ""
    said = " ".join(str(error).split())
    return _(
        "Something went wrong that should not have ({kind}: {said}). The details below help to find out why.",
        kind=type(error).__name__,
        said=said,
    ), "".join(traceback.format_exception(error))


def picture_widget(png: bytes, description: str) -> ipywidgets.Image:
    """A picture; `description` is read out to those who do not see it."""
    return _Picture(
        value=png or BLANK,
        format="png",
        tooltip=description,
        layout=ipywidgets.Layout(max_width="100%", object_fit="contain"),
    )


def line_widget(html: str = "") -> ipywidgets.HTML:
    """A line of text that screen readers read out when it changes; the text is HTML."""
    return ipywidgets.HTML(_line(html))


def set_line(widget: ipywidgets.HTML, html: str) -> None:
    """Changes the text of a `line_widget`."""
    widget.value = _line(html)


def tiles(cells: Iterable[tuple[str, str, str]]) -> str:
    """Numbers side by side as HTML: each a title, the number, and what it means.

    >>> "98.1 %" in tiles([("accuracy", "98.1 %", "as the full network")])
    True
    """
    boxes = "".join(
        f'<div style="flex:1 1 9rem;border:1px solid #d0d0d0;border-radius:6px;padding:.5rem .7rem;line-height:1.35">'
        f'<div style="color:{QUIET};font-size:.85rem">{escape(title)}</div>'
        f'<div style="color:{INK};font-size:1.45rem;font-weight:600">{escape(number)}</div>'
        f'<div style="color:{INK};font-size:.85rem">{escape(meaning)}</div></div>'
        for title, number, meaning in cells
    )
    return f'<div role="status" aria-live="polite" style="display:flex;flex-wrap:wrap;gap:.5rem">{boxes}</div>'


def heading(html: str) -> ipywidgets.HTML:
    """A heading inside a panel."""
    return ipywidgets.HTML(f'<div style="font-size:1.05rem;font-weight:600;color:{INK}">{html}</div>')


def problem_html(problem: str, details: str) -> str:
    """The line and its details as HTML; what a user has typed is escaped.

    >>> problem_html("<b>", "")
    '<div role="alert" style="border-left:4px solid #D55E00;padding:.3rem .8rem;line-height:1.4">&lt;b&gt;</div>'
    """
    if not problem:
        return ""
    folded = ""
    if details:
        pre = f"<pre style='white-space:pre-wrap'>{escape(details)}</pre>"
        folded = f"<details><summary>{escape(text('panel.details'))}</summary>{pre}</details>"
    style = "border-left:4px solid #D55E00;padding:.3rem .8rem;line-height:1.4"
    return f'<div role="alert" style="{style}">{escape(problem)}{folded}</div>'


def labelled(kind: type[ipywidgets.Widget], key: str, **options: Any) -> Any:
    """A widget whose label and hint are the messages `key` and, where there is one, `key.hint`."""
    hint = {"tooltip": text(f"{key}.hint")} if has_text(f"{key}.hint") else {}
    return kind(description=text(key), **{"style": LABELLED, **hint, **options})


def button(key: str, action: Callable[[], object] | None = None, **options: Any) -> ipywidgets.Button:
    """A button as wide as its word, which is the message `key`; pressed, it calls `action`."""
    hint = {"tooltip": text(f"{key}.hint")} if has_text(f"{key}.hint") else {}
    made = ipywidgets.Button(description=text(key), layout=ipywidgets.Layout(width="auto"), **hint, **options)
    if action is not None:
        made.on_click(lambda _: action())
    return made


def watch(handler: Callable[..., object], *widgets: ipywidgets.Widget) -> None:
    """Calls the handler with each change of a value."""
    for widget in widgets:
        widget.observe(handler, "value")


@contextlib.contextmanager
def unwatched(handler: Callable[..., object], *widgets: ipywidgets.Widget) -> Iterator[None]:
    """Values that the block sets do not call the handler, which watches these widgets otherwise."""
    for widget in widgets:
        widget.unobserve(handler, "value")
    try:
        yield
    finally:
        watch(handler, *widgets)


def image_html(png: bytes, description: str) -> str:
    """A picture as HTML that holds it."""
    data = base64.b64encode(png).decode()
    return f'<img src="data:image/png;base64,{data}" alt="{escape(description, quote=True)}" style="max-width:100%">'


def folded(title: str, html: str) -> str:
    """HTML that is folded away under a title.

    >>> folded("<b>", "<p>1</p>")
    '<details><summary>&lt;b&gt;</summary><p>1</p></details>'
    """
    return f"<details><summary>{escape(title)}</summary>{html}</details>"


def _line(html: str) -> str:
    return f'<div role="status" aria-live="polite" style="line-height:1.5;color:{INK}">{html}</div>' if html else ""


def _leaves(widget: ipywidgets.Widget) -> Iterable[ipywidgets.Widget]:
    if isinstance(widget, ipywidgets.Box) and not isinstance(widget, ipywidgets.Accordion):
        if widget.layout.display != "none":
            for child in widget.children:
                yield from _leaves(child)
    elif widget.layout.display != "none":
        yield widget


def _static(widget: ipywidgets.Widget) -> str:
    if isinstance(widget, ipywidgets.Image):
        return image_html(widget.value, widget.tooltip or "") if widget.value != BLANK else ""
    if isinstance(widget, ipywidgets.Accordion):
        inside = ["".join(map(_static, _leaves(child))) for child in widget.children]
        return "".join(folded(title, html) for title, html in zip(widget.titles, inside, strict=True) if html)
    return f"<div>{widget.value}</div>" if isinstance(widget, ipywidgets.HTML) and widget.value else ""
