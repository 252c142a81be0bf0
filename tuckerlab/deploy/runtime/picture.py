"""The picture of a deployment: time, throughput and file of the full and of the compressed network.

>>> form = {"runtime": "torch", "precision": "fp32", "batch": 1, "images_per_second": 9.0, "median_ms": 8.0}
>>> rows = pd.DataFrame([form | {"network": "dense", "file_bytes": 2e6, "faster": 1.0, "smaller": 1.0}])
>>> [axes.get_title(loc="left") for axes in deployment_picture(rows).axes]
['Time for 1 image', 'Size of the file']
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tuckerlab.deploy.runtime.tables import size
from tuckerlab.deploy.runtime.words import comparison, digits, ratio
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import INK, TEXT, Picture, colours, styled

SHOWN = (("torch", "fp32"), ("onnxruntime", "fp32"), ("onnxruntime", "int8"))
BAR = 0.8


def deployment_picture(rows: pd.DataFrame) -> Picture:
    """Bars for the smallest batch, the largest one where there are several, and the file; a group for each form."""
    networks = list(dict.fromkeys(rows["network"]))
    least, most = int(rows["batch"].min()), int(rows["batch"].max())
    forms = [form for form in SHOWN if ((rows["runtime"] == form[0]) & (rows["precision"] == form[1])).any()]
    panels = [("median_ms", least, "faster"), ("file_bytes", least, "smaller")]
    if most > least:
        panels.insert(1, ("images_per_second", most, "faster"))
    figure = Picture(figsize=(3.9 * len(panels) + 1.2, 1.9 + 0.42 * len(forms) * len(networks)))
    colour = colours(networks, networks[:1])
    for axes, (column, batch, better) in zip(figure.subplots(1, len(panels), sharey=True), panels, strict=True):
        title = text(f"deployment.picture.{column}", images=text("unit.images", count=batch))
        styled(axes, x=text(f"deployment.axis.{column}"), y="", title=title)
        scale = {"file_bytes": 1e6}.get(column, 1.0)
        for number, network in enumerate(networks):
            for place, (runtime, precision) in enumerate(forms):
                row = rows[
                    (rows["network"] == network) & (rows["runtime"] == runtime)
                    & (rows["precision"] == precision) & (rows["batch"] == batch)
                ].iloc[0]  # fmt: skip
                shown = size(row[column]) if column == "file_bytes" else digits(row[column])
                against = f"  ({ratio(row[better])})" if number else ""
                _bar(axes, place, number, len(networks), float(row[column]) / scale, shown + against, colour[network])
        axes.set_xlim(0, 1.45 * axes.dataLim.x1)  # room for what stands beside the bars
        axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    names = [text(f"deployment.form.{runtime}.{precision}") for runtime, precision in forms]
    figure.axes[0].set_yticks(range(len(forms)), names)
    figure.axes[0].set_ylim(len(forms) - 0.5, -0.5)
    handles = [Patch(color=colour[name], label=_called(name)) for name in networks]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), fontsize=TEXT, frameon=False)
    figure.headline(comparison(rows, "headline") or text("deployment.picture.alone"))
    return figure


def _bar(axes: Axes, place: int, number: int, of: int, value: float, shown: str, colour: str) -> None:
    height = BAR / of
    middle = place + (number - (of - 1) / 2) * height
    axes.barh(middle, value, height=0.9 * height, color=colour)
    axes.annotate(
        shown, (value, middle), xytext=(4, 0), textcoords="offset points", va="center", fontsize=TEXT, color=INK
    )


def _called(network: str) -> str:
    return text("method.dense") if network == "dense" else network
