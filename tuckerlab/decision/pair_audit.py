"""Where the small network answers differently, if the networks themselves lie beside the record; else the gap."""

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.decision.gaps import Gap
from tuckerlab.deploy.rollout import Rule
from tuckerlab.deploy.rollout.simulate import Traffic, requests_to_catch
from tuckerlab.errors import CheckpointError, DataError
from tuckerlab.experiments.audit import Audit, run_audit
from tuckerlab.experiments.run_folder import RunFolder

NOISE = (16.0,)
"""One strength, in pixel values: a brief tells of it, it does not study it."""


def open_sources(runs: Sequence[str | os.PathLike[str]]) -> dict[str, RunFolder]:
    """The folders by their marks in the footnotes. DataError for none, and for those that do not belong together."""
    if not runs:
        raise DataError("no runs were given: give the folder of one, as tuckerlab poc has left it")
    folders = {Path(run).resolve(): run for run in runs}  # the same one twice is one
    found = {f"[{i}]": RunFolder.open(path) for i, path in enumerate(folders.values(), start=1)}
    for column in ("dataset", "model", "width"):
        kinds = sorted({str(folder.records.runs[column].iloc[0]) for folder in found.values()})
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

    def requests_to_catch(self, loss: float) -> float | None:
        """The labelled requests, in the median, until a roll-out notices a loss of so many points; None: it may not."""
        found = requests_to_catch(loss, self.traffic, Rule(harm=loss))["median"]
        return float(found) if math.isfinite(found) else None


def audit_pair(sources: Mapping[str, RunFolder], dense: str, small: str) -> PairAudit | Gap:
    """Audits the first pair of networks that is there; where there is none, the gap that says what to run."""
    for mark, folder in sources.items():
        if not {dense, small} <= set(folder.labels):
            continue
        for seed in sorted(set(folder.rows(dense)["seed"]) & set(folder.rows(small)["seed"])):
            try:
                files = {label: folder.checkpoint(label, seed) for label in (dense, small)}
            except DataError:
                continue
            return _audit(folder, mark, int(seed), files)
    row = next(iter(sources.values())).records.runs.iloc[0]
    of = f"--dataset {shlex.quote(str(row['dataset']))} --model {shlex.quote(str(row['model']))}"
    return Gap("no_networks", {"command": f"tuckerlab poc {of}"})


def _audit(folder: RunFolder, mark: str, seed: int, files: dict[str, Path]) -> PairAudit | Gap:
    networks = {}
    try:
        data = folder.data()
    except DataError:  # its message speaks of one machine, the brief is read on others
        return Gap("no_images", {"dataset": str(folder.records.runs["dataset"].iloc[0])})
    for label, file in files.items():
        try:
            networks[label] = folder.network(label, seed)
        except CheckpointError:
            return Gap("broken_network", {"file": file.relative_to(folder.folder), "run": mark})
    try:
        dense, small = networks.values()
        return PairAudit(run_audit(dense, small, data, noise=NOISE, blur=()), seed, mark)
    except ModuleNotFoundError as error:
        return Gap("no_package", {"package": (error.name or "").partition(".")[0]})
