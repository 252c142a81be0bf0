"""The comparison at a press of a button: the full network, one in Tucker format and a pruned one, trained alike."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from tuckerlab.errors import DataError
from tuckerlab.experiments.methods.base import Method
from tuckerlab.experiments.methods.pruning import Pruned
from tuckerlab.experiments.plots import accuracy_vs_costs
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.run_folder import recorded
from tuckerlab.i18n import _, ngettext
from tuckerlab.panels.training_job import Trained, records_of
from tuckerlab.panels.training_panel import TrainingPanel


class LiveComparison(TrainingPanel):
    """One button that trains the full network, one in Tucker format and a pruned one, on the same images.

    While it trains the curves are shown, and at the end accuracy against costs. `settings` are those of
    `TrainingPanel`; what they set has no controls here.
    """

    guard = None  # who goes back takes more than the others
    resumes = False  # three networks of its own: what was cut off in another panel is not of it

    def __init__(self, *, attended: bool = True, **settings: Any) -> None:
        super().__init__(**{"dense": True, **settings})
        self.children = [self.progress, *self.results]
        self.train.description = self._offer()
        self.said.say(_("The notebook stays free while they train, and Stop ends it at any time."))
        if not attended:
            self.train_now()

    @property
    def methods(self) -> list[Method]:
        """The pruned network beside those of the training panel, as small as the Tucker network."""
        return [*super().methods, Pruned(self.compression.value)]

    def figure(self, runs: Sequence[Trained]) -> Figure:
        """The curves; when the training is over, accuracy against costs."""
        return accuracy_vs_costs(records_of(runs)) if all(len(run.records) for run in runs) else super().figure(runs)

    def recorded_figure(self) -> Figure:
        return accuracy_vs_costs(self._recorded())

    def _recorded(self) -> Records:
        """The same networks of the comparison that was recorded of these images; DataError where none was."""
        found = recorded(f"compare-{self.dataset.value}").records
        labels = [method.label for method in self.methods]
        return found.only(found.runs.loc[found.runs["label"].isin(labels), "run"])

    def _offer(self) -> str:
        """What the button says, with the time that the recorded networks took, for as many epochs."""
        try:
            runs = self._recorded().runs
        except DataError:
            return _("Train three networks now")
        epoch = (runs["train_seconds"] / runs["epochs"]).groupby(runs["label"]).mean().sum()
        return ngettext(
            "Train three networks now: about {count:.0f} minute", "Train three networks now: about {count:.0f} minutes",
            count=max(1, round(self.epochs.value * epoch / 60)),
        )  # fmt: skip
