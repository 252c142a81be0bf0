"""Runs a notebook with papermill, in a profile, and looks at what goes wrong in silence.

papermill fails when a cell raises. It does not when a widget's callback does: `Executed.widget_errors` has these.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuckerlab.cli.notebook_helpers import NUMBERS
from tuckerlab.errors import TuckerlabError

PAPERMILL_CELLS = {"injected-parameters", "papermill-error-cell-tag"}  # tags of the cells that papermill adds
QUIET_KERNEL = ["--IPKernelApp.log_level=CRITICAL"]  # else each start warns of what is usual on one machine


@dataclass(frozen=True)
class Executed:
    """An executed notebook: where it lies, the numbers it kept, and the errors inside its widgets."""

    path: Path
    numbers: dict[str, float]
    widget_errors: list[str]


def execute(notebook: str | os.PathLike[str], folder: str | os.PathLike[str], /, **parameters: Any) -> Executed:
    """Executes a notebook where it lies, writes the result to `folder`, and reads it.

    Raises TuckerlabError for a notebook that is not there; papermill's own error, with the traceback of the cell, when
    a cell raises.
    """
    import nbformat
    import papermill

    source, target = Path(notebook), Path(folder) / Path(notebook).name
    if not source.is_file():
        raise TuckerlabError(f"{notebook}: there is no such notebook")
    target.parent.mkdir(parents=True, exist_ok=True)
    papermill.execute_notebook(
        source, target, parameters=parameters, cwd=source.parent, progress_bar=False, extra_arguments=QUIET_KERNEL
    )
    executed: Any = nbformat.read(target, as_version=4)  # type: ignore[no-untyped-call]
    numbers: dict[str, float] = {}
    for output in _outputs(executed):
        numbers.update(output.get("data", {}).get(NUMBERS, {}))
    return Executed(target, numbers, widget_errors(executed))


def widget_errors(notebook: Any) -> list[str]:
    """Errors in the saved state of Output widgets, and in outputs that a cell shows without failing."""
    states = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    inside = [output for model in states.values() for output in model.get("state", {}).get("outputs", ())]
    return [
        f"{output.get('ename')}: {output.get('evalue')}"
        for output in [*inside, *_outputs(notebook)]
        if output.get("output_type") == "error"
    ]


def _outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
