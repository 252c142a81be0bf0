"""The package has floors: a file imports only from its own floor and those below, and 0 and 1 need torch alone."""

import ast
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "tuckerlab"

FLOORS = [
    {"distributed", "errors", "tensor", "manifold", "adaptation", "stack", "weight", "layers"},
    {"align", "budget", "groups", "layerwise", "precision", "ranks", "step", "optimizer", "optim", "muon", "meta"}
    | {"chain", "convert", "replace", "fold", "merge"},
    {
        "atomic",
        "augment",
        "checkpoint",
        "datasets",
        "device",
        "evaluate",
        "measure",
        "memory",
        "models",
        "openmp",
        "provenance",
        "recipe",
    }
    | {"recipe", "record", "run", "schema", "summarize", "texts", "timing", "train", "undisturbed", "vit"}
    | {"guard", "snapshot", "trainer", "valve"}
    | {"export"},
    {
        "adamw",
        "arena",
        "audit",
        "compare",
        "comparison",
        "contender",
        "contest",
        "cycle",
        "deployment",
        "descent",
        "figure",
        "fonts",
        "finding",
        "handover",
        "trained",
        "fullbatch",
        "geometry_plots",
        "moving",
        "overestimation",
        "sizes",
        "headline",
        "looks",
        "methods",
        "mishap",
        "sweep",
        "plots",
        "proof",
        "results",
        "retruncation",
        "rivals",
        "rollout",
        "runfolder",
        "standings",
        "tradeoff",
        "training",
        "subjects",
    },
    {"__init__", "brief", "cli", "commands", "doctor", "harness", "notebook", "panels"}
    | {"app", "course", "fragment", "pages", "plainly", "serve", "site"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
FILES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Full names of what a file imports, for type checking alone left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "tuckerlab":
            found.update(f"tuckerlab.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def own(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def test_every_file_has_a_floor() -> None:
    assert {own(path) for path in FILES} == set(FLOOR)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down(path: Path) -> None:
    if own(path) == "__init__":  # names the public API, and loads it when it is used
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("tuckerlab.")}
    assert all(FLOOR[name] <= FLOOR[own(path)] for name in used & set(FLOOR))


@pytest.mark.parametrize(
    "path", [p for p in FILES if FLOOR[own(p)] <= 1 and own(p) != "__init__"], ids=lambda p: p.stem
)
def test_the_engine_needs_torch_alone(path: Path) -> None:
    needed = {name.partition(".")[0] for name in imports(path)} - sys.stdlib_module_names
    assert needed <= {"torch", "tuckerlab"}
