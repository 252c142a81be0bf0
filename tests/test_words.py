"""Another language: pictures, tables and the finding show no word that is not in the catalogue."""

import gettext
import re
from pathlib import Path

import pytest
from made_up import dense, tucker
from matplotlib.text import Text

from tuckerlab import i18n, run_poc
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments import context
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding

DATA = r"dense|tucker|Tucker \w+|conv\d"
"""Names that the records hold, and that no catalogue translates."""


class Marked(gettext.NullTranslations):
    """A language in which every word is ¤, with the values of the English messages where they were."""

    def gettext(self, message: str) -> str:
        return re.sub(r"(\{[^}]*\})|[^\W\d_]+", lambda found: found[1] or "¤", message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.fixture
def _marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "_catalogue", lambda language: Marked())


def words(said: str) -> list[str]:
    """The words left in what is said, without the names of networks and layers, and the k and M of numbers."""
    return re.findall(r"[A-Za-z]{2,}", re.sub(DATA, "", said))


def few() -> Records:
    return dense() + tucker(label="Tucker one")


def seeds() -> Records:
    runs = [tucker(f"t{i}", seed=i, label="Tucker one", test_accuracy=0.9 + 0.01 * i) for i in range(3)]
    return Records.concat([dense(step_ms=2.0, train_seconds=3.0, checkpoint_bytes=4e3), *runs])


def many() -> Records:
    return Records.concat([dense(), *(tucker(f"t{i}", label=f"Tucker no{i}") for i in range(7))])


@pytest.mark.usefixtures("_marked")
class TestAnotherLanguage:
    @pytest.mark.parametrize("records", [few, seeds, many])
    def test_pictures(self, records: object) -> None:
        drawn = figures(records())  # type: ignore[operator]
        for name, figure in drawn.items():
            figure.draw_without_rendering()
            shown = [text.get_text() for text in figure.findobj(Text)]
            assert any("¤" in text for text in shown), name
            assert [text for text in shown if words(text.removesuffix("kB"))] == [], name

    @pytest.mark.parametrize(("size", "accuracy"), [(1_000, 0.98), (10_000, 0.97), (12_500, 0.985)])
    def test_the_finding(self, size: int, accuracy: float) -> None:
        said = finding(dense() + tucker(label="Tucker one", conv_parameters=size, test_accuracy=accuracy))
        assert said.startswith("Tucker one: ")
        assert words(said) == []


def test_an_unknown_language_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    monkeypatch.setattr(context, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(TuckerlabError, match="TUCKERLAB_LANG 'xx': there are texts in"):
        run_poc(out=tmp_path, quiet=True)
