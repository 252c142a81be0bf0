"""What each form of each network costs and answers, measured on this machine in one run; `tuckerlab check`."""

import importlib.metadata
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from torch import Tensor, nn
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.deploy.runtime import Deployment
from tuckerlab.deploy.runtime.process_memory import footprint
from tuckerlab.deploy.runtime.report import circumstances, layouts, rich_tables
from tuckerlab.deploy.runtime.variants import Variant, variants
from tuckerlab.errors import DataError, TuckerlabError, is_whole
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.i18n import _, text
from tuckerlab.training.openmp import release_workers
from tuckerlab.training.provenance import provenance
from tuckerlab.training.timing import Timing, interleave

BATCHES = (1, 128)
ROUNDS, FEWEST = 100, 7
SECONDS = 30.0
"""That the rounds of one batch size may take: where networks are slow there are fewer of them, but at least FEWEST."""

SCORED = 128  # images at once, when the test split is answered
SETTLE = 0.002  # seconds until the workers of the runtime before have gone to sleep


def measure_deployment(
    networks: Mapping[str, nn.Module],
    data: ImageData,
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    memory: bool = True,
    progress: bool = False,
) -> Deployment:
    """Exports networks, the full one first, in every form, and measures all forms in turn on this machine's CPU.

    batches: numbers of images that are answered at once. rounds: calls of each form at each batch, fewer (but 7) where
    they would take longer than `seconds` in all. memory: whether a process is started for each form to see how much it
    takes. Both runtimes use as many threads as torch is set to, and nothing else should run beside it.

    Raises TuckerlabError for settings out of range, a network that cannot be exported or does not fit the data.
    """
    if not networks:
        raise TuckerlabError("no networks: give one or more; the others are compared with the first")
    for what, value in (("rounds", rounds), *(("batch", batch) for batch in batches)):
        if not is_whole(value) or value < 1:
            raise TuckerlabError(f"{what} {value!r}: allowed are whole numbers from 1")
    threads, data = torch.get_num_threads(), data.to("cpu")
    with tempfile.TemporaryDirectory() as place:
        made: list[Variant] = []
        for number, label in enumerate(tqdm(networks, desc="exporting", disable=not progress, unit="network")):
            made += variants(label, networks[label], data, Path(place) / str(number), threads)
        answered = _scored(made, data, progress)
        rows: list[dict[str, Any]] = []
        for batch in batches:
            images = data.normalize(data.test_images[torch.arange(batch) % len(data.test_images)])
            timed = _timed(made, images, rounds, seconds, progress)
            for one in made:
                told = {name: getattr(one, name) for name in ("network", "runtime", "precision", "file_bytes")}
                told |= {"variant": one.name, "peak_bytes": None}
                rows.append(told | timed[one.name] | answered[one.name])
        files = {variant.name: variant.file for variant in made}
        for row in tqdm(rows if memory else [], desc="memory", disable=not progress, unit="process"):
            file, shape = files[row["variant"]], (row["batch"], *data.test_images.shape[1:])
            row["peak_bytes"] = None if file is None else footprint(row["runtime"], file, shape, threads)
    facts = {"dataset": data.name, "test_images": len(data.test_images), "note": data.note}
    facts |= provenance("cpu") | {"onnxruntime": importlib.metadata.version("onnxruntime")}
    dense_bytes = {(row["runtime"], row["precision"]): row["file_bytes"] for row in reversed(rows)}
    smaller = [{"smaller": dense_bytes[row["runtime"], row["precision"]] / row["file_bytes"]} for row in rows]
    return Deployment(pd.DataFrame([row | more | facts for row, more in zip(rows, smaller, strict=True)]))


def check_run(
    run: str | os.PathLike[str],
    *,
    network: str | None = None,
    threads: int | None = None,
    fresh: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> tuple[Deployment, bool]:
    """The table of the full network of a run and of one in Tucker format, and whether it was there already.

    >>> check_run("no/such/folder")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.DataError: no/such/folder: there is no such folder; give one that tuckerlab poc has left

    network: a label of the record; the smallest Tucker network if None. threads: of both runtimes; those of torch if
    None. A table in the folder of these networks, as they are there now, is returned, unless `fresh`. Otherwise they
    are measured with `settings` as `measure_deployment` takes them, and the table and its picture written.

    Raises DataError for an incomplete folder, an unknown label, images that are gone; TuckerlabError for a setting.
    """
    cores = os.cpu_count() or 1
    if threads is not None and not (is_whole(threads) and 1 <= threads <= 2 * cores):
        can = f"allowed are whole numbers from 1 to {2 * cores}"
        raise TuckerlabError(f"threads {threads!r}: this machine has {cores} cores; {can}")
    folder = RunFolder.open(run)
    chosen = network or folder.small or folder.dense
    if chosen is None:
        raise DataError(f"{run}: there is no full network and none in Tucker format; give --network with a label")
    labels = [label for label in dict.fromkeys((folder.dense, chosen)) if label is not None]
    if not fresh:
        with suppress(DataError):
            found = Deployment.load(folder.path)
            if set(found.networks) == set(labels) and found.is_of(folder, labels):
                return found, True
    networks, usual = {label: folder.network(label) for label in labels}, torch.get_num_threads()  # of the first seed
    try:
        torch.set_num_threads(threads or usual)
        made = measure_deployment(networks, folder.data(), progress=not quiet, **settings)
    finally:
        torch.set_num_threads(usual)
    runs = {label: str(folder.rows(label)["run"].iloc[0]) for label in labels}
    made = Deployment(made.rows.assign(run=made.rows["network"].map(runs)))
    made.save(folder.path)
    return made, False


def show(made: Deployment, found: bool, run: str | os.PathLike[str]) -> None:
    """Prints the tables, the result in one line, what was measured on what, and where the table lies."""
    console = Console()
    for table in rich_tables(made.rows):
        console.print(table)
    if made.finding:
        console.print(made.finding, style="bold", highlight=False, markup=False)
    for line in (
        _(
            "speed, smaller: against the first network in the same form, timed in turn. memory: growth of a "
            "process's peak from its imports to its first answer. right: of the test images. same as torch, "
            "differs by: answers, and the largest difference of the outputs relative to the largest, against "
            "torch in fp32."
        ),
        layouts(made.rows),
        circumstances(made.rows),
    ):
        console.print(line, highlight=False, markup=False)
    said = text("deployment.found" if found else "deployment.written", folder=str(run))
    console.print(said, highlight=False, markup=False, soft_wrap=True)


def cost(timing: Timing, dense: Timing) -> dict[str, float]:
    """The times of a variant, and how many times as fast as the dense one it is: the quotient of the medians.

    >>> cost(Timing((4.0, 4.0), batch=8), Timing((2.0, 2.0), batch=8))
    {'median_ms': 4.0, 'p95_ms': 4.0, 'iqr_ms': 0.0, 'rounds': 2, 'images_per_second': 2000.0, 'faster': 0.5}
    """
    return {
        "median_ms": timing.median_ms,
        "p95_ms": float(np.percentile(timing.samples_ms, 95)),
        "iqr_ms": timing.iqr_ms,
        "rounds": timing.runs,
        "images_per_second": 1e3 * (timing.batch or 1) / timing.median_ms,
        "faster": dense.median_ms / timing.median_ms,
    }


def _timed(
    made: Sequence[Variant], images: Tensor, rounds: int, seconds: float, progress: bool
) -> dict[str, dict[str, Any]]:
    """All variants in turn, each in the layout that is faster for it; every call after one that is not timed.

    A runtime's workers spin for a while when it has answered, in the hope of more work, and take a core from the next
    one that way. So they get the time to go to sleep, and the next one an untimed call to wake its own.
    """
    calls: dict[str, Any] = {}
    layouts = {variant.name: _fastest(variant, images, min(rounds, FEWEST)) for variant in made}
    for variant in made:
        calls[variant.name] = partial(variant.forms[layouts[variant.name]], images)
    start = time.perf_counter()
    for call in calls.values():
        call()
    once = time.perf_counter() - start
    fitting = min(rounds, max(FEWEST, int(seconds / (2 * once))))

    def settle(name: str) -> None:
        release_workers()
        time.sleep(SETTLE)
        calls[name]()
        bar.update()

    label = f"batches of {len(images)}"
    with tqdm(total=fitting * len(calls), desc=label, disable=not progress, unit="answer") as bar:
        times = interleave(calls, repeats=fitting, warmup=1, before=settle)
    timings = {name: Timing(timing.samples_ms, len(images)) for name, timing in times.items()}
    dense = {(one.runtime, one.precision): timings[one.name] for one in reversed(made)}
    return {
        one.name: {"batch": len(images), "layout": layouts[one.name]}
        | cost(timings[one.name], dense[one.runtime, one.precision])
        for one in made
    }


def _fastest(variant: Variant, images: Tensor, rounds: int) -> str:
    if len(variant.forms) == 1:
        return next(iter(variant.forms))
    times = interleave({name: partial(form, images) for name, form in variant.forms.items()}, repeats=rounds, warmup=1)
    return min(times, key=lambda name: times[name].median_ms)


def _scored(made: Sequence[Variant], data: ImageData, progress: bool) -> dict[str, dict[str, float]]:
    """Accuracy, and how far the outputs are from those of torch in fp32: the first variant of each network."""
    found: dict[str, dict[str, float]] = {}
    reference: dict[str, Tensor] = {}
    images = torch.split(data.test_images, SCORED)
    with tqdm(total=len(made) * len(images), desc="accuracy", disable=not progress, unit="batch") as bar:
        for variant in made:
            parts = []
            for part in images:
                parts.append(variant.answer(data.normalize(part)))
                bar.update()
            logits = torch.cat(parts)
            expected = reference.setdefault(variant.network, logits)
            found[variant.name] = scores(logits, expected, data.test_labels)
    return found


def scores(logits: Tensor, expected: Tensor, labels: Tensor) -> dict[str, float]:
    """Accuracy and agreement as fractions, and the largest difference relative to the largest expected output.

    >>> scores(torch.tensor([[2.0, 1.0], [0.0, 1.0]]), torch.tensor([[2.0, 1.0], [1.0, 0.0]]), torch.tensor([0, 0]))
    {'accuracy': 0.5, 'agreement': 0.5, 'difference': 0.5}
    """
    scale = float(expected.abs().max()) or 1.0
    return {
        "accuracy": float((logits.argmax(1) == labels).double().mean()),
        "agreement": float((logits.argmax(1) == expected.argmax(1)).double().mean()),
        "difference": float((logits - expected).abs().max()) / scale,
    }
