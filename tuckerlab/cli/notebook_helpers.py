"""What the notebooks of the course share: the profile that fits the machine, and numbers that a test can read back.

>>> profile_settings("quick")
{'epochs': 4, 'width': 0.5}
>>> keep(accuracy=0.981, parameters=12_345)
accuracy: 0.981
parameters: 12,345
"""

import ast
import os
from html import escape
from pathlib import Path
from typing import Any

from tuckerlab.errors import TuckerlabError

NUMBERS = "application/vnd.tuckerlab.numbers+json"  # the type of output that `keep` leaves in a notebook

PROFILES: dict[str, dict[str, Any]] = {
    "quick": {"epochs": 4, "width": 0.5},  # seconds: a regression test
    "laptop": {},  # one to two minutes on a CPU: the defaults of the main job
    "gpu": {"device": "cuda"},
}


def profile_settings(name: str = "auto") -> dict[str, Any]:
    """The settings of a profile, for `run_poc`; "auto" is gpu where there is one, and laptop elsewhere.

    The variable TUCKERLAB_PROFILE says what "auto" means, for a machine that runs many notebooks.

    >>> profile_settings("slow")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: profile 'slow': allowed are auto, quick, laptop, gpu
    """
    if name == "auto":
        import torch  # here: a notebook of pictures opens without it

        name = os.environ.get("TUCKERLAB_PROFILE", "gpu" if torch.cuda.is_available() else "laptop")
    if name not in PROFILES:
        raise TuckerlabError(f"profile {name!r}: allowed are auto, {', '.join(PROFILES)}")
    return dict(PROFILES[name])


class Numbers(dict[str, float]):
    """Named numbers that print as text and travel in the notebook's file as JSON."""

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {value:{',.0f' if abs(value) >= 1e4 else '.4g'}}" for name, value in self.items())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": repr(self), NUMBERS: dict(self)}


def keep(**numbers: float) -> Numbers:
    """Shows numbers and keeps them in the executed notebook, where the tests compare them with a baseline."""
    return Numbers({name: float(value) for name, value in numbers.items()})


def framed(path: str | os.PathLike[str], height: int = 900) -> Any:
    """A page of HTML that holds all of itself, in a frame of its own: it stays when the notebook is mailed.

    Raises TuckerlabError where there is no such file.
    """
    from IPython.display import HTML

    page, style = escape(_read(path), quote=True), "width:100%;border:1px solid #d0d0d0"
    frame = f'<iframe title="{escape(Path(path).name)}" style="{style}" height="{height}" srcdoc="{page}"></iframe>'
    return HTML(f"<div>{frame}</div>")  # type: ignore[no-untyped-call]


def listing(path: str | os.PathLike[str]) -> Any:
    """A file of Python to read and to copy, folded under its name and the first line of its docstring.

    Raises TuckerlabError where there is no such file.
    """
    from IPython.display import HTML, Code

    first_line = (ast.get_docstring(ast.parse(_read(path))) or "").partition("\n")[0]
    summary = f"<b>{escape(Path(path).name)}</b>: {escape(first_line)}"
    code = Code(filename=str(path))._repr_html_()  # type: ignore[no-untyped-call]
    return HTML(f"<details><summary>{summary}</summary>{code}</details>")  # type: ignore[no-untyped-call]


def _read(path: str | os.PathLike[str]) -> str:
    if not Path(path).is_file():
        raise TuckerlabError(f"{path}: there is no such file")
    return Path(path).read_text(encoding="utf-8")
