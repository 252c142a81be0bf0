"""The decision brief: two pages for people who decide, out of run folders and assumptions.

The page holds everything that it shows: pictures, letters, and a policy that forbids the browser to load or run
anything. Printed from any browser it is two pages of A4. Its sentences stand in templates/page.html.j2.
"""

import datetime
import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from babel.dates import format_date
from markupsafe import Markup

from tuckerlab import __version__
from tuckerlab.decision import pdf, plots
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import LINES, Money, money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.pages import fill
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.recommendation import Answer, Criterion, judge, lacks, recommend
from tuckerlab.decision.wording import network_name, short, some
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _, language, speaking
from tuckerlab.plotting.figure import PAGE, font_faces

SUFFIXES = (".html", ".pdf")
REASONS = 3  # that are shown at most; where there are more the page says how many
FONTS = "/* fonts */"  # where they will stand, once it is known which letters they need


@dataclass(frozen=True, eq=False)
class Brief:
    """What is recommended, and what that rests on; `money` is None without a comparison. `paths` are what was written.

    The money and the plan are counted with `assumptions`. requests: see `tuckerlab.decision.plan.plan`.
    """

    evidence: Evidence
    money: Money | None
    criteria: tuple[Criterion, ...]
    answer: Answer
    plan: Plan
    years: int
    paths: tuple[Path, ...] = ()

    @classmethod
    def of(cls, evidence: Evidence, assumptions: Assumptions, requests: float | None = None) -> "Brief":
        case = money(assumptions, evidence.basis) if evidence.is_valid else None
        criteria = judge(evidence, case)
        steps = plan(assumptions, evidence.basis, network=_small_name(evidence), requests=requests)
        return cls(evidence, case, criteria, recommend(criteria), steps, assumptions.years)


def write_brief(
    runs: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    lang: str = "en",
    assumptions: Assumptions | None = None,
    network: str | None = None,
    title: str = "",
    company: str = "",
    pdf_too: bool = False,
    report: Callable[[str], None] = lambda step: None,
) -> Brief:
    """Writes the brief of some run folders to an .html or .pdf file, or to both with `pdf_too`.

    `network` is the label of the small network to decide on, `assumptions` what the money rests on: without them it is
    an example on default numbers, and the brief says so. `report` is told the steps as they begin. Raises
    TuckerlabError, before anything takes long, for what cannot be written or is not there.
    """
    path = Path(out)
    if path.suffix.lower() not in SUFFIXES or path.is_dir():
        raise TuckerlabError(f"{out}: a brief is written as a file, .html or .pdf; give a name that ends so")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    is_page = path.suffix.lower() == ".html"
    browser = pdf.find_browser() if pdf_too or not is_page else ""
    with speaking(lang):
        report(_("reading the runs, and auditing where the networks are there"))
        evidence = Evidence.of(runs, network)
        report(_("drawing and writing"))
        looked = evidence.pair_audit
        requests = looked.requests_to_catch(evidence.allowed) if looked else None
        brief = Brief.of(evidence, assumptions or Assumptions(currency="¥" if lang == "ja" else "$"), requests)
        html = page(brief, title, company)
        written = []
        if is_page:
            with atomic_path(path) as temporary:
                temporary.write_text(html, encoding="utf-8")
            written.append(path)
        if browser:
            report(_("printing"))
            pdf.print_pdf(html, path.with_suffix(".pdf"), browser)
            written.append(path.with_suffix(".pdf"))
    return replace(brief, paths=tuple(written))


def page(brief: Brief, title: str = "", company: str = "") -> str:
    """The HTML, in the language that is spoken here, with all that it shows inside."""
    evidence, lacking = brief.evidence, lacks(brief.criteria, brief.answer)
    gaps = [gap.said for gap in evidence.gaps if gap.kind == "no_comparison"]
    html = fill(
        "page",
        brief=brief,
        evidence=evidence,
        money=brief.money,
        asked={one.key: one for one in brief.criteria},
        lacking=lacking,
        reasons=some(lacking, REASONS) if evidence.is_valid else some(gaps, REASONS - 1),  # these are longer
        title=short(title, 58),
        company=short(company, 40),
        small=_small_name(evidence),
        sources=[f"{mark} {short(it.folder.resolve().name, 48)}" for mark, it in evidence.sources.items()],
        dataset=dataset_name(evidence.dataset),
        pictures=draw(evidence, brief.money),
        uncounted=[LINES[key].name for key in brief.money.gaps] if brief.money else [],
        today=date(datetime.date.today().isoformat()),
        days=[date(day) for day in evidence.provenance["dates"]],
        language=language(),
        version=__version__,
        page_fonts=Markup(PAGE),
        fonts=Markup(FONTS),
    )
    return html.replace(FONTS, font_faces(set(html), language()))


def draw(evidence: Evidence, money: Money | None) -> dict[str, str]:
    """The sources of the pictures: empty where there is nothing to draw."""
    there = evidence.dense and evidence.small and evidence.change and evidence.shares["parameters"]
    return {
        "size": plots.embedded(plots.size_picture(evidence)) if there else "",
        "cost": plots.embedded(plots.cost_picture(evidence)) if there else "",
        "money": plots.embedded(plots.money_picture(money, printed=True)) if money else "",
    }


def _small_name(evidence: Evidence) -> str:
    """What people call the small network."""
    small = evidence.small
    return short(network_name(small.label, small.method)) if small else _("the small network")


def dataset_name(dataset: str) -> str:
    """A data set as people call it: of a folder its own name."""
    return short(dataset.removeprefix("folder:").rstrip("/\\").replace("\\", "/").rpartition("/")[2] or dataset)


def date(iso: str) -> str:
    """A day as people write it."""
    day, spoken = datetime.date.fromisoformat(iso), language()
    return format_date(day, "d MMMM y" if spoken == "en" else "long", locale=spoken)
