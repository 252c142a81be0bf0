"""The geometry panel: what it says of each outcome, and that the picture has the numbers."""

import pytest
from jobs import said

from tuckerlab.panels import GeometryPanel
from tuckerlab.panels.geometry import BLOWN, LOWEST, draw, share

STEPS = 40


@pytest.fixture
def panel() -> GeometryPanel:
    return GeometryPanel(STEPS)


@pytest.mark.parametrize(
    ("exponent", "lr", "verdict", "start"),
    [
        (4, 0.2, "slower", f"After {STEPS} steps ordinary descent still has"),
        (8, 3.0, "diverged", "Ordinary descent blew up at step 3: its steps were too long."),
        (0, 1.0, "ahead", "Here ordinary descent is ahead"),
        (0, 0.2, "alike", "Here both do alike"),
    ],
)
def test_outcomes(panel: GeometryPanel, exponent: int, lr: float, verdict: str, start: str) -> None:
    panel.lr.value, panel.exponent.value = lr, exponent
    assert (panel.problem, panel.verdict) == ("", verdict)
    assert said(panel.sentence).startswith(start)
    assert (len(panel.theirs) < STEPS) == (verdict == "diverged")


def test_the_order_of_moves_does_not_matter(panel: GeometryPanel) -> None:
    panel.lr.value, panel.exponent.value = 0.5, 2
    first = panel.picture.value, said(panel.sentence), panel.left
    assert panel.left == (panel.ours[-1] / panel.ours[0], panel.theirs[-1] / panel.theirs[0])
    assert all(share(value) in said(panel.sentence) for value in panel.left)
    panel.exponent.value, panel.lr.value = 8, 3.0
    assert (panel.picture.value, said(panel.sentence), panel.left) != first
    panel.exponent.value, panel.lr.value = 2, 0.5
    assert (panel.picture.value, said(panel.sentence), panel.left) == first


def test_the_picture_has_the_numbers() -> None:
    left, right = draw([1.0, 0.5], [1.0, 0.1, 1e-2, 1e-3], [1.0, 2.0, 1e30]).axes
    assert [bar.get_height() + LOWEST for bar in left.patches] == pytest.approx([1.0, 0.5])
    theirs, ours, cross = right.lines
    assert list(ours.get_ydata()) == [1.0, 0.1, 1e-2, 1e-3]
    assert list(theirs.get_ydata()) == [1.0, 2.0, BLOWN]
    assert (cross.get_xdata()[0], cross.get_ydata()[0]) == (3, BLOWN)
