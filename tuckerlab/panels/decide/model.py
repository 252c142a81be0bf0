"""The state of the decision panel: a run, the network to decide on, your numbers, and what they come to.

>>> model = DecideModel("compare-folder-neu_steel")
>>> model.network, model.money.verdict
('Tucker 95 %', 'does_not')
>>> model.edit("server_hour", "a lot"); model.problem.startswith("Price of a server hour"), model.money.verdict
(True, 'does_not')
"""

import contextlib
import contextvars
import dataclasses
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import traitlets

from tuckerlab.decision.assumptions import Assumption, Assumptions, parsed, scaled
from tuckerlab.decision.business_case import Money, money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.measurements import Basis
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.recommendation import Answer, Criterion, judge, recommend
from tuckerlab.decision.sensitivity import TURNING, Turn, turns
from tuckerlab.deploy.runtime import FILE
from tuckerlab.errors import DataError
from tuckerlab.experiments.recorded import names, run_folder
from tuckerlab.i18n import language, text
from tuckerlab.panels.model import PanelModel


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that the panel shows of one case; `missing` are the criteria of the recommendation that did not hold."""

    money: Money
    turns: tuple[Turn, ...]
    plan: Plan
    answer: Answer
    missing: tuple[str, ...]


class DecideModel(PanelModel):
    """`run` is a recorded result by its name or the beginning of it, or the path of a run folder.

    `edit`, `slide`, `load` and `reset` change the assumptions. What cannot be is a `problem`, and all stays as it was.
    """

    run = traitlets.Unicode()
    network = traitlets.Unicode(help="the label of the network to decide on")
    networks = traitlets.Tuple(help="the labels that there are")
    assumptions = traitlets.Instance(Assumptions, ())
    outcome = traitlets.Instance(Outcome, allow_none=True)
    out = traitlets.Unicode("decision.html", help="where the brief is written to")
    writing = traitlets.Bool()
    step = traitlets.Unicode(help="what the writing is at")
    written = traitlets.Unicode(help="the file of the last brief")

    def __init__(
        self, run: str | os.PathLike[str] = "compare-folder-neu_steel", network: str | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        self._quiet, self._wanted = False, network
        self._thread: threading.Thread | None = None
        self.run = str(run)
        if self.outcome is None:  # nothing to show yet, so nothing to go on with
            raise DataError(self.problem)

    @property
    def money(self) -> Money:
        """The case in money."""
        assert self.outcome is not None
        return self.outcome.money

    @property
    def evidence(self) -> Evidence:
        """What the run says of the network."""
        return _evidence(self.run, self.network or None)

    @property
    def recorded(self) -> list[str]:
        """The recorded results."""
        return names()

    def edit(self, key: str, said: str) -> None:
        """An assumption as it is typed: one number, or low / likely / high."""
        with self.reporting():
            self.assumptions = self._with(parsed(key, said))

    def slide(self, key: str, likely: float) -> None:
        """Moves the likely value of an assumption; its range moves along."""
        with self.reporting():
            self.assumptions = self._with(scaled(self.money.assumptions[key], float(f"{likely:.3g}")))

    def set(self, **settings: Any) -> None:
        """Another currency, or number of years."""
        with self.reporting():
            self.assumptions = dataclasses.replace(self.assumptions, **settings)

    def load(self, path: str) -> None:
        """Takes assumptions from a file."""
        with self.reporting():
            self.assumptions = Assumptions.load(path)

    def save(self, path: str) -> None:
        """Keeps what was entered in a file."""
        with self.reporting():
            self.assumptions.save(path)

    def reset(self) -> None:
        """Forgets what was entered."""
        with self.reporting():
            self.assumptions = dataclasses.replace(self.assumptions, given={})

    def write(self) -> None:
        """Begins to write the brief, and comes back at once; nothing happens while one is being written."""
        if self.writing:
            return
        self.problem, self.details, self.written, self.step, self.writing = "", "", "", "", True
        here = contextvars.copy_context()  # a thread does not inherit the language that is spoken
        self._thread = threading.Thread(target=here.run, args=(self._write,), name="tuckerlab brief", daemon=True)
        self._thread.start()

    def wait(self, seconds: float | None = None) -> None:
        """Until the brief is written, or so many seconds."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _write(self) -> None:
        from tuckerlab.decision.report import write_brief  # here: fonts and templates are read when they are needed

        try:
            with self.noting():
                brief = write_brief(
                    [_folder(self.run)],
                    self.out.strip(),
                    lang=language(),
                    assumptions=self.money.assumptions,
                    network=self.network or None,
                    report=self._report,
                )
                self.written = str(brief.paths[0])
        finally:
            self.writing = False

    def _report(self, step: str) -> None:
        self.step = step

    def _with(self, assumption: Assumption) -> Assumptions:
        return dataclasses.replace(self.assumptions, given={**self.assumptions.given, assumption.key: assumption})

    @traitlets.validate("run")
    def _open(self, proposal: dict[str, Any]) -> str:
        """A run that cannot be read is a problem, and the one before stays."""
        runs = [self.run]
        with self.reporting(), self._together():
            run = str(proposal["value"]).strip()
            found = _evidence(run, self._wanted)
            network = found.small.label if found.small else ""
            outcome = _counted(run, network, self.assumptions)
            self.networks = tuple(one.name for one in found.networks if not one.method.startswith("dense"))
            self.network, self._wanted = network, None
            self.outcome = outcome
            runs.append(run)
        return runs[-1]

    @traitlets.validate("network", "assumptions")
    def _change(self, proposal: dict[str, Any]) -> Any:
        """Another network or other numbers; what cannot be counted is a problem, and what was before stays."""
        name, value = proposal["trait"].name, proposal["value"]
        values = {"network": self.network, "assumptions": self.assumptions}
        if not self.run or self._quiet or value == values[name]:
            return value
        with self.reporting():
            self.outcome = _counted(self.run, **(values | {name: value}))
            values[name] = value
        return values[name]

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        """Several traits change, and the case is counted once."""
        self._quiet = True
        try:
            yield
        finally:
            self._quiet = False


def _counted(run: str, network: str, assumptions: Assumptions) -> Outcome:
    found = _evidence(run, network or None)
    case = money(assumptions, basis_of(found, _folder(run).name))
    criteria = judge(found, case)
    return Outcome(
        case,
        turns(case, TURNING),
        plan(case.assumptions, case.basis, network=network),
        recommend(criteria),
        tuple(_named(criterion) for criterion in criteria if criterion.outcome != "held"),
    )


def _named(criterion: Criterion) -> str:
    is_sure = criterion.key == "payback" and criterion.outcome == "failed"
    return "payback.failed" if is_sure else criterion.key  # no numbers of the user's are asked for


def basis_of(evidence: Evidence, run: str) -> Basis:
    """What the money needs of the evidence, with the name of the run for its origin in the place of a footnote."""
    basis = evidence.basis
    named = {ratio: dataclasses.replace(found, origin=run) for ratio, found in basis.measured.items()}
    return Basis(**named, full={key: dataclasses.replace(found, origin=run) for key, found in basis.full.items()})


def _folder(run: str) -> Path:
    if not run:  # which would be the present folder
        raise DataError(text("decide.no_run"))
    return run_folder(run)


def _evidence(run: str, network: str | None) -> Evidence:
    folder = _folder(run)
    tables = (folder / name for name in ("runs.parquet", FILE))
    return _read(folder, network, tuple(table.stat().st_mtime_ns if table.exists() else 0 for table in tables))


@lru_cache(maxsize=16)
def _read(folder: Path, network: str | None, changed: tuple[int, ...]) -> Evidence:
    return Evidence.of([folder], network, audit=False)  # an audit takes minutes: the brief has it
