"""How far a sweep is, for a terminal: what is done, what runs, the time left, and the front so far.

>>> clock(42), clock(200), clock(7300)
('42 s', '3 min', '2.0 h')
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Group
from rich.table import Table

from tuckerlab.experiments.pareto import front
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import Network, networks
from tuckerlab.experiments.sweep.trials import Standing
from tuckerlab.i18n import text


@dataclass
class Clock:
    """The time left, from the epochs that were trained since it was made."""

    trained: float = -1.0
    began: float = field(default_factory=time.monotonic)

    def left(self, trained: float, to_train: float) -> float | None:
        """Seconds; None until an epoch has been trained."""
        if self.trained < 0:
            self.trained, self.began = trained, time.monotonic()
        since = trained - self.trained
        return to_train * (time.monotonic() - self.began) / since if since > 0 else None


def view(
    known: Mapping[str, Standing], keys: Sequence[str], epochs: int, records: Records, watch: Clock, workers: str
) -> Group:
    """What a terminal shows of the jobs with these keys, each of so many epochs."""
    mine = [known[key] for key in keys if key in known]
    trained = sum(standing.now.get("epoch", 0) for standing in mine)
    to_train = sum(max(0, epochs - standing.now.get("epoch", 0)) for standing in mine if not standing.is_over)
    seconds = watch.left(trained, to_train)
    counts = {state: sum(s.state == state for s in mine) for state in ("finished", "running", "given up", "failed")}
    parts = [f"{counts['finished']} of {len(keys)} finished", f"{counts['running']} running"]
    parts += [f"{counts[state]} {state}" for state in ("given up", "failed") if counts[state]]
    if seconds is not None and to_train:
        parts.append(f"about {clock(seconds)} left")
    given_up = {standing.label for standing in known.values() if standing.state == "given up"}
    return Group(f"{workers}: {', '.join(parts)}", running(mine, epochs), front_table(records, given_up))


def running(standings: Sequence[Standing], epochs: int) -> Table:
    """The trials that are trained at the moment."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    for name in ("running", "seed", "epoch", "accuracy", "parameters", "worker"):
        table.add_column(text(f"sweep.{name}"), justify="left" if name in ("running", "worker") else "right")
    for standing in standings:
        if standing.state == "running":
            attrs, now = standing.trial.user_attrs, standing.now
            table.add_row(
                standing.label,
                str(attrs.get("seed", "")),
                f"{now.get('epoch', 0)}/{epochs}",
                f"{100 * now['test_accuracy']:.1f}" if now else "",
                f"{now['parameters']:,.0f}" if now else "",
                str(attrs.get("worker", "")),
            )
    return table


def front_of(records: Records, given_up: Collection[str] = ()) -> list[Network]:
    """The networks that no other beats in both size and accuracy (means over seeds), from the smallest.

    >>> front_of(Records())
    []

    Without those of which a seed was given up, since the mean of the others would flatter them, and those that have
    fewer seeds than others so far.
    """
    found = [network for network in networks(records)[0] if network.name not in given_up]
    most = max((network.seeds for network in found), default=0)
    return front(network for network in found if network.seeds == most)


def front_table(records: Records, given_up: Collection[str] = ()) -> Table:
    """The front for a terminal, and the dense network below it where that is not in it.

    >>> front_table(Records()).row_count
    0
    """
    counted = networks(records)[1]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(text("sweep.front"))
    for name in (text("sweep.seeds"), text("sweep.accuracy"), counted, text("sweep.compression")):
        table.add_column(name, justify="right")
    best = front_of(records, given_up)
    dense = [network for network in networks(records)[0] if network.method == "dense" and network not in best]
    for network in [*best, *dense]:
        table.add_row(network.name, str(network.seeds), *cells(network))
    return table


def cells(network: Network) -> tuple[str, str, str]:
    """Accuracy, size and compression of a network, for people.

    >>> cells(Network("s", "tucker", 1000.0, 10_000.0, 97.0, 96.5, 97.5, 2, 1000.0, 1000.0))
    ('97.0', '1,000', '90.0')
    """
    return f"{network.accuracy:.1f}", f"{network.size:,.0f}", f"{100 * (1 - network.size / network.full):.1f}"


def clock(seconds: float) -> str:
    """A time span for people.

    >>> clock(90)
    '90 s'
    """
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
