"""A closer look where the networks themselves are there: where does the small one answer differently?

>>> from tuckerlab.results import found_folder
>>> from tuckerlab.brief.sources import open_sources
>>> look_closer(open_sources([found_folder("compare-folder-neu_steel")]), "dense", "Tucker 95 %").key
'no_networks'
"""

import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from tuckerlab.audit import Audit, run_audit
from tuckerlab.brief.gaps import Gap
from tuckerlab.brief.sources import Source
from tuckerlab.errors import CheckpointError, DataError
from tuckerlab.rollout import Rule, Traffic, requests_to_catch

AUDIT_GAPS = ("no_networks", "no_images", "broken_networks", "no_package")
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
        return Gap("no_networks", {"command": command(sources[0])})
    source, seed = pair
    try:
        data = source.folder.data()
    except DataError:  # its message speaks of one machine, the brief is read on others
        return Gap("no_images", {"dataset": str(source.folder.records.runs["dataset"].iloc[0])})
    try:
        full, cut = (source.folder.network(label, seed) for label in (dense, small))
        return Look(run_audit(full, cut, data, noise=NOISE, blur=()), seed, source.mark)
    except CheckpointError:
        return Gap("broken_networks", {"run": source.mark})
    except ModuleNotFoundError as error:
        return Gap("no_package", {"package": (error.name or "").partition(".")[0]})


def _pair(source: Source, dense: str, small: str) -> tuple[Source, int] | None:
    """The first seed whose two networks lie in the folder."""
    folder = source.folder
    if not {dense, small} <= set(folder.labels):
        return None
    for seed in sorted(set(folder.rows(dense)["seed"]) & set(folder.rows(small)["seed"])):
        try:
            folder.checkpoint(dense, seed), folder.checkpoint(small, seed)
        except DataError:
            continue
        return source, int(seed)
    return None


def command(source: Source) -> str:
    """The command that trains both networks again, and leaves them there."""
    row = source.folder.records.runs.iloc[0]
    return f"tuckerlab poc --dataset {shlex.quote(str(row['dataset']))} --model {shlex.quote(str(row['model']))}"
