"""A closer look where the networks themselves are there: where does the small one answer differently?

>>> from tuckerlab.experiments.recorded import found_folder
>>> from tuckerlab.decision.sources import open_sources
>>> look_closer(open_sources([found_folder("compare-folder-neu_steel")]), "dense", "Tucker 95 %").key
'no_networks'
"""

import contextlib
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.decision.gaps import Gap
from tuckerlab.decision.sources import Source
from tuckerlab.deploy.rollout import Rule, Traffic, requests_to_catch
from tuckerlab.errors import CheckpointError, DataError
from tuckerlab.experiments.audit import Audit, run_audit
from tuckerlab.experiments.methods.base import in_file_names

DAMAGED = ("missing_network", "broken_network")
AUDIT_GAPS = ("no_networks", "no_images", "no_package", *DAMAGED)
NOISE = (16.0,)
"""One strength, in pixel values: a brief tells of it, it does not study it."""


@dataclass(frozen=True)
class Look:
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
        found = requests_to_catch(loss, self.traffic, Rule(harm=loss)).median
        return found if math.isfinite(found) else None


def look_closer(sources: Sequence[Source], dense: str, small: str) -> Look | Gap:
    """Audits the first pair of networks that is there; where there is none, the gap that says what to run."""
    pair = next((found for source in sources if (found := _pair(source, dense, small))), None)
    if pair is None:
        halves = (half for source in sources if (half := _half(source, dense, small)))
        return next(halves, Gap("no_networks", {"command": command(sources[0])}))
    source, seed = pair
    try:
        data = source.folder.data()
    except DataError:  # its message speaks of one machine, the brief is read on others
        return Gap("no_images", {"dataset": str(source.folder.records.runs["dataset"].iloc[0])})
    networks = []
    for label in (dense, small):
        try:
            networks.append(source.folder.network(label, seed))
        except CheckpointError:
            file = source.folder.checkpoint(label, seed).relative_to(source.folder.path)
            return Gap("broken_network", {"file": file, "run": source.mark})
    full, cut = networks
    try:
        return Look(run_audit(full, cut, data, noise=NOISE, blur=()), seed, source.mark)
    except ModuleNotFoundError as error:
        return Gap("no_package", {"package": (error.name or "").partition(".")[0]})


def _pair(source: Source, dense: str, small: str) -> tuple[Source, int] | None:
    """The first seed whose two networks lie in the folder."""
    found = _files(source, dense, small)
    return next(((source, seed) for seed, files in found.items() if len(files) == 2), None)


def _half(source: Source, dense: str, small: str) -> Gap | None:
    """The gap of the first seed that one network of the two is there for, and the other is gone."""
    for files in _files(source, dense, small).values():
        if len(files) == 1:
            [(there, file)] = files.items()
            gone = file.with_name(f"{in_file_names(small if there == dense else dense)}.safetensors")
            told = {"file": gone.relative_to(source.folder.path), "run": source.mark, "command": command(source)}
            return Gap("missing_network", told)
    return None


def _files(source: Source, dense: str, small: str) -> dict[int, dict[str, Path]]:
    """The files that are there, for each seed that the record has of both networks."""
    folder = source.folder
    found: dict[int, dict[str, Path]] = {}
    if not {dense, small} <= set(folder.labels):
        return {}
    for seed in sorted(set(folder.rows(dense)["seed"]) & set(folder.rows(small)["seed"])):
        found[int(seed)] = files = {}
        for label in (dense, small):
            with contextlib.suppress(DataError):
                files[label] = folder.checkpoint(label, seed)
    return found


def command(source: Source) -> str:
    """The command that trains both networks again, and leaves them there."""
    row = source.folder.records.runs.iloc[0]
    return f"tuckerlab poc --dataset {shlex.quote(str(row['dataset']))} --model {shlex.quote(str(row['model']))}"
