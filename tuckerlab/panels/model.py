"""What the models of all panels share: traits, and a place for what goes wrong.

>>> model = PanelModel()
>>> with model.reporting():
...     raise TuckerlabError("epochs 0: allowed are whole numbers from 1")
>>> model.problem
'epochs 0: allowed are whole numbers from 1'
"""

import contextlib
import traceback
from collections.abc import Iterator

import traitlets

from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import text


class PanelModel(traitlets.HasTraits):
    """The state of a panel. `problem` is one readable line, or empty; `details` is the traceback behind it."""

    problem = traitlets.Unicode()
    details = traitlets.Unicode()

    @contextlib.contextmanager
    def reporting(self) -> Iterator[None]:
        """Shows what goes wrong in the block in the panel, in place of a traceback in a log that nobody reads."""
        self.problem, self.details = "", ""
        with self.noting():
            yield

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """As `reporting`, but what has gone wrong before stays there where nothing does now."""
        try:
            yield
        except TuckerlabError as error:
            self.problem, self.details = str(error), ""
        except OSError as error:
            name, reason = error.filename or type(error).__name__, error.strerror or error
            self.problem, self.details = text("panel.unreadable", name=name, reason=reason), ""
        except Exception as error:
            said = " ".join(str(error).split())
            self.details = traceback.format_exc()
            self.problem = text("panel.defect", kind=type(error).__name__, said=said)
