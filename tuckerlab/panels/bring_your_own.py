"""Bring your own images: the look at a folder, and below it the training panel, which follows."""

from typing import Any

import ipywidgets

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import _
from tuckerlab.panels.image_folder import FolderInspector
from tuckerlab.panels.training_panel import TrainingPanel
from tuckerlab.panels.widgets import Line, Panel


class BringYourOwn(Panel):
    """Look at a folder of images, then train on it: small from the start, and the full network beside it.

    `settings` are those of `TrainingPanel`, which appears when the folder is ready. attended=False: nobody is there to
    press Look and Train; the panel does, and raises TuckerlabError if the folder will not do.
    """

    def __init__(self, folder: str = "", *, attended: bool = True, **settings: Any) -> None:
        super().__init__()
        self.inspector = FolderInspector(folder)
        self.training = TrainingPanel(**{"dense": True, **settings})
        self.training.dataset.layout.display = "none"  # the folder above is what is trained on
        self.hint, self.title = Line(), Line()
        self.title.say(_("Train on these images"), bold=True)
        self.below = ipywidgets.VBox([self.title, self.training])
        self._epochs = settings.get("epochs")
        self.inspector.observe(self._follow, "dataset")
        self.training.observe(self._follow, "state")
        self._follow()
        self.children = [self.inspector, self.hint, self.below]
        if not attended:
            self._press()

    @property
    def numbers(self) -> dict[str, float]:
        """Accuracies and sizes of the last training."""
        return self.training.numbers

    @property
    def finding(self) -> str:
        """The comparison in one line."""
        return self.training.finding or _(
            "No comparison yet: press Train above, wait until both networks are trained, then run this cell again."
        )

    def check(self, percent: float | None) -> str:
        """The answer to the exercise: how often one is right who always names the class trained most."""
        report = self.inspector.report
        if report is None or not report.ready:
            return _("Look at a folder first, in the panel above.")
        if percent is None:
            return _("Type your number in the cell above, in per cent, and run it again.")
        share = 100 * report.always_the_same
        if abs(percent - share) <= 1:
            return _("✓ Right: {share:.1f} %. A network is worth something only above that.", share=share)
        return _(
            "Not quite. Take the class with the longest blue bar, and divide the number of its test images by that of "
            "all test images."
        )

    def _follow(self, change: object = None) -> None:
        dataset, busy = self.inspector.dataset, self.training.state != "idle"
        if dataset and not busy and dataset != self.training.dataset.value:
            self.training.dataset.value = dataset  # which sets the epochs that suit it
            self.training.epochs.value = self._epochs or self.training.epochs.value
        self.below.layout.display = "" if dataset or busy else "none"
        self.hint.say("" if dataset else _("The controls for training appear here as soon as a folder is ready."))

    def _press(self) -> None:
        folder, training = self.inspector, self.training
        folder.start()
        folder.wait()
        if folder.dataset:
            training.train.click()
            training.wait()
        why = " ".join(folder.report.problems.values() if folder.report else []) or folder.problem or training.problem
        if why or not folder.dataset:
            raise TuckerlabError(
                _("the folder {folder} could not be trained on: {why}", folder=folder.folder.value, why=why)
            )
