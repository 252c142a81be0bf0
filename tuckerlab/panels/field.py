"""A field to type in: what cannot be taken is refused beside it, and stays as it was typed until it is mended."""

import math
import unicodedata
from collections.abc import Callable
from typing import Any

import ipywidgets
import traitlets

from tuckerlab.decision.assumptions import THOUSANDS, plain
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import _
from tuckerlab.panels.widgets import ROW, labelled, problem_html, unwatched, watch


class Field(ipywidgets.HBox):
    """`value` is what was taken last: what `read` makes of the text, and `write` puts there.

    read: raises TuckerlabError for what it does not take, which says what it does.
    """

    value = traitlets.Any()
    disabled = traitlets.Bool(False)

    def __init__(
        self, label: str, value: Any, read: Callable[[str], Any], write: Callable[[Any], str] = plain, **options: Any
    ) -> None:
        self.read, self.write = read, write
        self.text = labelled(ipywidgets.Text, label, value=write(value), continuous_update=False, **options)
        self.refusal = ipywidgets.HTML()
        read(self.text.value)  # a value that could not be typed is refused at once
        super().__init__([self.text, self.refusal], layout=ROW, value=value)
        self.observe(self.restore, "value")
        watch(self._typed, self.text)
        traitlets.dlink((self, "disabled"), (self.text, "disabled"))

    @property
    def is_refused(self) -> bool:
        """Whether what stands there could not be taken."""
        return bool(self.refusal.value)

    def restore(self, change: object = None) -> None:
        """What was taken last stands there again, in the place of what was refused."""
        self.refusal.value = ""
        with unwatched(self._typed, self.text):
            self.text.value = self.write(self.value)

    def _typed(self, change: object) -> None:
        try:
            value = self.read(unicodedata.normalize("NFKC", self.text.value).strip())  # digits of any width
        except TuckerlabError as error:
            self.refusal.value = problem_html(str(error))
            return
        self.refusal.value = ""
        with unwatched(self.restore, self):
            self.value = value


def number(least: float, most: float, *, whole: bool = False) -> Callable[[str], float]:
    """What reads a number between these; a comma only parts thousands."""

    def read(typed: str) -> float:
        try:
            value = float(typed.replace(",", "") if THOUSANDS.fullmatch(typed) else typed)
        except ValueError:
            value = math.nan
        if not least <= value <= most or (whole and value % 1):
            asked = _("whole numbers") if whole else _("numbers")
            raise TuckerlabError(_(
                "“{typed}”: allowed are {asked} from {least} to {most}, as 1500 or 1,500",
                typed=typed, asked=asked, least=plain(least), most=plain(most),
            ))  # fmt: skip
        return int(value) if whole else value

    return read
