"""The decision brief: two pages for people who decide, out of run folders and assumptions.

The page holds everything that it shows: pictures, letters, and a policy that forbids the browser to load or run
anything. Printed from any browser it is two pages of A4. Its sentences stand in templates/page.html.j2.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import jinja2
from babel.dates import format_date
from markupsafe import Markup, escape

from tuckerlab import __version__
from tuckerlab.decision import plots, wording
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import ONCE, YEARLY, Money
from tuckerlab.decision.evidence import QUANTITIES, Evidence
from tuckerlab.decision.pdf import find_browser, print_pdf
from tuckerlab.decision.recommendation import judge, lacks, plan, recommend
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.summary import TOLERATED
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _, language, large, ngettext, speaking
from tuckerlab.plotting.figure import PAGE, font_faces
from tuckerlab.plotting.styles import label_name

SUFFIXES = (".html", ".pdf")
FONTS = "/* fonts */"  # where they will stand, once it is known which letters they need


class Brief:
    """What is recommended, and on what; `money` is None without a comparison, `small` what people call the network."""

    def __init__(self, evidence: Evidence, assumptions: Assumptions) -> None:
        small = evidence.small
        self.evidence, self.years, self.paths = evidence, assumptions.years, list[Path]()
        self.small = wording.network_name(small.label, small.method) if small.label else _("the small network")
        self.money = Money(assumptions, evidence.measured) if evidence.is_valid else None
        self.criteria = judge(evidence, self.money)
        self.answer, self.plan = recommend(self.criteria), plan(assumptions, self.small)


def write_brief(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    lang: str = "en",
    assumptions: Assumptions | None = None,
    network: str | None = None,
    company: str = "",
    pdf_too: bool = False,
    report: Callable[[str], object] = lambda step: None,
) -> Brief:
    """Writes the brief of some run folders to an .html or .pdf file, or to both with `pdf_too`.

    `network` is the label of the small network, `assumptions` what the money rests on: without them an example.
    TuckerlabError, before anything takes long, for what cannot be written or is not there.
    """
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES or path.is_dir():
        raise TuckerlabError(_("{out}: a brief is written as a file, .html or .pdf; give a name that ends so", out=out))
    is_page = path.suffix.lower() == ".html"
    browser = find_browser() if pdf_too or not is_page else ""
    path.parent.mkdir(parents=True, exist_ok=True)
    with speaking(lang):
        report(_("reading the runs, and auditing where the networks are there"))
        evidence = Evidence(runs, network)
        report(_("drawing and writing"))
        brief = Brief(evidence, assumptions or Assumptions())
        html = page(brief, company)
        if is_page:
            with atomic_path(path) as temporary:
                temporary.write_text(html, encoding="utf-8")
            brief.paths.append(path)
        if browser:
            report(_("printing"))
            brief.paths.append(path.with_suffix(".pdf"))
            print_pdf(html, brief.paths[-1], browser)
    return brief


def page(brief: Brief, company: str = "") -> str:
    """The HTML, in the language that is spoken here, with all that it shows inside."""
    evidence = brief.evidence
    days = sorted({str(day)[:10] for day in evidence.runs["date"]})
    html = fill(
        "page",
        **vars(brief),
        shares=evidence.shares,
        lacking=lacks(brief.criteria),
        company=wording.short(company, 40),
        dataset=dataset_name(str(evidence.runs["dataset"].iloc[0])),
        today=_date(date.today().isoformat()),
        days=[_date(day) for day in dict.fromkeys((days[0], days[-1]))],
        language=language(),
        fonts=Markup(FONTS),
    )
    return html.replace(FONTS, font_faces(set(html), language()))


def dataset_name(dataset: str) -> str:
    """A data set as people call it: of a folder its own name."""
    return wording.short(re.split(r"[/\\:]", dataset.rstrip("/\\"))[-1])


def _date(iso: str) -> str:
    return str(format_date(date.fromisoformat(iso), "long", locale=language()))


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """A table of text; the columns at the places in `right` are numbers."""
    return fill("table", head=head, rows=rows, right=right)


def account_html(money: Money) -> str:
    """The account of the money, line by line; means add up to the sum in the last row of each part."""
    amount, tables = money.assumptions.amount, []
    parts = (_("Once (minus: spent)"), ONCE, money.once), (_("Every year (minus: costs more)"), YEARLY, money.yearly)
    for title, names, total in parts:
        found = {_(name): money.lines.get(key) for key, name in names.items()} | {_("Together"): total}
        rows = [
            [name, amount(it.mean), _("{low} to {high}", low=amount(it.low), high=amount(it.high))]
            if it else [name, "–", _("not measured")]
            for name, it in found.items()
        ]  # fmt: skip
        tables.append(table_html([title, _("On average"), _("90 % of the cases")], rows, right=(1, 2)))
    return "".join(tables)


def plan_html(steps: Sequence[Mapping[str, str]]) -> str:
    """The plan as a table."""
    head = [_("Stage"), _("Weeks, days of work"), _("Begins when"), _("Done when"), _("What can go wrong")]
    parts = ("name", "effort", "entry", "exit", "risk", "valve")
    return table_html([*head, _("Safety valve")], [[step[part] for part in parts] for step in steps])


def fill(template: str, **values: Any) -> str:
    """A template by its name, in the language that is spoken here, with these values; all of them are escaped."""
    return ENVIRONMENT.get_template(f"{template}.html.j2").render(**values)


def commands(line: str) -> Markup:
    """What stands in backticks is something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(wording.unbroken(line)))))


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, trim_blocks=True,
    lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    finalize=lambda value: wording.unbroken(value) if type(value) is str else value,
)  # fmt: skip
ENVIRONMENT.globals |= {**vars(wording), "_": _, "ngettext": ngettext, "large": large, "plots": plots}
ENVIRONMENT.globals |= {"quantities": QUANTITIES, "tolerated": TOLERATED, "page_fonts": Markup(PAGE)}
ENVIRONMENT.globals["version"] = __version__
ENVIRONMENT.filters |= {"commands": commands, "label_name": label_name, "short": wording.short}
