"""What a network costs where it is deployed, as a table: saved, loaded, said in a sentence, shown and drawn."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tuckerlab.errors import DataError
from tuckerlab.files import atomic_path, file_size
from tuckerlab.i18n import N_, _, ngettext
from tuckerlab.plotting.figure import DPI, INK, TEXT, Picture, colours, styled

FILE, PICTURE = "deployment.parquet", "deployment.png"
FORM = ["network", "runtime", "precision"]
TIMES = [*FORM, "batch", "median_ms", "p95_ms", "images_per_second", "faster", "peak_bytes"]
FILES = [*FORM, "file_bytes", "smaller", "accuracy", "agreement", "difference"]
NEEDED = (*TIMES, *FILES[len(FORM) :], "device", "threads", "dataset")
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
    return file_size(count)


def percent(share: float) -> str:
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
    "accuracy": (N_("right,\n%"), percent),
    "agreement": (N_("same as\ntorch, %"), percent),
    "difference": (N_("differs\nby"), "{:.0e}".format),
}
"""What stands over a column, and its numbers as text."""


@dataclass(frozen=True, eq=False, repr=False)
class Deployment:
    """A row for each network, runtime, precision and batch; the first network is what the others are compared with.

    - `median_ms`, `p95_ms`, `iqr_ms`, `images_per_second`: of one batch, over `rounds` calls; `faster`: how many times
      as fast as the first network in the same form, the quotient of the medians; both were timed in turn.
    - `file_bytes`: the safetensors of a plain torch network with its source, or the ONNX file; `smaller`: how many
      times smaller than that of the first. `peak_bytes`: by how much the peak memory of a process grows from the
      imports to the first answer; NaN where that cannot be told.
    - `accuracy` on the test split; against torch in fp32, `agreement` of the answers (fractions of 1) and the largest
      `difference` of the outputs, relative to the largest output.
    - where it was measured, as in a record, and the version of onnxruntime; `threads` are those of both runtimes.
    - `run`: the one in the record whose network it is, where a run was measured.
    """

    rows: pd.DataFrame

    @property
    def networks(self) -> list[str]:
        """Their labels, the reference first."""
        return list(dict.fromkeys(self.rows["network"]))

    @property
    def finding(self) -> str:
        """What it comes to, in one sentence: one image in onnxruntime, fp32; empty for one network alone."""
        return _comparison(self.rows)

    @property
    def circumstances(self) -> str:
        """Where and on what it was measured, in a line."""
        first = self.rows.iloc[0]
        said = {name: str(first[name]) for name in ("device", "torch", "onnxruntime", "dataset", "date")}
        return ngettext(
            "{device}, {count} thread; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
            "{device}, {count} threads; torch {torch}, onnxruntime {onnxruntime}; {images} of {dataset}; {date}",
            **said, images=_images(int(first["test_images"])), count=int(first["threads"]),
        )  # fmt: skip

    @property
    def tables(self) -> list[pd.DataFrame]:
        """What depends on the batch, and what does not, as text."""
        parts = (self.rows.sort_values("batch", kind="stable"), TIMES), (self.rows[~self.rows.duplicated(FORM)], FILES)
        return [pd.DataFrame({name: part[name].map(COLUMNS[name][1]) for name in columns}) for part, columns in parts]

    @property
    def figures(self) -> dict[str, Picture]:
        """`deployment`: time, throughput and file of all networks in each form."""
        return {"deployment": _picture(self.rows)}

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Writes `deployment.parquet` and the picture into a folder, each atomically; returns the path of the first."""
        with atomic_path(Path(folder) / PICTURE) as temporary:
            self.figures["deployment"].savefig(temporary, format="png", dpi=DPI)
        with atomic_path(Path(folder) / FILE) as temporary:
            self.rows.to_parquet(temporary, engine="pyarrow", index=False)
        return Path(folder) / FILE

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Deployment":
        """Reads what `save` has written; DataError where there is none or it cannot be read."""
        path = Path(folder) / FILE
        if not path.is_file():
            raise DataError(f"{path}: not there; tuckerlab check measures it")
        try:
            rows = pd.read_parquet(path, engine="pyarrow")
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]}); measure again") from None
        if missing := [column for column in NEEDED if column not in rows]:
            raise DataError(f"{path}: lacks {', '.join(missing)}; measure again with --fresh")
        return cls(rows)

    def __repr__(self) -> str:
        return f"Deployment({', '.join(self.networks)})"

    def _repr_html_(self) -> str:
        parts = [f"<p><b>{escape(self.finding)}</b></p>"] if self.finding else []
        for cells in self.tables:
            unbroken = cells.map(lambda cell: cell.replace(" ", "\N{NO-BREAK SPACE}"))
            parts.append(unbroken.rename(columns=lambda name: _(COLUMNS[name][0])).to_html(index=False, border=0))
        return "".join([*parts, f"<p>{escape(self.circumstances)}</p>"])


def _comparison(rows: pd.DataFrame, *, short: bool = False) -> str:
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


def _picture(rows: pd.DataFrame) -> Picture:
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
    figure.headline(_comparison(rows, short=True) or _("What one network costs in each form"))
    return figure
