"""`tuckerlab headline`: a large network at several sizes, several times each.

>>> headline.__name__
'headline'
"""

from typing import Annotated

import typer

from tuckerlab.cli.commands.options import Device, LearningRate, Optimizer, Out, Quiet, Resume, Seeds, Width, asked
from tuckerlab.errors import RankError


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
