"""The words of panels and pictures: every key has a message, every message is used, and what a translation does."""

import ast
import itertools
import re
import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tuckerlab import i18n
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import has_text, language, languages, speaking, text

PACKAGE = Path(i18n.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
PANELS = sorted((PACKAGE / "panels").rglob("*.py"))
with (i18n.FOLDER / "en/LC_MESSAGES/tuckerlab.po").open("rb") as file:
    CATALOGUE = {message.id: message.string for message in read_po(file) if message.id}
MESSAGES = {id if isinstance(id, str) else id[0]: said for id, said in CATALOGUE.items()}
SECTIONS = {key.partition(".")[0] for key in MESSAGES}


# --- what the sources ask for ----------------------------------------------------------------------------------------


def patterns(node: ast.expr) -> list[str]:
    """Regular expressions for what a string in the code can be; none where it is not written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [re.escape(node.value)]
    if isinstance(node, ast.IfExp):
        return patterns(node.body) + patterns(node.orelse)
    if isinstance(node, ast.JoinedStr):
        parts = [patterns(p.value if isinstance(p, ast.FormattedValue) else p) or [".+"] for p in node.values]
        return ["".join(chosen) for chosen in itertools.product(*parts)]
    return []


def asked(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Line, function and pattern of each key that is given to a function of texts, or to one that passes it on."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            place = {"text": 0, "has_text": 0, "labelled": 1, "button": 0, "_slider": 0}.get(node.func.id)
            if place is not None and len(node.args) > place:
                for one in patterns(node.args[place]):
                    yield node.lineno, node.func.id, one


def written(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and pattern of each string that looks like a key, wherever it stands."""
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant | ast.JoinedStr) and id(node) not in parts:
            for one in patterns(node):
                if re.match(rf"({'|'.join(SECTIONS)})\\\.(?!\s|$)", one):
                    yield node.lineno, one


TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in SOURCES}
TEMPLATES = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.j2")]
IN_TEMPLATES = re.findall(r"\btext\(\s*[\"']([\w.]+)[\"']", "\n".join(TEMPLATES))


def test_every_key_has_a_message() -> None:
    keys = [(path.name, *found) for path, tree in TREES.items() for found in asked(tree)]
    assert len(keys) > 100
    missing = [
        (name, line, key)
        for name, line, function, key in keys
        if function != "has_text" and not any(re.fullmatch(key, message) for message in MESSAGES)
    ]
    assert missing == []
    assert [key for key in IN_TEMPLATES if key not in MESSAGES] == []


def test_what_looks_like_a_key_is_one() -> None:
    found = [(path.name, *one) for path in PANELS for one in written(TREES[path])]
    assert [one for one in found if not any(re.fullmatch(one[2], message) for message in MESSAGES)] == []


def test_every_message_is_used() -> None:
    used = {key for tree in TREES.values() for _, _, key in asked(tree)}
    used |= {key for tree in TREES.values() for _, key in written(tree)} | {re.escape(key) for key in IN_TEMPLATES}
    used |= {rf"{key}\.hint" for tree in TREES.values() for _, name, key in asked(tree) if name != "text"}
    assert [key for key in MESSAGES if not any(re.fullmatch(one, key) for one in used)] == []


def test_placeholders_are_valid() -> None:
    for key, said in MESSAGES.items():
        forms = [said] if isinstance(said, str) else list(said)
        assert all(forms), key
        names = {name for form in forms for _, name, _, _ in string.Formatter().parse(form) if name is not None}
        assert all(re.fullmatch(r"[a-z_]+", name) for name in names), key
        values = dict.fromkeys(names, 3.0) | ({"count": 1} if len(forms) > 1 else {})
        assert "{" not in text(key, **values), key


# --- what comes out --------------------------------------------------------------------------------------------------


def test_singular_and_plural() -> None:
    assert [text("unit.images", count=n) for n in (0, 1, 2, 1234)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,234 images",
    ]


def test_a_minus_is_as_long_as_a_plus() -> None:
    assert text("unit.points", points=-0.5) == "−0.5 points"
    assert text("unit.points", points=0.5) == "+0.5 points"
    assert text("unit.count", count_=-1200) == "−1,200"
    assert "-" not in text("geometry.lr.value", value=-2)


def test_what_a_user_typed_stays_as_it_is() -> None:
    assert "{count} -1 <b>" in text("training.saved", folder="{count} -1 <b>")


def test_an_unknown_key() -> None:
    assert not has_text("no.such.key")
    with pytest.raises(KeyError, match=r"no\.such\.key"):
        text("no.such.key")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """English, and a made-up language with two messages."""
    for lang, catalogue in {"en": (i18n.FOLDER / "en/LC_MESSAGES/tuckerlab.po").read_text(), "xx": XX}.items():
        path = tmp_path / lang / "LC_MESSAGES" / "tuckerlab.po"
        path.parent.mkdir(parents=True)
        path.write_text(catalogue)
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    i18n._catalogue.cache_clear()
    yield tmp_path
    i18n._catalogue.cache_clear()


XX = """msgid ""
msgstr ""
"Content-Type: text/plain; charset=UTF-8\\n"
"Plural-Forms: nplurals=2; plural=(n != 1);\\n"

msgid "unit.points"
msgstr "{points:+.1f} pünkte"

msgid "training.train"
msgstr ""

msgid "unit.images"
msgid_plural "unit.images"
msgstr[0] "{count} bild"
msgstr[1] "{count} bilder"
"""


def test_another_language_falls_back_for_each_message(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert languages() == ["en", "xx"]
    assert text("unit.points", points=-1) == "−1.0 points"
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    assert text("unit.points", points=-1) == "−1.0 pünkte"
    assert [text("unit.images", count=n) for n in (1, 2)] == ["1 bild", "2 bilder"]
    assert text("training.train") == "Train"  # not translated yet
    assert text("training.stop") == "Stop"  # not in the catalogue
    assert text("folder.picture.more", count=2) == "and 2 more classes"
    with pytest.raises(KeyError):
        text("no.such.key")


@pytest.mark.parametrize("language", ["yy", "../en", "EN", " "])
def test_an_unknown_language(folder: Path, monkeypatch: pytest.MonkeyPatch, language: str) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", language)
    with pytest.raises(TuckerlabError, match="there are texts in en, xx") as caught:
        text("unit.points", points=1)
    assert repr(language) in str(caught.value)


def test_an_empty_variable_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "")
    assert text("training.train") == "Train"


def test_another_language_for_a_block(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    with speaking("en"):
        assert (language(), text("unit.points", points=-1)) == ("en", "−1.0 points")
        with speaking("xx"):
            assert text("unit.points", points=-1) == "−1.0 pünkte"
        assert text("unit.points", points=-1) == "−1.0 points"
        with pytest.raises(TuckerlabError, match="language 'yy': there are texts in en, xx"), speaking("yy"):
            pytest.fail("there is no yy")
        assert language() == "en"
    assert language() == "xx"


def test_a_block_speaks_in_its_own_thread(folder: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with speaking("xx"):
            assert pool.submit(language).result() == "en"
            assert language() == "xx"
        with pytest.raises(RuntimeError), speaking("xx"):
            raise RuntimeError
    assert language() == "en"
