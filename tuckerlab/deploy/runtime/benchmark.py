"""What each form of each network costs and answers, measured on this machine in one run; `tuckerlab check`."""

import copy
import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich import box
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text
from torch import Tensor, nn
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.deploy.export import export_onnx, export_plain, prepared
from tuckerlab.deploy.export.int8 import CALIBRATION, quantize_onnx
from tuckerlab.deploy.ort import answers, open_session
from tuckerlab.deploy.runtime import COLUMNS, FORM, Deployment
from tuckerlab.deploy.runtime.process_memory import footprint
from tuckerlab.errors import DataError, TuckerlabError, is_whole
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.i18n import _
from tuckerlab.training.augment import epoch_order
from tuckerlab.training.metrics import checkpoint_bytes
from tuckerlab.training.openmp import release_workers
from tuckerlab.training.provenance import provenance
from tuckerlab.training.timing import interleave

BATCHES = (1, 128)
ROUNDS, FEWEST = 100, 7
SECONDS = 30.0
"""That the rounds of one batch size may take: where networks are slow there are fewer of them, but at least FEWEST."""
SCORED = 128  # images at once, when the test split is answered
SETTLE = 0.002  # seconds until the workers of the runtime before have gone to sleep


@dataclass(frozen=True)
class Variant:
    """A network that answers: in which runtime and precision, and from how large a file.

    `file` is what a process of its own can load (None: nothing that would do).
    """

    network: str
    runtime: str
    precision: str
    answer: Callable[[Tensor], Tensor]
    file_bytes: int
    file: Path | None = None


def measure_deployment(
    networks: Mapping[str, nn.Module], data: ImageData, *, batches: Sequence[int] = BATCHES, rounds: int = ROUNDS,
    memory: bool = True, progress: bool = False,
) -> Deployment:  # fmt: skip
    """Exports networks, the full one first, in every form, and measures all forms in turn on this machine's CPU.

    batches: numbers of images that are answered at once. rounds: calls of each form at each batch, fewer (but 7) where
    they would take longer than half a minute. memory: whether a process is started for each form to see how much it
    takes. Both runtimes use as many threads as torch is set to, and nothing else should run beside it.

    Raises TuckerlabError for settings out of range, a network that cannot be exported or does not fit the data.
    """
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
            timed = _timed(made, images, rounds, progress)
            for place, one in enumerate(tqdm(made, desc="memory", disable=not (memory and progress), unit="process")):
                told = {name: getattr(one, name) for name in ("network", "runtime", "precision", "file_bytes")}
                peak = footprint(one.runtime, one.file, images.shape, threads) if memory and one.file else None
                rows.append(told | {"batch": batch, "peak_bytes": peak} | timed[place] | scored[place])
    table = pd.DataFrame(rows)
    first = table.groupby(["runtime", "precision", "batch"])[["median_ms", "file_bytes"]].transform("first")
    facts: dict[str, Any] = {"dataset": data.name, "test_images": len(data.test_images), "note": data.note}
    facts |= provenance("cpu") | {"onnxruntime": importlib.metadata.version("onnxruntime")}
    compared = {"faster": first["median_ms"] / table["median_ms"], "smaller": first["file_bytes"] / table["file_bytes"]}
    return Deployment(table.assign(**compared, **facts))


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
    for cells in made.tables:  # of 80 columns
        heads = (Column(_(COLUMNS[name][0]), justify="left" if name in FORM else "right") for name in map(str, cells))
        shown = Table(*heads, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        groups = (cells["network"] + cells.get("batch", "")).tolist()
        for row, group, after in zip(cells.itertuples(index=False), groups, [*groups[1:], groups[-1]], strict=True):
            shown.add_row(*map(Text, row), end_section=group != after)
        console.print(shown)
    if made.finding:
        console.print(made.finding, style="bold")
    explained = _(
        "speed, smaller: against the first network in the same form, timed in turn. memory: growth of a process's peak "
        "from its imports to its first answer. right: of the test images. same as torch, differs by: answers, and the "
        "largest difference of the outputs relative to the largest, against torch in fp32."
    )
    console.print(explained, made.circumstances, sep="\n")
    if found:
        said = _("found in {folder}; --fresh measures again", folder=str(run))
    else:
        said = _("table and picture: deployment.parquet and deployment.png in {folder}", folder=str(run))
    console.print(said, soft_wrap=True)


def variants(label: str, network: nn.Module, data: ImageData, folder: Path, threads: int) -> list[Variant]:
    """Writes and loads every form of a network; the files lie in the folder and must stay there as long as they answer.

    All are made of one prepared network: batch norm folded, ranks rounded up to what kernels take at once. Ranges of
    int8 come from 256 training images.
    """
    example = data.normalize(data.train_images[:1])
    plain = prepared(network, example).module
    size, source = checkpoint_bytes(plain), None
    with suppress(TuckerlabError):  # a network that has no plain form answers here all the same
        written = export_plain(plain, folder / "plain", example)
        size, source = written.size_bytes, written.path
    laid_out = copy.deepcopy(plain).eval()
    laid_out.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    made = [Variant(label, "torch", "fp32", partial(_in_torch, laid_out), size, source)]
    exported = export_onnx(plain, folder / "model.onnx", example).path
    chosen = data.train_images[epoch_order(len(data.train_images), 0, 0)[:CALIBRATION]]
    quantized = quantize_onnx(exported, folder / "int8.onnx", data.normalize(chosen))
    for precision, file in (("fp32", exported), ("int8", quantized)):
        session = partial(answers, open_session(file, threads=threads))
        made.append(Variant(label, "onnxruntime", precision, session, file.stat().st_size, file))
    return made


@torch.inference_mode()
def _in_torch(network: nn.Module, images: Tensor) -> Tensor:
    logits: Tensor = network(images.contiguous(memory_format=torch.channels_last))
    return logits


def _timed(made: Sequence[Variant], images: Tensor, rounds: int, progress: bool) -> list[dict[str, Any]]:
    """All variants in turn, every call after one that is not timed.

    A runtime's workers spin for a while when it has answered, in the hope of more work, and take a core from the next
    one that way. So they get the time to go to sleep, and the next one an untimed call to wake its own.
    """
    calls = {str(place): partial(one.answer, images) for place, one in enumerate(made)}
    start = time.perf_counter()
    for call in calls.values():
        call()
    once = time.perf_counter() - start
    fitting = min(rounds, max(FEWEST, int(SECONDS / (2 * once))))

    def settle(name: str) -> None:
        release_workers()
        time.sleep(SETTLE)
        calls[name]()
        bar.update()

    label = f"batches of {len(images)}"
    with tqdm(total=fitting * len(calls), desc=label, disable=not progress, unit="answer") as bar:
        times = interleave(calls, repeats=fitting, warmup=1, before=settle)
    return [
        {
            "median_ms": own.median_ms,
            "p95_ms": float(np.percentile(own.samples_ms, 95)),
            "iqr_ms": own.iqr_ms,
            "rounds": fitting,
            "images_per_second": 1e3 * len(images) / own.median_ms,
        }
        for own in times.values()
    ]


def _scored(made: Sequence[Variant], data: ImageData, progress: bool) -> list[dict[str, float]]:
    """Accuracy, and how far the outputs are from those of torch in fp32: the first variant of each network."""
    found: list[dict[str, float]] = []
    reference: dict[str, Tensor] = {}
    for variant in tqdm(made, desc="accuracy", disable=not progress, unit="form"):
        logits = torch.cat([variant.answer(data.normalize(part)) for part in torch.split(data.test_images, SCORED)])
        expected = reference.setdefault(variant.network, logits)
        found.append({
            "accuracy": float((logits.argmax(1) == data.test_labels).double().mean()),
            "agreement": float((logits.argmax(1) == expected.argmax(1)).double().mean()),
            "difference": float((logits - expected).abs().max()) / (float(expected.abs().max()) or 1.0),
        })  # fmt: skip
    return found
