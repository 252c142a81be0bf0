"""The Tucker explorer: its subjects, and model, picture and widgets without a browser."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from tuckerlab.demos import decompositions as home
from tuckerlab.demos.decompositions import Goal, Subject, subject, subjects
from tuckerlab.errors import DataError, RankError
from tuckerlab.panels import TuckerExplorer
from tuckerlab.panels.explorer_picture import BLUE, DPI, ExplorerPicture, error_pixels, mosaic, pixels
from tuckerlab.panels.widgets import png
from tuckerlab.tucker.tensor import multi_mode_product, truncate


@pytest.fixture
def no_record(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package without a checkout around it."""

    def missing(name: str) -> None:
        raise DataError("none; they come with a checkout of the project")

    monkeypatch.setattr(home, "found_folder", missing)
    home._kernels.cache_clear()
    subject.cache_clear()
    yield
    home._kernels.cache_clear()
    subject.cache_clear()


def shown(panel: TuckerExplorer) -> list[int]:
    """The values of the rank sliders that can be seen."""
    return [slider.value for slider in panel.ranks if slider.layout.display != "none"]


def test_there_are_two_photographs_and_three_kernels() -> None:
    assert subjects() == ["photo.china", "photo.flower", "kernel.2", "kernel.4", "kernel.6"]
    assert [subject(name).shape for name in subjects()] == [
        (160, 240, 3), (160, 240, 3), (32, 32, 3, 3), (64, 64, 3, 3), (128, 128, 3, 3),
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["photo.china", "kernel.2"])
@pytest.mark.parametrize("which", ["uneven", "impossible"])
def test_a_cut_is_the_truncated_hosvd_and_counts_what_it_stores(name: str, which: str) -> None:
    of = subject(name)
    d = len(of.shape)
    asked = {
        "uneven": tuple(max(1, size // (i + 2)) for i, size in enumerate(of.shape)),
        "impossible": (of.shape[0], *(1,) * (d - 1)),
    }[which]
    cut = of.cut(asked)
    core, factors = truncate(of.tensor, range(d), ranks=asked)
    assert cut.ranks == tuple(core.shape)
    torch.testing.assert_close(cut.rebuilt, multi_mode_product(core, factors, range(d)), atol=2e-5, rtol=0)
    assert cut.stored == core.numel() + sum(factor.numel() for factor in factors)
    expected = torch.linalg.vector_norm(cut.rebuilt - of.tensor) / torch.linalg.vector_norm(of.tensor)
    assert cut.error == pytest.approx(float(expected), abs=1e-6)
    assert cut.share == cut.stored / of.tensor.numel()


@pytest.mark.parametrize("name", ["photo.china", "photo.flower", "kernel.2"])
def test_the_error_stays_within_the_tolerance(name: str) -> None:
    of = subject(name)
    for tolerance in (0, 0.05, 0.2, 0.5, 0.9):
        assert of.cut(of.ranks_within(tolerance)).error <= tolerance + 1e-5


def test_nothing_dropped_is_the_original_and_more_numbers_than_it() -> None:
    cut = subject("kernel.2").cut((32, 32, 3, 3))
    assert cut.error < 1e-5
    assert cut.stored == 32 * 32 * 9 + 2 * 32 * 32 + 2 * 9 > cut.original


def test_what_there_is_not() -> None:
    for ranks in ((0, 1, 1), (161, 1, 1), (1, 1)):
        with pytest.raises(RankError):
            subject("photo.china").cut(ranks)
    with pytest.raises(DataError, match=r"subject .*there are photo\.china"):
        subject("photo.dog")


def test_without_a_checkout_there_are_photographs_alone(no_record: None) -> None:
    assert subjects() == ["photo.china", "photo.flower"]
    panel = TuckerExplorer("kernel")
    assert [name for _, name in panel.subject.options] == ["photo.china", "photo.flower"]
    assert "subject 'kernel'" in panel.problem
    assert panel.picture.value[:4] == b"\x89PNG"


def test_a_start_that_is_not_allowed_is_said_and_something_is_shown() -> None:
    panel = TuckerExplorer("photo.china", tolerance=7)
    assert "tolerance 7" in panel.problem
    assert panel.cut.error < 1e-5
    panel.tolerance.value = 0.3
    assert (panel.problem, shown(panel)) == ("", list(subject("photo.china").ranks_within(0.3)))
    panel = TuckerExplorer("<b>dog</b>")
    assert "dog" in panel.problem
    assert "<b>" not in panel.alert.value


def test_the_tolerance_sets_all_ranks_and_a_rank_moves_freely_afterwards() -> None:
    panel, of = TuckerExplorer("photo.china", tolerance=0.15), subject("photo.china")
    assert tuple(shown(panel)) == panel.cut.ranks == of.ranks_within(0.15)
    for slider, rank in zip(panel.ranks, of.ranks_within(0.3), strict=False):
        slider.value = rank
    assert (panel.by, panel.cut.asked, panel.tolerance.value) == ("ranks", of.ranks_within(0.3), 0.15)
    assert "by hand" in panel.sentence.value
    panel.tolerance.value = 0.3  # the same ranks are the tolerance's again
    assert (panel.by, tuple(shown(panel))) == ("tolerance", of.ranks_within(0.3))


def test_a_rank_that_cannot_be_is_lowered_and_pictures_forget_what_was_shown_before() -> None:
    panel = TuckerExplorer("photo.flower")
    for slider, rank in zip(panel.ranks, (40, 1, 2), strict=False):
        slider.value = rank
    assert panel.cut.ranks == (2, 1, 2)
    assert "2 instead of 40" in panel.sentence.value
    panel.subject.value = "kernel.2"
    assert [slider.max for slider in panel.ranks] == [32, 32, 3, 3]
    assert f"{panel.cut.stored:,}" in panel.numbers.value
    panel.subject.value = "photo.flower"
    panel.ranks[1].value = 30
    assert panel.picture.value == png(ExplorerPicture(panel.cut.of).of(panel.cut), DPI)


def test_the_task_needs_more_than_the_tolerance_slider() -> None:
    panel = TuckerExplorer("photo.flower", tolerance=0.3, goal=Goal(share=0.10, error=0.125))  # as in the notebook
    for percent in range(0, 91, 6):
        panel.tolerance.value = percent / 100
        assert not panel.solved
    assert "Not yet" in panel.task.value
    panel.ranks[0].value, panel.ranks[1].value, panel.ranks[2].value = 24, 24, 3
    assert panel.solved
    assert "Right" in panel.task.value


def test_the_picture_shows_the_cut() -> None:
    of = subject("photo.china")
    picture, cut = ExplorerPicture(of), of.cut((20, 30, 2))
    picture.of(cut)
    assert [sum(to_hex(c) == BLUE.lower() for c in blocks.get_facecolor()) for blocks in picture.blocks] == [20, 30, 2]
    assert [needle.get_xdata()[0] for needle in picture.needles] == [20.5, 30.5, 2.5]
    np.testing.assert_array_equal(picture.images[0].get_array(), pixels(of, cut.rebuilt))
    np.testing.assert_array_equal(picture.images[1].get_array(), error_pixels(of, cut))
    assert picture.images[1].get_clim() == (0, pytest.approx(error_pixels(of, cut).max()))
    assert [title.get_text() for title in picture.titles] == [
        f"{cut.stored:,} numbers", f"{100 * cut.error:.1f} %",
    ]  # fmt: skip
    assert picture.labels[1].get_text() == "30 of 240"


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
    of = Subject.of("spike", tensor, home.KERNEL_MODES)
    assert png(ExplorerPicture(of).of(of.cut((1, 1, 1, 1))))[:4] == b"\x89PNG"
