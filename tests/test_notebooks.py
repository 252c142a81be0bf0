"""Every notebook of the course runs in its quick profile, without hidden errors, and its numbers stay."""

import json
from pathlib import Path

import nbformat
import pytest

from tuckerlab.cli.notebook_helpers import execute

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BASELINES = json.loads((Path(__file__).parent / "baselines" / "notebooks.json").read_text(encoding="utf-8"))
BROKEN = """import ipywidgets
error = {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "division by zero", "traceback": []}
ipywidgets.Output(outputs=[error])"""
OWN = {"03_train_with_a_slider": {"dataset": "digits"}}  # which are learned in seconds


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_gives_the_numbers_of_the_baseline(path: Path, tmp_path: Path) -> None:
    own = OWN.get(path.stem, {})
    executed = execute(path, tmp_path, profile="quick", out=str(tmp_path / "runs"), attended=False, **own)
    assert executed.widget_errors == []
    baseline = BASELINES[path.stem]
    assert executed.numbers.keys() == baseline.keys()
    for name, expected in baseline.items():
        assert executed.numbers[name] == pytest.approx(expected["value"], abs=expected["tolerance"]), name


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_clean_and_thin(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata
    settings = [cell for cell in code if "parameters" in cell.metadata.get("tags", ())]
    assert len(settings) == 1
    assert path.stem in BASELINES
    assert max(len(cell.source.splitlines()) for cell in code if cell not in settings) <= 5


def test_an_error_inside_a_widget_is_seen(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    notebook.cells = [nbformat.v4.new_code_cell(BROKEN)]
    nbformat.write(notebook, tmp_path / "broken.ipynb")
    executed = execute(tmp_path / "broken.ipynb", tmp_path / "out")
    assert executed.widget_errors == ["ZeroDivisionError: division by zero"]
