"""Sentences in all languages: their numbers, what no catalogue could translate, what the Japanese one holds."""

import ast
import gettext
import re
import string
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import nbformat
import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from made_up import dense, tucker
from matplotlib.text import Text

from tuckerlab import i18n
from tuckerlab.cli.main import commands
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding
from tuckerlab.i18n import _, day, language, large, ngettext, speaking

PACKAGE = Path(i18n.__file__).parent
NOTEBOOKS = PACKAGE.parent / "notebooks"

XX = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "{points:+.1f} points"
msgstr "{points:+.1f} pünkte"

msgid "Train"
msgstr ""

msgid "{count} image"
msgid_plural "{count} images"
msgstr[0] "{count} bild"
msgstr[1] "{count} bilder"
"""


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """English, and a made-up language with two sentences."""
    path = tmp_path / "xx" / "LC_MESSAGES" / "tuckerlab.po"
    path.parent.mkdir(parents=True)
    path.write_text(XX, encoding="utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    for cached in (i18n._catalogue, i18n.languages):
        monkeypatch.setattr(i18n, cached.__name__, lru_cache(cached.__wrapped__))


def points(value: float) -> str:
    return _("{points:+.1f} points", points=value)


def images(count: int) -> str:
    return ngettext("{count} image", "{count} images", count=count)


def test_singular_plural_and_minus() -> None:
    assert [images(count) for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert (points(-0.5), points(0.5)) == ("−0.5 points", "+0.5 points")
    assert _("{value:g} of {value:,.0f}", value=-1200) == "−1200 of −1,200"
    assert (large(-4e7), large(0.5, 2), day("2026-01-05T10:00")) == ("−40,000,000", "0.50", "2026-01-05")
    with speaking("ja"):
        assert [large(value) for value in (150e6, -4e7, 16_500, 9999)] == [
            "1億5,000万",
            "−4,000万",
            "1万6,500",
            "9,999",
        ]
        assert day("2026-01-05T10:00") == "2026年1月5日"


@pytest.mark.usefixtures("made_up")
def test_another_language_in_a_block_of_one_thread_falls_back_to_english(monkeypatch: pytest.MonkeyPatch) -> None:
    assert points(-1) == "−1.0 points"
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    assert points(-1) == "−1.0 pünkte"
    assert [images(count) for count in (1, 2)] == ["1 bild", "2 bilder"]
    assert _("Train") == "Train"  # not translated yet
    assert _("Stop {value:g}", value=-2) == "Stop −2"  # not in the catalogue
    with speaking("en"):
        assert (language(), points(-1)) == ("en", "−1.0 points")
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(language).result() == "xx"
    monkeypatch.setenv("TUCKERLAB_LANG", "../en")
    with pytest.raises(TuckerlabError, match=r"TUCKERLAB_LANG '\.\./en': allowed are en, xx"):
        points(1)


DATA = r"dense|tucker|(Tucker|¤) (one|no)\d*|conv\d|kB$"  # names that the records hold, and units


class Marked(gettext.NullTranslations):
    """A language in which every word is ¤, with the values of the English messages where they were."""

    def gettext(self, message: str) -> str:
        return re.sub(r"(\{[^}]*\})|[^\W\d_]+", lambda found: found[1] or "¤", message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.mark.parametrize("networks", [1, 7])
def test_pictures_and_the_finding_show_no_word_that_is_not_in_the_catalogue(
    networks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda language: Marked())
    full = [dense(step_ms=2.0, train_seconds=3.0, checkpoint_bytes=4e3)]
    small = [tucker(f"t{i}{seed}", seed=seed, label=f"Tucker no{i}") for i in range(networks) for seed in range(2)]
    said = {name: [finding(dense() + tucker(label="Tucker one", test_accuracy=name))] for name in (0.98, 0.97)}
    for name, figure in figures(Records.concat(full + small)).items():
        figure.draw_without_rendering()
        said |= {name: [text.get_text() for text in figure.findobj(Text)]}
    for name, texts in said.items():
        assert any("¤" in text for text in texts), name
        assert [text for text in texts if re.search(r"[A-Za-z]{2,}", re.sub(DATA, "", text))] == [], name


def in_the_code(folder: Path = PACKAGE) -> set[str]:
    """Each sentence that is given to a function of `i18n`, in Python, in templates and in tables."""
    methods = [("**.py", "python"), ("**.j2", "jinja2"), ("**.toml", "tuckerlab.decision.assumptions:sentences")]
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    found = extract_from_dir(folder, methods, keywords=keywords)
    return {one for _file, _line, said, *_rest in found for one in parts(said)}


def in_the_questions() -> set[str]:
    """Each sentence of a question in a notebook; the reason may be added up."""
    found = set()
    for path in NOTEBOOKS.glob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code" and "Question(" in cell.source:
                tree = ast.parse(cell.source)
                found |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
                reason = [line for line in tree.body if ast.unparse(line).startswith("because")]
                found.add("".join(ast.literal_eval(line.value) for line in reason))
    return {said for said in found if isinstance(said, str)}


def parts(said: str | Sequence[str]) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def placeholders(*sentences: str) -> set[str]:
    return {name for said in sentences for _text, name, _spec, _kind in string.Formatter().parse(said) if name}


def test_each_japanese_sentence_has_its_values_and_none_that_is_shown_lacks() -> None:
    with (i18n.FOLDER / "ja/LC_MESSAGES/tuckerlab.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id and message.string]
    code, questions = in_the_code() | {one.help for one in commands()[1]}, in_the_questions()
    for message in messages:
        assert placeholders(*parts(message.id)) == placeholders(*parts(message.string)), message.id
    translated = {one for message in messages for one in parts(message.id)}
    assert len(code) > 200
    assert translated <= code | questions
    keys = {said for said in code if said.replace("_", "a").isidentifier()}  # look like a sentence to the extractor
    assert code - translated <= keys
    assert in_the_code(PACKAGE / "decision") <= translated  # single words of the brief too
    assert len({said for said in questions & translated if said.endswith((".", "?"))}) >= 16


def test_no_sentence_hides_in_an_f_string() -> None:
    """Those who extract sentences do not look there."""
    for path in PACKAGE.rglob("*.py"):
        for said in (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.JoinedStr)):
            calls = [node for node in ast.walk(said) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
            hidden = [c for c in calls if c.func.id in ("_", "ngettext") and isinstance(c.args[0], ast.Constant)]
            assert not hidden, (path.name, ast.unparse(said))


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_japanese_notebook_has_the_same_code(path: Path) -> None:
    english, japanese = (nbformat.read(one, as_version=4).cells for one in (path, path.parent / "ja" / path.name))
    added = [cell for cell in japanese if cell.id == "language"]
    assert [cell.source for cell in added] == ['from tuckerlab.cli.notebook_helpers import speak\n\nspeak("ja")']
    rest = [cell for cell in japanese if cell.id != "language"]
    for one, other in zip(english, rest, strict=True):
        assert (one.id, one.cell_type, one.metadata) == (other.id, other.cell_type, other.metadata)
        assert (one.source == other.source) is (one.cell_type == "code"), one.id
        assert one.cell_type == "code" or not re.search(r"[、-鿿]\n[^\W\d_]", other.source), "a line break is a space"
