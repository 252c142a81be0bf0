"""What each form of each network costs and answers, measured on this machine in one run.

>>> timing = Timing((1.0, 2.0, 3.0, 10.0), batch=2)
>>> cost(timing, dense=Timing((2.0, 4.0, 6.0, 20.0), batch=2))["faster"]
2.0
"""

import importlib.metadata
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.deploy.runtime.process_memory import footprint
from tuckerlab.deploy.runtime.variants import Variant, variants
from tuckerlab.errors import TuckerlabError, is_whole
from tuckerlab.training.openmp import release_workers
from tuckerlab.training.provenance import provenance
from tuckerlab.training.timing import Timing, interleave

BATCHES = (1, 128)
ROUNDS, FEWEST = 100, 7
SECONDS = 30.0
"""That the rounds of one batch size may take: where networks are slow there are fewer of them, but at least FEWEST."""

SCORED = 128  # images at once, when the test split is answered
SETTLE = 0.002  # seconds until the workers of the runtime before have gone to sleep


def measured(
    networks: Mapping[str, nn.Module],
    data: ImageData,
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = ROUNDS,
    seconds: float = SECONDS,
    memory: bool = True,
    progress: bool = False,
) -> pd.DataFrame:
    """A row for each network, runtime, precision and batch: see `Deployment`.

    >>> from tuckerlab import load_data
    >>> measured({}, load_data("digits"))
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: no networks: give one or more; the others are compared with the first

    The first network is the one that the others are compared with. Everything runs on the CPU, in torch and in
    onnxruntime on as many threads as torch is set to.
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
            timed = _timed(made, _batch(data, batch), rounds, seconds, progress)
            rows += [_named(variant) | timed[variant.name] | answered[variant.name] for variant in made]
        files = {variant.name: variant.file for variant in made}
        for row in tqdm(rows if memory else [], desc="memory", disable=not progress, unit="process"):
            file, shape = files[row["variant"]], (row["batch"], *data.test_images.shape[1:])
            row["peak_bytes"] = None if file is None else footprint(row["runtime"], file, shape, threads)
    facts = {"dataset": data.name, "test_images": len(data.test_images), "note": data.note}
    facts |= provenance("cpu") | {"onnxruntime": importlib.metadata.version("onnxruntime")}
    dense_bytes = {(row["runtime"], row["precision"]): row["file_bytes"] for row in reversed(rows)}
    smaller = [{"smaller": dense_bytes[row["runtime"], row["precision"]] / row["file_bytes"]} for row in rows]
    return pd.DataFrame([row | more | facts for row, more in zip(rows, smaller, strict=True)])


def cost(timing: Timing, dense: Timing) -> dict[str, float]:
    """The times of a variant, and how many times as fast as the dense one it is: the median over the rounds.

    >>> cost(Timing((4.0, 4.0), batch=8), Timing((2.0, 2.0), batch=8))
    {'median_ms': 4.0, 'p95_ms': 4.0, 'iqr_ms': 0.0, 'rounds': 2, 'images_per_second': 2000.0, 'faster': 0.5}
    """
    return {
        "median_ms": timing.median_ms,
        "p95_ms": float(np.percentile(timing.samples_ms, 95)),
        "iqr_ms": timing.iqr_ms,
        "rounds": timing.runs,
        "images_per_second": 1e3 * (timing.batch or 1) / timing.median_ms,
        "faster": dense.ratio(timing),
    }


def _named(variant: Variant) -> dict[str, Any]:
    names = {"variant": variant.name, "network": variant.network, "runtime": variant.runtime}
    return names | {"precision": variant.precision, "file_bytes": variant.file_bytes, "peak_bytes": None}


def _batch(data: ImageData, size: int) -> Tensor:
    """Test images as the network sees them, repeated where there are fewer."""
    return data.normalize(data.test_images[torch.arange(size) % len(data.test_images)])


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
