"""The state of the trade-off panel: which runs, along which cost, and how much accuracy may be lost.

>>> model = TradeOffModel("headline-cpu", folder="")
>>> model.points = 5.0
>>> model.state.answer.best.name, model.chosen
('pruned 98 %', 'Tucker 90 %')
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import traitlets

from tuckerlab.errors import DataError
from tuckerlab.experiments.pareto import Answer, Tradeoff, tradeoffs
from tuckerlab.experiments.recorded import found_folder, names
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network
from tuckerlab.i18n import text
from tuckerlab.panels.model import PanelModel

SEARCHES = ("optimizers", "recipe")
"""How the names begin of recorded results that vary how one network is trained."""

FOLDERS = ("../runs", "runs")
"""Where the user's own runs are looked for when nothing is said: seen from a notebook, and from the project."""

OWN = "own "
NOTHING = Tradeoff(Records())


@dataclass(frozen=True)
class State:
    """All that the panel shows: networks along an axis, and what was asked about them."""

    axis: str = ""
    networks: tuple[Network, ...] = ()
    full: Network | None = None
    points: float = 0.0
    answer: Answer | None = None
    chosen: Network | None = None


class TradeOffModel(PanelModel):
    """A source is a recorded result by its name, or a group of the user's own runs: "own 1", "own 2" …"""

    source = traitlets.Unicode()
    folder = traitlets.Unicode(help="where the user's own runs lie, or empty")
    axis = traitlets.Unicode(help="one of the axes of the trade-off")
    methods = traitlets.Tuple(help="the methods that are switched on")
    points = traitlets.Float(1.0, min=0, max=10, help="points of accuracy that may be lost")
    chosen = traitlets.Unicode(help="the name of the network to look at")
    tradeoffs = traitlets.Dict(help="the trade-off of each source")
    tradeoff = traitlets.Instance(Tradeoff)
    state = traitlets.Instance(State, ())

    def __init__(self, source: str = "headline", folder: str | None = None) -> None:
        super().__init__()
        self.folder = _first_with_runs() if folder is None else folder
        if not self.tradeoffs:
            self.refresh()
        found = next((name for name in self.tradeoffs if name.startswith(source)), None)
        if found:
            self.source = found
        elif self.tradeoffs:
            with self.reporting():
                raise DataError(text("tradeoff.no_source", source=source, there=", ".join(self.tradeoffs)))

    @traitlets.default("tradeoff")
    def _nothing(self) -> Tradeoff:
        return NOTHING

    @traitlets.observe("folder")
    def _other_folder(self, change: object) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Looks for the user's own runs again."""
        own: list[Tradeoff] = []
        with self.reporting():
            own = _own(self.folder)
        recorded = {name: _recorded(name) for name in names() if not name.startswith(SEARCHES)}
        self.tradeoffs = recorded | {f"{OWN}{i + 1}": tradeoff for i, tradeoff in enumerate(own)}

    @traitlets.observe("tradeoffs", "source")
    def _load(self, change: object) -> None:
        if self.source not in self.tradeoffs:
            self.source = next(iter(self.tradeoffs), "")
        self.tradeoff = self.tradeoffs.get(self.source, NOTHING)

    @traitlets.observe("tradeoff")
    def _begin(self, change: object) -> None:
        axes = self.tradeoff.axes
        with self.hold_trait_notifications():
            self.chosen = ""  # one of the same name here is another network
            self.axis = self.axis if self.axis in axes else next(iter(axes), "")
            # one with another optimizer has a full network of its own, and would take credit for the optimizer
            self.methods = tuple(m for m in self.tradeoff.methods if not m.endswith("-adamw"))
        self._answer()

    @traitlets.observe("axis", "methods", "points", "chosen")
    def _answer(self, change: object = None) -> None:
        found = self.tradeoff.along(self.axis, self.methods) if self.axis else ()
        answer = self.tradeoff.answer(self.axis, self.points, self.methods) if self.axis else None
        told = {network.name: network for network in found}
        if self.chosen not in told:
            first = answer and (answer.best or answer.nearest)
            self.chosen = first.name if first else next(iter(told), "")
        full = self.tradeoff.full(self.axis) if self.axis else None
        self.state = State(self.axis, found, full, self.points, answer, told.get(self.chosen))


@lru_cache
def _recorded(name: str) -> Tradeoff:
    return next(iter(tradeoffs(found_folder(name))), NOTHING)


def _first_with_runs() -> str:
    return next((folder for folder in FOLDERS if any(Path(folder).rglob("runs.parquet"))), "")


def _own(folder: str) -> list[Tradeoff]:
    """The user's own runs; none where there are none yet. Raises DataError for a folder that is not there."""
    if folder and not Path(folder).is_dir():
        raise DataError(text("tradeoff.no_folder", folder=folder))
    return tradeoffs(folder) if folder else []
