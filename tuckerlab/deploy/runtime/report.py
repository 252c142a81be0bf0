"""What a table of measured networks says to people: two tables with units, a sentence, and a picture."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from rich import box
from rich.table import Table
from rich.text import Text

from tuckerlab.i18n import _, ngettext, text
from tuckerlab.plotting.figure import INK, TEXT, Picture, colours, styled

NEEDED = (
    "network", "runtime", "precision", "batch", "layout", "median_ms", "p95_ms", "images_per_second", "faster",
    "file_bytes", "smaller", "peak_bytes", "accuracy", "agreement", "difference", "device", "threads", "dataset",
)  # fmt: skip
FORM = ["network", "runtime", "precision"]
TIMES = [*FORM, "batch", "median_ms", "p95_ms", "images_per_second", "faster", "peak_bytes"]
FILES = [*FORM, "file_bytes", "smaller", "accuracy", "agreement", "difference"]
SHOWN = (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"))  # in the picture
ALIKE = 0.05  # ratios this near to 1 are not told apart
BAR = 0.8


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    """Every number as text; what was not measured is a dash."""
    shown: dict[str, Callable[[Any], str]] = dict.fromkeys((*FORM, "batch"), str)
    shown |= {"median_ms": digits, "p95_ms": digits, "images_per_second": "{:,.0f}".format, "faster": ratio}
    shown |= {"peak_bytes": size, "file_bytes": size, "smaller": ratio, "difference": "{:.0e}".format}
    shown |= dict.fromkeys(("accuracy", "agreement"), lambda share: f"{100 * share:.1f}")
    return pd.DataFrame({column: rows[column].map(as_text) for column, as_text in shown.items()})


def rich_tables(rows: pd.DataFrame) -> list[Table]:
    """Two tables for a terminal of 80 columns: what depends on the batch, and what does not."""
    by_batch = rows.sort_values("batch", kind="stable")
    return [_rich(_cells(by_batch), TIMES), _rich(_cells(rows[~rows.duplicated(FORM)]), FILES)]


def html_tables(rows: pd.DataFrame) -> str:
    """The same two for a notebook, numbers and their units unbroken."""
    cells = _cells(rows).map(lambda cell: cell.replace(" ", "\N{NO-BREAK SPACE}"))
    parts = cells[TIMES], cells[~rows.duplicated(FORM)][FILES]
    named = [part.rename(columns=lambda column: text(f"deployment.short.{column}")) for part in parts]
    return "".join(part.to_html(index=False, border=0) for part in named)


def _rich(cells: pd.DataFrame, columns: list[str]) -> Table:
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
    >>> layouts(rows.assign(layout=["channels_last", "channels_last", "contiguous"]))
    'In torch, the faster layout of images and weights: channels last (dense fp32 128: contiguous)'
    """
    torch = rows[rows["layout"] != ""]
    usual = torch["layout"].mode().iloc[0] if len(torch) else "–"
    others = torch[torch["layout"] != usual]
    named = [f"{row.network} {row.precision} {row.batch}: {row.layout}" for row in others.itertuples()]
    return _(
        "In torch, the faster layout of images and weights: {layouts}",
        layouts=(usual + (f" ({', '.join(named)})" if named else "")).replace("_", " "),
    )


def circumstances(rows: pd.DataFrame) -> str:
    """Where and on what it was measured, in a line."""
    first = rows.iloc[0]
    said = {name: str(first[name]) for name in ("device", "torch", "onnxruntime", "dataset", "date")}
    images = ngettext("{count:,.0f} image", "{count:,.0f} images", count=int(first["test_images"]))
    return ngettext(
        "{device}, {count} thread; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
        "{device}, {count} threads; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
        **said,
        images=images,
        count=int(first["threads"]),
    )


def size(count: float | None) -> str:
    """Bytes as people read them: MB from a million on; a dash for what was not measured.

    >>> size(None), size(float("nan")), size(950)
    ('–', '–', '0.950 kB')
    """
    if count is None or pd.isna(count):
        return "–"
    return f"{digits(count / 1e6)} MB" if count >= 1e6 else f"{digits(count / 1e3)} kB"


def comparison(rows: pd.DataFrame, kind: str) -> str:
    """The smallest network against the first, one image (or the smallest batch) in onnxruntime, fp32, in one sentence.

    kind: "finding" with all numbers, or "headline". Empty where there is nothing to compare.
    """
    if rows["network"].nunique() < 2:
        return ""
    chosen = rows[(rows["runtime"] == "onnxruntime") & (rows["precision"] == "fp32")]
    chosen = chosen[chosen["batch"] == chosen["batch"].min()]
    dense, others = chosen.iloc[0], chosen.iloc[1:]
    small = others.loc[others["file_bytes"].idxmin()]
    said = {
        "images": ngettext("{count:,.0f} image", "{count:,.0f} images", count=int(small["batch"])),
        "name": str(small["network"]),
        "speed": times(float(small["faster"]), "faster"),
        "file": times(float(small["smaller"]), "smaller"),
        "own": digits(float(small["median_ms"])),
        "dense": digits(float(dense["median_ms"])),
        "accuracy": 100 * float(small["accuracy"]),
        "reference": 100 * float(dense["accuracy"]),
    }
    return text(f"deployment.{kind}", **said)


def times(ratio: float, better: str) -> str:
    """How many times faster or smaller, or the opposite.

    >>> times(16.2, "smaller"), times(0.8, "smaller")
    ('its file is 16× smaller', 'its file is 1.2× larger')
    """
    if abs(ratio - 1) <= ALIKE:
        return text(f"deployment.{better}.alike")
    word, factor = (better, ratio) if ratio > 1 else ({"faster": "slower", "smaller": "larger"}[better], 1 / ratio)
    return text(f"deployment.{word}", times=f"{factor:.0f}" if factor >= 9.95 else f"{factor:.1f}")


def digits(value: float) -> str:
    """Three digits that count, as people write them.

    >>> digits(0.04567), digits(12.345), digits(1234.5)
    ('0.0457', '12.3', '1,234')
    """
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def ratio(value: float) -> str:
    """How many times, with two or three digits that count.

    >>> ratio(0.954), ratio(9.72), ratio(15.9), ratio(123.4)
    ('0.95×', '9.7×', '16×', '123×')
    """
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 1.995 else f"{value:.2f}×"


def deployment_picture(rows: pd.DataFrame) -> Picture:
    """Bars for the smallest batch, the largest one where there are several, and the file; a group for each form."""
    networks = list(dict.fromkeys(rows["network"]))
    least, most = int(rows["batch"].min()), int(rows["batch"].max())
    forms = [form for form in SHOWN if ((rows["runtime"] == form[0]) & (rows["precision"] == form[1])).any()]
    panels = [("median_ms", least, "faster"), ("file_bytes", least, "smaller")]
    if most > least:
        panels.insert(1, ("images_per_second", most, "faster"))
    figure = Picture(figsize=(3.9 * len(panels) + 1.2, 1.9 + 0.42 * len(forms) * len(networks)))
    colour, height = colours(networks, networks[:1]), BAR / len(networks)
    for axes, (column, batch, better) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        title = text(
            f"deployment.picture.{column}", images=ngettext("{count:,.0f} image", "{count:,.0f} images", count=batch)
        )
        styled(axes, x=text(f"deployment.axis.{column}"), y="", title=title)
        for number, network in enumerate(networks):
            own = rows[(rows["network"] == network) & (rows["batch"] == batch)].set_index(["runtime", "precision"])
            own = own.loc[forms]
            shown = own[column].map(size if column == "file_bytes" else digits)
            if number:
                shown += "  (" + own[better].map(ratio) + ")"
            middles = [place + (number - (len(networks) - 1) / 2) * height for place in range(len(forms))]
            values = own[column] / (1e6 if column == "file_bytes" else 1)
            bars = axes.barh(middles, values, height=0.9 * height, color=colour[network])
            axes.bar_label(bars, list(shown), padding=4, fontsize=TEXT, color=INK)
        axes.set_xlim(0, 1.45 * axes.dataLim.x1)  # room for what stands beside the bars
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    names = [text(f"deployment.form.{runtime}.{precision}") for runtime, precision in forms]
    figure.axes[0].set_yticks(range(len(forms)), names)
    figure.axes[0].set_ylim(len(forms) - 0.5, -0.5)
    handles = [Patch(color=colour[name], label=_("Full network") if name == "dense" else name) for name in networks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TEXT, frameon=False)
    figure.headline(comparison(rows, "headline") or _("What one network costs in each form"))
    return figure
