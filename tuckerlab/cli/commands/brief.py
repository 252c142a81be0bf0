"""`tuckerlab brief`: two pages for people who decide.

>>> brief.__name__
'brief'
"""

from pathlib import Path
from typing import Annotated

import typer

from tuckerlab.cli.commands.options import Quiet


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
        Path | None, typer.Option(help="What the money rests on, as TOML or JSON. [default: an example]")
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
    from tuckerlab.decision.closer import DAMAGED
    from tuckerlab.decision.document import write_brief
    from tuckerlab.experiments.recorded import run_folder
    from tuckerlab.i18n import text

    told = Assumptions.load(assumptions) if assumptions else None
    folders = [run_folder(run) for run in runs]
    with Console(stderr=True, quiet=bool(quiet)).status("") as status:
        written = write_brief(
            folders, out, lang=lang, assumptions=told, network=network, title=title, company=company, pdf_too=pdf,
            report=status.update,
        )  # fmt: skip
    for gap in written.evidence.gaps:
        if gap.key in DAMAGED:
            Console(stderr=True).print(gap.said, style="yellow", highlight=False, soft_wrap=True, markup=False)
    console = Console()
    console.print(text(f"brief.answer.{written.answer}"), style="bold", highlight=False)
    for path in written.paths:
        console.print(str(path), highlight=False, soft_wrap=True, markup=False)
