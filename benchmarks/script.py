"""What the scripts of this folder share: one network trained and recorded; a mistake of the user told in one line."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from tuckerlab import build, fit, materialize, tuckerize
from tuckerlab.data import ImageData
from tuckerlab.errors import TuckerlabError
from tuckerlab.experiments.records import Records
from tuckerlab.training.config import Recipe
from tuckerlab.training.models import MODELS
from tuckerlab.tucker.model_size import count_parameters

Item = TypeVar("Item")


def run(main: Callable[[], None]) -> None:
    """Calls `main`; what the user can mend ends in one line and exit code 2, as in the command line."""
    try:
        main()
    except TuckerlabError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.filename}: cannot be read or written ({error.strerror})", file=sys.stderr)
    else:
        return
    sys.exit(2)


def positive(text: str) -> int:
    """A whole number from 1, for argparse.

    >>> positive("3")
    3
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed are whole numbers from 1")
    return int(text)


def part(plan: Sequence[Item], share: str) -> Sequence[Item]:
    """Of a plan every n-th item from the i-th, by "i/n".

    >>> part("abcde", "1/2")
    'bd'
    """
    first, _, parts = share.partition("/")
    if not (first.isdecimal() and parts.isdecimal() and int(first) < int(parts)):
        raise TuckerlabError(f"part {share!r}: allowed is i/n with i from 0 to n - 1, such as 0/2")
    return plan[int(first) :: int(parts)]


def train(
    label: str,
    folder: Path,
    data: ImageData,
    model: str,
    width: float,
    recipe: Recipe,
    *,
    start: float | None,
    policy: str = "",
) -> None:
    """Trains one network and leaves its record in a folder; one that is there already is not trained again.

    start: the first ranks, as a fraction of each mode; None: dense. policy: words for the record, if the ranks' own do
    not say it all.
    """
    if (folder / "runs.parquet").exists():
        return
    torch.manual_seed(recipe.seed)
    channels, side = data.train_images.shape[1:3]
    with torch.device("meta"):
        network: nn.Module = build(
            model, width=width, in_channels=channels, image_size=side, num_classes=len(data.classes)
        )
        if start is not None:
            network = tuckerize(network, include=MODELS[model].include, ranks=start)
    file = folder / "run.safetensors"
    trained = fit(materialize(network), data, recipe, progress=f"{label}, seed {recipe.seed}", checkpoint=file)
    counts = count_parameters(trained.model)
    facts: dict[str, Any] = {
        "run": folder.name, "label": label, "method": "dense" if start is None else "tucker", "dataset": data.name,
        "model": model, "width": width, "seed": recipe.seed, "epochs": recipe.epochs, "batch_size": recipe.batch_size,
        "lr": recipe.rate, "ranks_policy": policy or f"start {start}, {recipe.ranks}",
        "test_accuracy": trained.test_accuracy, "conv_parameters": counts.conv_stored,
        "parameters": counts.total_stored, "conv_compression": counts.conv_compression,
        "compression": counts.compression, "train_seconds": trained.seconds, "state": trained.state, "note": data.note,
    }  # fmt: skip
    Records.single(facts | trained.origin, trained.epochs, trained.ranks).save(folder)
    file.unlink(missing_ok=True)
