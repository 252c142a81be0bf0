"""The plan as a picture: each stage from its likely start to its likely end, and when it ends at the latest.

>>> from tuckerlab.decision.plan import Assumptions, plan
>>> [axes] = plan_picture(plan(Assumptions())).axes
>>> axes.get_xlabel()
'weeks from the first day'
"""

from matplotlib.ticker import MaxNLocator

from tuckerlab.decision.plan import Plan
from tuckerlab.i18n import text
from tuckerlab.plotting.figure import PALETTE, QUIET, TEXT, Picture, styled


def plan_picture(plan: Plan) -> Picture:
    """Bars from top to bottom in the order of the stages, with who works how many days."""
    figure = Picture(figsize=(9.4, 3.6))
    axes = styled(figure.subplots(), x=text("plan.picture.weeks"), y="")
    latest = max(plan.weeks.high, 1e-9)
    for i, step in enumerate(plan.steps):
        axes.barh(i, step.weeks.likely, left=step.start.likely, height=0.5, color=PALETTE[0])
        axes.plot([step.end.likely, step.end.high], [i, i], color=QUIET, linewidth=1.6, solid_capstyle="butt")
        axes.plot(step.end.high, i, "|", color=QUIET, markersize=11, markeredgewidth=1.6)
    axes.plot([], [], "|-", color=QUIET, markersize=9, markeredgewidth=1.6, label=text("plan.picture.latest"))
    axes.set_yticks(range(len(plan.steps)), [f"{step.stage.name}\n{step.who}" for step in plan.steps])
    axes.set_xlim(0, 1.03 * latest)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.grid(visible=False, axis="y")
    axes.invert_yaxis()
    axes.legend(fontsize=TEXT, frameon=False, loc="upper right")
    figure.headline(plan.headline)
    return figure
