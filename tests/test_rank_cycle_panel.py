"""The rank cycle panel: what it says of each outcome, and that the picture has the numbers."""

from jobs import said

from tuckerlab.panels import CyclePanel
from tuckerlab.panels.rank_cycle import FIRST, draw


def test_each_cycle_ends_at_its_rank() -> None:
    panel, drawn = CyclePanel(), set()
    for every, rank in {1: 2, 2: 4, 20: 8, 50: 5}.items():
        panel.every.value = every
        assert (panel.problem, panel.chosen[0].found, panel.each_step[0].found) == ("", rank, 2)
        assert f"rank {rank}" in said(panel.sentence) or f"rank, {rank}" in said(panel.sentence)
        drawn.add(bytes(panel.picture.value))
    assert len(drawn) == 4


def test_the_picture_has_the_numbers() -> None:
    panel = CyclePanel(steps=30)
    left, right = draw(panel.each_step, panel.chosen, true_rank=8).axes
    paths = [*panel.each_step, *panel.chosen]
    assert [list(line.get_ydata()) for line in left.lines[:4]] == [list(path.ranks) for path in paths]
    assert [list(line.get_ydata()) for line in right.lines] == [list(path.losses) for path in paths]
    assert [path.every for path in paths] == [1, 1, 20, 20]
    assert paths[0].ranks[0] == FIRST[0] < paths[1].ranks[0]
