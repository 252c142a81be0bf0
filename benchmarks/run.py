"""Times and memory of Tucker training against its rivals, in one run: `make bench`.

Each network trains the same VGG16 (CIFAR size, batch 128, channels_last) with SGD and momentum: dense; factorized with
ordinary SGD on core and factors; factorized with TuckerSGD. They take turns, step by step, so a machine that slows down
slows all of them. The table gives medians, interquartile ranges and the ratio to the rival named.
"""

import argparse
import copy
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import nn

from tuckerlab import Fixed, Tolerance, TuckerSGD, build, materialize, to_plain, tuckerize
from tuckerlab.atomic import atomic_path
from tuckerlab.device import resolve_device
from tuckerlab.measure import Timing, count_parameters, interleave, training_memory
from tuckerlab.record import provenance

ADAPT_EVERY = 50
LIMITS = {  # what the project holds itself to
    "step: Tucker / dense": 0.30,
    "step: Tucker / factorized, plain SGD": 1.10,
    "inference, batch 1: Tucker / dense": 0.35,
    "weights + gradients + state at 95 %: Tucker / dense": 0.08,
}


def small(fraction: float, width: float) -> nn.Module:
    """VGG16 in Tucker format, small from the start."""
    with torch.device("meta"):
        model = build("vgg16", width=width)
    return materialize(tuckerize(model, ranks=Fixed(fraction)))


def trainer(model: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor) -> Callable[[], None]:
    """One training step of a network, as a function."""
    labels = torch.arange(len(images), device=images.device) % 10

    def step() -> None:
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def bench_steps(device: torch.device, batch: int, repeats: int, width: float) -> tuple[dict[str, Timing], Timing]:
    """Training steps in turn, and the rank adaptation that comes once in ADAPT_EVERY of them."""
    images = torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    models = {"dense": build("vgg16", width=width), "factorized, plain SGD": small(0.1, width)}
    models["Tucker"] = copy.deepcopy(models["factorized, plain SGD"])
    steps: dict[str, Callable[[], None]] = {}
    for name, model in models.items():
        model.to(device).train()
        if name == "Tucker":
            ours = TuckerSGD(model, 1e-3, 0.9, 5e-4, ranks=Fixed(), adapt_every=10**9)
            steps[name] = trainer(model, ours, images)
        else:
            steps[name] = trainer(model, torch.optim.SGD(model.parameters(), 1e-3, 0.9, weight_decay=5e-4), images)
    times = interleave(steps, repeats=repeats, warmup=2)

    def adapt() -> None:  # on ranks that it grows itself, from the 10 % of the run
        other = copy.deepcopy(models["Tucker"])
        optimizer = TuckerSGD(other, 1e-3, 0.9, ranks=Tolerance(0.1, steps=0), adapt_every=1)
        trainer(other, optimizer, images[:2])()

    def same_without() -> None:
        other = copy.deepcopy(models["Tucker"])
        trainer(other, TuckerSGD(other, 1e-3, 0.9), images[:2])()

    both = interleave({"with": adapt, "without": same_without}, repeats=max(3, repeats // 3), warmup=1)
    pairs = zip(both["with"].samples_ms, both["without"].samples_ms, strict=True)
    return times, Timing(tuple(max(0.0, a - b) for a, b in pairs))


def bench_inference(device: torch.device, repeats: int, width: float) -> dict[str, Timing]:
    """The answer to one image: dense, and the plain torch form of the Tucker network."""
    image = torch.randn(1, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)
    models = {"dense": build("vgg16", width=width), "Tucker": to_plain(small(0.1, width))}

    def answer(model: nn.Module) -> Callable[[], None]:
        model = model.to(device, memory_format=torch.channels_last).eval()

        def run() -> None:
            with torch.inference_mode():
                model(image)

        return run

    return interleave({name: answer(model) for name, model in models.items()}, repeats=5 * repeats, warmup=5)


def bench_memory(width: float) -> dict[str, int]:
    """Bytes of weights, gradients and optimizer state: exact, and the same on every machine."""
    sizes = {}
    images = torch.randn(2, 3, 32, 32)
    for name, model in {"dense": build("vgg16", width=width), "Tucker": small(0.13, width)}.items():
        optimizer = TuckerSGD(model, 1e-3, 0.9)
        trainer(model.train(), optimizer, images)()
        memory = training_memory(model, optimizer, (images, torch.tensor([0, 1])))
        sizes[name] = memory.weights + memory.gradients + memory.optimizer_state
        if name == "Tucker":
            print(f"memory is compared at {100 * count_parameters(model).conv_compression:.1f} % conv c.r.")
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=Path("runs/bench.parquet"))
    options = parser.parse_args()
    device = resolve_device(options.device)

    steps, adaptation = bench_steps(device, options.batch, options.repeats, options.width)
    inference = bench_inference(device, options.repeats, options.width)
    memory = bench_memory(options.width)
    amortised = adaptation.median_ms / ADAPT_EVERY
    whole = Timing(tuple(sample + amortised for sample in steps["Tucker"].samples_ms))
    plain = steps["factorized, plain SGD"]

    table = Table(
        title=f"VGG16, batch {options.batch}, {provenance(device)['device']}, {torch.get_num_threads()} threads"
    )
    for column in ("what", "median", "iqr", "runs"):
        table.add_column(column, justify="left" if column == "what" else "right")
    rows = [(f"step, {name}", timing) for name, timing in steps.items()]
    rows += [(f"rank adaptation (once in {ADAPT_EVERY} steps)", adaptation)]
    rows += [(f"inference of 1 image, {name}", timing) for name, timing in inference.items()]
    for what, timing in rows:
        table.add_row(what, f"{timing.median_ms:.2f} ms", f"{timing.iqr_ms:.2f}", str(timing.runs))
    for name, size in memory.items():
        table.add_row(f"weights + gradients + optimizer state, {name}", f"{size / 1e6:.2f} MB", "0", "1")
    ratios = {
        "step: Tucker / dense": whole.ratio(steps["dense"]),
        "step: Tucker / factorized, plain SGD": whole.ratio(plain),
        "inference, batch 1: Tucker / dense": inference["Tucker"].ratio(inference["dense"]),
        "weights + gradients + state at 95 %: Tucker / dense": memory["Tucker"] / memory["dense"],
    }
    verdict = Table(title="ratios (the Tucker step with its share of the adaptation)")
    for column in ("ratio", "value", "limit", ""):
        verdict.add_column(column)
    for name, value in ratios.items():
        verdict.add_row(name, f"{value:.3f}", f"{LIMITS[name]:.2f}", "met" if value <= LIMITS[name] else "MISSED")
    console = Console()
    console.print(table)
    console.print(verdict)
    facts = [{"ratio": name, "value": value, "limit": LIMITS[name]} for name, value in ratios.items()]
    with atomic_path(options.out) as temporary:
        pd.DataFrame([{**row, **provenance(device)} for row in facts]).to_parquet(temporary)
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    main()
