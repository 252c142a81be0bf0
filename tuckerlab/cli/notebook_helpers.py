"""What the notebooks of the course share, and how one is executed where nobody sees it."""

import os
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from tuckerlab.errors import check_choice
from tuckerlab.i18n import languages

NUMBERS = "application/vnd.tuckerlab.numbers+json"  # the type of output that `keep` leaves in a notebook
PATIENCE = 900  # seconds of one cell: where an Output widget captures, jupyter_client may miss the kernel's answer
QUIET_KERNEL = ["--IPKernelApp.log_level=CRITICAL"]  # else each start warns of what is usual on one machine

PROFILES: dict[str, dict[str, Any]] = {
    "recorded": {},  # nobody presses Train: panels show recorded results
    "quick": {"epochs": 4, "width": 0.5},  # seconds: a regression test
    "laptop": {},  # one to two minutes on a CPU: the defaults of the main job
    "gpu": {"device": "cuda"},
}


def speak(language: str) -> None:
    """Panels and pictures in this language from here on; a notebook in the folder of that name runs beside the rest."""
    os.environ["TUCKERLAB_LANG"] = check_choice("language", language, languages())
    if Path.cwd().name == language:
        os.chdir("..")


def profile_settings(name: str = "auto") -> dict[str, Any]:
    """The settings of a profile; "auto" is TUCKERLAB_PROFILE, or gpu where there is one, or laptop."""
    if name == "auto":
        import torch  # here: a notebook of pictures opens without it

        name = os.environ.get("TUCKERLAB_PROFILE", "gpu" if torch.cuda.is_available() else "laptop")
    return dict(PROFILES[check_choice("profile", name, PROFILES)])


def keep(**numbers: float) -> None:
    """Shows numbers and keeps them in the executed notebook, where the tests compare them with a baseline."""
    from IPython.display import display

    said = "\n".join(f"{name}: {value:{',.0f' if abs(value) >= 1e4 else '.4g'}}" for name, value in numbers.items())
    kept = {name: float(value) for name, value in numbers.items()}
    display({"text/plain": said, NUMBERS: kept}, raw=True)  # type: ignore[no-untyped-call]


def framed(path: str | os.PathLike[str], height: int = 900) -> Any:
    """A page of HTML that holds all of itself, in a frame of its own: it stays when the notebook is mailed."""
    from IPython.display import HTML

    page, name = (escape(text, quote=True) for text in (Path(path).read_text(encoding="utf-8"), Path(path).name))
    style = f"width:100%;height:{height}px;border:1px solid #d0d0d0"
    return HTML(f'<div><iframe title="{name}" style="{style}" srcdoc="{page}"></iframe></div>')  # type: ignore[no-untyped-call]


def listing(path: str | os.PathLike[str]) -> Any:
    """A file of Python to read and to copy, folded under its name."""
    from IPython.display import HTML, Code

    code = Code(filename=str(path))._repr_html_()  # type: ignore[no-untyped-call]
    return HTML(f"<details><summary>{escape(Path(path).name)}</summary>{code}</details>")  # type: ignore[no-untyped-call]


class Executed(NamedTuple):
    """What an executed notebook kept, and the errors inside its widgets, of which papermill says nothing."""

    numbers: dict[str, float]
    widget_errors: list[str]


def execute(notebook: Path, folder: Path, /, **parameters: Any) -> Executed:
    """Executes a notebook where it lies, and writes the result to `folder`, also when a cell raises an error."""
    import papermill

    folder.mkdir(parents=True, exist_ok=True)
    written = papermill.execute_notebook(
        notebook, folder / notebook.name, parameters, cwd=notebook.parent, progress_bar=False,
        extra_arguments=QUIET_KERNEL, execution_timeout=PATIENCE,
    )  # fmt: skip
    outputs = [output for cell in written.cells if cell.cell_type == "code" for output in cell.outputs]
    states = written.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    kept = (output.get("data", {}).get(NUMBERS, {}) for output in outputs)
    numbers = {name: number for found in kept for name, number in found.items()}
    outputs += [output for model in states.values() for output in model["state"].get("outputs", ())]
    errors = [f"{it['ename']}: {it['evalue']}" for it in outputs if it["output_type"] == "error"]
    return Executed(numbers, errors)
