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
from tuckerlab.files import atomic_path, digits, file_size
from tuckerlab.i18n import N_, _, day
from tuckerlab.plotting.figure import DPI, INK, TEXT, Picture, colours, styled
from tuckerlab.plotting.styles import label_name

FILE, PICTURE = "deployment.parquet", "deployment.png"
FORM = ["network", "runtime", "precision"]
SHOWN = {
    ("torch", "fp32"): N_("torch"),
    ("onnxruntime", "fp32"): N_("onnxruntime"),
    ("onnxruntime", "int8"): N_("onnxruntime,\n8-bit numbers"),
}
"""What the picture calls them."""


def ratio(value: float) -> str:
    return f"{digits(value)}×"


TIMES: dict[str, tuple[str, Callable[[Any], str]]] = {
    "network": (N_("network"), label_name),
    "runtime": (N_("runtime"), str),
    "precision": (N_("as"), str),
    "batch": (N_("batch"), str),
    "median_ms": (N_("time, ms"), digits),
    "p95_ms": (N_("95 %, ms"), digits),
    "faster": (N_("speed"), ratio),
}
FILES: dict[str, tuple[str, Callable[[Any], str]]] = {name: TIMES[name] for name in FORM} | {
    "file_bytes": (N_("file"), file_size),
    "smaller": (N_("smaller"), ratio),
    "accuracy": (N_("right"), "{:.1%}".format),
    "agreement": (N_("as torch"), "{:.1%}".format),
}
"""What stands over the columns of the two tables, and their numbers as text."""


@dataclass(frozen=True, eq=False)
class Deployment:
    """A row for each network, runtime, precision and batch; the first network is what the others are compared with.

    - `median_ms`, `p95_ms`, `iqr_ms`: of one batch, over `rounds` calls; `faster`: how many times as fast as the first
      network in the same form, the quotient of the medians; both were timed in turn.
    - `file_bytes`: the weights as safetensors for torch, or the ONNX file; `smaller`: than that of the first.
    - `accuracy` on the test split, and `agreement` with the answers of torch in fp32, fractions of 1.
    - where it was measured, as in a record; `run`: that of the network in the record, where a run was measured.
    """

    rows: pd.DataFrame

    @property
    def finding(self) -> str:
        """What it comes to for the smallest network, in one sentence; empty for one network alone."""
        rows = self.rows
        chosen = rows[(rows["runtime"] == "onnxruntime") & (rows["precision"] == "fp32") & (rows["batch"] == 1)]
        if len(chosen) < 2:
            return ""
        dense, small = chosen.iloc[0], chosen.iloc[1:].sort_values("file_bytes").iloc[0]
        return _(
            "One image in onnxruntime: {name} takes {own} ms instead of {dense} ({faster}× as fast), its file {file} "
            "instead of {large}, and {accuracy:.1f} % of the test images are right instead of {reference:.1f} %.",
            name=label_name(small["network"]), own=digits(small["median_ms"]), dense=digits(dense["median_ms"]),
            faster=digits(small["faster"]), file=file_size(small["file_bytes"]), large=file_size(dense["file_bytes"]),
            accuracy=100 * float(small["accuracy"]), reference=100 * float(dense["accuracy"]),
        )  # fmt: skip

    @property
    def circumstances(self) -> str:
        """Where and on what it was measured, in a line."""
        first = self.rows.iloc[0]
        return _(
            "{device}, threads: {threads}; torch {torch}, onnxruntime {onnxruntime}; {images} images of {dataset}; "
            "{date}",
            images=int(first["test_images"]), threads=int(first["threads"]), date=day(str(first["date"])),
            **{name: str(first[name]) for name in ("device", "torch", "onnxruntime", "dataset")},
        )  # fmt: skip

    @property
    def tables(self) -> list[pd.DataFrame]:
        """What depends on the batch, and what does not, as text under headings."""
        parts = (self.rows.sort_values("batch", kind="stable"), TIMES), (self.rows[~self.rows.duplicated(FORM)], FILES)
        return [
            pd.DataFrame({_(head): rows[name].map(text) for name, (head, text) in columns.items()})
            for rows, columns in parts
        ]

    @property
    def picture(self) -> Picture:
        """Bars for the time of one image, the throughput of the largest batch and the file; a group for each form."""
        rows, networks = self.rows.set_index(FORM), list(self.rows["network"].unique())
        most = int(rows["batch"].max())
        one, many = rows[rows["batch"] == 1], rows[rows["batch"] == most]
        panels = [
            (_("Time for one image"), _("milliseconds (less is better)"), one["median_ms"], one["faster"]),
            (
                _("Throughput, {count} images at once", count=most), _("images a second (more is better)"),
                1e3 * most / many["median_ms"], many["faster"],
            ),
            (_("Size of the file"), _("MB (less is better)"), one["file_bytes"] / 1e6, one["smaller"]),
        ]  # fmt: skip
        forms = [form for form in SHOWN if (networks[0], *form) in one.index]
        figure = Picture(figsize=(3.9 * len(panels) + 1.2, 1.9 + 0.42 * len(forms) * len(networks)))
        colour, height = colours(networks, networks[:1]), 0.8 / len(networks)
        for axes, (title, unit, values, better) in zip(
            figure.subplots(1, len(panels), sharey=True), panels, strict=True
        ):
            styled(axes, x=unit, y="", title=title)
            for number, network in enumerate(networks):
                own, times = values[network].loc[forms], better[network].loc[forms]
                middles = [place + (number - (len(networks) - 1) / 2) * height for place in range(len(forms))]
                bars = axes.barh(middles, own, height=0.9 * height, color=colour[network])
                shown = own.map(digits) + ("  (" + times.map(ratio) + ")" if number else "")
                axes.bar_label(bars, list(shown), padding=4, fontsize=TEXT, color=INK)
            axes.set_xlim(0, 1.45 * axes.dataLim.x1)  # room for what stands beside the bars
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
            axes.grid(visible=False, axis="y")
            axes.tick_params(axis="y", length=0)
        figure.axes[0].set_yticks(range(len(forms)), [_(SHOWN[form]) for form in forms])
        figure.axes[0].set_ylim(len(forms) - 0.5, -0.5)
        handles = [
            Patch(color=colour[name], label=_("Full network") if name == "dense" else label_name(name))
            for name in networks
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TEXT, frameon=False)
        figure.headline(self.finding or _("What one network costs in each form"))
        return figure

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Writes `deployment.parquet` and the picture into a folder, each atomically."""
        with atomic_path(Path(folder) / PICTURE) as temporary:
            self.picture.savefig(temporary, format="png", dpi=DPI)
        with atomic_path(Path(folder) / FILE) as temporary:
            self.rows.to_parquet(temporary, engine="pyarrow", index=False)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "Deployment":
        """Reads what `save` has written; DataError where there is none or it cannot be read."""
        path = Path(folder) / FILE
        try:
            return cls(pd.read_parquet(path, engine="pyarrow"))
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: cannot be read ({str(error).splitlines()[0]}); measure again") from None

    def __str__(self) -> str:
        explained = _(
            "speed, smaller: against the first network in the same form, timed in turn. right: of the test images. "
            "as torch: answers that are those of torch in fp32."
        )
        tables = (cells.to_string(index=False) for cells in self.tables)
        return "\n\n".join([*tables, self.finding, explained, self.circumstances])

    def _repr_html_(self) -> str:
        unbroken = (cells.map(lambda cell: cell.replace(" ", "\N{NO-BREAK SPACE}")) for cells in self.tables)
        tables = (cells.to_html(index=False, border=0) for cells in unbroken)
        return "".join([*tables, f"<p>{escape(self.circumstances)}</p>"])
