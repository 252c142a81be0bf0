"""What each form of each network costs and answers, measured on this machine in one run; `tuckerlab check`."""

import importlib.metadata
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.deploy.export.onnx import CALIBRATION, answers, export_onnx, open_session, quantize_onnx
from tuckerlab.deploy.export.prepare import prepared
from tuckerlab.deploy.runtime import Deployment
from tuckerlab.errors import DataError
from tuckerlab.experiments.run_folder import RunFolder
from tuckerlab.training.augment import epoch_order
from tuckerlab.training.machine import interleave, iqr, provenance, release_workers
from tuckerlab.training.metrics import checkpoint_bytes

BATCHES = (1, 128)
ROUNDS, FEWEST, SECONDS = 100, 7, 30.0
"""Of a size of the batch: ROUNDS, or FEWEST and more where they would take longer than SECONDS."""
SETTLE = 0.002  # seconds until the workers of the runtime before have gone to sleep


class Variant(NamedTuple):
    """A network that answers: in which runtime and precision, and from how large a file."""

    network: str
    runtime: str
    precision: str
    file_bytes: int
    answer: Callable[[Tensor], Tensor]


def measure_deployment(networks: Mapping[str, nn.Module], data: ImageData, *, progress: bool = False) -> Deployment:
    """Exports networks, the full one first, in every form, and times all forms in turn on this machine's CPU."""
    data, made = data.to("cpu"), list[Variant]()
    with tempfile.TemporaryDirectory() as folder:
        for number, label in enumerate(tqdm(networks, desc="exporting", disable=not progress, unit="network")):
            made += _variants(label, networks[label], data, Path(folder) / str(number))
        forms = pd.DataFrame(made).drop(columns="answer")
        scores = _scored(made, data, progress)
        timed = [forms.assign(batch=batch).join([_timed(made, batch, data, progress), scores]) for batch in BATCHES]
    table = pd.concat(timed, ignore_index=True)
    first = table.groupby(["runtime", "precision", "batch"])[["median_ms", "file_bytes"]].transform("first")
    facts: dict[str, Any] = {"dataset": data.name, "test_images": len(data.test_images), "note": data.note}
    facts |= provenance("cpu") | {"onnxruntime": importlib.metadata.version("onnxruntime")}
    compared = {"faster": first["median_ms"] / table["median_ms"], "smaller": first["file_bytes"] / table["file_bytes"]}
    return Deployment(table.assign(**compared, **facts))


def check_run(
    run: str | os.PathLike[str], *, network: str | None = None, fresh: bool = False, quiet: bool = False
) -> Deployment:
    """The table of the full network of a run and of one in Tucker format, the smallest if `network` is None.

    One in the folder of these networks, as they are now, is returned, unless `fresh`; else it is measured and written.
    """
    folder = RunFolder.open(run)
    labels = [label for label in dict.fromkeys((folder.dense, network or folder.small)) if label is not None]
    if not labels:
        raise DataError(f"{run}: there is no full network and none in Tucker format; give --network with a label")
    runs = {label: str(folder.rows(label)["run"].iloc[0]) for label in labels}  # of the first seed
    if not fresh:
        with suppress(DataError):
            rows = (found := Deployment.load(folder.folder)).rows
            if "run" in rows and set(zip(rows["network"], rows["run"], strict=True)) == set(runs.items()):
                return found
    measured = measure_deployment({label: folder.network(label) for label in labels}, folder.data(), progress=not quiet)
    made = Deployment(measured.rows.assign(run=measured.rows["network"].map(runs)))
    made.save(folder.folder)
    return made


def _variants(label: str, network: nn.Module, data: ImageData, folder: Path) -> list[Variant]:
    """Every form of a network; the files lie in the folder and must stay there as long as they answer."""
    example = data.normalize(data.train_images[:1])
    plain = prepared(network, example, align=True)[0]
    size = checkpoint_bytes(plain)
    plain.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def in_torch(images: Tensor) -> Tensor:
        logits: Tensor = plain(images.contiguous(memory_format=torch.channels_last))
        return logits

    made = [Variant(label, "torch", "fp32", size, in_torch)]
    exported = export_onnx(network, folder / "model.onnx", example).path
    chosen = data.train_images[epoch_order(len(data.train_images), 0, 0)[:CALIBRATION]]
    quantized = quantize_onnx(exported, folder / "int8.onnx", data.normalize(chosen))
    for precision, file in (("fp32", exported), ("int8", quantized)):
        session = partial(answers, open_session(file))
        made.append(Variant(label, "onnxruntime", precision, file.stat().st_size, session))
    return made


def _timed(made: Sequence[Variant], batch: int, data: ImageData, progress: bool) -> pd.DataFrame:
    """All variants in turn, every call after one that is not timed.

    A runtime's workers spin for a while after an answer, and take a core from the next: they get time to go to sleep.
    """
    images = data.normalize(data.test_images[torch.arange(batch) % len(data.test_images)])
    calls = {str(place): partial(one.answer, images) for place, one in enumerate(made)}
    start = time.perf_counter()
    for call in calls.values():
        call()
    rounds = min(ROUNDS, max(FEWEST, int(SECONDS / (2 * (time.perf_counter() - start)))))

    def settle(name: str) -> None:
        release_workers()
        time.sleep(SETTLE)
        calls[name]()
        bar.update()

    label = f"batches of {batch}"
    with tqdm(total=rounds * len(calls), desc=label, disable=not progress, unit="answer") as bar:
        times = np.array([*interleave(calls, repeats=rounds, warmup=1, before=settle).values()])
    middle, high = np.median(times, 1), np.percentile(times, 95, 1)
    return pd.DataFrame({"median_ms": middle, "p95_ms": high, "iqr_ms": [iqr(own) for own in times], "rounds": rounds})


def _scored(made: Sequence[Variant], data: ImageData, progress: bool) -> pd.DataFrame:
    """Accuracy, and the share of answers that are those of torch in fp32: the first variant of each network."""
    rows: list[dict[str, float]] = []
    reference: dict[str, Tensor] = {}
    for variant in tqdm(made, desc="accuracy", disable=not progress, unit="form"):
        parts = torch.split(data.test_images, max(BATCHES))
        answered = torch.cat([variant.answer(data.normalize(part)).argmax(1) for part in parts])
        right, alike = data.test_labels, reference.setdefault(variant.network, answered)
        shares = {"accuracy": answered == right, "agreement": answered == alike}
        rows.append({name: float(share.double().mean()) for name, share in shares.items()})
    return pd.DataFrame(rows)
