"""The decision brief: two pages for people who decide, out of run folders and assumptions.

The page holds everything that it shows: pictures, letters, and a policy that forbids the browser to load or run
anything. Printed from any browser it is two pages of A4. Its sentences stand in templates/page.html.j2.
"""

import base64
import datetime
import errno
import io
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from tuckerlab import __version__
from tuckerlab.decision import pdf, plots, wording
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import LINES, Money, money
from tuckerlab.decision.evidence import Evidence, Other
from tuckerlab.decision.gaps import NO_AUDIT, NO_COMPARISON
from tuckerlab.decision.pair_audit import PairAudit
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.recommendation import Answer, Criterion, judge, lacks, recommend
from tuckerlab.decision.wording import network_name, number, short, some, times, unbroken
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import N_, _, language, speaking
from tuckerlab.plotting.fonts import PAGE, font_faces

SUFFIXES = (".html", ".pdf")
REASONS = 3  # that are shown at most; where there are more the page says how many
FONTS = "/* fonts */"  # where they will stand, once it is known which letters they need
TEMPLATES = Path(__file__).parent / "templates"
MONTHS = (
    N_("January"), N_("February"), N_("March"), N_("April"), N_("May"), N_("June"), N_("July"), N_("August"),
    N_("September"), N_("October"), N_("November"), N_("December"),
)  # fmt: skip
BETTER = {
    "accuracy": N_("More accurate: {name}, {accuracy:.1f} %, {times} × the size."),
    "file": N_("Smaller file: {name}, {share:.0f} %, {points:+.1f} points."),
    "time_1": N_("Quicker alone: {name}, {share:.0f} %, {points:+.1f} points."),
    "time_128": N_("Quicker in batches: {name}, {share:.0f} %, {points:+.1f} points."),
}
"""What is said of another network that is the best in something."""


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
        steps = plan(assumptions, evidence.basis, network=small_name(evidence), requests=requests)
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
    if path.suffix.lower() not in SUFFIXES:
        raise TuckerlabError(f"{out}: a brief is written as .html or .pdf; give a name that ends so")
    if path.is_dir():
        raise TuckerlabError(f"{out}: there is a folder of that name; give another")
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    printed = path.with_suffix(".pdf") if pdf_too or path.suffix.lower() == ".pdf" else None
    browser = pdf.find_browser() if printed else None
    with speaking(lang):
        report(_("reading the runs, and auditing where the networks are there"))
        evidence = Evidence.of(runs, network)
        report(_("drawing and writing"))
        looked = evidence.pair_audit
        requests = looked.requests_to_catch(evidence.allowed) if looked else None
        brief = Brief.of(evidence, assumptions or Assumptions(currency="¥" if lang == "ja" else "$"), requests)
        html = page(brief, title, company)
        written = []
        if path.suffix.lower() == ".html":
            with atomic_path(path) as temporary:
                temporary.write_text(html, encoding="utf-8")
            written.append(path)
        if printed and browser:
            report(_("printing"))
            pdf.print_pdf(html, printed, browser)
            written.append(printed)
    return replace(brief, paths=tuple(written))


def page(brief: Brief, title: str = "", company: str = "") -> str:
    """The HTML, in the language that is spoken here, with all that it shows inside."""
    evidence = brief.evidence
    values = {
        "evidence": evidence, "criteria": brief.criteria, "answer": brief.answer, "money": brief.money,
        "plan": brief.plan, "years": brief.years, "title": short(title, 58), "company": short(company, 40),
        "small": small_name(evidence), "dataset": dataset_name(evidence.dataset),
        "pictures": draw(evidence, brief.money), "asked": {one.key: one for one in brief.criteria},
        "reasons": reasons(brief), "better": [better(other) for other in evidence.others], "no_audit": NO_AUDIT,
        "sources": [f"{source.mark} {short(source.name, 48)}" for source in evidence.sources],
        "uncounted": [LINES[key].name for key in brief.money.gaps] if brief.money else [],
        "today": date(datetime.date.today().isoformat()), "days": [date(day) for day in evidence.provenance["dates"]],
        "language": language(), "version": __version__, "page_fonts": Markup(PAGE), "fonts": Markup(FONTS),
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_unbroken,
    )  # fmt: skip
    environment.globals |= vars(wording)  # with _ and ngettext
    environment.globals |= {"lacks": lacks, "losing_classes": losing_classes, "thumbnail": thumbnail}
    environment.filters |= {"commands": commands, "short": short}
    html = environment.get_template("page.html.j2").render(**values)
    return html.replace(FONTS, font_faces(set(html), language()))


def draw(evidence: Evidence, money: Money | None) -> dict[str, str]:
    """The sources of the pictures: empty where there is nothing to draw."""
    there = evidence.dense and evidence.small and evidence.change and evidence.shares["parameters"]
    return {
        "size": plots.embedded(plots.size_picture(evidence)) if there else "",
        "cost": plots.embedded(plots.cost_picture(evidence)) if there else "",
        "money": plots.embedded(plots.printed_money_picture(money)) if money else "",
    }


def reasons(brief: Brief) -> list[str]:
    """What stands in the way of a go, the first of it."""
    if brief.evidence.is_valid:
        return some(lacks(brief.criteria, brief.answer), REASONS)
    return some([gap.said for gap in brief.evidence.gaps if gap.key in NO_COMPARISON], REASONS - 1)  # these are longer


def better(other: Other) -> str:
    """In what another network is better than the network of the brief."""
    network, share = other.network, other.cost
    return _(
        BETTER[other.quantity],
        name=short(network_name(network.name, network.method), 28),
        points=other.points,
        accuracy=network.accuracy,
        share=100 * share,
        times=times(1 / share),
    )


def losing_classes(looked: PairAudit) -> list[str]:
    """The three classes that lose most, each with its change in points."""
    changes = looked.audit.per_class["change"].head(3)
    return [
        f"{short(str(name), 16)} {number(change, 1, signed=True)}" for name, change in changes.items() if change < 0
    ]


def small_name(evidence: Evidence) -> str:
    """What people call the small network."""
    small = evidence.small
    return short(network_name(small.label, small.method)) if small else _("the small network")


def dataset_name(dataset: str) -> str:
    """A data set as people call it: of a folder its own name."""
    return short(dataset.removeprefix("folder:").rstrip("/\\").replace("\\", "/").rpartition("/")[2] or dataset)


def date(iso: str) -> str:
    """A day as people write it."""
    year, month, day = iso.split("-")
    return _("{day} {month} {year}", year=year, month=_(MONTHS[int(month) - 1]), day=str(int(day)))


def thumbnail(image: Any) -> str:
    """A picture of a test set as the address of a PNG."""
    from PIL import Image

    pixels = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _unbroken(value: Any) -> Any:
    """Japanese has no space after a full stop; and see `unbroken`."""
    return unbroken(value.replace("。 ", "。")) if type(value) is str else value


def commands(line: str) -> Markup:
    """What stands in backticks is something to type."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_unbroken(line)))))
