"""`tuckerlab check`: what a network costs and answers where it is deployed.

>>> check.__name__
'check'
"""

from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli.commands.options import ImageSize, Quiet, asked


def check(
    model: Annotated[
        Path, typer.Argument(help="The folder of a run, or a file that tuckerlab export has written, or a checkpoint.")
    ],
    data: Annotated[
        str | None, typer.Option(help="For a file: the images to answer, digits, cifar10 or folder:PATH.")
    ] = None,
    image_size: ImageSize = None,
    network: Annotated[
        str | None, typer.Option(help="For a run: the network by its label. [default: the smallest in Tucker format]")
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(min=1, metavar="<int>", help="Images at once; may be repeated. [default: 1 128]")
    ] = None,
    rounds: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="Times every answer is timed. [default: 100, slow: less]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, metavar="<int>", help="Of torch and onnxruntime. [default: as torch has]")
    ] = None,
    no_memory: Annotated[bool, typer.Option("--no-memory", help="Leave the memory of processes out.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure a run again even if its table would do.")] = False,
    quiet: Quiet = None,
) -> None:
    """Measure a network where it is deployed: time, throughput, file, memory, accuracy, and equal answers.

    Of a run, the full and the compressed network in torch and onnxruntime, as fp32 and int8, in turn on this machine;
    the table and its picture stay in the folder. Of one file, its answers against the network that it came from: open
    only what comes from people you trust, since exported programs are programs. Let nothing else run beside it.
    """
    given = asked({"batches": tuple(batch or ()) or None, "rounds": rounds, "memory": False if no_memory else None})
    from tuckerlab.deploy.runtime import checking

    checking.check(
        model,
        data=data,
        image_size=image_size,
        network=network,
        threads=threads,
        fresh=fresh,
        quiet=bool(quiet),
        **given,
    )
