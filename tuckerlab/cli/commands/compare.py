"""`tuckerlab compare`: one network made small in every way there is.

>>> compare.__name__
'compare'
"""

from typing import Annotated

import typer

from tuckerlab.cli.commands.options import (
    BatchSize,
    Dataset,
    Device,
    Epochs,
    ImageSize,
    LearningRate,
    Model,
    Optimizer,
    Out,
    Quiet,
    Resume,
    Seeds,
    Width,
    Workers,
    asked,
)


def compare(
    dataset: Dataset = None,
    image_size: ImageSize = None,
    model: Model = None,
    width: Width = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="tucker, pruning, channels, int8, cut, matrix or another; may be repeated. [default: all]"),
    ] = None,
    compression: Annotated[
        list[float] | None,
        typer.Option(help="A part of the convolution weights to save; may be repeated. [default: 0.8 0.9 0.95]"),
    ] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    workers: Workers = None,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Make a network small in every way there is, with the same training, and compare what comes out.

    Accuracy against size, time and file: trained in Tucker format, cut after training, other factorizations, pruned,
    quantized. With everything it takes half an hour for digits on two cores; after Ctrl-C the same command goes on.
    """
    given = asked(locals())
    if method:
        given["methods"] = given.pop("method")
    from tuckerlab.experiments.compare import run_compare, show

    show(run_compare(**given))
