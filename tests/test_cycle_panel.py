"""The cycle panel: every setting, what it says of each outcome, and that picture and widgets follow."""

import html
import re

import pytest
import traitlets

from tuckerlab.errors import TuckerlabError
from tuckerlab.panels import CyclePanel
from tuckerlab.panels.cycle import model as model_file
from tuckerlab.panels.cycle.model import CYCLES, FIRST, CycleModel
from tuckerlab.panels.cycle.picture import rank_paths


@pytest.fixture(scope="module")
def shared() -> CyclePanel:
    return CyclePanel()


def said(panel: CyclePanel) -> str:
    return html.unescape(re.sub("<.*?>", "", panel.sentence.value)).strip()


@pytest.mark.parametrize(
    ("every", "sentence"),
    [
        (1, "Cut at every step it ends at rank 2."),
        (2, "From rank 2, adapted every 2 steps, the layer comes to rank 4 within 160 steps: not to 8."),
        (20, "From rank 2, adapted every 20 steps, the layer finds the true rank, 8. Cut at every step it"),
        (50, "From rank 2, adapted every 50 steps, the layer comes to rank 5 within 160 steps: not to 8."),
    ],
)
def test_outcomes(shared: CyclePanel, every: int, sentence: str) -> None:
    shared.every.value = every
    assert shared.model.problem == ""
    assert said(shared).startswith(sentence)


def test_every_setting_has_its_picture(shared: CyclePanel) -> None:
    drawn = set()
    for every in CYCLES:
        shared.model.every = every
        assert shared.every.value == every
        drawn.add(bytes(shared.picture.value))
    assert len(drawn) == len(CYCLES)


def test_a_short_run_stays_and_says_so() -> None:
    panel = CyclePanel(CycleModel(steps=3))
    assert panel.model.verdict == "stays"
    assert said(panel).startswith("From rank 2, adapted every 20 steps, the layer stays at rank 2.")


def test_a_mistake_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    panel = CyclePanel(CycleModel(steps=3))

    def fail(*_: object) -> None:
        raise TuckerlabError("no <memory>")

    monkeypatch.setattr(model_file, "_follow", fail)
    panel.every.value = 5
    assert panel.model.problem == "no <memory>"
    assert "no &lt;memory&gt;" in panel.children[-1].value


def test_only_cycles_that_there_are() -> None:
    with pytest.raises(traitlets.TraitError):
        CycleModel(steps=3).every = 3


def test_the_picture_has_the_numbers_and_nothing_is_cut_off() -> None:
    model = CycleModel(steps=30)
    figure = rank_paths(model.each_step, model.chosen, true_rank=8)
    left, right = figure.axes
    paths = [*model.each_step, *model.chosen]
    assert [list(line.get_ydata()) for line in left.lines[:4]] == [list(path.ranks) for path in paths]
    assert [list(line.get_ydata()) for line in right.lines] == [list(path.losses) for path in paths]
    assert [path.every for path in paths] == [1, 1, 20, 20]
    assert paths[0].ranks[0] == FIRST[0] < paths[1].ranks[0]
    figure._repr_png_()
    drawn, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert min(drawn.x0, drawn.y0) >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01
