"""How quick the panels are, measured inside a Jupyter kernel: from a slider to its picture, and what watching costs.

    python benchmarks/panels.py
    python benchmarks/panels.py --runs 5 --epochs 30

The sliders are moved to all their places, and the time to the new picture is taken in the kernel: computing, drawing,
encoding, sending. Training is the small VGG on digits; runs alone and runs in the panel take turns, and both times are
those of `fit`. Nothing else should run on the machine.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import script

FOLDER = Path(__file__).resolve().parent


def times(move: Callable[[Any], object], places: Iterable[Any]) -> list[float]:
    """Milliseconds for each place that a slider is moved to."""
    found = []
    for place in places:
        began = time.perf_counter()
        move(place)
        found.append(1e3 * (time.perf_counter() - began))
    return found


def sliders() -> dict[str, list[float]]:
    """The panels that answer at once: each with the trait that its slider sets."""
    from tuckerlab.panels import InstantSlider, TradeOff, TuckerExplorer

    instant, explorer, tradeoff = InstantSlider(), TuckerExplorer(), TradeOff()
    settings = [setting for _, setting in instant.compression.options]
    return {
        "01 instant slider": times(lambda value: setattr(instant.compression, "value", value), settings * 3),
        "02 Tucker explorer": times(lambda tau: setattr(explorer.tolerance, "value", tau / 100), [*range(1, 90)]),
        "05 trade-off": times(lambda points: setattr(tradeoff.points, "value", points / 10), [*range(1, 90)]),
    }


def training(runs: int, epochs: int) -> dict[str, list[float]]:
    """Seconds of training alone and in the panel, in turn."""
    from tuckerlab import Budget, fit
    from tuckerlab.experiments import setup
    from tuckerlab.experiments.methods.base import Tucker
    from tuckerlab.panels import TrainingPanel

    found: dict[str, list[float]] = {"alone": [], "panel": [], "pictures a second": []}

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        run = fit(*arguments, **options)
        found["panel"].append(time.perf_counter() - began)
        return run

    method = Tucker(Budget(0.9))
    experiment = setup.set_up((method,), epochs=epochs)
    setup.fit = timed
    for _ in range(runs + 1):  # the first of each is for warming up
        network = method.network(experiment.spec, 0)
        began = time.perf_counter()
        fit(network, experiment.data, experiment.recipe, ranks=method.ranks, progress=False)
        found["alone"].append(time.perf_counter() - began)
        panel, drawn = TrainingPanel(epochs=epochs), []
        panel.picture.observe(lambda _, drawn=drawn: drawn.append(time.perf_counter()), "value")
        panel.train.click()
        panel.wait()
        found["pictures a second"].append((len(drawn) - 1) / (drawn[-1] - drawn[0]))
    return {name: values[1:] for name, values in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=script.positive, default=3)
    parser.add_argument("--epochs", type=script.positive, default=30)
    options = parser.parse_args()
    import nbclient
    import nbformat
    from rich.console import Console
    from rich.table import Table

    source = (
        f"import sys; sys.path.insert(0, {str(FOLDER)!r})\nimport json, panels\n"
        f"print(json.dumps([panels.sliders(), panels.training({options.runs}, {options.epochs})]))"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=None).execute()
    said = next(output for output in notebook.cells[0].outputs if output.get("name") == "stdout")
    slid, trained = json.loads(said.text)
    table = Table(title="from a slider to its picture, ms")
    for column in ("panel", "moves", "median", "95th percentile", "longest"):
        table.add_column(column)
    for name, values in slid.items():
        ordered = sorted(values)
        marks = ordered[len(ordered) // 2], ordered[int(0.95 * len(ordered))], ordered[-1]
        table.add_row(name, str(len(values)), *(f"{value:.0f}" for value in marks))
    ratios = [panel / alone for panel, alone in zip(trained["panel"], trained["alone"], strict=True)]
    console = Console()
    console.print(table)
    for name, unit in (("alone", " s"), ("panel", " s"), ("pictures a second", "")):
        shown = ", ".join(f"{value:.1f}{unit}" for value in trained[name])
        console.print(f"{name}: {shown}", highlight=False)
    console.print(f"training in the panel takes {statistics.median(ratios):.3f} of the time alone (each: {ratios})")


if __name__ == "__main__":
    script.run(main)
