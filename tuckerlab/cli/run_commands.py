"""The commands for runs that are there: `export`, `check`, `brief`.

Each loads what it needs when it runs, so that `tuckerlab --help` answers at once.
"""

from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli.options import Quiet, asked


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
    overwrite: Annotated[bool | None, typer.Option("--overwrite", help="Replace what lies at OUT already.")] = None,
) -> None:
    """Write a trained network as a file that runs without tuckerlab.

    Layers whose small parts run slower than the whole are merged back (measured here, layer by layer), batch norms are
    folded, and the file is run and compared with the network before it is there. It takes pixels from 0 to 255.
    """
    given = asked(locals())
    from tuckerlab.deploy.export_run import run_export, show

    show(run_export(given.pop("run"), **given))


def check(
    run: Annotated[Path, typer.Argument(help="A folder that tuckerlab poc has left.")],
    network: Annotated[
        str | None, typer.Option(help="The network by its label. [default: the smallest in Tucker format]")
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
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again even if there is a table.")] = False,
    quiet: Quiet = None,
) -> None:
    """Measure the networks of a run where they are deployed: time, throughput, file, memory, and equal answers.

    The full and the compressed network in torch and onnxruntime, the latter as fp32 and int8, in turn on this machine;
    the table and its picture stay in the folder. Let nothing else run beside it.
    """
    given = asked({"batches": tuple(batch or ()) or None, "rounds": rounds, "memory": False if no_memory else None})
    from tuckerlab.deploy.runtime.benchmark import check_run, show

    show(*check_run(run, network=network, threads=threads, fresh=fresh, quiet=bool(quiet), **given), run)


def brief(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Folders of runs, or names of recorded results, of one task.")
    ],
    out: Annotated[Path, typer.Option(help="The file: .html, or .pdf where a Chromium, Chrome or Edge is installed.")],
    lang: Annotated[str, typer.Option(help="en or ja.")] = "en",
    network: Annotated[
        str | None,
        typer.Option(help="The small network, by its label. [default: the smallest Tucker one that loses little]"),
    ] = None,
    assumptions: Annotated[
        Path | None, typer.Option(help="What the money rests on, as TOML. [default: an example]")
    ] = None,
    title: Annotated[str, typer.Option(help="In place of the usual title.")] = "",
    company: Annotated[str, typer.Option(help="Stands above the title.")] = "",
    pdf: Annotated[bool, typer.Option("--pdf", help="Print it to a .pdf beside the .html too.")] = False,
    quiet: Quiet = None,
) -> None:
    """Write the decision brief of runs: recommendation, numbers, money, plan, risks, and what is not known.

    One file of two A4 pages that needs nothing else. Where the networks lie beside the record they are audited, which
    takes some seconds for small ones. Repeat a run with other seeds and give all of its folders.
    """
    from rich.console import Console

    from tuckerlab.decision.assumptions import Assumptions
    from tuckerlab.decision.report import write_brief
    from tuckerlab.experiments.recorded import run_folder

    told = Assumptions.load(assumptions) if assumptions else None
    folders = [run_folder(run) for run in runs]
    with Console(stderr=True, quiet=bool(quiet)).status("") as status:
        written = write_brief(
            folders, out, lang=lang, assumptions=told, network=network, title=title, company=company, pdf_too=pdf,
            report=status.update,
        )  # fmt: skip
    for gap in written.evidence.gaps:
        if gap.key == "broken_network":
            Console(stderr=True).print(gap.said, style="yellow", highlight=False, soft_wrap=True, markup=False)
    console = Console()
    console.print(written.answer.said, style="bold", highlight=False)
    for path in written.paths:
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
