"""Another language: pictures, tables and the finding show no word that is not in the catalogue."""

import gettext
import re

import pytest
from made_up import dense, tucker
from matplotlib.text import Text

from tuckerlab import i18n
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding

DATA = r"dense|tucker|Tucker \w+|conv\d|kB$"  # names that the records hold, and units


class Marked(gettext.NullTranslations):
    """A language in which every word is ¤, with the values of the English messages where they were."""

    def gettext(self, message: str) -> str:
        return re.sub(r"(\{[^}]*\})|[^\W\d_]+", lambda found: found[1] or "¤", message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return self.gettext(msgid1 if n == 1 else msgid2)


@pytest.mark.parametrize("networks", [1, 7])
def test_no_word_is_left(networks: int, monkeypatch: pytest.MonkeyPatch) -> None:
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
