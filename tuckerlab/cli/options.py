"""Options that several commands have, as typer reads them, and what of them was given.

>>> asked({"seeds": 3, "out": None})
{'seeds': 3}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

Dataset = Annotated[
    str | None,
    typer.Option(help="What to learn: digits, cifar10, or folder:PATH with your images. [default: digits]"),
]
ImageSize = Annotated[
    int | None, typer.Option(min=1, metavar="<int>", help="Resize the images of a folder to this many pixels a side.")
]
Model = Annotated[
    str | None,
    typer.Option(help="The network: auto, vgg_small, lenet5, vgg16, alexnet, resnet18 or vit_small. [default: auto]"),
]
Width = Annotated[float | None, typer.Option(help="Make every layer this many times as wide. [default: 1.0]")]
Seeds = Annotated[int | None, typer.Option(min=1, metavar="<int>", help="Train every network so often. [default: 3]")]
Epochs = Annotated[int | None, typer.Option(min=1, metavar="<int>", help="How often to go through all images.")]
BatchSize = Annotated[int | None, typer.Option(min=1, metavar="<int>", help="Images a training step.")]
Optimizer = Annotated[str | None, typer.Option(help="What trains all networks: muon, sgd or adamw. [default: muon]")]
LearningRate = Annotated[
    float | None,
    typer.Option(help="Learning rate: the length of the longest steps. [default: 0.03 muon, 0.1 sgd, 0.001 adamw]"),
]
Workers = Annotated[
    int | None, typer.Option(min=1, metavar="<int>", help="Networks trained at once on this machine. [default: 1]")
]
Out = Annotated[Path | None, typer.Option(file_okay=False, help="The folder for the results. [default: runs]")]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda or mps. [default: auto]")]
Resume = Annotated[
    bool | None,
    typer.Option("--resume/--fresh", help="Go on with a run that was cut off, or begin anew even if one is there."),
]
Quiet = Annotated[bool | None, typer.Option("--quiet", help="Print the table only, no progress.")]


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given; the others are left to the defaults of the function that a command calls.

    >>> asked({"quiet": False, "compression": []})
    {'quiet': False}
    """
    return {name: value for name, value in options.items() if value is not None and value != []}
