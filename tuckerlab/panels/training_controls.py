"""The controls of a training: which network on which images, how small, for how long."""

from collections.abc import Mapping
from typing import Any

import ipywidgets

from tuckerlab.experiments.setup import recipe_for
from tuckerlab.i18n import _
from tuckerlab.panels.field import Field, number
from tuckerlab.panels.widgets import Panel, labelled, row, set_visible, watch
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.rank_policy import Budget, RankPolicy, Tolerance

DATA = ["mnist", "digits", "cifar10", "folder:"]
STEERED = ("by", "compression", "tolerance")  # that may be moved while it trains
NAMES = ("dataset", "network", "epochs", "seed", "dense", "guard", *STEERED)


class Controls(Panel):
    """A panel that begins with these controls, whose values are `asked`.

    The arguments are what they begin with; epochs: by default those that suit the data set.
    """

    def __init__(
        self, *, dataset: str = "mnist", network: str = "auto", by: str = "compression", compression: float = 0.9,
        tolerance: float = 0.2, epochs: int | None = None, seed: int = 0, dense: bool = False, guard: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.dataset = labelled(
            ipywidgets.Combobox, _("Images"), _("mnist, digits, cifar10, or folder:PATH with your own images"),
            value=dataset, options=DATA, continuous_update=False,
        )  # fmt: skip
        self.network = labelled(ipywidgets.Dropdown, _("Network"), options=["auto", *MODELS], value=network)
        self.by = labelled(
            ipywidgets.ToggleButtons, _("Set by"), value=by, style={"button_width": "6rem"},
            options=[(_("size"), "compression"), (_("detail"), "tolerance")],
        )  # fmt: skip
        self.compression = _share(
            _("Weights to remove"), _("The share of the convolution weights that the network is to do without"),
            compression, 0.5, 0.98,
        )  # fmt: skip
        self.tolerance = _share(
            _("Detail given up"), _("The tolerance: how much of each weight may be rounded away"),
            tolerance, 0.01, 0.6,
        )  # fmt: skip
        self.epochs = Field(
            _("Passes over the images"), recipe_for(dataset).epochs if epochs is None else epochs,
            number(1, 10_000, whole=True), hint=_("Epochs: how often the network sees every training image"),
        )  # fmt: skip
        another = _("Another number, another draw of the starting weights and of the order of images")
        self.seed = Field(_("Seed"), seed, number(0, 2**31, whole=True), hint=another)
        compare = _("Train the full network too, to compare")
        self.dense = labelled(ipywidgets.Checkbox, compare, value=dense, indent=False)
        self.guard = labelled(
            ipywidgets.Checkbox, _("Safety valve"),
            _("Watches the training. Where the loss shoots up, too much is cut at once or the numbers break down, it "
              "goes back to the last good state. Until then it changes nothing."), value=guard, indent=False,
        )  # fmt: skip
        self.settings = (self.dataset, self.network, self.epochs, self.seed, self.dense, self.guard)
        self.children = [
            row(self.dataset, self.network), row(self.by, self.compression, self.tolerance),
            row(self.epochs, self.seed), row(self.dense, self.guard),
        ]  # fmt: skip
        watch(self._suit, self.dataset)
        self.enable(True)

    @property
    def policy(self) -> RankPolicy:
        """What the controls ask of the ranks."""
        is_budget = self.by.value == "compression"
        return Budget(self.compression.value) if is_budget else Tolerance(self.tolerance.value)

    @property
    def asked(self) -> dict[str, Any]:
        """Their values, by name."""
        return {name: getattr(self, name).value for name in NAMES}

    def put(self, asked: Mapping[str, Any]) -> None:
        """Other values."""
        for name, value in asked.items():
            getattr(self, name).value = value
        for field in (self.epochs, self.seed):
            field.restore()

    def enable(self, is_idle: bool) -> None:
        """Offers what can be set now: while it trains, the ranks alone."""
        for widget in self.settings:
            widget.disabled = not is_idle
        set_visible(self.compression, self.by.value == "compression")
        set_visible(self.tolerance, self.by.value == "tolerance")

    def _suit(self, change: object) -> None:
        """Another data set is learned in another time."""
        self.epochs.value = recipe_for(self.dataset.value).epochs


def _share(label: str, hint: str, value: float, least: float, most: float) -> Any:
    """A slider of per cent that reaches to the value it begins with, so that it never shows another one."""
    return labelled(
        ipywidgets.FloatSlider, label, hint, value=value, min=min(least, value), max=max(most, value), step=0.01,
        readout_format=".0%", continuous_update=False, layout={"width": "100%", "max_width": "30rem"},
    )  # fmt: skip
