"""`tuckerlab sweep`: networks of many sizes, by many workers."""

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


def sweep(
    dataset: Dataset = None,
    image_size: ImageSize = None,
    model: Model = None,
    width: Width = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help="tucker, dense, pruning, cut or another; may be repeated. [default: dense tucker]"),
    ] = None,
    tolerances: Annotated[
        str | None, typer.Option(help="What each layer may lose: 0.02,0.1 or start:stop:count, such as 0.02:0.3:8.")
    ] = None,
    compressions: Annotated[
        str | None,
        typer.Option(help="Parts of the weights to save, written alike. [default: 0.8,0.9,0.95,0.98]"),
    ] = None,
    seeds: Seeds = None,
    epochs: Epochs = None,
    batch_size: BatchSize = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    workers: Workers = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Train on the cluster of this dask scheduler, such as tcp://host:8786.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="URL of the data base for the study. [default: a file in the folder]")
    ] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study. [default: made of the settings]")] = None,
    no_pruning: Annotated[
        bool, typer.Option("--no-pruning", help="Train to the end what is far behind smaller networks, too.")
    ] = False,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Train networks of many sizes, several at once, and show which are the best at their size.

    It may be stopped or killed at any time: the same command goes on where it was, and a longer list of tolerances,
    methods or seeds trains only what is new. On several machines, give a --storage and an --out that all of them see.
    """
    given = asked({"methods": method, "pruning": False if no_pruning else None, **locals()})
    del given["no_pruning"]
    given.pop("method", None)
    from tuckerlab.experiments.sweep.study import run_sweep, show

    show(run_sweep(**given))
