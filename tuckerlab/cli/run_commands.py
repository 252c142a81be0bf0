"""The commands for runs that are there: `export`, `check`, `brief`.

Each loads what it needs when it runs, so that `tuckerlab --help` answers at once.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from tuckerlab.cli.options import option, takes


@takes(
    "run to network out overwrite",
    run=Annotated[Path, typer.Argument(help="A folder that tuckerlab poc has left.")],
    to=Annotated[str, typer.Option(help="onnx, torch (torch.export), or plain (a model.py that needs torch alone).")],
    network=option(str, 'Its label, such as "Tucker 90 %", or dense. [default: the smallest Tucker one]'),
    # as a Path, "" would be the folder that one is in
    out=option(str, "The file (plain: the folder). [default: in RUN/export]", metavar="<path>"),
    overwrite=option(bool, "Replace what lies at OUT already.", "--overwrite"),
)
def export(**given: Any) -> None:
    """Write a trained network as a file that runs without tuckerlab.

    Batch norms are folded into the layers before them, and the file is run and compared with the network before it is
    there. It takes pixels from 0 to 255.
    """
    from tuckerlab.deploy.export_run import run_export, show

    show(run_export(given.pop("run"), **given))


@takes(
    "run network fresh quiet",
    run=Annotated[Path, typer.Argument(help="A folder that tuckerlab poc has left.")],
    network=option(str, "The network by its label. [default: the smallest in Tucker format]"),
    fresh=option(bool, "Measure again even if there is a table.", "--fresh"),
)
def check(*, run: Path, **given: Any) -> None:
    """Measure the networks of a run where they are deployed: time, throughput, file, and equal answers.

    The full and the compressed network in torch and onnxruntime, the latter as fp32 and int8, in turn on this machine;
    the table and its picture stay in the folder. Let nothing else run beside it.
    """
    from tuckerlab.deploy.runtime.benchmark import check_run, show

    show(*check_run(run, **given), run)


@takes(
    "runs out lang network assumptions company pdf quiet",
    runs=Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Folders of runs, or names of recorded results, of one task.")
    ],
    out=Annotated[Path, typer.Option(help="The file: .html, or .pdf where a Chromium, Chrome or Edge is installed.")],
    lang=option(str, "en or ja. [default: en]"),
    network=option(str, "The small network, by its label. [default: the smallest Tucker one that loses little]"),
    assumptions=option(Path, "What the money rests on, as TOML. [default: an example]"),
    company=option(str, "Stands above the title."),
    pdf=option(bool, "Print it to a .pdf beside the .html too.", "--pdf"),
)
def brief(
    *, runs: list[str], out: Path, assumptions: Path | None = None, pdf: bool = False, quiet: bool = False, **given: Any
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
    with Console(stderr=True, quiet=quiet).status("") as status:
        written = write_brief(folders, out, assumptions=told, pdf_too=pdf, report=status.update, **given)
    for gap in written.evidence.gaps:
        if gap.key == "broken_network":
            Console(stderr=True).print(gap.said, style="yellow", highlight=False, soft_wrap=True, markup=False)
    console = Console()
    console.print(written.answer.said, style="bold", highlight=False)
    for path in written.paths:
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
