"""What a sweep leaves behind: `Sweep`, and the `Archive` of the records that its workers have written.

>>> from tuckerlab.experiments.recorded import recorded
>>> sweep = Sweep(recorded("headline-cpu").records, None, Path("runs"))
>>> sweep.front[0].name
'Tucker 98 %'
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import standings
from tuckerlab.experiments.summary import Network, finding
from tuckerlab.experiments.sweep.progress import front_of, front_table
from tuckerlab.experiments.sweep.trials import Standing, by_job

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True)
class Sweep:
    """What a sweep leaves behind: the record of all finished trials of its study, the study, and the folder.

    given_up: name and seed of the trials that were hopeless. failed: the trials that could not be trained, and why.
    """

    records: Records
    study: "Study | None"
    folder: Path
    given_up: tuple[tuple[str, int], ...] = ()
    failed: tuple[tuple[str, str], ...] = ()

    @property
    def front(self) -> list[Network]:
        """The networks that no other beats in both size and accuracy (means over the seeds), from the smallest.

        Without those of which a seed was given up: the mean of the others would flatter them.
        """
        return front_of(self.records, self.without)

    @property
    def without(self) -> set[str]:
        """The networks that cannot be in the front."""
        return {name for name, _ in self.given_up}

    @property
    def finding(self) -> str:
        """The result in one line; empty without a dense network."""
        return finding(self.records)

    def _repr_html_(self) -> str:
        table = standings(self.records)
        best = {network.name for network in self.front}
        return f"<p><b>{self.finding}</b></p>{table[[name in best for name in table.index]].to_html(border=0)}"


@dataclass
class Archive:
    """The records in a folder; each is read once."""

    folder: Path
    read: dict[str, Records] = field(default_factory=dict)

    def of(self, finished: Iterable[Standing]) -> Records:
        """The records of finished trials.

        Raises TuckerlabError where one is not there: its worker has another disk.
        """
        for standing in finished:
            place, worker = (standing.trial.user_attrs[name] for name in ("place", "worker"))
            if place in self.read:
                continue
            if not (self.folder / place / "runs.parquet").exists():
                said = f"{self.folder / place}: worker {worker} has left no record here"
                raise TuckerlabError(f"{said}: give an --out that all machines see")
            self.read[place] = Records.load(self.folder / place)
        return Records.concat(self.read.values())


def gathered(study: "Study", folder: Path, pruning: bool) -> Sweep:
    """All that the trials of a study have come to; TuckerlabError where that is nothing."""
    known = by_job(study.get_trials(deepcopy=False), pruning)
    records = Archive(folder).of(standing for standing in known.values() if standing.state == "finished")
    given_up = tuple((s.label, int(s.trial.user_attrs["seed"])) for s in known.values() if s.state == "given up")
    failed = tuple((key, standing.problem) for key, standing in known.items() if standing.state == "failed")
    if failed and not len(records):
        raise TuckerlabError(f"no trial could be trained: {failed[0][0]}: {failed[0][1]}")
    return Sweep(records, study, folder, given_up, failed)


def show(sweep: Sweep) -> None:
    """Prints the front, the result in one line, what is missing from it, and where everything lies."""
    console = Console()
    console.print(front_table(sweep.records, sweep.without))
    if sweep.finding:
        console.print(f"[bold]{sweep.finding}[/bold]")
    policies = sweep.records.runs.drop_duplicates("label").set_index("label")["ranks_policy"]
    for network in sweep.front:
        if policies[network.name].startswith("PerLayer"):  # one run each
            console.print(f"{network.name}: {policies[network.name]}", highlight=False, soft_wrap=True)
    if sweep.given_up:
        said = ", ".join(f"{name} (seed {seed})" for name, seed in sweep.given_up)
        console.print(f"given up, far behind something smaller: {said}", highlight=False)
    for key, problem in sweep.failed:
        console.print(f"failed: {key}: {problem}", highlight=False, markup=False)
    note = sweep.records.runs["note"].iloc[0] if len(sweep.records) else ""
    if note:
        console.print(f"data: {note}", highlight=False)
    console.print(f"study, records and checkpoints: {sweep.folder}", highlight=False, soft_wrap=True)
