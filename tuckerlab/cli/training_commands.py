"""The commands that train networks: `poc`, `headline`, `compare`, `sweep`.

Each loads what it needs when it runs, so that `tuckerlab --help` answers at once.
"""

from typing import Any

from tuckerlab.cli.options import option, takes, whole
from tuckerlab.errors import RankError


@takes(
    "dataset image_size model width compression tolerance epochs batch_size optimizer lr seed out device resume quiet",
    compression=option(float, "The part of the convolution weights to save: 0.9 keeps a tenth. [default: 0.95]"),
    tolerance=option(
        float, "Instead of --compression: how much of each layer may be rounded away, such as 0.1."
    ),
    seed=option(int, "The same seed gives the same run on the same CPU."),
)  # fmt: skip
def poc(**given: Any) -> None:
    """Train one network twice, as usual and in compressed form, and compare the two.

    Prints a table of accuracy, size, speed and memory, and leaves the record, the trained networks and the
    pictures in a folder of their own. Without options it takes one to two minutes and needs no download.
    """
    if {"compression", "tolerance"} <= given.keys():
        raise RankError(
            f"both --compression {given['compression']:g} and --tolerance {given['tolerance']:g} were given: give one "
            "of them (the first sets the size, the second the loss of detail)"
        )
    from tuckerlab.experiments.proof import run_poc, show

    show(run_poc(**given))


@takes(
    "dataset model width compression pruning no_pruning equal rival start seeds epochs minutes batch_size optimizer lr "
    "precision out device resume quiet",
    dataset=option(str, "What to learn. [default: cifar10]"),
    model=option(str, "The network: vgg16, resnet18, alexnet or another of poc's. [default: vgg16]"),
    compression=option(
        list[float],
        "A part of the convolution weights to save; may be repeated. [default: 0.9 0.95 0.97 0.98]",
    ),
    pruning=option(
        list[float], "Prune the dense network by this part, to compare; may be repeated. [default: 0.97 0.98]"
    ),
    no_pruning=option(bool, "Leave the pruned networks out.", "--no-pruning"),
    equal=option(
        list[str],
        "What Tucker networks may spend like the dense one: epochs or time; may be repeated. [default: epochs]",
    ),
    rival=option(list[str], "One more method, of those of compare, at each --compression; may be repeated."),
    start=option(float, "Largest first rank of Tucker networks, as a share of the widest layer. [default: 0.25]"),
    minutes=option(float, "Instead of --epochs: as many, up to the default, as end within this time."),
    epochs=whole("How often to go through all images. [default: 40 on CUDA, 12 on a CPU]"),
    batch_size=whole("Images a training step. [default: 512 on CUDA, 256]"),
    precision=option(str, "Of the arithmetic: auto, fp32, bf16 or fp16. [default: auto, bf16 on CUDA, fp32 elsewhere]"),
)
def headline(**given: Any) -> None:
    """Train a large network as usual, in compressed form at several sizes, and pruned; several times each.

    It is made for a GPU. On a CPU --width 0.25 --seeds 1 gives a smaller version of the picture, and
    --precision bf16 is faster where the processor has it. After Ctrl-C the same command goes on where it was, a minute
    earlier at most; with more networks or seeds it trains those alone.
    """
    if given.pop("no_pruning", False):
        if given.get("pruning"):
            raise RankError(f"both --no-pruning and --pruning {given['pruning'][0]:g} were given: give one of them")
        given["pruning"] = []
    from tuckerlab.experiments.headline import run_headline
    from tuckerlab.experiments.proof import show

    show(run_headline(rivals=given.pop("rival", ()), **given))


@takes(
    "dataset image_size model width method compression seeds epochs batch_size optimizer lr out device resume quiet",
    method=option(
        list[str], "tucker, pruning, channels, int8, cut, matrix or another; may be repeated. [default: all]"
    ),
    compression=option(
        list[float], "A part of the convolution weights to save; may be repeated. [default: 0.8 0.9 0.95]"
    ),
)
def compare(**given: Any) -> None:
    """Make a network small in every way there is, with the same training, and compare what comes out.

    Accuracy against size, time and file: trained in Tucker format, cut after training, other factorizations, pruned,
    quantized. With everything it takes half an hour for digits on two cores, and longer for mnist; after Ctrl-C the
    same command goes on.
    """
    from tuckerlab.experiments.compare import run_compare
    from tuckerlab.experiments.proof import show

    show(run_compare(methods=given.pop("method", None), **given))


@takes(
    "dataset image_size model width method tolerances compressions seeds epochs batch_size optimizer lr workers "
    "scheduler storage study no_pruning out device resume quiet",
    method=option(list[str], "tucker, dense, pruning, cut or another; may be repeated. [default: dense tucker]"),
    tolerances=option(str, "What each layer may lose: 0.02,0.1 or start:stop:count, such as 0.02:0.3:8."),
    compressions=option(str, "Parts of the weights to save, written alike. [default: 0.8,0.9,0.95,0.98]"),
    scheduler=option(str, "Train on the cluster of this dask scheduler, such as tcp://host:8786."),
    storage=option(str, "URL of the data base for the study. [default: a file in the folder]"),
    study=option(str, "Name of the study. [default: made of the settings]"),
    no_pruning=option(bool, "Train to the end what is far behind smaller networks, too.", "--no-pruning"),
)
def sweep(**given: Any) -> None:
    """Train networks of many sizes, several at once, and show which are the best at their size.

    It may be stopped or killed at any time: the same command goes on where it was, and a longer list of tolerances,
    methods or seeds trains only what is new. On several machines, give a --storage and an --out that all of them see.
    """
    from tuckerlab.experiments.proof import show
    from tuckerlab.experiments.sweep.study import run_sweep

    show(run_sweep(methods=given.pop("method", None), pruning=not given.pop("no_pruning", False), **given))
