"""Figures: the data they show, and what their headlines say."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from made_up import dense, facts, tucker
from matplotlib.figure import Figure
from matplotlib.text import Text

from tuckerlab.errors import DataError
from tuckerlab.experiments.plots import accuracy_over_time, accuracy_vs_costs, figures, ranks_over_time
from tuckerlab.experiments.records import Records
from tuckerlab.experiments.summary import finding


@pytest.fixture
def records() -> Records:
    return dense() + tucker()


def texts(figure: Figure) -> list[Text]:
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]


class TestFinding:
    @pytest.mark.parametrize(
        ("accuracy", "size", "line"),
        [
            (0.977, 1_000, "Tucker: 10× fewer conv parameters, −0.3 points of test accuracy"),
            (0.98, 41, "Tucker: 244× fewer conv parameters, the same test accuracy"),
            (0.7, 4_000, "Tucker: 2.5× fewer conv parameters, −28.0 points of test accuracy"),
            (0.985, 12_500, "Tucker: 1.2× more conv parameters, +0.5 points of test accuracy"),
        ],
    )
    def test_is_computed(self, accuracy: float, size: int, line: str) -> None:
        assert finding(dense() + tucker(test_accuracy=accuracy, conv_parameters=size)) == line

    def test_takes_the_smallest_that_is_good_enough(self) -> None:
        others = [
            tucker(f"t{size}", label=f"Tucker {size}", conv_parameters=size, test_accuracy=accuracy)
            for size, accuracy in ((5_000, 0.985), (500, 0.975), (100, 0.8))
        ]
        assert finding(Records.concat([dense(), *others])).startswith("Tucker 500: 20× fewer")
        assert finding(dense(test_accuracy=1) + Records.concat(others)).startswith("Tucker 5000: 2.0× fewer")

    def test_is_silent_without_a_comparison(self, records: Records) -> None:
        for incomparable in (dense(), tucker(), records + tucker("c", dataset="cifar10"), Records()):
            assert finding(incomparable) == ""

    def test_networks_without_convolutions_count_all_parameters(self) -> None:
        none = {"conv_parameters": 0, "conv_compression": 0.0}
        assert "7.0× fewer parameters" in finding(dense(**none) + tucker(**none))


def raced(run: str, accuracies: list[float], step_ms: float, **changes: Any) -> Records:
    """A run of epochs of 10 steps, each of which took so long; the clock went on for ten times as long."""
    rows = [
        {"epoch": i, "step": 10 * i, "test_accuracy": value, "step_ms": step_ms, "seconds": i * step_ms / 10}
        for i, value in enumerate(accuracies, start=1)
    ]
    method = "dense" if run[0] == "d" else "tucker"
    return Records.single(facts(run, label=run, method=method, **changes), rows)


class TestOverTime:
    @pytest.mark.parametrize(
        ("accuracies", "said"),
        [
            ([0.3, 0.8, 0.9], "Tucker is as accurate as dense after 40 % of its training time"),
            ([0.3, 0.6, 0.7], "Tucker ends 10.0 points behind dense, in 60 % of its training time"),
        ],
    )
    def test_lines_are_the_times_of_steps(self, accuracies: list[float], said: str) -> None:
        figure = accuracy_over_time(raced("dense", [0.4, 0.8], 100) + raced("Tucker", accuracies, 40))
        dense, small = (np.array(line.get_data()) for line in figure.axes[0].get_lines()[:2])
        np.testing.assert_allclose(dense, [[1, 2], [40, 80]])
        np.testing.assert_allclose(small, [[0.4, 0.8, 1.2], 100 * np.array(accuracies)])
        assert (figure.axes[0].get_xlabel(), figure.get_suptitle()) == ("training time, seconds", said)

    def test_a_record_without_times_of_steps_has_those_of_the_clock_and_seeds_a_mean(self) -> None:
        seeds = raced("dense", [0.4, 0.8], np.nan), raced("dense2", [0.6, 0.8], np.nan, seed=1)
        records = Records.concat([*seeds, raced("Tucker", [0.3, 0.6], 1e5)])
        records.runs.loc[records.runs["run"] == "dense2", "label"] = "dense"
        records.epochs.loc[records.epochs["run"].str.startswith("dense"), "seconds"] = [60.0, 600.0, 120.0, 600.0]
        axes = accuracy_over_time(records).axes[0]
        np.testing.assert_allclose(np.array(axes.get_lines()[0].get_data()), [[1.5, 10], [50, 80]])
        assert axes.get_xlabel() == "training time, minutes"


def test_ranks_fall_layer_by_layer_and_mode_by_mode() -> None:
    figure = ranks_over_time(tucker())
    axes = figure.axes[0]
    np.testing.assert_allclose(axes.collections[0].get_array(), [[100, 50], [100, 100], [100, 50], [100, 50]])
    rows = [tick.get_text() for tick in axes.get_yticklabels()]
    assert rows[:2] == ["conv1: output channels, 3 of 6", "conv1: input channels, 1 of 1"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "2"]
    assert figure.get_suptitle() == "Tucker: mean rank 100 % → 62 % of full"


def test_accuracies_are_means_with_bars_from_worst_to_best() -> None:
    seeds = [tucker(f"t{i}", seed=i, test_accuracy=accuracy) for i, accuracy in enumerate((0.96, 0.98))]
    figure = accuracy_vs_costs(Records.concat([dense(), *seeds]))
    axes = figure.axes[0]
    points = [np.ravel(bars[0].get_data()) for bars in axes.containers]
    assert np.allclose(np.array(points, dtype=float), [[10_000, 98], [1_000, 97]])
    bar = axes.containers[1].lines[2][0].get_paths()[0].get_extents()
    assert (bar.y0, bar.y1) == pytest.approx((96, 98))
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] - axes.get_ylim()[0] >= 4  # small differences look small
    assert any("mean of 2 seeds" in text.get_text() for text in texts(figure))


@pytest.mark.parametrize("draw", [accuracy_over_time, ranks_over_time, accuracy_vs_costs, figures])
def test_nothing_to_draw(draw: object) -> None:
    with pytest.raises(DataError, match="nothing to draw"):
        draw(Records())  # type: ignore[operator]


def test_from_any_thread_and_with_words_for_those_who_do_not_see_it(records: Records) -> None:
    with ThreadPoolExecutor(3) as pool:
        [picture] = set(pool.map(lambda _: accuracy_vs_costs(records)._repr_html_(), range(3)))
    assert picture.startswith('<img src="data:image/png;base64,iVBORw0')
    assert 'alt=""' not in picture
