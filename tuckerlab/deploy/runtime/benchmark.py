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
from tuckerlab.i18n import _
from tuckerlab.training.openmp import release_workers
from tuckerlab.training.provenance import provenance
from tuckerlab.training.timing import interleave

BATCHES = (1, 128)
ROUNDS, FEWEST = 100, 7
SECONDS = 30.0
"""That the rounds of one batch size may take: where networks are slow there are fewer of them, but at least FEWEST."""

SCORED = 128  # images at once, when the test split is answered
SETTLE = 0.002  # seconds until the workers of the runtime before have gone to sleep


def measure_deployment(
    networks: Mapping[str, nn.Module], data: ImageData, *, batches: Sequence[int] = BATCHES, rounds: int = ROUNDS,
    seconds: float = SECONDS, memory: bool = True, progress: bool = False,
) -> Deployment:  # fmt: skip
    """Exports networks, the full one first, in every form, and measures all forms in turn on this machine's CPU.

    batches: numbers of images that are answered at once. rounds: calls of each form at each batch, fewer (but 7) where
    they would take longer than `seconds` in all. memory: whether a process is started for each form to see how much it
    takes. Both runtimes use as many threads as torch is set to, and nothing else should run beside it.

    Raises TuckerlabError for settings out of range, a network that cannot be exported or does not fit the data.
    """
    if not networks:
        raise TuckerlabError("no networks: give one or more; the others are compared with the first")
    if wrong := [value for value in (rounds, *batches) if not is_whole(value) or value < 1]:
        raise TuckerlabError(f"rounds and batches: {wrong[0]!r}; allowed are whole numbers from 1")
    threads, data = torch.get_num_threads(), data.to("cpu")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        made: list[Variant] = []
        for number, label in enumerate(tqdm(networks, desc="exporting", disable=not progress, unit="network")):
            made += variants(label, networks[label], data, Path(folder) / str(number), threads)
        scored = _scored(made, data, progress)
        for batch in batches:
            images = data.normalize(data.test_images[torch.arange(batch) % len(data.test_images)])
            timed = _timed(made, images, rounds, seconds, progress)
            for place, one in enumerate(tqdm(made, desc="memory", disable=not (memory and progress), unit="process")):
                told = {name: getattr(one, name) for name in ("network", "runtime", "precision", "file_bytes")}
                smaller = made[_reference(place, made)].file_bytes / one.file_bytes
                peak = footprint(one.runtime, one.file, images.shape, threads) if memory and one.file else None
                told |= {"batch": batch, "smaller": smaller, "peak_bytes": peak}
                rows.append(told | timed[place] | scored[place])
    facts: dict[str, Any] = {"dataset": data.name, "test_images": len(data.test_images), "note": data.note}
    facts |= provenance("cpu") | {"onnxruntime": importlib.metadata.version("onnxruntime")}
    return Deployment(pd.DataFrame(rows).assign(**facts))


def check_run(
    run: str | os.PathLike[str], *, network: str | None = None, threads: int | None = None, fresh: bool = False,
    quiet: bool = False, **settings: Any,
) -> tuple[Deployment, bool]:  # fmt: skip
    """The table of the full network of a run and of one in Tucker format, and whether it was there already.

    network: a label of the record; the smallest Tucker network if None. threads: of both runtimes; those of torch if
    None. A table in the folder of these networks, as they are there now, is returned, unless `fresh`. Otherwise they
    are measured with `settings` as `measure_deployment` takes them, and the table and its picture written.

    Raises DataError for an incomplete folder, an unknown label, images that are gone; TuckerlabError for a setting.
    """
    most = 2 * (os.cpu_count() or 1)
    if threads is not None and not (is_whole(threads) and 1 <= threads <= most):
        raise TuckerlabError(f"threads {threads!r}: allowed here are whole numbers from 1 to {most}, two a core")
    folder = RunFolder.open(run)
    chosen = network or folder.small or folder.dense
    if chosen is None:
        raise DataError(f"{run}: there is no full network and none in Tucker format; give --network with a label")
    labels = [label for label in dict.fromkeys((folder.dense, chosen)) if label is not None]
    runs = {label: str(folder.rows(label)["run"].iloc[0]) for label in labels}  # of the first seed
    if not fresh:
        with suppress(DataError):
            rows = (found := Deployment.load(folder.path)).rows
            if "run" in rows and set(zip(rows["network"], rows["run"], strict=True)) == set(runs.items()):
                return found, True
    networks, usual = {label: folder.network(label) for label in labels}, torch.get_num_threads()
    try:
        torch.set_num_threads(threads or usual)
        made = measure_deployment(networks, folder.data(), progress=not quiet, **settings)
    finally:
        torch.set_num_threads(usual)
    made = Deployment(made.rows.assign(run=made.rows["network"].map(runs)))
    made.save(folder.path)
    return made, False


def show(made: Deployment, found: bool, run: str | os.PathLike[str]) -> None:
    """Prints the tables, the result in one line, what was measured on what, and where the table lies."""
    console = Console(highlight=False, markup=False)
    for table in rich_tables(made.rows):
        console.print(table)
    if made.finding:
        console.print(made.finding, style="bold")
    explained = _(
        "speed, smaller: against the first network in the same form, timed in turn. memory: growth of a process's peak "
        "from its imports to its first answer. right: of the test images. same as torch, differs by: answers, and the "
        "largest difference of the outputs relative to the largest, against torch in fp32."
    )
    console.print(explained, layouts(made.rows), circumstances(made.rows), sep="\n")
    if found:
        said = _("found in {folder}; --fresh measures again", folder=str(run))
    else:
        said = _("table and picture: deployment.parquet and deployment.png in {folder}", folder=str(run))
    console.print(said, soft_wrap=True)


def _reference(place: int, made: Sequence[Variant]) -> int:
    """The place of the variant of the first network in the same runtime and precision."""
    forms = [(one.runtime, one.precision) for one in made]
    return forms.index(forms[place])


def _timed(
    made: Sequence[Variant], images: Tensor, rounds: int, seconds: float, progress: bool
) -> list[dict[str, Any]]:
    """All variants in turn, each in the layout that is faster for it; every call after one that is not timed.

    A runtime's workers spin for a while when it has answered, in the hope of more work, and take a core from the next
    one that way. So they get the time to go to sleep, and the next one an untimed call to wake its own.
    """
    layouts = [_fastest(variant, images, min(rounds, FEWEST)) for variant in made]
    calls = {str(one): partial(one.layouts[layout], images) for one, layout in zip(made, layouts, strict=True)}
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
        times = list(interleave(calls, repeats=fitting, warmup=1, before=settle).values())
    return [
        {
            "layout": layout,
            "median_ms": own.median_ms,
            "p95_ms": float(np.percentile(own.samples_ms, 95)),
            "iqr_ms": own.iqr_ms,
            "rounds": fitting,
            "images_per_second": 1e3 * len(images) / own.median_ms,
            "faster": times[_reference(place, made)].median_ms / own.median_ms,
        }
        for place, (layout, own) in enumerate(zip(layouts, times, strict=True))
    ]


def _fastest(variant: Variant, images: Tensor, rounds: int) -> str:
    calls = {name: partial(answer, images) for name, answer in variant.layouts.items()}
    times = interleave(calls, repeats=rounds, warmup=1) if len(calls) > 1 else {}
    return min(calls, key=lambda name: times[name].median_ms if times else 0.0)


def _scored(made: Sequence[Variant], data: ImageData, progress: bool) -> list[dict[str, float]]:
    """Accuracy, and how far the outputs are from those of torch in fp32: the first variant of each network."""
    found: list[dict[str, float]] = []
    reference: dict[str, Tensor] = {}
    for variant in tqdm(made, desc="accuracy", disable=not progress, unit="form"):
        answer = next(iter(variant.layouts.values()))
        logits = torch.cat([answer(data.normalize(part)) for part in torch.split(data.test_images, SCORED)])
        expected = reference.setdefault(variant.network, logits)
        found.append({
            "accuracy": float((logits.argmax(1) == data.test_labels).double().mean()),
            "agreement": float((logits.argmax(1) == expected.argmax(1)).double().mean()),
            "difference": float((logits - expected).abs().max()) / (float(expected.abs().max()) or 1.0),
        })  # fmt: skip
    return found
