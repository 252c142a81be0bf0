"""The check of one file: does it answer as the network that it came from, how fast, and how often is it right?

>>> from tuckerlab.deploy.runtime.file import Model
>>> model = Model(Path("it.onnx"), {"a": lambda x: 2 * x.flatten(1), "b": lambda x: 2 * x.flatten(1)}, (1, 2, 2), 990)
>>> checked = check_model(model, None, None, batches=(1,), rounds=3, quiet=True)
>>> checked.sentences[0]
'it.onnx, 0.990 kB: a against b, 256 images of random numbers: 256 same answers, outputs within 0e+00 of the largest'
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path as Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from tqdm.auto import tqdm

from tuckerlab.data import ImageData
from tuckerlab.deploy.runtime.file import Answer, Model
from tuckerlab.deploy.runtime.measuring import BATCHES, ROUNDS, SCORED, scores
from tuckerlab.deploy.runtime.tables import size
from tuckerlab.deploy.runtime.words import digits
from tuckerlab.errors import TuckerlabError
from tuckerlab.training.provenance import device_name
from tuckerlab.training.timing import interleave

if TYPE_CHECKING:
    from rich.table import Table

COMPARED, BY_SLOW = 256, 8
"""Images whose outputs are compared, and how many where one side answers slowly."""


@dataclass(frozen=True)
class Checked:
    """Times, a row for each way to run the file and each batch, and what was compared with what, in sentences.

    >>> Checked(pd.DataFrame(columns=["runtime"]), ("nothing was compared",)).rows.empty
    True
    """

    rows: pd.DataFrame
    sentences: tuple[str, ...]

    def rich_table(self) -> "Table":
        """The times for a terminal."""
        from rich import box
        from rich.table import Table

        shown = Table("runtime", box=box.SIMPLE_HEAD)
        for head in ("batch", "time, ms", "95 %, ms", "images a second"):
            shown.add_column(head, justify="right")
        for _, row in self.rows.iterrows():
            times = [digits(row["median_ms"]), digits(row["p95_ms"]), f"{row['images_per_second']:,.0f}"]
            shown.add_row(row["runtime"], str(row["batch"]), *times)
        return shown


def check_model(
    model: Model,
    data: ImageData | None,
    origin: Answer | None,
    *,
    batches: Sequence[int] = BATCHES,
    rounds: int = ROUNDS,
    quiet: bool = False,
) -> Checked:
    """Compares a file with the network that it came from (`origin`, which takes normalised images), and times it.

    Where there is no origin, the ways to run the file are compared with each other, if there are several. data: the
    test images to answer; without them random numbers are answered, and nothing is said of the accuracy.

    Raises TuckerlabError where the file has other classes than the data.
    """
    pixels = "pixels" in model.about.get("input", "")
    if data is None:
        shape, chance = (COMPARED, *model.shape), torch.Generator().manual_seed(0)
        given = torch.rand(shape, generator=chance) * 255 if pixels else torch.randn(shape, generator=chance)
        source = "random numbers"
    else:
        given = _fed(data, data.test_images[:COMPARED], pixels)
        source = f"the test split of {data.name}"
    said = [f"{model.path.name}, {size(model.size_bytes)}: {_compared(model, data, origin, given, source)}"]
    if data is not None:
        said.append(_accuracy(model, data, pixels, quiet))
    rows = []
    for batch in batches:
        images = given[torch.arange(batch) % len(given)]
        calls = {way: partial(answer, images) for way, answer in model.ways.items() if way != model.slow}
        with tqdm(total=rounds * len(calls), desc=f"batches of {batch}", disable=quiet, unit="answer") as bar:
            times = interleave(calls, repeats=rounds, warmup=1, before=lambda _: bar.update())
        for way, timing in times.items():
            p95 = float(np.percentile(timing.samples_ms, 95))
            row = {"runtime": way, "batch": batch, "median_ms": timing.median_ms, "p95_ms": p95}
            rows.append(row | {"images_per_second": 1e3 * batch / timing.median_ms})
    said.append(f"timed on {device_name()}; threads: {torch.get_num_threads()}")
    return Checked(pd.DataFrame(rows), tuple(said))


def _fed(data: ImageData, images: Tensor, pixels: bool) -> Tensor:
    """Images as a file takes them: as they are, or normalised."""
    return images.float() if pixels else data.normalize(images)


def _compared(model: Model, data: ImageData | None, origin: Answer | None, given: Tensor, source: str) -> str:
    first, others = model.first, [way for way in model.ways if way != model.first]
    if origin is not None and data is not None:
        pairs = {"the network of the run, in torch": (origin, data.normalize(data.test_images[: len(given)]))}
    else:
        pairs = {way: (model.ways[way], given) for way in others}
    if not pairs:
        return f"{first} alone can run it, and the network that it came from was not found: nothing was compared"
    parts = []
    for name, (reference, images) in pairs.items():
        count = min(len(given), BY_SLOW if name == model.slow else COMPARED)
        found = scores(model.ways[first](given[:count]), reference(images[:count]), torch.zeros(count))
        same = round(count * found["agreement"])
        parts.append(
            f"{first} against {name}, {count} images of {source}: {same} same answers, outputs within "
            f"{found['difference']:.0e} of the largest"
        )
    return "; ".join(parts)


def _accuracy(model: Model, data: ImageData, pixels: bool, quiet: bool) -> str:
    right = 0
    for start in tqdm(range(0, len(data.test_images), SCORED), desc="accuracy", disable=quiet, unit="batch"):
        chosen = slice(start, start + SCORED)
        logits = model.ways[model.first](_fed(data, data.test_images[chosen], pixels))
        if logits.dim() != 2 or logits.shape[1] != data.num_classes:
            raise TuckerlabError(
                f"{model.path}: answers with {' × '.join(map(str, logits.shape[1:]))} numbers, {data.name} has "
                f"{data.num_classes} classes: give the data that it was trained on"
            )
        right += int((logits.argmax(1) == data.test_labels[chosen]).sum())
    return (
        f"{100 * right / len(data.test_images):.1f} % of {len(data.test_images):,} test images of {data.name} are right"
    )
