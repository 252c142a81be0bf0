"""The course: its notebooks in order, each with its title and the question that it answers.

>>> import json, tempfile
>>> folder = Path(tempfile.mkdtemp())
>>> page = "# Start here\\n\\n**The question:** is it *worth* it?\\n\\nMove a slider."
>>> cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": page}
>>> notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
>>> _ = (folder / "01_start.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
>>> [(part.name, part.title, part.question) for part in parts(folder)]
[('01_start', 'Start here', 'Is it worth it?')]
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.cli.doctor import CHECKOUT
from tuckerlab.errors import DataError

FIRST = "01_start_here"
FOR_ENGINEERS = ("04_",)  # how the names of the notebooks begin that show code and formulas


@dataclass(frozen=True)
class Part:
    """One notebook of the course."""

    path: Path
    title: str
    question: str

    @property
    def name(self) -> str:
        """The name of the file, without its ending."""
        return self.path.stem

    @property
    def for_engineers(self) -> bool:
        """Whether it is left out where no code is shown."""
        return self.name.startswith(FOR_ENGINEERS)


def find_folder(folder: Path | None = None) -> Path:
    """The folder with the notebooks: the one given, or `notebooks` here or in the checkout.

    Raises DataError where there is none.
    """
    places = [folder] if folder else [Path("notebooks"), CHECKOUT / "notebooks"]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise DataError(f"no folder {' or '.join(map(str, places))}: give the one that holds the notebooks")
    return found.resolve()


def parts(folder: Path) -> list[Part]:
    """The notebooks of a folder in order. Raises DataError where there is none, or for one that cannot be read."""
    found = [_part(path) for path in sorted(folder.glob("*.ipynb"))]
    if not found:
        raise DataError(f"{folder}: there is no notebook in it (a file that ends in .ipynb)")
    return found


def heading(markdown: str) -> str:
    """The first heading of a text, or nothing.

    >>> heading("Words.\\n\\n## What came *out*\\n\\nMore.")
    'What came out'
    """
    found = re.search(r"^#{1,6}\s+(.+)$", markdown, re.MULTILINE)
    return _plain(found[1]) if found else ""


def _part(path: Path) -> Part:
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
    except (ValueError, KeyError, TypeError):
        raise DataError(f"{path}: is not a notebook, or a damaged one") from None
    title = next(filter(None, map(heading, texts)), path.stem)
    return Part(path, title, _question(texts[0]) if texts else "")


def _question(markdown: str) -> str:
    """The first paragraph that is no heading, without a label in bold before it."""
    paragraphs = [p for p in re.split(r"\n\s*\n", markdown.strip()) if not p.startswith("#")]
    said = _plain(re.sub(r"^\*\*[^*]+:\*\*|^\*\*[^*]+\*\*:", "", paragraphs[0].strip())) if paragraphs else ""
    return said[:1].upper() + said[1:]


def _plain(markdown: str) -> str:
    words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return " ".join(re.sub(r"[*`]", "", words).split())
