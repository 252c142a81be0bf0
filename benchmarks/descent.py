"""Descent where the weights have tiny singular values: the Riemannian step beside ordinary gradient descent.

    python benchmarks/descent.py

A convolution learns, with the full batch and without momentum in float64, a planted one whose singular values fall to
1e-8 of the largest; both start at the same point, whose core has such a spectrum too. Ordinary descent on core and
factors moves a direction of singular value σ at a speed of σ²: it stalls, and with the learning rate that would help it
blows up. The Riemannian step does not see σ. Writes runs/descent.png and prints the numbers in it.
"""

import argparse
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tuckerlab.demos.planted_weight import LR, ordinary, planted, riemannian, spectrum
from tuckerlab.files import atomic_path
from tuckerlab.plotting.figure import Picture, styled

SMALLEST = 1e-8


def curves(steps: int) -> dict[str, list[float]]:
    """Losses by name: ours, and ordinary descent at the same learning rate and at larger ones."""
    task = planted(spectrum(SMALLEST))
    found = {f"Riemannian step, lr {LR:g}": riemannian(task, steps)}
    return found | {f"descent on core and factors, lr {lr:g}": ordinary(task, steps, lr) for lr in (LR, 1.0, 3.0)}


def picture(found: dict[str, list[float]]) -> Picture:
    """All curves in one figure, on logarithmic axes."""
    figure = Picture(figsize=(8, 5))
    axes = styled(figure.subplots(), x="step", y="relative squared error of the full batch")
    axes.set(xscale="log", yscale="log", ylim=(1e-18, 1e3))
    for (name, values), colour, style in zip(
        found.items(), ("#0072B2", "#E69F00", "#D55E00", "#CC79A7"), ("-", "--", "-.", ":"), strict=True
    ):
        axes.plot(range(1, len(values) + 1), values, style, color=colour, label=name, linewidth=2)
    axes.legend(loc="lower left", fontsize=10)
    figure.headline(f"Singular values down to {SMALLEST:g}: one method does not see them")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--out", type=Path, default=Path("runs/descent.png"))
    options = parser.parse_args()
    found = curves(options.steps)
    table = Table(title=f"relative squared error, at most {options.steps} steps")
    for column in ("method", "first", "last", "steps", "steps at which it rose"):
        table.add_column(column)
    for name, values in found.items():
        rises = sum(b > a * (1 + 1e-9) and b > 1e-24 for a, b in pairwise(values))
        table.add_row(name, f"{values[0]:.2e}", f"{values[-1]:.2e}", str(len(values)), str(rises))
    Console().print(table)
    with atomic_path(options.out) as temporary:
        picture(found).savefig(temporary, format="png", dpi=150)
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
