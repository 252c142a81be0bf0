"""Web pages that stand on their own: a list of the parts of the course, and a page around each.

>>> "Start here" in index_page([Part(Path("01.ipynb"), "Start here", "Is it worth it?")], ["01.html"], "Eight parts.")
True

A page loads nothing and runs nothing: a policy in its head forbids both to the browser, whatever a notebook has put
into it. GENERATOR is in the head of each, so a folder of such pages is recognised.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2

from tuckerlab import __version__
from tuckerlab.cli.course import Part
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, QUIET

TEMPLATES = Path(__file__).parent / "templates"
GENERATOR = '<meta name="generator" content="tuckerlab">'


def index_page(
    parts: Sequence[Part], links: Sequence[str], intro: str, notes: Mapping[str, str] | None = None, foot: str = ""
) -> str:
    """The list of the parts in order, each with its question and, where there is one, a note (by name of the part)."""
    notes = notes or {}
    rows = [(part, link, notes.get(part.name, "")) for part, link in zip(parts, links, strict=True)]
    return _render("course/list.html.j2", title=text("site.title"), intro=intro, rows=rows, foot=foot)


def part_page(
    part: Part, body: str, before: Part | None, after: Part | None, notes: Sequence[str] = (), foot: str = ""
) -> str:
    """A page around the HTML of one part, with links to its neighbours and to the list."""
    return _render(
        "course/part.html.j2", title=part.title, body=body, before=before, after=after, notes=notes, foot=foot
    )


def _render(template: str, **values: object) -> str:
    loader = jinja2.FileSystemLoader(TEMPLATES)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    fixed = {"text": text, "generator": GENERATOR, "version": __version__, "ink": INK, "quiet": QUIET}
    return environment.get_template(template).render(**fixed, **values)
