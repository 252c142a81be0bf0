"""Sentences in the languages that there are: numbers in them, what a catalogue lacks, what the Japanese one holds."""

import string
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tuckerlab import i18n
from tuckerlab.errors import TuckerlabError
from tuckerlab.i18n import N_, _, language, languages, ngettext, speaking

PACKAGE = Path(i18n.__file__).parent

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
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """English, and a made-up language with two sentences."""
    path = tmp_path / "xx" / "LC_MESSAGES" / "tuckerlab.po"
    path.parent.mkdir(parents=True)
    path.write_text(XX, encoding="utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


def points(value: float) -> str:
    return _("{points:+.1f} points", points=value)


def images(count: int) -> str:
    return ngettext("{count} image", "{count} images", count=count)


def test_singular_plural_and_minus() -> None:
    assert [images(count) for count in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert (points(-0.5), points(0.5)) == ("−0.5 points", "+0.5 points")
    assert _("{value:g} of {value:,.0f}", value=-1200) == "−1200 of −1,200"
    assert _(N_("Train")) == "Train"


@pytest.mark.usefixtures("made_up")
def test_another_language_falls_back_for_each_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "xx" in languages()
    assert points(-1) == "−1.0 points"
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    assert points(-1) == "−1.0 pünkte"
    assert [images(count) for count in (1, 2)] == ["1 bild", "2 bilder"]
    assert _("Train") == "Train"  # not translated yet
    assert _("Stop {value:g}", value=-2) == "Stop −2"  # not in the catalogue


@pytest.mark.usefixtures("made_up")
def test_an_unknown_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "../en")
    with pytest.raises(TuckerlabError, match="there are texts in en, xx"):
        points(1)


@pytest.mark.usefixtures("made_up")
def test_another_language_for_a_block_of_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    with speaking("en"):
        assert (language(), points(-1)) == ("en", "−1.0 points")
        with speaking("xx"):
            assert points(-1) == "−1.0 pünkte"
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(language).result() == "xx"
        assert language() == "en"


# --- the Japanese catalogue ------------------------------------------------------------------------------------------


def in_the_code() -> set[str]:
    """Each sentence that is given to a function of `i18n`, in Python and in templates."""
    methods = [("**.py", "python"), ("**.j2", "jinja2"), ("**.toml", "tuckerlab.decision.tables:sentences")]
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    found = (said for _file, _line, said, *_rest in extract_from_dir(PACKAGE, methods, keywords=keywords))
    return {one for said in found for one in ([said] if isinstance(said, str) else said)}


def placeholders(*sentences: str) -> set[str]:
    return {name for said in sentences for _text, name, _spec, _kind in string.Formatter().parse(said) if name}


def test_each_japanese_sentence_belongs_to_one_in_the_code_and_has_its_values() -> None:
    with (i18n.FOLDER / "ja/LC_MESSAGES/tuckerlab.po").open("rb") as file:
        messages = [message for message in read_po(file) if message.id and message.string]
    known = in_the_code()
    assert len(known) > 300
    for message in messages:
        ids, strings = ([said] if isinstance(said, str) else list(said) for said in (message.id, message.string))
        assert set(ids) <= known
        assert placeholders(*ids) == placeholders(*strings), ids
