"""The brief as a document: two pages that need nothing else, in both languages, and nothing made up in them."""

import base64
import dataclasses
import io
import re
import warnings
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from browser import find_browser
from decisions import GOOD, pairs, records, tables, with_networks
from fontTools.ttLib import TTFont
from playwright.sync_api import Page, sync_playwright

from tuckerlab import i18n
from tuckerlab.cli.main import main
from tuckerlab.decision import pdf, report
from tuckerlab.decision.assumptions import Assumptions, Range
from tuckerlab.decision.evidence import GAPS, Evidence, Gap
from tuckerlab.decision.report import Brief, write_brief
from tuckerlab.decision.wording import chance, network_name, number, percent, short, spread
from tuckerlab.errors import MissingExtraError, TuckerlabError
from tuckerlab.experiments.run_folder import found_folder
from tuckerlab.i18n import _, speaking

MACHINE = 8 * "8888 "
HOSTILE = '<script>alert("1")</script>&lt;'


class Reader(HTMLParser):
    """What a page shows, and what its elements refer to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.shown, self.tags, self.addresses = "", set(), []
        self.inside = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.shown += " ".join(f" {value} " for name, value in attrs if name in ("alt", "title"))

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside != "style":
            self.shown += data


def full_evidence(folder: Path) -> Evidence:
    """As much as a brief can ever show: gaps, long names, other networks, an audit, times of exported files."""
    steel = Evidence.of([found_folder("compare-folder-neu_steel")])
    rows = pairs(GOOD)
    with_networks(folder, rows)
    tables(rows, device=MACHINE, threads=16).to_parquet(folder / "deployment.parquet")
    looked = Evidence.of([folder])
    runs = steel.runs.assign(dataset="folder:/somewhere/" + 20 * "8888 ", device=MACHINE)
    better = [dataclasses.replace(network, method="mine", name=20 * "8888 ") for network in steel.networks[-3:]]
    return dataclasses.replace(
        steel,
        sources=tuple(20 * "8888 " for _run in range(3)),
        runs=runs,
        networks=(*steel.networks, *(dataclasses.replace(it, size=1.0, accuracy=99.9) for it in better)),
        audit=looked.audit,
        exported=looked.exported,
        timed_on=looked.timed_on,
        gaps=(Gap("hardware", _(GAPS["hardware"]), blocks=False),),
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The longest brief, in both languages; every letter of its pictures is in their font."""
    folder, made = tmp_path_factory.mktemp("full"), dict[str, str]()
    mine = Assumptions(currency="¥").entered(answers_a_day=(1e6, 2e6, 9e6))
    for lang in ("en", "ja"):
        with speaking(lang), warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph")
            made[lang] = report.page(Brief(full_evidence(folder / lang), mine), 30 * "会社")
    return made


@pytest.fixture
def _words_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fonts and pictures take a second each."""
    monkeypatch.setattr(report, "font_faces", lambda characters, language: "")
    monkeypatch.setattr(
        report, "pictures", lambda brief: dict.fromkeys(("size", "cost", "money"), "") if brief.money else {}
    )


def both_languages() -> Any:
    return pytest.mark.parametrize("lang", ["en", "ja"])


# --- the page --------------------------------------------------------------------------------------------------------


@both_languages()
def test_it_needs_nothing_else(full: dict[str, str], lang: str) -> None:
    read = Reader(full[lang])
    assert all(address.startswith("data:") for address in read.addresses)
    assert len([address for address in read.addresses if address.startswith("data:image/svg")]) == 3
    assert not read.tags & {"script", "iframe", "object", "embed", "form", "base"}
    assert set(re.findall(r"url\(([a-z]+:|.)", full[lang])) == {"data:"}
    assert "@import" not in full[lang]
    assert "default-src 'none'" in full[lang]
    plain = re.sub(r"base64,[\w+/=]+", "", full[lang])
    assert not re.search(r"https?:|//\w", plain)


@both_languages()
def test_every_character_is_in_the_embedded_fonts(full: dict[str, str], lang: str) -> None:
    faces = re.findall(r"font/woff2;base64,([\w+/=]+)", full[lang])
    covered: set[int] = set()
    for face in faces:
        with TTFont(io.BytesIO(base64.b64decode(face))) as font:
            covered |= set(font.getBestCmap())
    shown = {letter for letter in Reader(full[lang]).shown if letter.isprintable() and letter != "\u2060"}
    assert len(shown) > (200 if lang == "ja" else 60)
    assert {letter for letter in shown if ord(letter) not in covered} == set()


@pytest.mark.usefixtures("_words_alone")
def test_what_a_user_typed_is_escaped(tmp_path: Path) -> None:
    folder = tmp_path / "<b>run"
    records([row | {"dataset": f"folder:{HOSTILE}"} for row in pairs(GOOD)]).save(folder)
    out = tmp_path / "brief.html"
    write_brief([folder], out, company=f"{HOSTILE}us")
    read = Reader(out.read_text(encoding="utf-8"))
    assert "script" not in read.tags
    assert "b" in read.tags  # our own
    assert all(said in read.shown for said in (f"{HOSTILE}us", "<b>run"))


@both_languages()
@pytest.mark.usefixtures("_words_alone")
def test_without_a_full_network_nothing_is_made_up(tmp_path: Path, lang: str) -> None:
    records([row for row in pairs(GOOD) if row["method"] == "tucker"]).save(tmp_path / "run")
    brief = write_brief([tmp_path / "run"], tmp_path / "brief.html", lang=lang)
    assert (brief.answer.name, brief.money) == ("UNDECIDED", None)
    read = Reader((tmp_path / "brief.html").read_text(encoding="utf-8"))
    [gap] = brief.evidence.gaps
    with speaking(lang):
        for said in (gap.said, _("Not computed: without a comparison there is nothing that could be saved.")):
            assert said.replace("`", "") in read.shown
    assert not re.search(r"[+−]\d+\.\d points", read.shown)


# --- bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong", [{"lang": "fr"}, {"out": "brief.txt"}, {"network": "tiny"}, {"runs": []}, {"runs": ["no/such"]}]
)
def test_bad_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]) -> None:
    monkeypatch.chdir(tmp_path)
    records(pairs(GOOD)).save(tmp_path / "run")
    given = {"runs": ["run"], "out": "brief.html"} | wrong
    with pytest.raises(TuckerlabError):
        write_brief(given.pop("runs"), given.pop("out"), **given)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.usefixtures("_words_alone")
def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    records(pairs(GOOD)).save(tmp_path / "run")
    (tmp_path / "mine.toml").write_text("devices = 10\n")
    assert main(["brief", "run", "--out", "brief.html", "--assumptions", "mine.toml", "--company", "[us]"]) == 0
    assert capsys.readouterr().out.splitlines() == ["Cannot be decided yet", "brief.html"]
    assert "[us]" in (tmp_path / "brief.html").read_text(encoding="utf-8")
    for wrong in (
        ["run"],
        ["no/such", "--out", "a.html"],
        ["run", "--out", "mine.toml/a.html"],
        ["run", "--out", "a.html", "--assumptions", "none.toml"],
    ):
        assert main(["brief", *wrong]) == 2
        said = capsys.readouterr().err
        assert said.startswith("error: ")
        assert said.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["brief.html", "mine.toml", "run"]


# --- on paper --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def window() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 900, "height": 1200})
        browser.close()


ROOM = """() => [...document.querySelectorAll('.sheet')].map(sheet => {
  const box = sheet.getBoundingClientRect(), foot = sheet.querySelector('footer').getBoundingClientRect();
  const all = [...sheet.querySelectorAll('*')].filter(one => !one.closest('footer') && one.tagName != 'BR');
  const sides = all.map(one => one.getBoundingClientRect());
  return [foot.top - Math.max(...sides.map(s => s.bottom)), box.right - Math.max(...sides.map(s => s.right))];
})"""
SMALLEST = """() => Math.min(...[...document.querySelectorAll('body *')].filter(one => one.innerText)
  .map(one => parseFloat(getComputedStyle(one).fontSize) * 0.75))"""


def pages_of(printed: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", printed))


@both_languages()
def test_the_longest_brief_has_room_on_two_pages(full: dict[str, str], lang: str, window: Page) -> None:
    window.set_content(full[lang])
    window.evaluate("document.fonts.ready")
    room = window.evaluate(ROOM)
    assert len(room) == 2
    assert all(below > 0 and beside > 50 for below, beside in room), room
    assert window.evaluate(SMALLEST) >= 8.49  # points, which browsers round
    printed = window.pdf(prefer_css_page_size=True)
    assert pages_of(printed) == 2
    for width, height in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", printed):
        assert (float(width), float(height)) == pytest.approx((595.3, 841.9), abs=1)  # A4


def test_a_browser_prints_two_pages(full: dict[str, str], tmp_path: Path) -> None:
    pdf.print_pdf(full["ja"], tmp_path / "brief.pdf", find_browser())
    assert pages_of((tmp_path / "brief.pdf").read_bytes()) == 2


@pytest.mark.usefixtures("_words_alone")
@pytest.mark.parametrize(("out", "written"), [("a.html", ["a.html", "a.pdf"]), ("a.pdf", ["a.pdf"])])
def test_what_a_browser_prints_or_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, out: str, written: list[str]
) -> None:
    browser = tmp_path / "browser"
    monkeypatch.setenv("TUCKERLAB_BROWSER", str(browser))
    with pytest.raises(MissingExtraError, match=r"as \.html.*TUCKERLAB_BROWSER"):
        write_brief(["run"], tmp_path / "brief.pdf")  # before anything is read
    browser.write_text('#!/bin/sh\nfor one; do case $one in --print-to-pdf=*) echo printed > "${one#*=}";; esac; done')
    browser.chmod(0o755)
    records(pairs(GOOD)).save(tmp_path / "run")
    brief = write_brief([tmp_path / "run"], tmp_path / "new" / out, pdf_too=True)
    assert [path.name for path in brief.paths] == written
    browser.write_text("#!/bin/sh\nexit 3")
    with pytest.raises(TuckerlabError, match=r"did not print it .*exit status 3"):
        pdf.print_pdf("<p>", tmp_path / "new" / "a.pdf", str(browser))
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == written
    assert (tmp_path / "new" / "a.pdf").read_text() == "printed\n"


# --- the words -------------------------------------------------------------------------------------------------------


def test_japanese_has_all_words_of_the_brief() -> None:
    """What the code, the template and the tables of the brief ask for has a translation."""
    folder, ways = Path(report.__file__).parent, [("**.py", "python"), ("**.j2", "jinja2")]
    ways.append(("**.toml", "tuckerlab.decision.assumptions:sentences"))
    found = extract_from_dir(folder, ways, keywords={"_": None, "N_": None, "ngettext": (1, 2)})
    asked = {message for _file, _line, message, *_rest in found}
    with (i18n.FOLDER / "ja" / "LC_MESSAGES" / "tuckerlab.po").open("rb") as file:
        japanese = {message.id: message.string for message in read_po(file, locale="ja")}
    assert len(asked) > 200
    assert {message for message in asked if not japanese.get(message)} == set()


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (number(1.0439), "1.04"),
        (number(287_654), "287,654"),
        (number(-0.001, 1, signed=True), "0.0"),
        (spread(Range(-98.61, -98.24, -97.78), 1), "−98.2 (−98.6 to −97.8)"),
        (spread(Range(50.1, 50.2, 50.3), 0), "50"),
        (percent(Range(0.0553, 0.0553, 0.0553)), "5.5 %"),
        (chance(0.0), "less than 1 %"),
        (chance(0.576), "58 %"),
        (short("鋼板の\n表面", 6), "鋼板…"),
        (short("steel", 5), "steel"),
        (network_name("pruned 90 %", "pruning"), "Pruned 90 %"),
        (network_name("my own", "mine"), "my own"),
        (report.dataset_name("folder:/data/our_parts/"), "our_parts"),
        (report.commands("`tuckerlab poc` <both>, 90 %"), "<code>tuckerlab poc</code> &lt;both&gt;, 90\xa0%"),
    ],
)
def test_numbers_and_names_as_people_read_them(written: str, said: str) -> None:
    assert written == said
