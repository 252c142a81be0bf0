"""The decision brief: two pages for people who decide, out of run folders and assumptions.

>>> import tempfile
>>> from tuckerlab.experiments.recorded import found_folder
>>> out = Path(tempfile.mkdtemp()) / "brief.html"
>>> brief = write_brief([found_folder("accuracy-digits-vgg_small")], out, company="Parts & Co")
>>> str(brief.answer), "Parts &amp; Co" in out.read_text(encoding="utf-8")
('no_go', True)

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from tuckerlab import __version__
from tuckerlab.decision import pdf, plots
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import LINES, Money, money
from tuckerlab.decision.evidence import INVALID, Evidence, Other
from tuckerlab.decision.pair_audit import AUDIT_GAPS, Gap
from tuckerlab.decision.plan import Plan, plan, range_in_words
from tuckerlab.decision.recommendation import Answer, Criterion, Outcome, judge, leading_default, recommend
from tuckerlab.decision.sensitivity import REACH
from tuckerlab.decision.wording import (
    between,
    chance,
    joined,
    network_name,
    number,
    outcome_line,
    percent,
    short,
    some,
    spread,
    times,
    unbroken,
    verdict_line,
)  # fmt: skip
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import _, language, ngettext, speaking, text
from tuckerlab.plotting.fonts import PAGE, font_faces

SUFFIXES = (".html", ".pdf")
REASONS, GAPS, OTHERS = 3, 5, 5  # so many are shown at most; where there are more the page says how many
IN_POINTS = ("accuracy_loss", "class_loss", "agreement")
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, eq=False)
class Brief:
    """What was written and where to, and what it rests on; `money` is None without a comparison."""

    paths: tuple[Path, ...]
    answer: Answer
    criteria: tuple[Criterion, ...]
    evidence: Evidence
    money: Money | None
    plan: Plan


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
        told = assumptions or Assumptions(currency="¥" if lang == "ja" else "$")
        case = money(told, evidence.basis) if evidence.is_valid else None
        criteria = judge(evidence, case)
        answer = recommend(criteria)
        looked = evidence.pair_audit
        requests = looked.requests_to_catch(evidence.allowed) if looked else None
        steps = plan(told, evidence.basis, network=small_name(evidence), requests=requests)
        html = page(evidence, criteria, answer, case, steps, years=told.years, title=title, company=company)
        written = []
        if path.suffix.lower() == ".html":
            with atomic_path(path) as temporary:
                temporary.write_text(html, encoding="utf-8")
            written.append(path)
        if printed and browser:
            report(_("printing"))
            pdf.print_pdf(html, printed, browser)
            written.append(printed)
    return Brief(tuple(written), answer, criteria, evidence, case, steps)


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
    title = short(title, 58) or _(
        "Replace the network for “{dataset}” by a smaller one?", dataset=dataset_name(evidence.dataset)
    )
    values = {
        "evidence": evidence, "criteria": criteria, "answer": answer, "money": money, "plan": plan, "title": title,
        "company": short(company, 40), "small": small_name(evidence), "pictures": draw(evidence, money),
        "asked": {one.key: one for one in criteria}, "years": years, "language": language(), "version": __version__,
        "today": datetime.date.today().isoformat(), "page_fonts": Markup(PAGE),
        "default": leading_default(money) if money else "", "audit_gaps": AUDIT_GAPS,
    }  # fmt: skip
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=_unbroken,
    )  # fmt: skip
    functions = (
        between, chance, date, gap_lines, joined, lacks, network_name, number, other_lines, outcome_line, percent,
        range_in_words, reasons, short, some, spread, text, thumbnail, times, verdict_line,
    )  # fmt: skip
    environment.globals |= {function.__name__: function for function in functions}
    environment.filters |= {"commands": commands, "date": date, "short": short}
    template = environment.get_template("page.html.j2")
    plain = template.render(**values, fonts="")
    return template.render(**values, fonts=Markup(font_faces(set(plain), language())))


def draw(evidence: Evidence, money: Money | None) -> dict[str, str]:
    """The sources of the pictures: empty where there is nothing to draw."""
    there = evidence.dense and evidence.small and evidence.change and evidence.shares["parameters"]
    return {
        "size": plots.embedded(plots.size_picture(evidence)) if there else "",
        "cost": plots.embedded(plots.cost_picture(evidence)) if there else "",
        "money": plots.embedded(plots.printed_money_picture(money)) if money else "",
    }


# --- lines that are chosen from many ---------------------------------------------------------------------------------


def reasons(evidence: Evidence, criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way of a go, the first of it."""
    if answer is Answer.GO:
        return []
    if evidence.is_valid:
        return some(lacks(criteria, answer), REASONS)
    return some([gap.said for gap in evidence.gaps if gap.key in INVALID], REASONS - 1)  # these are longer


def lacks(criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way: of a no-go what failed, of an open answer what is missing, else all that did not hold."""
    asked = {Answer.NO_GO: (Outcome.FAILED,), Answer.UNDECIDED: (Outcome.MISSING,)}
    wanted = asked.get(answer, (Outcome.IN_PART, Outcome.FAILED, Outcome.MISSING))
    return [_lack(criterion) for criterion in criteria if criterion.outcome in wanted]


def _lack(criterion: Criterion) -> str:
    key, measured, limit = criterion.key, criterion.measured, criterion.limit
    if key == "repeats":
        return ngettext(
            "{limit:.0f} trainings with other seeds, there is {count}",
            "{limit:.0f} trainings with other seeds, there are {count}",
            limit=limit,
            count=int(measured.value) if measured else 0,
        )
    if measured is None:
        return text(f"brief.lack.{key}.missing")
    if key == "payback" and criterion.outcome is Outcome.FAILED and criterion.detail:
        return _(
            "money: it pays back in {chance} of the cases, even with any one of our defaults {reach:.0f} "
            "times larger or smaller",
            chance=chance(measured.value),
            reach=REACH,
        )
    if key == "payback" and criterion.detail:
        return _(
            "money: your own number for “{name}”, which moves the outcome most",
            name=text(f"money.name.{criterion.detail}"),
        )
    if key == "payback":
        return _(
            "it pays back in {chance} of the cases; at least {limit} % was asked",
            chance=chance(measured.value),
            limit=f"{100 * limit:.0f}",
        )
    if key == "accuracy_loss" and criterion.outcome is Outcome.IN_PART:
        return _(
            "accuracy holds in every training, not only in the middle: the worst loses {worst} points",
            worst=number(measured.high, 1),
        )
    if key in IN_POINTS:
        told = {"measured": number(measured.value, 1), "limit": f"{limit:g}", "name": short(criterion.detail, 20)}
    else:
        told = {"measured": spread(measured, 0, scale=100), "limit": f"{100 * limit:.0f}"}
    return text(f"brief.lack.{key}", **told)


def other_lines(evidence: Evidence) -> list[str]:
    """What else was tried, and where it is better than the network of the brief."""
    ours = {subject.label for subject in (evidence.dense, evidence.small) if subject}
    rest = [network for network in evidence.networks if network.name not in ours]
    lines = [_other(other) for other in evidence.others]
    if evidence.exported and evidence.exported.int8:
        time, file, points = evidence.exported.int8
        told = {"time": 100 * time, "file": 100 * file, "device": short(evidence.exported.device)}
        lines.insert(
            0,
            _(
                "Exported as int8: {time:.0f} % of the time ({device}), {file:.0f} % of the file, {points:+.1f} "
                "points.",
                points=points,
                **told,
            ),
        )
    if not rest:
        return [
            _("Nothing else was tried in these runs; other methods may do better. `tuckerlab compare` tries them all."),
            *lines,
        ]
    count = _(
        "Other networks of these images: {networks:.0f}, made small in {methods:.0f} ways.",
        networks=len(rest),
        methods=len({network.method for network in rest}),
    )
    return some(
        [count, *([] if evidence.others else [_("None of them is better within the allowed loss.")]), *lines], OTHERS
    )


def _other(other: Other) -> str:
    network, share = other.network, other.cost
    name = short(network_name(network.name, network.method), 28)
    told = {"points": other.points, "accuracy": network.accuracy, "share": 100 * share, "times": times(1 / share)}
    return text(f"brief.others.{other.quantity}", name=name, **told)


def gap_lines(evidence: Evidence, money: Money | None) -> list[str]:
    """All that is not known, what spoils the comparison first; the gap of the audit stands in its own section."""
    gaps = [gap for gap in evidence.gaps if gap.key not in AUDIT_GAPS]
    gaps.sort(key=lambda gap: gap.key not in INVALID)
    gaps.append(Gap("elsewhere", {"dataset": dataset_name(evidence.dataset), "model": evidence.model}))
    if not evidence.exported:
        gaps.append(Gap("no_deployment"))
    if money and money.gaps:
        names = _(", ").join(LINES[key].name for key in money.gaps)
        gaps.append(Gap("money", {"lines": names}))
    return some([gap.said for gap in gaps], GAPS)


# --- names, days, pictures, commands ---------------------------------------------------------------------------------


def small_name(evidence: Evidence) -> str:
    """What people call the small network."""
    small = evidence.small
    return short(network_name(small.label, small.method)) if small else _("the small network")


def dataset_name(dataset: str) -> str:
    """A data set as people call it: of a folder its own name.

    >>> dataset_name("folder:/data/our_parts/"), dataset_name("digits")
    ('our_parts', 'digits')
    """
    return short(dataset.removeprefix("folder:").rstrip("/\\").replace("\\", "/").rpartition("/")[2] or dataset)


def date(iso: str) -> str:
    """A day as people write it.

    >>> date("2026-11-24")
    '24 November 2026'
    """
    year, month, day = iso.split("-")
    return _("{day} {month} {year}", year=year, month=text(f"brief.month.{int(month)}"), day=str(int(day)))


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
    """What stands in backticks is something to type.

    >>> commands("`tuckerlab poc` trains <both>, 90 %")
    Markup('<code>tuckerlab poc</code> trains &lt;both&gt;, 90\\xa0%')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(_unbroken(line)))))
