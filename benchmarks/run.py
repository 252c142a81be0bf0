"""Times and memory of Tucker training against its rivals, in one run: `make bench`, and `make bench-gpu` for a GPU.

Each network trains the same VGG16 (CIFAR size, channels_last, bf16 on CUDA) with SGD and momentum: dense; factorized
with ordinary SGD on core and factors; factorized with TuckerSGD; and with the published scheme, which takes two
gradient evaluations a step and truncates after each. They take turns, step by step, so a machine that slows down slows
all of them. `--race` also measures the time to the dense accuracy (`race.py`). All numbers go into one table and one
Parquet file.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import script
import torch
import torch.nn.functional as F
from race import race
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from tuckerlab import Fixed, Tolerance, TuckerMuon, TuckerSGD, build, load_data, materialize, to_plain, tuckerize
from tuckerlab.experiments.methods.two_gradient import TwoGradient
from tuckerlab.files import atomic_path
from tuckerlab.training.machine import Times, interleave, iqr, latencies, provenance, resolve_device, training_memory
from tuckerlab.tucker.model_size import count_parameters

ADAPT_EVERY = 40  # as in 40 epochs of the headline
DENSE, PLAIN, TUCKER, TWO = "dense", "factorized, plain SGD", "Tucker", "Tucker, two gradients"
MUON, DENSE_MUON = "Tucker, Muon", "dense, Muon"
FRACTION = 0.13  # of each mode: 95 % of the convolution weights of VGG16 are gone


@dataclass
class Report:
    """Rows of the table; a row with a limit is one that the project holds itself to."""

    device: torch.device
    rows: list[dict[str, Any]] = field(default_factory=list)

    def add(self, what: str, value: float, unit: str, *, spread: float = 0, runs: int = 1, limit: float = 0) -> None:
        """One number."""
        self.rows.append({"what": what, "value": value, "spread": spread, "unit": unit, "runs": runs, "limit": limit})

    def time(self, what: str, timing: Times) -> None:
        """A median with its interquartile range."""
        self.add(what, float(np.median(timing)), "ms", spread=iqr(timing), runs=len(timing))

    def table(self) -> Table:
        """For a terminal."""
        about = provenance(self.device)
        shown = Table(title=f"VGG16, {about['device']}, torch {about['torch']}, {about['threads']} threads")
        for column in ("what", "median", "iqr", "runs", "limit"):
            shown.add_column(column, justify="left" if column == "what" else "right")
        for row in self.rows:
            met = (
                "" if not row["limit"] else f"{row['limit']:.2f} {'met' if row['value'] <= row['limit'] else 'MISSED'}"
            )
            cells = f"{row['value']:,.4g} {row['unit']}", f"{row['spread']:.2g}" if row["runs"] > 1 else "", row["runs"]
            shown.add_row(row["what"], *map(str, cells), met)
        return shown

    def save(self, path: Path) -> None:
        """One Parquet file, each row with where it comes from."""
        with atomic_path(path) as temporary:
            pd.DataFrame([{**row, **provenance(self.device)} for row in self.rows]).to_parquet(temporary)


def small(width: float, device: torch.device) -> nn.Module:
    """VGG16 in Tucker format, small from the start."""
    with torch.device("meta"):
        model = build("vgg16", width=width)
    return materialize(tuckerize(model, ranks=Fixed(FRACTION)), device)


def networks(width: float, device: torch.device) -> dict[str, nn.Module]:
    """The rivals; the factorized ones begin with the same weights."""
    factorized = small(width, device)
    dense = build("vgg16", width=width).to(device)
    models = {DENSE: dense, PLAIN: factorized, TUCKER: copy.deepcopy(factorized)}
    models |= {name: copy.deepcopy(factorized) for name in (TWO, MUON)}
    models[DENSE_MUON] = copy.deepcopy(dense)
    return {name: model.train() for name, model in models.items()}


def optimizer_of(name: str, model: nn.Module) -> torch.optim.Optimizer:
    """SGD with the same settings for all, on the manifold for the Tucker network."""
    if name == TUCKER:
        return TuckerSGD(model, 1e-3, 0.9, 5e-4, ranks=Fixed())
    if name in (MUON, DENSE_MUON):
        return TuckerMuon(model, 1e-3, ranks=Fixed())
    if name == TWO:
        return TwoGradient(model, 1e-3, 0.9, 5e-4, ranks=Fixed())
    return torch.optim.SGD(model.parameters(), 1e-3, 0.9, weight_decay=5e-4)


def pictures(batch: int, device: torch.device) -> Tensor:
    """Noise of CIFAR size."""
    return torch.randn(batch, 3, 32, 32, device=device).contiguous(memory_format=torch.channels_last)


def loss_of(model: nn.Module, images: Tensor) -> Tensor:
    """The forward pass; bf16 on CUDA."""
    with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=images.is_cuda):
        logits = model(images)
    return F.cross_entropy(logits.float(), torch.arange(len(images), device=images.device) % 10)


def gradients_of(model: nn.Module, images: Tensor) -> Callable[[], None]:
    """Forward and backward as a function."""

    def run() -> None:
        model.zero_grad()
        loss_of(model, images).backward()

    return run


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor) -> Callable[[], None]:
    """One training step as a function."""
    gradients = gradients_of(model, images)
    again = {"closure": gradients} if isinstance(optimizer, TwoGradient) else {}

    def run() -> None:
        gradients()
        optimizer.step(**again)

    return run


def bench_steps(report: Report, batch: int, repeats: int, width: float) -> None:
    """Training steps in turn, the integrator's share of ours, and the rank adaptation once in ADAPT_EVERY steps."""
    images, models = pictures(batch, report.device), networks(width, report.device)
    optimizers = {name: optimizer_of(name, model) for name, model in models.items()}
    steps = {name: step_of(model, optimizers[name], images) for name, model in models.items()}
    steps["Tucker, gradients alone"] = gradients_of(models[TUCKER], images)
    times = interleave(steps, repeats=repeats, warmup=3)
    adaptation = bench_adaptation(models[TUCKER], images[:2], max(3, repeats // 3))
    amortised = np.median(adaptation) / ADAPT_EVERY
    whole = times[TUCKER] + amortised
    for name, timing in times.items():
        report.time(f"batch {batch}: step, {name}", timing)
    report.time(f"batch {batch}: rank adaptation (once in {ADAPT_EVERY} steps)", adaptation)
    report.add(f"batch {batch}: Tucker step / dense", ratio(whole, times[DENSE]), "x", limit=0.30)
    report.add(f"batch {batch}: Tucker step / factorized, plain SGD", ratio(whole, times[PLAIN]), "x", limit=1.10)
    muon = times[MUON] + amortised
    report.add(f"batch {batch}: Tucker Muon step / factorized, plain SGD", ratio(muon, times[PLAIN]), "x", limit=1.10)
    report.add(f"batch {batch}: Tucker Muon step / dense Muon step", ratio(muon, times[DENSE_MUON]), "x", limit=0.30)
    report.add(f"batch {batch}: Tucker step / two gradients", ratio(whole, times[TWO]), "x", limit=0.45)
    share = 1 - ratio(times["Tucker, gradients alone"], whole)
    report.add(f"batch {batch}: integrator's share of the Tucker step", 100 * share, "%", limit=15)
    if report.device.type == "cuda":
        for name in models:
            peak = peak_of_step(name, images, width)
            report.add(f"batch {batch}: peak allocated in a step, {name}", peak / 1e6, "MB")


def peak_of_step(name: str, images: Tensor, width: float) -> int:
    """Bytes at the worst moment of a whole step: weights, activations, state, and what the optimizer copies."""
    before = torch.cuda.memory_allocated()
    model = networks(width, images.device)[name]
    step = step_of(model, optimizer_of(name, model), images)
    for _ in range(3):
        step()
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    step()
    return torch.cuda.max_memory_allocated() - before


def ratio(one: Times, other: Times) -> float:
    """How many times as long: the median over the rounds of one `interleave`, so drift cancels."""
    return float(np.median(one / other))


def bench_adaptation(model: nn.Module, images: Tensor, repeats: int) -> Times:
    """One adaptation, at ranks to which it grows by itself, and what the step after it has to make anew."""

    def steps(every: int) -> Callable[[], None]:
        def run() -> None:
            other = copy.deepcopy(model)
            optimizer = TuckerSGD(other, 1e-3, 0.9, ranks=Tolerance(0.1, steps=0), adapt_every=every)
            for _ in range(3):
                step_of(other, optimizer, images)()

        return run

    both = interleave({"with": steps(2), "without": steps(10**9)}, repeats=repeats, warmup=1)
    return np.maximum(0.0, both["with"] - both["without"])


def bench_launches(report: Report, width: float) -> None:
    """Kernels of one optimizer step on a GPU, and whether it waits for the device."""
    for name, model in networks(width, report.device).items():
        optimizer, gradients = optimizer_of(name, model), gradients_of(model, pictures(16, report.device))
        for _ in range(3):  # from the second on a step finds its state and its batches of weights
            gradients()
            optimizer.step()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
            optimizer.step()
        events = [event for event in profile.key_averages() if event.device_type == torch.autograd.DeviceType.CUDA]
        report.add(f"kernels of an optimizer step, {name}", sum(event.count for event in events), "")
        torch.cuda.set_sync_debug_mode("error")
        try:
            optimizer.step()
            report.add(f"an optimizer step waits for the device, {name}", 0, "", limit=0.5)
        except RuntimeError:
            report.add(f"an optimizer step waits for the device, {name}", 1, "", limit=0.5)
        finally:
            torch.cuda.set_sync_debug_mode("default")


def bench_inference(report: Report, repeats: int, width: float) -> None:
    """The answer to one image: dense, and the plain torch form of the Tucker network."""
    image, device = pictures(1, report.device), report.device
    models = {DENSE: build("vgg16", width=width).to(device), TUCKER: to_plain(small(width, device))}

    models = {name: model.to(memory_format=torch.channels_last) for name, model in models.items()}
    times = latencies(models, image, repeats=5 * repeats, warmup=5)
    for name, timing in times.items():
        report.time(f"inference of 1 image, {name}", timing)
    report.add("inference of 1 image: Tucker / dense", ratio(times[TUCKER], times[DENSE]), "x", limit=0.35)


def bench_memory(report: Report, width: float) -> None:
    """Bytes of weights, gradients and optimizer state: exact, and the same on every machine."""
    images, sizes = pictures(2, torch.device("cpu")), {}
    for name, model in networks(width, torch.device("cpu")).items():
        optimizer = optimizer_of(name, model)
        step_of(model, optimizer, images)()
        memory = training_memory(model, optimizer, lambda it: F.cross_entropy(it(images), torch.tensor([0, 1])))
        sizes[name] = memory.weights + memory.gradients + memory.optimizer
        rate = 100 * count_parameters(model).conv_compression
        report.add(f"weights + gradients + state, {name} (conv c.r. {rate:.1f} %)", sizes[name] / 1e6, "MB")
    report.add("weights + gradients + state: Tucker / dense", sizes[TUCKER] / sizes[DENSE], "x", limit=0.08)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch", type=script.positive, nargs="+", default=[128])
    parser.add_argument("--repeats", type=script.positive, default=9)
    parser.add_argument("--width", type=float, default=1.0)
    parser.add_argument("--race", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bench.parquet"))
    options = parser.parse_args()
    report = Report(resolve_device(options.device))
    data = load_data("cifar10") if options.race else None  # what is missing is known before anything is measured
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for batch in options.batch:
        bench_steps(report, batch, options.repeats, options.width)
    if report.device.type == "cuda":
        bench_launches(report, options.width)
    bench_inference(report, options.repeats, options.width)
    bench_memory(report, options.width)
    report.save(options.out)  # the race is long; what is measured is kept
    if data is not None:
        race(report.add, data, report.device, options.width)
        report.save(options.out)
    console = Console()
    console.print(report.table())
    console.print(f"written to {options.out}")


if __name__ == "__main__":
    script.run(main)
