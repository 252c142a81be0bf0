"""The case of the decision panel: what the numbers of one run and network come to, and the picture of it."""

import dataclasses
from functools import lru_cache
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import Money, money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.measurements import Basis
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.plots import draw_fan, draw_tornado, make_room
from tuckerlab.decision.recommendation import Answer, Criterion, judge, recommend
from tuckerlab.decision.sensitivity import TURNING, Turn, tornado, turns
from tuckerlab.deploy.runtime import FILE
from tuckerlab.errors import DataError
from tuckerlab.experiments.recorded import run_folder
from tuckerlab.i18n import _
from tuckerlab.panels.fast_png import SCREEN_DPI, encoded
from tuckerlab.plotting.figure import Picture


@dataclasses.dataclass(frozen=True, eq=False)
class Outcome:
    """All that the panel shows of one case; `missing` are the criteria of the recommendation that did not hold."""

    money: Money
    turns: tuple[Turn, ...]
    plan: Plan
    answer: Answer
    missing: tuple[str, ...]


def count(run: str, network: str, assumptions: Assumptions) -> Outcome:
    """What the network of a run comes to. DataError for what cannot be counted."""
    found = read_evidence(run, network or None)
    case = money(assumptions, basis_of(found, folder_of(run).name))
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
    return "payback.failed" if is_sure else criterion.key


def basis_of(evidence: Evidence, run: str) -> Basis:
    """What the money needs of the evidence, with the name of the run for its origin in the place of a footnote."""
    basis = evidence.basis
    named = {ratio: dataclasses.replace(found, origin=run) for ratio, found in basis.measured.items()}
    return Basis(**named, full={key: dataclasses.replace(found, origin=run) for key, found in basis.full.items()})


def folder_of(run: str) -> Path:
    """The folder of a recorded result, or of a path. DataError where there is none."""
    if not run:  # which would be the present folder
        raise DataError(_("no run was given: type the name of a recorded result, or the folder of a run of yours"))
    return run_folder(run)


def read_evidence(run: str, network: str | None) -> Evidence:
    """What a run says of a network, by default of the one that it suggests; what has changed since is read again."""
    folder = folder_of(run)
    tables = (folder / name for name in ("runs.parquet", FILE))
    return _read(folder, network, tuple(table.stat().st_mtime_ns if table.exists() else 0 for table in tables))


@lru_cache(maxsize=16)
def _read(folder: Path, network: str | None, changed: tuple[int, ...]) -> Evidence:
    return Evidence.of([folder], network, audit=False)  # an audit takes minutes: the brief has it


def draw(money: Money) -> bytes:
    """Both pictures side by side, in a fixed layout: finding one takes long. The panel has the headline."""
    figure = Picture(figsize=(10.6, 4.0))
    figure.set_layout_engine("none")
    figure.set_dpi(SCREEN_DPI)
    canvas = FigureCanvasAgg(figure)
    draw_fan(figure.add_axes((0.115, 0.14, 0.34, 0.77)), money)
    right = figure.add_axes((0.665, 0.14, 0.32, 0.77))
    draw_tornado(right, tornado(money), money.assumptions)
    make_room(right)
    canvas.draw()  # type: ignore[no-untyped-call]
    return encoded(canvas)
