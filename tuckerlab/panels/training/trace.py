"""What is seen of a run while it goes: losses, accuracies, numbers stored, and ranks, as plain lists.

They grow, and lose their end where the run goes back.

>>> trace = Trace("Tucker 90 %", "tucker", total_steps=100, steps_per_epoch=10)
>>> trace.losses.append((1, 2.3))
>>> trace.progress
0.01
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from tuckerlab.training.run import Run
from tuckerlab.tucker.model_size import count_parameters
from tuckerlab.tucker.weight import TuckerLayer

LOOKS = 80  # looks at the sizes in a run


class Look(NamedTuple):
    """Sizes at one step: convolution weights stored, as a share of the dense ones, and each layer's share of rank."""

    step: int
    stored: float
    kept: dict[str, float]


@dataclass
class Trace:
    """The history of one run. One thread appends, others may read at any time."""

    label: str
    method: str
    total_steps: int
    steps_per_epoch: int
    losses: list[tuple[int, float]] = field(default_factory=list)
    accuracies: list[tuple[int, float]] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)
    events: list[tuple[int, str]] = field(
        default_factory=list
    )  # steps at which the safety valve acted, and what it did

    @property
    def progress(self) -> float:
        """How much of the run is done, from 0 to 1."""
        return self.losses[-1][0] / self.total_steps if self.losses else 0.0

    @property
    def epoch(self) -> int:
        """The epoch at hand, from 1."""
        done = self.losses[-1][0] if self.losses else 0
        return min(done, self.total_steps - 1) // self.steps_per_epoch + 1

    @property
    def epochs(self) -> int:
        """The epochs of the whole run."""
        return self.total_steps // self.steps_per_epoch

    def step(self, run: Run) -> None:
        """After a step of the run, or a return to an earlier one."""
        self.follow(run)
        if self.losses and self.losses[-1][0] == run.step:
            return
        self.losses.append((run.step, run.loss))
        if run.step == 1 or run.step == run.total_steps or run.step % max(1, run.total_steps // LOOKS) == 0:
            self.look(run)

    def follow(self, run: Run) -> None:
        """Notes what the safety valve has done, and takes away what it has undone."""
        self.events += [(event["step"] - run.steps_before, event["said"]) for event in run.events[len(self.events) :]]
        if self.losses and self.losses[-1][0] > run.step:
            self.losses = [point for point in self.losses if point[0] <= run.step]
            self.accuracies = [point for point in self.accuracies if point[0] <= run.step]
            self.looks = [look for look in self.looks if look.step <= run.step]
            self.look(run)

    def look(self, run: Run) -> None:
        """At the sizes."""
        counts = count_parameters(run.model)
        kept = {
            name: sum(layer.ranks) / sum(layer.shape[mode] for mode in layer.modes)
            for name, layer in run.model.named_modules()
            if isinstance(layer, TuckerLayer)
        }
        self.looks.append(Look(run.step, 1 - counts.conv_compression, kept))
