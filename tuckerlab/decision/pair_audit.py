"""Where the small network answers differently, if the networks themselves lie beside the record; else the gap."""

import contextlib
import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.decision.gaps import Gap
from tuckerlab.deploy.rollout import Rule, Traffic, requests_to_catch
from tuckerlab.errors import CheckpointError, DataError
from tuckerlab.experiments.audit import Audit, run_audit
from tuckerlab.experiments.methods.base import in_file_names
from tuckerlab.experiments.run_folder import RunFolder

DAMAGED = ("missing_network", "broken_network")
NOISE = (16.0,)
"""One strength, in pixel values: a brief tells of it, it does not study it."""


@dataclass(frozen=True)
class Source:
    """A run folder, and the mark that the brief's footnotes call it by."""

    mark: str
    folder: RunFolder

    @property
    def name(self) -> str:
        return self.folder.path.resolve().name

    @property
    def command(self) -> str:
        """The command that trains both networks again, and leaves them there."""
        row = self.folder.records.runs.iloc[0]
        return f"tuckerlab poc --dataset {shlex.quote(str(row['dataset']))} --model {shlex.quote(str(row['model']))}"


def open_sources(runs: Sequence[str | os.PathLike[str]]) -> tuple[Source, ...]:
    """The folders in their order. DataError for none, and for those that do not belong together."""
    if not runs:
        raise DataError("no runs were given: give the folder of one, as tuckerlab poc has left it")
    folders = {Path(run).resolve(): run for run in runs}  # the same one twice is one
    found = tuple(Source(f"[{i}]", RunFolder.open(path)) for i, path in enumerate(folders.values(), start=1))
    for column in ("dataset", "model", "width"):
        kinds = sorted({str(source.folder.records.runs[column].iloc[0]) for source in found})
        if len(kinds) > 1:
            raise DataError(f"the runs are of several kinds ({column}: {', '.join(kinds)}); give those of one kind")
    return found


@dataclass(frozen=True)
class PairAudit:
    """The audit of one pair of networks, of the seed that comes first."""

    audit: Audit
    seed: int
    origin: str

    @property
    def traffic(self) -> Traffic:
        """Requests on which the networks are alike, lose and gain as often as on the test pictures."""
        said = self.audit.answers
        return Traffic.of(said.dense.argmax(1), said.compressed.argmax(1), said.labels, self.audit.data.num_classes)

    @property
    def worst_class(self) -> tuple[str, float]:
        """The name of the class that loses most, and its change in points."""
        worst = self.audit.per_class.iloc[0]
        return str(worst.name), float(worst["change"])

    def requests_to_catch(self, loss: float) -> float | None:
        """The labelled requests, in the median, until a roll-out notices a loss of so many points; None: it may not."""
        found = requests_to_catch(loss, self.traffic, Rule(harm=loss)).median
        return found if math.isfinite(found) else None


def audit_pair(sources: Sequence[Source], dense: str, small: str) -> PairAudit | Gap:
    """Audits the first pair of networks that is there; where there is none, the gap that says what to run."""
    gap = Gap("no_networks", {"command": sources[0].command})
    for source in sources:
        folder = source.folder
        if not {dense, small} <= set(folder.labels):
            continue
        for seed in sorted(set(folder.rows(dense)["seed"]) & set(folder.rows(small)["seed"])):
            files = {}
            for label in (dense, small):
                with contextlib.suppress(DataError):
                    files[label] = folder.checkpoint(label, seed)
            if len(files) == 2:
                return _audit(source, int(seed), dense, small)
            if files and gap.key == "no_networks":
                [(there, file)] = files.items()
                gone = file.with_name(f"{in_file_names(small if there == dense else dense)}.safetensors")
                told = {"file": gone.relative_to(folder.path), "run": source.mark, "command": source.command}
                gap = Gap("missing_network", told)
    return gap


def _audit(source: Source, seed: int, dense: str, small: str) -> PairAudit | Gap:
    folder, networks = source.folder, []
    try:
        data = folder.data()
    except DataError:  # its message speaks of one machine, the brief is read on others
        return Gap("no_images", {"dataset": str(folder.records.runs["dataset"].iloc[0])})
    for label in (dense, small):
        try:
            networks.append(folder.network(label, seed))
        except CheckpointError:
            file = folder.checkpoint(label, seed).relative_to(folder.path)
            return Gap("broken_network", {"file": file, "run": source.mark})
    full, cut = networks
    try:
        return PairAudit(run_audit(full, cut, data, noise=NOISE, blur=()), seed, source.mark)
    except ModuleNotFoundError as error:
        return Gap("no_package", {"package": (error.name or "").partition(".")[0]})
