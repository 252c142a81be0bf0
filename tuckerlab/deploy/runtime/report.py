"""What a table of measured networks says to people: two tables with units, a sentence, and a picture."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter
from rich import box
from rich.table import Table
from rich.text import Text

from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.plotting.figure import INK, TEXT, Picture, colours, styled

FORM = ["network", "runtime", "precision"]
TIMES = [*FORM, "batch", "median_ms", "p95_ms", "images_per_second", "faster", "peak_bytes"]
FILES = [*FORM, "file_bytes", "smaller", "accuracy", "agreement", "difference"]
NEEDED = (*TIMES, *FILES[len(FORM) :], "layout", "device", "threads", "dataset")
SHOWN = {
    ("torch", "fp32"): N_("torch"),
    ("onnxruntime", "fp32"): N_("onnxruntime"),
    ("onnxruntime", "int8"): N_("onnxruntime,\n8-bit numbers"),
}
"""What the picture calls them."""

ALIKE = 0.05  # ratios this near to 1 are not told apart
BAR = 0.8


def digits(value: float) -> str:
    """Three digits that count, as people write them: 0.0457, 12.3, 1,234."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}"


def ratio(value: float) -> str:
    """How many times, with two or three digits that count: 0.95×, 9.7×, 16×."""
    return f"{value:.0f}×" if value >= 9.95 else f"{value:.1f}×" if value >= 1.995 else f"{value:.2f}×"


def size(count: float | None) -> str:
    """Bytes as people read them: MB from a million on; a dash for what was not measured."""
    if count is None or pd.isna(count):
        return "–"
    return f"{digits(count / 1e6)} MB" if count >= 1e6 else f"{digits(count / 1e3)} kB"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "network": (N_("network"), str),
    "runtime": (N_("runtime"), str),
    "precision": (N_("as"), str),
    "batch": (N_("batch"), str),
    "median_ms": (N_("time,\nms"), digits),
    "p95_ms": (N_("95 %,\nms"), digits),
    "images_per_second": (N_("images\na second"), "{:,.0f}".format),
    "faster": (N_("speed"), ratio),
    "peak_bytes": (N_("memory"), size),
    "file_bytes": (N_("file"), size),
    "smaller": (N_("smaller"), ratio),
    "accuracy": (N_("right,\n%"), _percent),
    "agreement": (N_("same as\ntorch, %"), _percent),
    "difference": (N_("differs\nby"), "{:.0e}".format),
}
"""What stands over a column, and its numbers as text."""


def _tables(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """What depends on the batch, and what does not, as text."""
    parts = (rows.sort_values("batch", kind="stable"), TIMES), (rows[~rows.duplicated(FORM)], FILES)
    return [pd.DataFrame({name: part[name].map(COLUMNS[name][1]) for name in columns}) for part, columns in parts]


def rich_tables(rows: pd.DataFrame) -> list[Table]:
    """Two tables for a terminal of 80 columns."""
    tables = []
    for cells in _tables(rows):
        shown = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in map(str, cells):
            shown.add_column(_(COLUMNS[name][0]), justify="left" if name in FORM else "right")
        group = cells["network"] + cells["batch"] if "batch" in cells else cells["network"]
        ends = (group != group.shift(-1)).tolist()
        for row, is_last in zip(cells.itertuples(index=False), [*ends[:-1], False], strict=True):
            shown.add_row(*map(Text, row), end_section=is_last)
        tables.append(shown)
    return tables


def html_tables(rows: pd.DataFrame) -> str:
    """The same two for a notebook, numbers and their units unbroken."""
    unbroken = [cells.map(lambda cell: cell.replace(" ", "\N{NO-BREAK SPACE}")) for cells in _tables(rows)]
    named = [cells.rename(columns=lambda name: _(COLUMNS[name][0])) for cells in unbroken]
    return "".join(cells.to_html(index=False, border=0) for cells in named)


def layouts(rows: pd.DataFrame) -> str:
    """Which layout torch was timed in, the faster one: the most frequent, and the networks in which it is another."""
    torch = rows[rows["layout"] != ""]
    usual = torch["layout"].mode().iloc[0] if len(torch) else "–"
    others = [f"{r.network} {r.precision} {r.batch}: {r.layout}" for r in torch.itertuples() if r.layout != usual]
    said = (usual + (f" ({', '.join(others)})" if others else "")).replace("_", " ")
    return _("In torch, the faster layout of images and weights: {layouts}", layouts=said)


def circumstances(rows: pd.DataFrame) -> str:
    """Where and on what it was measured, in a line."""
    first = rows.iloc[0]
    said = {name: str(first[name]) for name in ("device", "torch", "onnxruntime", "dataset", "date")}
    return ngettext(
        "{device}, {count} thread; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
        "{device}, {count} threads; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
        **said, images=_images(int(first["test_images"])), count=int(first["threads"]),
    )  # fmt: skip


def comparison(rows: pd.DataFrame, *, short: bool = False) -> str:
    """The smallest network against the first, one image (or the smallest batch) in onnxruntime, fp32, in one sentence.

    short: without the numbers themselves. Empty where there is nothing to compare.
    """
    if rows["network"].nunique() < 2:
        return ""
    chosen = rows[(rows["runtime"] == "onnxruntime") & (rows["precision"] == "fp32")]
    chosen = chosen[chosen["batch"] == chosen["batch"].min()]
    dense, others = chosen.iloc[0], chosen.iloc[1:]
    small = others.loc[others["file_bytes"].idxmin()]
    speed = _times(small["faster"], N_("answers {times}× faster"), N_("answers {times}× slower"), N_("answers as fast"))
    file = _times(
        small["smaller"], N_("its file is {times}× smaller"), N_("its file is {times}× larger"),
        N_("its file is as large"),
    )  # fmt: skip
    said = {"name": small["network"], "images": _images(int(small["batch"])), "speed": speed, "file": file}
    if short:
        return _("{name} {speed} ({images}, onnxruntime), and {file}", **said)
    return _(
        "{images} in onnxruntime: {name} {speed} ({own} ms instead of {dense} ms), {file}, and test accuracy is "
        "{accuracy:.1f} % instead of {reference:.1f} %.",
        **said, own=digits(small["median_ms"]), dense=digits(dense["median_ms"]),
        accuracy=100 * float(small["accuracy"]), reference=100 * float(dense["accuracy"]),
    )  # fmt: skip


def _times(factor: float, better: str, worse: str, alike: str) -> str:
    """How many times faster or smaller, or the opposite."""
    if abs(factor - 1) <= ALIKE:
        return _(alike)
    times = max(factor, 1 / factor)
    return _(better if factor > 1 else worse, times=f"{times:.0f}" if times >= 9.95 else f"{times:.1f}")


def _images(count: int) -> str:
    return ngettext("{count:,.0f} image", "{count:,.0f} images", count=count)


def deployment_picture(rows: pd.DataFrame) -> Picture:
    """Bars for the smallest batch, the largest one where there are several, and the file; a group for each form."""
    networks = list(dict.fromkeys(rows["network"]))
    least, most = int(rows["batch"].min()), int(rows["batch"].max())
    forms = [form for form in SHOWN if ((rows["runtime"] == form[0]) & (rows["precision"] == form[1])).any()]
    time, file = _("Time for {images}", images=_images(least)), _("Size of the file")
    panels = [
        ("median_ms", least, "faster", time, _("milliseconds (less is better)")),
        ("file_bytes", least, "smaller", file, _("MB (less is better)")),
    ]
    if most > least:
        title = _("Throughput, {images} at once", images=_images(most))
        panels.insert(1, ("images_per_second", most, "faster", title, _("images a second (more is better)")))
    figure = Picture(figsize=(3.9 * len(panels) + 1.2, 1.9 + 0.42 * len(forms) * len(networks)))
    colour, height = colours(networks, networks[:1]), BAR / len(networks)
    all_axes = figure.subplots(1, len(panels), sharey=True)
    for axes, (column, batch, better, title, unit) in zip(all_axes, panels, strict=True):
        styled(axes, x=unit, y="", title=title)
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
    figure.axes[0].set_yticks(range(len(forms)), [_(SHOWN[form]) for form in forms])
    figure.axes[0].set_ylim(len(forms) - 0.5, -0.5)
    handles = [Patch(color=colour[name], label=_("Full network") if name == "dense" else name) for name in networks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TEXT, frameon=False)
    figure.headline(comparison(rows, short=True) or _("What one network costs in each form"))
    return figure
