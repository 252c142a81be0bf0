"""The trade-off panel as widgets."""

from html import escape
from typing import Any

import ipywidgets

from tuckerlab.experiments.pareto import Answer, Tradeoff
from tuckerlab.experiments.summary import Network
from tuckerlab.i18n import has_text, text
from tuckerlab.panels.tradeoff.model import OWN, State, TradeOffModel
from tuckerlab.panels.tradeoff.picture import TradeOffPicture, network_name
from tuckerlab.panels.widgets import Panel, bind, labelled, line_widget, picture_widget, problem_widget, set_line, tiles
from tuckerlab.plotting.styles import method_name

SLIDER = {"width": "100%", "max_width": "46rem"}
ROW = {"flex_flow": "row wrap"}
WIDE = {"width": "auto", "min_width": "22rem"}
SCALES = {"checkpoint_bytes": 1e3}  # said in kilobytes
MANY = 2.0  # from this factor on it is "so many times less", below it a share in per cent


class TradeOff(Panel):
    """Say how much accuracy may be lost, and see the smallest network that loses no more.

    `source` names a recorded result; `folder` is where your own runs lie, by default `runs`.
    """

    model: TradeOffModel

    def __init__(self, source: str = "headline", folder: str | None = None, model: TradeOffModel | None = None) -> None:
        self.model = model or TradeOffModel(source, folder)
        self._filling = False
        self.source = labelled(ipywidgets.Dropdown, "tradeoff.source", layout=WIDE)
        self.axis = labelled(ipywidgets.Dropdown, "tradeoff.axis", layout=WIDE)
        self.methods = ipywidgets.HBox(layout=ROW)
        self.points = labelled(ipywidgets.FloatSlider, "tradeoff.points", min=0, max=10, step=0.1, layout=SLIDER)
        self.chosen = labelled(ipywidgets.Dropdown, "tradeoff.chosen", layout=WIDE)
        self.folder = labelled(ipywidgets.Text, "tradeoff.folder", continuous_update=False)
        self.again = ipywidgets.Button(description=text("tradeoff.refresh"), tooltip=text("tradeoff.refresh.hint"))
        self.sentence, self.origin, self.numbers = line_widget(), line_widget(), ipywidgets.HTML()
        self.picture = picture_widget(b"", text("tradeoff.alt"))
        self._drawn: tuple[Any, TradeOffPicture] | None = None
        bind(self.model, points=self.points, folder=self.folder)
        self.again.on_click(lambda _: self.model.refresh())
        for name in ("source", "axis", "chosen"):
            getattr(self, name).observe(lambda change, name=name: self._set(name, change.new), "value")
        self.model.observe(self._fill_sources, ["tradeoffs", "source"])
        self.model.observe(self._show, "state")
        self._fill_sources()
        self._show()
        super().__init__([
            ipywidgets.HBox([self.source, self.axis], layout=ROW), self.methods, self.points, self.sentence,
            self.picture, self.chosen, self.numbers, self.origin,
            ipywidgets.HBox([self.folder, self.again], layout=ROW), problem_widget(self.model),
        ])  # fmt: skip

    def _set(self, name: str, value: Any) -> None:
        if not self._filling and value is not None:
            setattr(self.model, name, value)

    def _fill(self, widget: ipywidgets.Dropdown, options: list[tuple[str, str]], value: str) -> None:
        self._filling = True
        try:
            if widget.options != tuple(options):
                widget.options = options
            widget.value = value if value in dict(options).values() else None
        finally:
            self._filling = False

    def _fill_sources(self, _: object = None) -> None:
        named = [(source_name(name, tradeoff), name) for name, tradeoff in self.model.tradeoffs.items()]
        self._fill(self.source, named, self.model.source)

    def _fill_methods(self) -> None:
        """A box to tick for each method; new ones only where there are other methods."""
        model = self.model
        boxes = {box.method: box for box in self.methods.children}
        if tuple(boxes) != model.tradeoff.methods:
            boxes = {method: _Tick(self._ticked, method) for method in model.tradeoff.methods}
            self.methods.children = tuple(boxes.values())
        self._filling = True
        for method, box in boxes.items():
            box.value = method in model.methods
        self._filling = False

    def _ticked(self, _: object) -> None:
        if not self._filling:
            self.model.methods = tuple(box.method for box in self.methods.children if box.value)

    def _show(self, _: object = None) -> None:
        model, state = self.model, self.model.state
        self._fill(self.axis, [(text(f"tradeoff.axis.{axis}"), axis) for axis in model.tradeoff.axes], state.axis)
        self._fill_methods()
        self._fill(
            self.chosen, [(network_name(n), n.name) for n in state.networks], state.chosen.name if state.chosen else ""
        )
        self.picture.value = self._png() if state.axis else b""
        self.picture.layout.display = "" if state.axis else "none"
        set_line(self.sentence, escape(_sentence(state.axis, state.answer, state.points)))
        set_line(self.origin, escape(_origin(model.tradeoff)) if state.axis else "")
        self.numbers.value = tiles(_numbers(model.tradeoff, state))

    def _png(self) -> bytes:
        model, state = self.model, self.model.state
        key = model.tradeoff, state.axis, state.networks
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = key, TradeOffPicture(state.axis, state.networks, state.full)
        best = state.answer.best if state.answer else None
        return self._drawn[1].png(state.points, best, state.chosen)


class _Tick(ipywidgets.Checkbox):
    """A box to tick for a method."""

    def __init__(self, changed: Any, method: str) -> None:
        self.method = method
        super().__init__(
            value=True, description=method_name(method), indent=False, layout=ipywidgets.Layout(width="auto")
        )
        self.observe(changed, "value")


def source_name(name: str, tradeoff: Tradeoff) -> str:
    """What people call a source: a recorded result by its message, own runs by what they are of."""
    if not name.startswith(OWN):
        return text(f"data.{name}") if has_text(f"data.{name}") else name
    run = tradeoff.records.runs.iloc[0]
    return text(
        "tradeoff.own",
        dataset=run["dataset"],
        model=run["model"],
        epochs=int(run["epochs"]),
        count=len(tradeoff.records),
    )


def _sentence(axis: str, answer: Answer | None, points: float) -> str:
    if answer is None:
        return text("tradeoff.answer.reference" if axis else "tradeoff.answer.nothing")
    told: dict[str, Any] = {"points": points, "axis": text(f"tradeoff.axis.{axis}") if axis else ""}
    told["full_value"] = _value(axis, answer.full)
    shown = answer.nearest or answer.best
    if shown:
        told |= {"name": network_name(shown), "value": _value(axis, shown), "ratio": _ratio(shown, answer.full)}
        told |= {"accuracy": shown.accuracy, "full_accuracy": answer.full.accuracy}
        told["change"] = _change(shown, answer.full)
    return text(f"tradeoff.answer.{answer.kind}", **told)


def _numbers(tradeoff: Tradeoff, state: State) -> list[tuple[str, str, str]]:
    """The tiles of the chosen network: its accuracy, and each cost with its ratio to the full network."""
    if state.chosen is None:
        return []
    change = _change(state.chosen, state.full) if state.full else ""
    cells = [(text("tradeoff.tile.right"), text("unit.percent", value=state.chosen.accuracy), change)]
    for axis in tradeoff.axes:
        full = tradeoff.full(axis)
        for network in tradeoff.along(axis):
            if network.name == state.chosen.name:
                ratio = _ratio(network, full) if full else ""
                cells.append((text(f"tradeoff.axis.{axis}"), _value(axis, network), ratio))
    return cells


def _change(network: Network, full: Network) -> str:
    change = round(network.accuracy - full.accuracy, 1)
    return text("unit.points", points=change) if change else text("tradeoff.same")


def _value(axis: str, network: Network) -> str:
    return text(f"tradeoff.value.{axis}", value=network.size / SCALES.get(axis, 1))


def _ratio(network: Network, full: Network) -> str:
    if network is full:
        return text("tradeoff.ratio.full")
    if full.size >= MANY * network.size:
        return text("tradeoff.ratio.less", times=full.size / network.size)
    return text("tradeoff.ratio.share", share=100 * network.size / full.size)


def _origin(tradeoff: Tradeoff) -> str:
    origin = tradeoff.origin
    seeds = "one" if origin["most"] == 1 else "same" if origin["most"] == origin["fewest"] else "several"
    return f"{text('tradeoff.origin', **origin)} {text(f'tradeoff.seeds.{seeds}', **origin)}"
