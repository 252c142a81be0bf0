"""The tables of a deployment for people: rounded, with units, and narrow enough for a terminal.

>>> size(58_915_111), size(63_200)
('58.9 MB', '63.2 kB')
"""

from typing import TYPE_CHECKING

import pandas as pd

from tuckerlab.deploy.runtime.words import digits, ratio
from tuckerlab.i18n import text

if TYPE_CHECKING:
    from rich.table import Table

NEEDED = (
    "network", "runtime", "precision", "batch", "layout", "median_ms", "p95_ms", "images_per_second", "faster",
    "file_bytes", "smaller", "peak_bytes", "accuracy", "agreement", "difference", "device", "threads", "dataset",
)  # fmt: skip
FORM = ["network", "runtime", "precision"]
TIMES = [*FORM, "batch", "median_ms", "p95_ms", "images_per_second", "faster", "peak_bytes"]
FILES = [*FORM, "file_bytes", "smaller", "accuracy", "agreement", "difference"]


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Every number as text; what was not measured is a dash."""
    shown = {
        "network": rows["network"],
        "runtime": rows["runtime"],
        "precision": rows["precision"],
        "batch": rows["batch"].astype(str),
        "median_ms": rows["median_ms"].map(digits),
        "p95_ms": rows["p95_ms"].map(digits),
        "images_per_second": rows["images_per_second"].map("{:,.0f}".format),
        "faster": rows["faster"].map(ratio),
        "peak_bytes": rows["peak_bytes"].map(size),
        "file_bytes": rows["file_bytes"].map(size),
        "smaller": rows["smaller"].map(ratio),
        "accuracy": (100 * rows["accuracy"]).map("{:.1f}".format),
        "agreement": (100 * rows["agreement"]).map("{:.1f}".format),
        "difference": rows["difference"].map("{:.0e}".format),
    }
    return pd.DataFrame(shown)


def rich_tables(rows: pd.DataFrame) -> list["Table"]:
    """Two tables for a terminal of 80 columns: what depends on the batch, and what does not.

    >>> [each.row_count for each in rich_tables(pd.DataFrame(columns=list(NEEDED)))]
    [0, 0]
    """
    cells = _cells(rows)
    once = cells[~rows.duplicated(FORM)]
    return [
        _rich(cells.sort_values("batch", key=lambda texts: texts.astype(int), kind="stable"), TIMES),
        _rich(once, FILES),
    ]


def html_tables(rows: pd.DataFrame) -> str:
    """The same two for a notebook, numbers and their units unbroken.

    >>> html_tables(pd.DataFrame(columns=list(NEEDED))).count("<table")
    2
    """
    cells = _cells(rows).map(lambda cell: cell.replace(" ", "\N{NO-BREAK SPACE}"))
    parts = cells[TIMES], cells[~rows.duplicated(FORM)][FILES]
    named = [part.rename(columns=lambda column: text(f"deployment.short.{column}")) for part in parts]
    return "".join(part.to_html(index=False, border=0) for part in named)


def _rich(cells: pd.DataFrame, columns: list[str]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in columns:
        shown.add_column(text(f"deployment.short.{column}"), justify="left" if column in FORM else "right")
    last = len(cells) - 1
    groups = list(zip(cells["network"], cells["batch"], strict=True))
    for place, row in enumerate(cells[columns].itertuples(index=False)):
        shown.add_row(*map(Text, row), end_section=place < last and groups[place] != groups[place + 1])
    return shown


def layouts(rows: pd.DataFrame) -> str:
    """Which layout torch was timed in, the faster one: the most frequent, and the networks in which it is another.

    >>> rows = pd.DataFrame({"network": ["dense"] * 3, "precision": "fp32", "batch": [1, 2, 128]})
    >>> layouts(rows.assign(layout="channels_last"))
    'In torch, the faster layout of images and weights: channels last'
    >>> layouts(rows.assign(layout=["channels_last", "channels_last", "contiguous"]))
    'In torch, the faster layout of images and weights: channels last (dense fp32 128: contiguous)'
    """
    torch = rows[rows["layout"] != ""]
    if torch.empty:
        return text("deployment.layouts", layouts="–")
    usual = torch["layout"].mode()[0]
    named = [
        f"{row['network']} {row['precision']} {row['batch']}: {row['layout'].replace('_', ' ')}"
        for _, row in torch[torch["layout"] != usual].iterrows()
    ]
    return text("deployment.layouts", layouts=usual.replace("_", " ") + (f" ({', '.join(named)})" if named else ""))


def circumstances(rows: pd.DataFrame) -> str:
    """Where and on what it was measured, in a line."""
    first = rows.iloc[0]
    said = {name: str(first[name]) for name in ("device", "torch", "onnxruntime", "dataset", "date")}
    images = text("unit.images", count=int(first["test_images"]))
    return text("deployment.circumstances", **said, images=images, count=int(first["threads"]))


def size(count: float | None) -> str:
    """Bytes as people read them: MB from a million on; a dash for what was not measured.

    >>> size(None), size(float("nan")), size(950)
    ('–', '–', '0.950 kB')
    """
    if count is None or pd.isna(count):
        return "–"
    return f"{digits(count / 1e6)} MB" if count >= 1e6 else f"{digits(count / 1e3)} kB"
