"""The commands that train networks: `poc`, `headline`, `compare`, `sweep`.

Each loads what it needs when it runs, so that `tuckerlab --help` answers at once.
"""

from typing import Annotated

import typer

from tuckerlab.cli.options import (
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


def headline(
    dataset: Annotated[str | None, typer.Option(help="What to learn. [default: cifar10]")] = None,
    model: Annotated[
        str | None, typer.Option(help="The network: vgg16, resnet18, alexnet or another of poc's. [default: vgg16]")
    ] = None,
    width: Width = None,
    compression: Annotated[
        list[float] | None,
        typer.Option(help="A part of the convolution weights to save; may be repeated. [default: 0.9 0.95 0.97 0.98]"),
    ] = None,
    pruning: Annotated[
        list[float] | None,
        typer.Option(help="Prune the dense network by this part, to compare; may be repeated. [default: 0.97 0.98]"),
    ] = None,
    no_pruning: Annotated[bool, typer.Option("--no-pruning", help="Leave the pruned networks out.")] = False,
    equal: Annotated[
        list[str] | None,
        typer.Option(
            help="What Tucker networks may spend like the dense one: epochs or time; may be repeated. [default: epochs]"
        ),
    ] = None,
    rival: Annotated[
        list[str] | None,
        typer.Option(help="One more method, of those of compare, at each --compression; may be repeated."),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(help="Largest first rank of Tucker networks, as a share of the widest layer. [default: 0.25]"),
    ] = None,
    seeds: Seeds = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="<int>", help="How often to go through all images. [default: 40 on CUDA, 12 on a CPU]"
        ),
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Instead of --epochs: as many, up to the default, as end within this time.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="Images a training step. [default: 512 on CUDA, 256]")
    ] = None,
    optimizer: Optimizer = None,
    lr: LearningRate = None,
    precision: Annotated[
        str | None,
        typer.Option(help="Of the arithmetic: auto, fp32, bf16 or fp16. [default: auto, bf16 on CUDA, fp32 elsewhere]"),
    ] = None,
    out: Out = None,
    device: Device = None,
    resume: Resume = None,
    quiet: Quiet = None,
) -> None:
    """Train a large network as usual, in compressed form at several sizes, and pruned; several times each.

    It is made for a GPU. On a CPU --width 0.25 --seeds 1 --minutes 50 gives a smaller version of the picture, and
    --precision bf16 is faster where the processor has it. After Ctrl-C the same command goes on where it was, a minute
    earlier at most; with more networks or seeds it trains those alone.
    """
    given = asked({name: value for name, value in locals().items() if name not in ("no_pruning", "rival")})
    given |= asked({"rivals": rival})
    if no_pruning and pruning:
        raise RankError(f"both --no-pruning and --pruning {pruning[0]:g} were given: give one of them")
    if no_pruning:
        given["pruning"] = []
    from tuckerlab.experiments.headline import run_headline
    from tuckerlab.experiments.proof import show

    show(run_headline(**given))


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
