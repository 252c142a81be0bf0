"""What panels are built of: the panel itself, a picture with its description, tiles of numbers, lines of text."""

import contextlib
import contextvars
import io
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from html import escape
from typing import Any

import ipywidgets
import traitlets
from IPython import get_ipython
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _
from tuckerlab.plotting.figure import INK, QUIET, image_html

SCREEN_DPI = 110
LABELLED = {"description_width": "initial"}
# plain dictionaries: one Layout object on two widgets would hide both where one is hidden
WIDE = {"width": "100%", "max_width": "68rem"}
SLIDER = {"width": "100%", "max_width": "46rem"}
ROW = {"flex_flow": "row wrap", "align_items": "center"}
# What recorded results are called, without the network where there is only one
RECORDED = {
    "slider-mnist-vgg_small": N_("Handwritten digits, small network"),
    "slider-cifar10-vgg16": N_("Photographs (CIFAR-10), VGG16 at half of its width"),
    "slider-folder-neu_steel-vgg_small": N_("Defects on steel, small network"),
    "full-width-cifar10-vgg16": N_("Photographs (CIFAR-10), VGG16 at full width, equal time"),
    "half-width-cifar10-vgg16": N_("Photographs (CIFAR-10), VGG16 at half of its width, equal time"),
    "headline-cpu": N_("Photographs (CIFAR-10), VGG16 at a quarter of its width, with pruning"),
    "poc-mnist-vgg_small": N_("Handwritten digits of 28 × 28, small network"),
    "accuracy-digits-vgg_small": N_("Handwritten digits, small network, repeated"),
    "accuracy-folder-neu_steel-vgg_small": N_("Defects on steel, small network, repeated"),
    "compare-digits-vgg_small": N_("Handwritten digits, all methods"),
    "compare-folder-neu_steel-vgg_small": N_("Defects on steel, all methods"),
    "vit-neu_steel": N_("Defects on steel, transformer"),
}


class Panel(ipywidgets.VBox):
    """A panel: its widgets, which are its state, and a static picture of it for readers without a kernel.

    `problem` is one readable line about what went wrong, or empty. Subclasses put `alert`, which shows it, among their
    children. `stops` are a slider and places of it: readers without a kernel choose from them.
    """

    stops: tuple[ipywidgets.Widget, Sequence[Any]] | None = None

    def __init__(self, children: Iterable[ipywidgets.Widget] = ()) -> None:
        super().__init__(list(children), layout=WIDE)
        self.problem, self.alert = "", ipywidgets.HTML(layout={"display": "none"})
        self._thread: threading.Thread | None = None

    def show_problem(self, error: BaseException | None) -> None:
        """Shows what went wrong in a line; None: nothing did."""
        self.problem = described(error) if error is not None else ""
        self.alert.value = problem_html(self.problem)
        set_visible(self.alert, self.problem)

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Shows what goes wrong in the block, in place of a traceback in a log that nobody reads."""
        self.show_problem(None)
        try:
            yield
        except Exception as error:
            self.show_problem(error)

    def in_background(self, work: Callable[..., object], *given: object) -> None:
        """Work in a thread, in the language that is spoken here, after what was begun before; comes back at once."""
        here, before = contextvars.copy_context(), self._thread

        def in_turn() -> None:
            if before is not None:
                before.join()
            here.run(work, *given)

        self._thread = threading.Thread(target=in_turn, name="tuckerlab panel", daemon=True)
        self._thread.start()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def static(self) -> str:
        """What the panel shows now, as HTML that needs no widgets: by default its pictures, tiles and lines."""
        return "".join(map(_static, self.children))

    def at_stops(self) -> str:
        """The same at each of its stops, to choose from."""
        self.wait()
        if self.stops is None:
            return self.static()
        slider, places = self.stops
        kept, parts = slider.value, list[str]()
        labels = {value: label for label, value in getattr(slider, "options", ())}
        for place in places:
            slider.value = place
            said = labels[place] if labels else format(place, slider.readout_format)
            radio = f'<input type="radio" name="stop-{self.model_id}"{" checked" if place == kept else ""}>'
            parts.append(f'<div class="stop"><label>{radio} {escape(said)}</label><div>{self.static()}</div></div>')
        slider.value = kept
        return f'<fieldset class="stops"><legend>{escape(slider.description)}</legend>{"".join(parts)}</fieldset>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        shell = get_ipython()
        asked = {} if shell is None else shell.user_ns  # of a notebook, whose parameters these are
        is_page = asked.get("profile") == "recorded" or not asked.get("attended", True)
        html = f'<div class="tuckerlab-panel">{self.at_stops() if is_page else self.static()}</div>'
        return {**super()._repr_mimebundle_(**options), "text/html": html}


def described(error: BaseException) -> str:
    """An error in one line; the traceback of a defect is logged."""
    if isinstance(error, TuckerlabError):
        return str(error)
    if isinstance(error, OSError):
        name, reason = error.filename or type(error).__name__, error.strerror or error
        return _("{name}: cannot be read or written ({reason}); choose another place", name=name, reason=reason)
    logging.getLogger(__name__).error("a defect in a panel", exc_info=error)
    said = " ".join(str(error).split())
    return _("Something went wrong that should not have ({kind}: {said}).", kind=type(error).__name__, said=said)


def png(figure: Figure, dpi: float = SCREEN_DPI) -> bytes:
    """A figure for the screen, encoded as quickly as a slider asks for (`savefig` draws twice, and packs tighter)."""
    figure.set_dpi(dpi)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer, pil_kwargs={"compress_level": 1})  # type: ignore[no-untyped-call]
    return buffer.getvalue()


class PictureBox(ipywidgets.Image):
    """A place for a picture; `said` is read out to those who do not see it."""

    # the part of ipywidgets in the browser fails on a tooltip that has no description beside it
    description = traitlets.Unicode().tag(sync=True)

    def __init__(self, said: str) -> None:
        layout = {
            "max_width": "calc(100% - 4px)",
            "object_fit": "contain",
            "align_self": "flex-start",
        }  # and its margins
        super().__init__(value=b"", format="png", tooltip=said, layout=layout | {"display": "none"})

    def show(self, figure: Figure | None, dpi: float = SCREEN_DPI) -> None:
        """Another picture; None: there is nothing to see."""
        self.value = b"" if figure is None else png(figure, dpi)
        set_visible(self, figure)


class Line(ipywidgets.HTML):
    """A line of text that screen readers read out when it changes."""

    def __init__(self, text: str = "", *, bold: bool = False) -> None:
        super().__init__()
        self.say(text, bold=bold)

    def say(self, text: str, *, bold: bool = False) -> None:
        """Another text, which is escaped."""
        self.show(f"<b>{escape(text)}</b>" if bold and text else escape(text))

    def show(self, html: str) -> None:
        """The same with HTML; Japanese has no space after a full stop."""
        style, html = f"line-height:1.5;color:{INK}", html.replace("。 ", "。")
        self.value = f'<div role="status" aria-live="polite" style="{style}">{html}</div>' if html else ""


def set_visible(widget: ipywidgets.Widget, visible: object) -> None:
    """Whether a widget is seen and takes room."""
    widget.layout.display = "" if visible else "none"


def row(*widgets: ipywidgets.Widget) -> ipywidgets.HBox:
    """Widgets side by side, and below each other where there is no room."""
    return ipywidgets.HBox(list(widgets), layout=ROW)


def tiles(cells: Iterable[tuple[str, str, str]]) -> str:
    """Numbers side by side as HTML: each a title, the number, and what it means."""
    boxes = "".join(
        f'<div style="flex:1 1 9rem;border:1px solid #d0d0d0;border-radius:6px;padding:.5rem .7rem;line-height:1.35">'
        f'<div style="color:{QUIET};font-size:.85rem">{escape(title)}</div>'
        f'<div style="color:{INK};font-size:1.45rem;font-weight:600">{escape(number)}</div>'
        f'<div style="color:{INK};font-size:.85rem">{escape(meaning)}</div></div>'
        for title, number, meaning in cells
    )
    return f'<div role="status" aria-live="polite" style="display:flex;flex-wrap:wrap;gap:.5rem">{boxes}</div>'


def problem_html(problem: str) -> str:
    """The line as HTML; what a user has typed is escaped."""
    style = "border-left:4px solid #D55E00;padding:.3rem .8rem;line-height:1.4"
    return f'<div role="alert" style="{style}">{escape(problem)}</div>' if problem else ""


def source_choice(label: str, recorded: Sequence[str], asked: str, **options: Any) -> ipywidgets.Dropdown:
    """Recorded results by what people call them; chosen is the first that begins as asked, or what was asked itself."""
    start = next((name for name in recorded if name.startswith(asked)), asked)
    shown = [(_(RECORDED.get(name, name)), name) for name in dict.fromkeys([*recorded, start])]
    return labelled(ipywidgets.Dropdown, label, options=shown, value=start, **options)


def labelled(kind: type[ipywidgets.Widget], label: str, hint: str = "", **options: Any) -> Any:
    """A widget with a label, and a hint that shows under the pointer."""
    return kind(description=label, **{"style": LABELLED, "tooltip": hint, **options})


def choice(label: str, hint: str, value: Any, options: Iterable[tuple[str, Any]], **more: Any) -> Any:
    """A slider over a few values, each with its name."""
    kept: dict[str, Any] = {"continuous_update": False, "layout": SLIDER, **more}
    return labelled(ipywidgets.SelectionSlider, label, hint, options=list(options), value=value, **kept)


def button(label: str, action: Callable[[], object], hint: str = "", **options: Any) -> ipywidgets.Button:
    """A button as wide as its word; pressed, it calls `action`."""
    made = ipywidgets.Button(description=label, tooltip=hint or None, layout=ipywidgets.Layout(width="auto"), **options)
    made.on_click(lambda pressed: action())
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


def folded(title: str, html: str) -> str:
    """HTML that is folded away under a title, which is escaped."""
    return f"<details><summary>{escape(title)}</summary>{html}</details>"


def _static(widget: ipywidgets.Widget) -> str:
    if widget.layout.display == "none":
        return ""
    if own := getattr(widget, "static", None):
        return str(own())
    if isinstance(widget, ipywidgets.Accordion):
        inside = zip(widget.titles, map(_static, widget.children), strict=True)
        return "".join(folded(title, html) for title, html in inside if html)
    if isinstance(widget, ipywidgets.Box):
        return "".join(map(_static, widget.children))
    if isinstance(widget, ipywidgets.Image):
        return image_html(widget.value, widget.tooltip, "max-width:100%")
    return f"<div>{widget.value}</div>" if isinstance(widget, ipywidgets.HTML) and widget.value else ""
