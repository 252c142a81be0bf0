"""Made-up notebooks, for the tests of what shows and sends them."""

from pathlib import Path
from typing import Any

import nbformat
from nbformat import v4

PARAMETERS = 'profile = "auto"\nout = "../runs"\nattended = True'

# A widget with the HTML that stays of it, as every panel has one; what is only in the source must not be in a page.
PANEL = """import ipywidgets, tuckerlab.panels.widgets as parts
panel = parts.Panel([ipywidgets.HTML("what the panel " + "shows"), ipywidgets.IntSlider(description="slide")])
panel"""


def lesson(path: Path, text: str, *cells: str | Any, parameters: bool = False) -> Path:
    """Writes a notebook that begins with a text; each further cell is code, or a cell."""
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook = v4.new_notebook(metadata={"kernelspec": kernel, "language_info": {"name": "python"}})
    notebook.cells = [v4.new_markdown_cell(text)]
    if parameters:
        notebook.cells.append(v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}))
    notebook.cells += [v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path
