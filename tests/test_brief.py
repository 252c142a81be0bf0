"""The brief as a document: two pages that need nothing else, in both languages, and nothing made up in them."""

import base64
import html
import io
import re
import warnings
from pathlib import Path

import pytest
from browser import find_browser, page as page
from decisions import GOOD, TIMES, changed, pairs, records, tables, with_networks
from fontTools.ttLib import TTFont
from playwright.sync_api import Page

from tuckerlab.cli.main import main
from tuckerlab.decision import pdf, plots, report
from tuckerlab.decision.assumptions import Assumptions, Range
from tuckerlab.decision.evidence import GAPS, Evidence
from tuckerlab.decision.report import Brief, write_brief
from tuckerlab.decision.wording import network_name, number, percent, short, spread
from tuckerlab.errors import MissingExtraError, TuckerlabError
from tuckerlab.i18n import _, speaking

MACHINE = 8 * "8888 "
both_languages = pytest.mark.parametrize("lang", ["en", "ja"])


def shown(page: str) -> str:
    return html.unescape(re.sub(r"<style>.*?</style>|<[^>]*>", "", page, flags=re.DOTALL))


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The longest brief, in both languages: gaps, long names, other networks, an audit, times of exported files."""
    folder, long, made, rows = tmp_path_factory.mktemp("full"), 20 * "8888 ", dict[str, str](), pairs(GOOD)
    with_networks(folder, rows)
    tables(rows, device=MACHINE, threads=16).to_parquet(folder / "deployment.parquet")
    steel = Evidence(["compare-folder-neu_steel"])
    better = steel.networks[0]._replace(name=long, method="mine", size=1.0, accuracy=99.9)
    evidence = changed(
        Evidence([folder]),
        **{name: getattr(steel, name) for name in ("dense", "small", "pairs", "shares")},
        sources=(long, long, long),
        runs=steel.runs.assign(dataset=f"folder:/somewhere/{long}", device=MACHINE),
        networks=(*steel.networks, better, better, better),
    )
    mine = Assumptions(currency="¥").entered(answers_a_day=(1e6, 2e6, 9e6))
    for lang in ("en", "ja"):
        with speaking(lang), warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph")  # every letter of its pictures is in their font
            told = changed(evidence, gaps={"hardware": _(GAPS["hardware"])})
            made[lang] = report.page(Brief(told, mine), 30 * "会社")
    return made


@pytest.fixture(autouse=True)
def _words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts and pictures take a second each; those of `full` are made before."""
    monkeypatch.setattr(report, "font_faces", lambda characters, language: "")
    monkeypatch.setattr(plots, "embedded", lambda made: "")


@both_languages
def test_it_needs_nothing_else(full: dict[str, str], lang: str) -> None:
    page = full[lang]
    addresses = re.findall(r'\b(?:src|href|srcset|action)="(.{0,15})', page)
    assert all(address.startswith("data:") for address in addresses)
    assert len([address for address in addresses if address.startswith("data:image/svg")]) == 3
    assert not re.search(r"<(script|iframe|object|embed|form|base)\b|@import", page)
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|//\w", re.sub(r"base64,[\w+/=]+", "", page))
    covered: set[int] = set()
    for face in re.findall(r"font/woff2;base64,([\w+/=]+)", page):
        with TTFont(io.BytesIO(base64.b64decode(face))) as font:
            covered |= set(font.getBestCmap())
    letters = {letter for letter in shown(page) if letter.isprintable() and letter != "\u2060"}
    assert len(letters) > (200 if lang == "ja" else 60)
    assert {letter for letter in letters if ord(letter) not in covered} == set()


@both_languages
def test_without_a_full_network_nothing_is_made_up(tmp_path: Path, lang: str) -> None:
    records([row for row in pairs(GOOD) if row["method"] == "tucker"]).save(tmp_path / "run")
    brief = write_brief([tmp_path / "run"], tmp_path / "brief.html", lang=lang)
    assert (brief.answer.name, brief.money) == ("UNDECIDED", None)
    page = shown((tmp_path / "brief.html").read_text(encoding="utf-8"))
    [gap] = brief.evidence.gaps.values()
    assert gap.replace("`", "") in page
    assert not re.search(r"(?<!≥ )[+−]\d+\.\d", page)


def test_the_sentences_for_the_meeting_say_what_was_measured(tmp_path: Path) -> None:
    times = {name: 1.34 * TIMES[name] for name in ("latency_1_ms", "latency_128_ms")}  # slower than the full network
    records(pairs(GOOD, **times)).save(tmp_path / "run")
    write_brief([tmp_path / "run"], tmp_path / "brief.html")
    page = shown((tmp_path / "brief.html").read_text(encoding="utf-8")).replace("\u00a0", " ")
    assert "“One answer takes 134 % of the time, in batches 134 %, on" in page
    assert "“Over 3 trainings the change in accuracy lies between −0.2 and +0.2 points; we accept a loss of 1.”" in page
    assert "is right on 97.8 % of the test images; the full network on 97.8 %.”" in page


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    records(pairs(GOOD)).save(tmp_path / "run")
    (tmp_path / "mine.toml").write_text("devices = 10\n")
    assert main(["brief", "run", "--out", "brief.html", "--assumptions", "mine.toml", "--company", "<b>&lt;us"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Cannot be decided yet", "brief.html"]
    page = (tmp_path / "brief.html").read_text(encoding="utf-8")
    assert "&lt;b&gt;&amp;lt;us" in page
    assert "<b>&lt;us" not in page
    outs = ("", "--out a.txt", "--out mine.toml/a.html", "--out a.html --lang fr", "--out a.html --network tiny",
            "--out a.html --assumptions none.toml")  # fmt: skip
    for wrong in ("no/such --out a.html", *(f"run {out}" for out in outs)):
        assert main(["brief", *wrong.split()]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brief.html", "mine.toml", "run"]


ROOM = """() => [...document.querySelectorAll('.sheet')].map(sheet => {
  const box = sheet.getBoundingClientRect(), foot = sheet.querySelector('footer').getBoundingClientRect();
  const all = [...sheet.querySelectorAll('*')].filter(one => !one.closest('footer') && one.tagName != 'BR');
  const sides = all.map(one => one.getBoundingClientRect());
  return [foot.top - Math.max(...sides.map(s => s.bottom)), box.right - Math.max(...sides.map(s => s.right))];
})"""


def test_the_longest_brief_has_room_on_two_pages(full: dict[str, str], page: Page, tmp_path: Path) -> None:
    page.set_viewport_size({"width": 900, "height": 1200})
    for made in full.values():
        page.set_content(made)
        page.evaluate("document.fonts.ready")
        room = page.evaluate(ROOM)
        assert len(room) == 2
        assert all(below > 0 and beside > 50 for below, beside in room), room
        pdf.print_pdf(made, tmp_path / "brief.pdf", find_browser())
        sizes = re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "brief.pdf").read_bytes())
        assert [tuple(map(float, size)) for size in sizes] == 2 * [pytest.approx((595.3, 841.9), abs=1)]  # A4


def test_what_a_browser_prints_or_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser, new = tmp_path / "browser", tmp_path / "new"
    monkeypatch.setenv("TUCKERLAB_BROWSER", str(browser))
    with pytest.raises(MissingExtraError, match=r"as \.html.*TUCKERLAB_BROWSER"):
        write_brief(["run"], tmp_path / "brief.pdf")  # before anything is read
    browser.write_text('#!/bin/sh\nfor one; do case $one in --print-to-pdf=*) echo printed > "${one#*=}";; esac; done')
    browser.chmod(0o755)
    records(pairs(GOOD)).save(tmp_path / "run")
    for out, written in (("b.html", ["b.html", "b.pdf"]), ("a.pdf", ["a.pdf"])):
        assert [path.name for path in write_brief([tmp_path / "run"], new / out, pdf_too=True).paths] == written
    browser.write_text("#!/bin/sh\nexit 3")
    with pytest.raises(TuckerlabError, match=r"did not print it .*exit status 3"):
        pdf.print_pdf("<p>", new / "a.pdf", str(browser))
    assert sorted(path.name for path in new.iterdir()) == ["a.pdf", "b.html", "b.pdf"]
    assert (new / "a.pdf").read_text() == "printed\n"


def test_numbers_and_names_as_people_read_them() -> None:
    for written, said in (
        (number(-0.001, 1, signed=True), "0.0"),
        (spread(Range(-98.61, -98.24, -97.78), 1), "−98.2 (−98.6 to −97.8)"),
        (percent(Range(0.0553, 0.0553, 0.0553)), "5.5 %"),
        (short("鋼板の\n表面", 6), "鋼板…"),
        (network_name("pruned 90 %", "pruning"), "Pruned 90 %"),
        (report.dataset_name("folder:/data/our_parts/"), "our_parts"),
        (report.commands("`tuckerlab poc` <both>, 90 %"), "<code>tuckerlab poc</code> &lt;both&gt;, 90\xa0%"),
    ):
        assert written == said
