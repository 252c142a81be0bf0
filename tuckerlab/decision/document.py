"""The decision brief: two pages for people who decide, out of run folders and assumptions.

>>> import tempfile
>>> from tuckerlab.experiments.recorded import found_folder
>>> out = Path(tempfile.mkdtemp()) / "brief.html"
>>> brief = write_brief([found_folder("accuracy-digits-vgg_small")], out, company="Parts & Co")
>>> str(brief.answer), "Parts &amp; Co" in out.read_text(encoding="utf-8")
('no_go', True)

The page holds everything that it shows: pictures, letters, and a policy that forbids the browser to load or run
anything. Printed from any browser it is two pages of A4.
"""

import errno
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuckerlab.decision import pdf
from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.money import Money, money
from tuckerlab.decision.page import page
from tuckerlab.decision.parts import small_name
from tuckerlab.decision.plan import Plan, plan
from tuckerlab.decision.recommendation import Answer, Criterion, judge, recommend
from tuckerlab.errors import TuckerlabError
from tuckerlab.files import atomic_path
from tuckerlab.i18n import speaking, text

SUFFIXES = (".html", ".pdf")


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
        report(text("brief.step.read"))
        evidence = Evidence.of(runs, network)
        report(text("brief.step.draw"))
        told = assumptions or Assumptions(currency="¥" if lang == "ja" else "$")
        case = money(told, evidence.basis) if evidence.is_valid else None
        criteria = judge(evidence, case)
        answer = recommend(criteria)
        requests = evidence.closer.requests_to_catch(evidence.allowed) if evidence.closer else None
        steps = plan(told, evidence.basis, network=small_name(evidence), requests=requests)
        html = page(evidence, criteria, answer, case, steps, years=told.years, title=title, company=company)
        written = []
        if path.suffix.lower() == ".html":
            with atomic_path(path) as temporary:
                temporary.write_text(html, encoding="utf-8")
            written.append(path)
        if printed and browser:
            report(text("brief.step.print"))
            pdf.print_pdf(html, printed, browser)
            written.append(printed)
    return Brief(tuple(written), answer, criteria, evidence, case, steps)
