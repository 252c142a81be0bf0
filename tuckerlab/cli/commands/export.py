"""`tuckerlab export`: a trained network as a file that runs elsewhere.

>>> export.__name__
'export'
"""

from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli.commands.options import asked


def export(
    run: Annotated[Path, typer.Argument(help="A folder that tuckerlab poc has left, or one .safetensors file in it.")],
    to: Annotated[str, typer.Option(help="onnx, torch (torch.export), or plain (a model.py that needs torch alone).")],
    network: Annotated[
        str | None, typer.Option(help='Its label, such as "Tucker 90 %", or dense. [default: the smallest Tucker one]')
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The seed of the network. [default: the first]")] = None,
    out: Annotated[
        str | None,  # as a Path, "" would be the folder that one is in
        typer.Option(metavar="<path>", help="The file (plain: the folder). [default: in RUN/export]"),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="Version of the ONNX operators. [default: that of torch]")] = None,
    margin: Annotated[
        float | None,
        typer.Option(help="How much faster a layer must get to be stored in a larger form. [default: 0.2]"),
    ] = None,
) -> None:
    """Write a trained network as a file that runs without tuckerlab.

    Layers whose small parts run slower than the whole are merged back (measured here, layer by layer), batch norms are
    folded, and the file is run and compared with the network before it is there. It takes pixels from 0 to 255.
    """
    given = asked(locals())
    from tuckerlab.deploy.export_run import run_export, show

    show(run_export(given.pop("run"), **given))
