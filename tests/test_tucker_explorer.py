"""The Tucker explorer: its subjects, its sliders without a browser, and its picture."""

import numpy as np
import pytest
import torch
from jobs import said

from tuckerlab.demos.decompositions import KERNEL_MODES, Subject, subject
from tuckerlab.errors import DataError, RankError
from tuckerlab.panels import TuckerExplorer, tucker_explorer
from tuckerlab.panels.tucker_explorer import draw, error_pixels, mosaic, pixels
from tuckerlab.panels.widgets import png
from tuckerlab.tucker.tensor import multi_mode_product, tolerance_ranks, truncate


@pytest.mark.parametrize(
    ("name", "asked"), [("photo.china", (80, 80, 1)), ("kernel.2", (16, 10, 1, 1)), ("kernel.2", (32, 1, 1, 1))]
)
def test_a_cut_is_the_truncated_hosvd_and_counts_what_it_stores(name: str, asked: tuple[int, ...]) -> None:
    of = subject(name)
    cut, modes = of.cut(asked), range(of.tensor.dim())
    core, factors = truncate(of.tensor, modes, ranks=asked)
    assert cut.ranks == tuple(core.shape)
    torch.testing.assert_close(cut.rebuilt, multi_mode_product(core, factors, modes), atol=2e-5, rtol=0)
    assert cut.stored == core.numel() + sum(factor.numel() for factor in factors)
    expected = torch.linalg.vector_norm(cut.rebuilt - of.tensor) / torch.linalg.vector_norm(of.tensor)
    assert cut.error == pytest.approx(float(expected), abs=1e-6)
    assert cut.share == cut.stored / of.tensor.numel()


def test_what_there_is_not() -> None:
    for ranks in ((0, 1, 1), (161, 1, 1), (1, 1)):
        with pytest.raises(RankError):
            subject("photo.china").cut(ranks)
    with pytest.raises(DataError, match=r"subject .*there are photo\.china"):
        TuckerExplorer("photo.dog")
    with pytest.raises(RankError, match="tolerance"):
        TuckerExplorer(tolerance=7)


def test_the_tolerance_sets_all_ranks_and_a_rank_moves_freely_afterwards() -> None:
    panel, of = TuckerExplorer("photo.china", tolerance=0.15), subject("photo.china")
    shown = tuple(slider.value for slider in panel.ranks if slider.layout.display != "none")
    assert shown == panel.cut.ranks == tolerance_ranks(of.values, 0.15)
    assert "within the tolerance of 15 %" in said(panel.numbers)
    for slider, rank in zip(panel.ranks, (40, 1, 2), strict=False):
        slider.value = rank
    assert (panel.cut.ranks, panel.tolerance.value) == ((2, 1, 2), 0.15)  # a rank that cannot be is lowered
    assert "2 × 1 × 2" in said(panel.numbers)
    assert "above the tolerance of 15 %" in said(panel.numbers)
    panel.subject.value = "kernel.2"
    assert [slider.max for slider in panel.ranks] == [32, 32, 3, 3]
    assert f"{panel.cut.stored:,}" in panel.numbers.value


def test_the_task_needs_more_than_the_tolerance_slider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tucker_explorer, "draw", lambda cut: None)
    panel = TuckerExplorer("photo.flower", tolerance=0.3, goal=(0.10, 0.125))  # as in the notebook
    for percent in range(0, 91, 6):
        panel.tolerance.value = percent / 100
        assert "Not yet" in panel.task.value
    for slider, rank in zip(panel.ranks, (24, 24, 3), strict=False):
        slider.value = rank
    assert "Right" in panel.task.value


def test_the_picture_shows_the_cut() -> None:
    of = subject("photo.china")
    cut = of.cut((20, 30, 2))
    _original, rebuilt, error, *charts = draw(cut).axes
    assert [axes.lines[0].get_xdata()[0] for axes in charts] == [20.5, 30.5, 2.5]
    cut_off = [axes.patches[1].get_bbox().intervalx.tolist() for axes in charts]
    assert cut_off == [[20.5, 160.5], [30.5, 240.5], [2.5, 3.5]]
    np.testing.assert_array_equal(rebuilt.images[0].get_array(), pixels(of, cut.rebuilt))
    np.testing.assert_array_equal(error.images[0].get_array(), error_pixels(cut))
    assert error.images[0].get_clim() == (0, pytest.approx(error_pixels(cut).max()))
    assert rebuilt.get_title("right") == f"{cut.stored:,} numbers"
    assert error.get_title("right") == f"{100 * cut.error:.1f} %"


def test_the_mosaic_has_each_square_in_its_place() -> None:
    kernel = torch.arange(2 * 3 * 3 * 3.0).reshape(2, 3, 3, 3)
    image = mosaic(kernel)
    np.testing.assert_array_equal(image[4:7, 8:11], kernel[1, 2])
    assert np.isnan(image[3]).all()
    assert np.isnan(image[:, 7]).all()
    assert mosaic(torch.zeros(20, 5, 3, 3)).shape == (16 * 4 - 1, 5 * 4 - 1)


def test_values_of_zero_and_modes_of_size_one_can_be_drawn() -> None:
    tensor = torch.zeros(4, 1, 3, 3)
    tensor[0, 0, 0, 0] = 1
    of = Subject.of("spike", tensor, KERNEL_MODES)
    assert png(draw(of.cut((1, 1, 1, 1))))[:4] == b"\x89PNG"
