"""Where an export may be written: not over what somebody else, or another part of tuckerlab, has written.

>>> import tempfile
>>> model = Path(tempfile.mkdtemp()) / "model.py"
>>> _ = model.write_text("class Mine: ...")
>>> check_free(model, ".py")
Traceback (most recent call last):
    ...
tuckerlab.errors.TuckerlabError: ...model.py: is there already, and no export of tuckerlab: it is not overwritten; ...

An export says in its notes (`marked`) which tuckerlab has written it; whatever does not say so is left alone.
"""

import ast
import importlib.metadata
import json
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import safetensors

from tuckerlab.errors import TuckerlabError

WRITER = "tuckerlab"
ABOUT = "about.json"  # the notes in an exported program


def marked(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """The notes of an export as text, with the version of tuckerlab that writes it.

    >>> sorted(marked({"classes": "a, b"}))
    ['classes', 'tuckerlab']
    """
    version = importlib.metadata.version("tuckerlab")
    return {key: str(value) for key, value in {WRITER: version, **(metadata or {})}.items()}


def check_free(path: Path, kind: str) -> None:
    """TuckerlabError where something lies at a path that is no earlier export of that kind: a key of READERS.

    >>> check_free(Path("no/such/file.onnx"), ".onnx")
    """
    if path.is_dir():
        raise TuckerlabError(f"{path}: is a folder; give the path of a file in it")
    if not path.exists():
        return
    try:
        said = READERS[kind](path).get(WRITER, "")
    except Exception:  # what lies there may be anything, and then its readers raise anything
        said = ""
    if not said or said.startswith("{"):  # a checkpoint keeps its facts under that name, as JSON
        raise TuckerlabError(
            f"{path}: is there already, and no export of tuckerlab: it is not overwritten; give another path, or "
            "move it away"
        )


def check_folder(folder: Path) -> None:
    """TuckerlabError where no file can be made in a folder, or it cannot be made itself; nothing is left behind.

    >>> check_folder(Path(__file__) / "deep")
    Traceback (most recent call last):
        ...
    tuckerlab.errors.TuckerlabError: ...place.py: is a file, so no folder can be made in it; give another path
    """
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not there.is_dir():
        raise TuckerlabError(f"{there}: is a file, so no folder can be made in it; give another path")
    try:
        with tempfile.TemporaryDirectory(dir=there, prefix=".tuckerlab"):
            pass
    except OSError as error:
        raise TuckerlabError(f"{there}: nothing can be written there ({error.strerror}); give another path") from None


def _of_onnx(path: Path) -> dict[str, str]:
    import onnx

    return {note.key: note.value for note in onnx.load(path, load_external_data=False).metadata_props}


def _of_program(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(f"/extra/{ABOUT}")]
        return dict(json.loads(archive.read(name)))


def _of_weights(path: Path) -> dict[str, str]:
    with safetensors.safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})


def _of_source(path: Path) -> dict[str, str]:
    for part in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(part, ast.Assign) and ast.unparse(part.targets[0]) == "ABOUT":
            return dict(ast.literal_eval(part.value))
    return {}


READERS: dict[str, Callable[[Path], dict[str, str]]] = {
    ".onnx": _of_onnx,
    ".pt2": _of_program,
    ".safetensors": _of_weights,
    ".py": _of_source,
}
