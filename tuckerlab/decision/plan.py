"""The plan of the PoC: stages with their time, people, criteria, risks and safety valves.

Weeks and days are the assumptions of the same names, shared out over the stages: the plan and the money cannot differ.
"""

from tuckerlab.decision.assumptions import Assumptions, table
from tuckerlab.decision.wording import spread
from tuckerlab.experiments.audit import Thresholds
from tuckerlab.i18n import _

STAGES = table("plan")
TOTALS = {"weeks": "weeks", "days": "people_days"}
"""The assumption that each number of a stage is a part of."""


def plan(assumptions: Assumptions, network: str) -> list[dict[str, str]]:
    """The stages in words: `name`, `effort`, `entry`, `exit`, `risk`, and `valve` against it."""
    values, steps = vars(Thresholds()) | {"network": network}, []
    for stage in STAGES.values():
        step = {part: _(said, **values) for part, said in stage.items() if part not in TOTALS}
        for part, key in TOTALS.items():
            share = stage[part] / sum(other[part] for other in STAGES.values())
            step[part] = spread(assumptions[key].times(share), 0)
        step["effort"] = _("{weeks} weeks; {days} days of work: {who}", **step)
        steps.append(step)
    return steps
