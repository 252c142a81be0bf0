"""Names beside points, where there is room for them."""

from collections.abc import Iterable, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from tuckerlab.plotting.figure import INK, TEXT, Picture

MARK = 7
"""Half the size of a point, in points of 1/72 inch."""

PLACES = ((1, 1), (-1, 1), (1, -1), (-1, -1))


def write_names(
    axes: Axes, points: Sequence[tuple[str, float, float]], bars: Iterable[tuple[float, float, float]] = ()
) -> list[Annotation]:
    """Writes each name (name, x, y) beside its point; those that would lie on another or on a point are left out.

    The first have the first choice of place. `bars` are vertical bars (x, low, high) to keep clear of.
    """
    figure = axes.figure.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]
    half = MARK * figure.dpi / 72
    taken = []
    for x, low, high in [*((x, y, y) for _, x, y in points), *bars]:
        (left, bottom), (right, top) = axes.transData.transform([(x, low), (x, high)])
        taken.append(Bbox.from_extents(left - half, bottom - half, right + half, top + half))
    written = []
    for name, x, y in points:
        for right, up in PLACES:
            label = axes.annotate(
                name, (x, y), (9 * right, 6 * up), textcoords="offset points", fontsize=TEXT, color=INK,
                family=list(figure.fonts) if isinstance(figure, Picture) else None,  # as measured, so drawn
                ha="left" if right > 0 else "right", va="bottom" if up > 0 else "top",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},  # a line may run below
            )  # fmt: skip
            label.set_in_layout(False)
            box = label.get_window_extent(renderer)
            inside = (
                axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and axes.bbox.y0 <= box.y0 <= box.y1 <= axes.bbox.y1
            )
            if inside and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                written.append(label)
                break
            label.remove()
    return written
