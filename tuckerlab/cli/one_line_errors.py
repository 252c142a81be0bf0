"""Errors of a notebook for readers who see no code: one line, in the place of a traceback.

>>> from tuckerlab.errors import TuckerlabError
>>> problem_line(TuckerlabError("compression 7: allowed is a number from 0 up to, but not including, 1"))
'compression 7: allowed is a number from 0 up to, but not including, 1'
"""

import traceback
from html import escape
from types import TracebackType
from typing import Any

from IPython.core.getipython import get_ipython
from IPython.display import HTML, display

from tuckerlab.i18n import text
from tuckerlab.panels.widgets import described, problem_html


def errors_in_one_line() -> None:
    """From here on, a cell of this notebook that fails says so in one line.

    The notebook still counts as failed, and whoever runs it still gets the error; outside of IPython nothing happens.
    """
    shell: Any = get_ipython()
    if shell is not None:
        shell.set_custom_exc((Exception,), _show)


def problem_line(error: Exception) -> str:
    """What a panel would say of this error."""
    return described(error)[0]


def _show(shell: Any, kind: type, error: Exception, trace: TracebackType, tb_offset: int | None = None) -> None:
    # The reply to whoever runs the notebook carries it; without it the server's log could not say more than the page.
    shell._last_traceback = traceback.format_exception(kind, error, trace)
    rest = f"<p>{escape(text('app.stopped'))}</p>"
    display(HTML(problem_html(problem_line(error), "") + rest))  # type: ignore[no-untyped-call]
