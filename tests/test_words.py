"""Another language: pictures, tables and the finding show no word that is not in the catalogue."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po, write_po
from made_up import dense, facts, tucker
from matplotlib.text import Text
from rich.console import Console

from tuckerlab import i18n, run_poc
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments import context
from tuckerlab.experiments.plots import figures
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.standings import rich_standings, standings
from tuckerlab.experiments.summary import finding

DATA = r"dense|tucker|Tucker \w+|conv\d"
"""Names that the records hold, and that no catalogue translates."""


@pytest.fixture
def _marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A language in which every word is ¤, with the values of the English messages where they were."""
    home = tmp_path / "ja" / "LC_MESSAGES"
    home.mkdir(parents=True)
    shutil.copytree(i18n.FOLDER / "en", tmp_path / "en")
    with (i18n.FOLDER / "en" / "LC_MESSAGES" / "tuckerlab.po").open("rb") as file:
        catalogue = read_po(file, locale="ja")
    for message in catalogue:
        if isinstance(message.id, str) and message.id:
            message.string = re.sub(r"(\{[^}]*\})|[^\W\d_]+", lambda found: found[1] or "¤", str(message.string))
    with (home / "tuckerlab.po").open("wb") as file:
        write_po(file, catalogue)
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    monkeypatch.setenv("TUCKERLAB_LANG", "ja")
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


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


def all_modes() -> Records:
    rows = [{"epoch": 0, "step": 0, "layer": "conv1", "mode": mode, "size": 4, "rank": 2} for mode in range(4)]
    return Records.single(facts(label="Tucker one"), ranks=rows)


@pytest.mark.usefixtures("_marked")
class TestAnotherLanguage:
    @pytest.mark.parametrize("records", [few, seeds, many, dense, all_modes])
    def test_pictures(self, records: object) -> None:
        drawn = figures(records())  # type: ignore[operator]
        for name, figure in drawn.items():
            figure.draw_without_rendering()
            shown = [text.get_text() for text in figure.findobj(Text)]
            assert any("¤" in text for text in shown), name
            assert [text for text in shown if words(text)] == [], name

    @pytest.mark.parametrize(("size", "accuracy"), [(1_000, 0.98), (10_000, 0.97), (12_500, 0.985)])
    def test_the_finding(self, size: int, accuracy: float) -> None:
        said = finding(dense() + tucker(label="Tucker one", conv_parameters=size, test_accuracy=accuracy))
        assert said.startswith("Tucker one: ")
        assert words(said) == []

    @pytest.mark.parametrize("records", [few, seeds, many])
    def test_tables(self, records: object) -> None:
        made = records()  # type: ignore[operator]
        for table in (made.table(), standings(made)):
            assert words(" ".join(table.columns)) == []
        for shown in (made.rich_table(), rich_standings(made)):
            console = Console(file=io.StringIO(), width=120)
            console.print(shown)
            assert words(console.file.getvalue()) == []  # type: ignore[attr-defined]

    def test_every_column_has_a_head(self) -> None:
        measured = ("multiply_adds", "latency_1_ms", "latency_128_ms", "step_ms", "train_seconds", "checkpoint_bytes")
        memory = (f"memory_{part}_bytes" for part in ("weights", "gradients", "optimizer", "activations", "peak"))
        measurements: dict[str, Any] = dict.fromkeys((*measured, *memory), 1e6)
        every = tucker(**measurements, note="1") + tucker("b", seed=1, dataset="2", state="stopped")
        assert len(every.table().columns) == 18
        assert words(" ".join(every.table().columns)) == []


def test_what_a_catalogue_lacks_is_english(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(i18n.FOLDER / "en", tmp_path / "en")
    (tmp_path / "ja" / "LC_MESSAGES").mkdir(parents=True)
    (tmp_path / "ja" / "LC_MESSAGES" / "tuckerlab.po").write_text('msgid "plots.epoch"\nmsgstr "回"\n', "utf-8")
    monkeypatch.setattr(i18n, "FOLDER", tmp_path)
    monkeypatch.setenv("TUCKERLAB_LANG", "ja")
    i18n._catalogue.cache_clear()
    try:
        assert (i18n.text("plots.epoch"), i18n.text("plots.loss")) == ("回", "loss")
        monkeypatch.setenv("TUCKERLAB_LANG", "xx")
        with pytest.raises(TuckerlabError, match="'xx': there are texts in en, ja"):
            i18n.text("plots.epoch")
    finally:
        i18n._catalogue.cache_clear()


def test_an_unknown_language_is_told_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUCKERLAB_LANG", "xx")
    monkeypatch.setattr(context, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(TuckerlabError, match="TUCKERLAB_LANG 'xx': there are texts in"):
        run_poc(out=tmp_path, quiet=True)
