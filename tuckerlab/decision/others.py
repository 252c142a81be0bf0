"""What else was tried on the same images, and where it is better than the network that the brief recommends.

>>> from tuckerlab import recorded
>>> records = recorded("compare-folder-neu_steel").records
>>> [(other.quantity, other.network.name) for other in better(records, "Tucker 95 %", "dense", allowed=1.0)]
[('accuracy', 'dense AdamW'), ('file', 'Tucker 95 % int8')]
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import ROUNDING, Network, networks_by
from tuckerlab.i18n import text
from tuckerlab.plotting.styles import method_name

COLUMNS = {"file": "checkpoint_bytes", "time_1": "latency_1_ms", "time_128": "latency_128_ms"}
MORE_ACCURATE = 0.1  # points
CHEAPER = 0.95  # of the cost: less is within the noise of a timing


@dataclass(frozen=True)
class Other:
    """A network that is the best of all in one quantity, by which `ours` is `worse`."""

    quantity: str
    network: Network
    ours: Network

    @property
    def points(self) -> float:
        """How much more accurate it is than ours."""
        return self.network.accuracy - self.ours.accuracy

    @property
    def cost(self) -> float:
        """Its share of our cost, or of our size where it is the most accurate."""
        return self.network.size / self.ours.size


def better(records: Records, small: str, dense: str | None, allowed: float) -> tuple[Other, ...]:
    """The most accurate, and those of the smallest file and the shortest times that lose at most `allowed` points."""
    return tuple(_better(records, small, dense, allowed))


def _better(records: Records, small: str, dense: str | None, allowed: float) -> Iterator[Other]:
    for quantity, column in ({"accuracy": "parameters"} | COLUMNS).items():
        found = {network.name: network for network in networks_by(records, column)}
        ours, full = found.pop(small, None), found.pop(dense or "", None)
        if ours is None or not found:
            continue
        if quantity == "accuracy":
            best = max(found.values(), key=lambda network: network.accuracy)
            if best.accuracy >= ours.accuracy + MORE_ACCURATE:
                yield Other(quantity, best, ours)
            continue
        least = (full or ours).accuracy - allowed - ROUNDING
        near = [network for network in found.values() if network.accuracy >= least]
        best = min(near, key=lambda network: network.size, default=ours)
        if best.size <= CHEAPER * ours.size:
            yield Other(quantity, best, ours)


def called(label: str, method: str) -> str:
    """What people call a network of ours: its method, and its size where the label ends with one.

    >>> called("dense", "dense"), called("pruned 90 %", "pruning"), called("my own", "mine")
    ('Full network', 'Pruned 90 %', 'my own')
    """
    name = method_name(method)
    if name == method:  # a method that there are no words for
        return label
    rate = re.search(r"(\d[\d.]*) %", label)
    return text("brief.network", method=name, rate=float(rate[1])) if rate else name
