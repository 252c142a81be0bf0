"""The decision panel: what is moved is seen at once, what cannot be is one line, and the brief comes out of it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jobs import said
from made_up import dense, tucker

from tuckerlab.decision.assumptions import Assumptions
from tuckerlab.decision.business_case import Money
from tuckerlab.decision.evidence import Evidence
from tuckerlab.errors import DataError, TuckerlabError
from tuckerlab.i18n import speaking
from tuckerlab.panels import DecidePanel, decide, widgets

STEEL = "compare-folder-neu_steel"


@pytest.fixture(scope="module")
def shared() -> Iterator[DecidePanel]:
    """One panel, which draws a mark of the case in the place of a picture: drawing takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decide, "money_picture", lambda money: f"{money.worth}")
        patch.setattr(widgets, "png", lambda drawn, dpi: drawn.encode())
        yield DecidePanel(STEEL)


@pytest.fixture
def panel(shared: DecidePanel) -> DecidePanel:
    shared._read(STEEL, "Tucker 95 %")
    shared._count(Assumptions())
    shared.show_problem(None)
    shared._show()
    return shared


def test_a_slider_moves_all_at_once(panel: DecidePanel) -> None:
    before = bytes(panel.picture.value), panel.numbers.value, panel.account.value
    panel.sliders["answers_a_day"].value = 1e10
    found = panel.money.assumptions["answers_a_day"]
    assert (found.likely, found.origin) == (1e10, "entered")
    assert found.low == pytest.approx(1e10 / 4)
    assert panel.fields["answers_a_day"].text.value == "2,500,000,000 / 10,000,000,000 / 15,000,000,000"
    after = bytes(panel.picture.value), panel.numbers.value, panel.account.value
    assert all(old != new for old, new in zip(before, after, strict=True))


def test_what_cannot_be_is_said_beside_the_field_and_no_brief_is_written_until_it_is_mended(
    panel: DecidePanel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decide, "write_brief", lambda *_given, **_told: pytest.fail("it was written"))
    field, good = panel.fields["server_hour"], panel.money
    field.text.value = "3 / 2 / 1"
    assert "(server_hour)" in said(field.refusal)
    assert panel.money is good
    panel.write_brief()
    panel.wait()
    assert "Not written: what was typed for Price of a server hour could not be taken" in panel.progress.value
    for mended in ("０．２／０．３／０．４", "0.4"):
        field.text.value = mended
        assert (field.is_refused, field.text.value) == (False, mended)
    assert panel.money.assumptions["server_hour"].low == 0.4
    assert said(panel.origins["server_hour"]).endswith("entered")


def test_another_network_and_another_run_are_another_case(panel: DecidePanel) -> None:
    before = panel.money.worth
    for run in ("no such run", ""):
        panel.run.value = run
        assert panel.problem
        assert (panel.money.worth, panel.run.value) == (before, STEEL)
        with pytest.raises(DataError):
            DecidePanel(run)
    panel.network.value = "Tucker 90 %"
    assert panel.money.worth != before
    assert "Tucker 90 %" in said(panel.plan)
    for run, is_same in (("headline-cpu", False), (STEEL, True)):
        panel.run.value = run
        assert panel.run.value == run
        assert (panel.money.worth == before) is is_same
    assert panel.network.value == "Tucker 95 %"


def test_a_run_of_your_own_shows_its_gaps(panel: DecidePanel, tmp_path: Path) -> None:
    (dense(checkpoint_bytes=4e6) + tucker(label="Tucker 90 %", checkpoint_bytes=4e5)).save(tmp_path / "own")
    panel.run.value = str(tmp_path / "own")
    assert (panel.problem, panel.run.value) == ("", str(tmp_path / "own"))
    assert panel.network.value == "Tucker 90 %"
    assert "not measured: Servers, images one at a time, Servers, images in batches" in said(panel.notes)
    assert "measured" in panel.origins["file_mb"].value
    assert "default: " in panel.origins["ms_1"].value
    assert "Cannot be decided yet" in said(panel.answer)


def test_currency_years_and_files(panel: DecidePanel, tmp_path: Path) -> None:
    panel.currency.value = "¥"
    assert "¥" in panel.numbers.value
    assert "$" not in panel.numbers.value
    assert panel.sliders["day_rate"].value == pytest.approx(80_000)
    assert "¥150 for $1" in panel.rate.value
    panel.fields["server_hour"].text.value = "30"
    panel.currency.value = "$"
    assert panel.money.assumptions["server_hour"].likely == pytest.approx(0.2)
    assert panel.sliders["server_hour"].description.endswith("$ an hour")
    panel.years.value = 7
    assert "within 7 years" in said(panel.verdict)
    panel.file.value = str(tmp_path / "mine.toml")
    panel.fields["day_rate"].text.value = "650"
    panel.save()
    panel.fields["day_rate"].text.value = "700"
    panel.load()
    assert panel.money.assumptions["day_rate"].likely == 650
    panel.file.value = "no such file"
    panel.load()
    assert panel.problem.startswith("no such file: ")
    assert panel.fields["day_rate"].text.value == "650"


def test_the_brief_gets_what_the_panel_shows(panel: DecidePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    def written(runs: Any, out: str, **told: Any) -> SimpleNamespace:
        given.update(told, runs=runs)
        told["report"]("reading")
        return SimpleNamespace(paths=(Path(out),))

    monkeypatch.setattr(decide, "write_brief", written)
    panel.sliders["answers_a_day"].value = 5e9
    panel.out.value = "some folder/mine.html"
    with speaking("ja"):
        panel.write.click()
        panel.wait()
    assert (panel.problem, given["lang"], given["network"]) == ("", "ja", "Tucker 95 %")
    assert "some folder/mine.html" in said(panel.progress)
    again = Money(given["assumptions"], Evidence(given["runs"], given["network"], audit=False).measured)
    assert again.worth == panel.money.worth  # the brief counts as the panel does
    panel.sliders["answers_a_day"].value = 4e9
    assert said(panel.progress) == ""  # what was written has other numbers


def test_one_brief_at_a_time(panel: DecidePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    go, calls = threading.Event(), []

    def slow(*_: Any, report: Callable[[str], None], **__: Any) -> Any:
        calls.append(1)
        report("reading")
        go.wait(20)
        raise TuckerlabError("enough")

    monkeypatch.setattr(decide, "write_brief", slow)
    panel.write.click()
    panel.write_brief()
    assert panel.write.disabled
    go.set()
    panel.wait()
    assert (len(calls), panel.problem, panel.write.disabled) == (1, "enough", False)
