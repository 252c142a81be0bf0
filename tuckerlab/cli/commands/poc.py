"""`tuckerlab poc`: one network trained twice.

>>> poc.__name__
'poc'
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
    Width,
    asked,
)
from tuckerlab.errors import RankError


def poc(
    dataset: Dataset = None,
    image_size: ImageSize = None,
    model: Model = None,
    width: Width = None,
    compression: Annotated[
        float | None,
        typer.Option(help="The part of the convolution weights to save: 0.9 keeps a tenth. [default: 0.9]"),
    ] = None,
    tolerance: Annotated[
        float | None,
        typer.Option(help="Instead of --compression: how much of each layer may be rounded away, such as 0.1."),
    ] = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same run on the same CPU.")] = None,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Train one network twice, as usual and in compressed form, and compare the two.

    Prints a table of accuracy, size, speed and memory, and leaves the record, the trained networks and the
    pictures in a folder of their own. Without options it takes two minutes and needs no download.
    """
    given = asked(locals())
    if compression is not None and tolerance is not None:
        raise RankError(
            f"both --compression {compression:g} and --tolerance {tolerance:g} were given: give one of them "
            "(the first sets the size, the second the loss of detail)"
        )
    from tuckerlab.experiments.proof import run_poc, show

    show(run_poc(**given))
