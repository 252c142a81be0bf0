"""The page of the brief: everything in words and pictures, put into the template.

>>> _commands("`tuckerlab poc` trains <both>, 90 %")
Markup('<code>tuckerlab poc</code> trains &lt;both&gt;, 90\xa0%')

`page` is what `tuckerlab.decision.document` writes.
"""

import datetime
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from tuckerlab import __version__
from tuckerlab.decision import parts
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.money import Money
from tuckerlab.decision.plan import Plan
from tuckerlab.decision.plots import drawn
from tuckerlab.decision.recommendation import Answer, Criterion
from tuckerlab.decision.sentences import meeting_lines, other_lines
from tuckerlab.decision.table import rows
from tuckerlab.decision.words import dataset_name, short, unbroken
from tuckerlab.i18n import language, text
from tuckerlab.plotting.fonts import PAGE, font_faces

TEMPLATES = Path(__file__).parent / "templates"


def page(
    evidence: Evidence,
    criteria: Sequence[Criterion],
    answer: Answer,
    money: Money | None,
    plan: Plan,
    *,
    years: int,
    title: str = "",
    company: str = "",
) -> str:
    """The HTML, in the language that is spoken here, with all that it shows inside."""
    values: dict[str, Any] = {
        "language": language(),
        "title": short(title, 58) or text("brief.title", dataset=dataset_name(evidence.dataset)),
        "company": short(company, 40),
        "made": text("brief.made", date=parts.date(datetime.date.today().isoformat())),
        "answer": str(answer),
        "answer_said": text(f"brief.answer.{answer}"),
        "small": parts.small_name(evidence),
        "why": parts.why(evidence, criteria, answer),
        "reasons": parts.reasons(evidence, criteria, answer),
        "tiles": parts.tiles(evidence, money),
        "pictures": drawn(evidence, money),
        "rows": rows(evidence, criteria, years),
        "differs": parts.differs(evidence),
        "others": other_lines(evidence),
        "meeting": meeting_lines(evidence, criteria, answer, money, plan),
        "money": parts.money_line(money),
        "plan": parts.plan_rows(plan, answer),
        "gaps": parts.gap_lines(evidence, money),
        "sources": parts.source_names(evidence),
        "provenance": parts.provenance(evidence),
    }
    plain = _render(values, fonts="")
    return _render(values, fonts=font_faces(set(plain), language()))


def _render(values: dict[str, Any], fonts: str) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_unbroken,
    )
    environment.filters["commands"] = _commands
    fixed = {"text": text, "version": __version__, "page_fonts": Markup(PAGE), "fonts": Markup(fonts)}
    return environment.get_template("page.html.j2").render(**fixed, **values)


def _unbroken(value: Any) -> Any:
    """Japanese has no space after a full stop; and see `unbroken`."""
    return unbroken(value.replace("。 ", "。")) if type(value) is str else value


def _commands(line: str) -> Markup:
    """What stands in backticks is something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_unbroken(line)))))
