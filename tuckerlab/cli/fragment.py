"""A notebook as a piece of a web page that needs no kernel, no script and no net.

>>> cell = nbformat.v4.new_markdown_cell("# Hello\\n\\nSee [the next](02_next.ipynb), [the code](../setup.py).")
>>> print(fragment(nbformat.v4.new_notebook(cells=[cell]), Path(), {"02_next"}).strip())
<section><h1>Hello</h1>
<p>See <a href="02_next.html">the next</a>, the code.</p>
</section>
"""

import base64
import mimetypes
import re
from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from tuckerlab.cli.course import heading
from tuckerlab.cli.pages import TEMPLATES
from tuckerlab.i18n import text

WIDGET = "application/vnd.jupyter.widget-view+json"
NEEDS_SCRIPT = (WIDGET, "application/javascript")
READABLE = ("text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg")
MACHINERY = {"injected-parameters", "papermill-error-cell-tag"}  # tags of the cells that executing adds
LOADED = (
    "script",
    "link",
    "iframe",
    "object",
    "embed",
    "base",
    "meta",
    "form",
)  # nothing in text and pictures needs them


def fragment(notebook: Any, folder: Path, names: Collection[str]) -> str:
    """The cells of a notebook as HTML, without a page around them.

    Pictures in `folder` are put into the text; links to the notebooks of `names` go to their pages. Other links into
    folders lose their link, since who gets the page does not have the folders.
    """
    exporter = HTMLExporter(  # type: ignore[no-untyped-call]
        extra_template_basedirs=[str(TEMPLATES)],
        template_name="notebook",
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        exclude_anchor_links=True,
    )
    resources = {"words": {"code": text("site.code")}}
    html, _ = exporter.from_notebook_node(_readable(notebook), resources)
    return _alone(html, folder, names)


def where_it_stopped(path: Path) -> int:
    """The number of the code cell that an executed notebook did not get over, counted from 1; 0 for none."""
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    states = [cell.metadata.get("papermill", {}).get("status") for cell in _own_cells(notebook) if _is_code(cell)]
    # A cell that takes the kernel down with it counts as completed, and those after it as pending.
    return states.index("failed") + 1 if "failed" in states else states.count("completed")


def has_outputs(notebook: Any) -> bool:
    """Whether any cell has left something to see."""
    return any(cell.outputs for cell in notebook.cells if _is_code(cell))


def _is_code(cell: Any) -> bool:
    return bool(cell.cell_type == "code")


def _own_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if not MACHINERY & set(cell.metadata.get("tags", ()))]


def _readable(notebook: Any) -> Any:
    """The notebook without what executing has added, and with outputs that can be read as they are."""
    cells, title = _own_cells(notebook), ""
    for cell in cells:
        if _is_code(cell):
            cell.metadata.setdefault("alt", text("site.picture", title=title) if title else text("site.picture_alone"))
            cell.outputs = [output for output in map(_output, cell.outputs) if output is not None]
        else:
            title = heading(cell.source) or title
    notebook.metadata.pop("widgets", None)
    notebook.cells = cells
    return notebook


def _output(output: Any) -> Any | None:
    """An output as a reader can use it; None for what is only for the one who runs the notebook."""
    if output.output_type == "stream":
        return None if output.name == "stderr" else output
    if output.output_type == "error":
        return output
    was_widget = WIDGET in output.data
    for kind in NEEDS_SCRIPT:
        output.data.pop(kind, None)
    if was_widget and not any(kind in output.data for kind in READABLE):
        if "%|" in output.data.get("text/plain", ""):
            return None  # a progress bar
        output.data = {"text/html": f'<p class="live">{escape(text("site.live"))}</p>'}
    return output if output.data else None


def _alone(html: str, folder: Path, names: Collection[str]) -> str:
    """HTML that loads nothing and links to nothing that is not in the world or on these pages."""
    soup = BeautifulSoup(html, features="html.parser")
    for tag in soup.find_all(LOADED):
        tag.decompose()
    for image in soup.find_all("img"):
        source = str(image.get("src", ""))
        if not source.startswith("data:"):
            if found := _data(folder / source):
                image["src"] = found
            else:
                image.replace_with(str(image.get("alt", "")))
    for link in soup.find_all("a", href=True):
        target = str(link["href"])
        path, _, anchor = target.partition("#")
        if path.endswith(".ipynb") and Path(path).stem in names:
            link["href"] = f"{Path(path).stem}.html" + (f"#{anchor}" if anchor else "")
        elif path and not re.match(r"https?://|mailto:", path):
            link.unwrap()
    return str(soup)


def _data(picture: Path) -> str:
    """A picture as an address that holds it; empty where there is none."""
    kind = mimetypes.guess_type(picture.name)[0] or ""
    if not kind.startswith("image/") or not picture.is_file():
        return ""
    return f"data:{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
