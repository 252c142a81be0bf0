"""What the sections of the brief hold, in words and rows; the template only lays them out.

>>> from tuckerlab.experiments.recorded import found_folder
>>> evidence = Evidence.of([found_folder("compare-folder-neu_steel")])
>>> [value for value, _ in tiles(evidence, None)]
['18 ×', '+0.1', '88 %', '–']
"""

import base64
import io
from collections.abc import Sequence
from typing import Any

from tuckerlab.decision.assumptions import ENTERED
from tuckerlab.decision.closer import AUDIT_GAPS
from tuckerlab.decision.evidence import Evidence
from tuckerlab.decision.gaps import INVALID, Gap
from tuckerlab.decision.money import Money
from tuckerlab.decision.money_words import chance, outcome_line, verdict_line
from tuckerlab.decision.others import called
from tuckerlab.decision.plan import Plan, said
from tuckerlab.decision.recommendation import Answer, Criterion, Kind, Outcome, leading_default
from tuckerlab.decision.sentences import lacks
from tuckerlab.decision.words import dataset_name, joined, number, percent, short, some, times
from tuckerlab.i18n import text

REASONS, GAPS, SOURCES, FLIPS, WORST = 3, 5, 3, 2, 3
"""So many are shown at most; where there are more the page says how many."""


def small_name(evidence: Evidence) -> str:
    """What people call the small network."""
    small = evidence.small
    return short(called(small.label, small.method)) if small else text("plan.small")


def date(iso: str) -> str:
    """A day as people write it.

    >>> date("2026-11-24")
    '24 November 2026'
    """
    year, month, day = iso.split("-")
    return text("brief.date", year=year, month=text(f"brief.month.{int(month)}"), day=str(int(day)))


def why(evidence: Evidence, criteria: Sequence[Criterion], answer: Answer) -> str:
    """The recommendation in one sentence."""
    if not evidence.is_valid:
        return text("brief.why.invalid" if evidence.change else "brief.why.nothing")
    key = str(answer)
    if answer is Answer.NO_GO and not any(c.kind is Kind.DECISIVE and c.outcome is Outcome.FAILED for c in criteria):
        key = "no_gain"
    return text(f"brief.why.{key}", small=small_name(evidence), criteria=len(criteria))


def reasons(evidence: Evidence, criteria: Sequence[Criterion], answer: Answer) -> list[str]:
    """What stands in the way of a go, the first of it."""
    if answer is Answer.GO:
        return []
    if evidence.is_valid:
        return some(lacks(criteria, answer), REASONS)
    return some([gap.said for gap in evidence.gaps if gap.key in INVALID], REASONS - 1)  # these are longer


def tiles(evidence: Evidence, money: Money | None) -> list[tuple[str, str]]:
    """Four numbers with a line each."""
    of, missing = evidence.shares, (text("brief.none"),)
    size, change, one, batch = of["parameters"], evidence.change, of["time_1"], of["time_128"]
    found = [
        (text("brief.tile.size.value", times=times(size.value)), text("brief.tile.size")) if size else None,
        (number(change.value, 1, signed=True), text("brief.tile.accuracy")) if change else None,
        (_percent(one.value), text("brief.tile.time", batch=_percent(batch.value))) if one and batch else None,
        (chance(money.pays), text(f"brief.tile.money.{_ours(money)}", years=money.assumptions.years))
        if money
        else None,
    ]
    names = ("size", "accuracy", "time", "money")
    return [tile or (*missing, text(f"brief.tile.{name}.missing")) for tile, name in zip(found, names, strict=True)]


def differs(evidence: Evidence) -> dict[str, Any]:
    """Where the small network answers differently: lines and pictures, or the gap in their place."""
    if evidence.closer is None:
        gap = next((gap.said for gap in evidence.gaps if gap.key in AUDIT_GAPS), text("brief.gap.picture"))
        return {"gap": gap, "said": "", "flips": []}
    audit = evidence.closer.audit
    row, flips = audit.overall.iloc[0], audit.flips.head(FLIPS)
    differently = round(row["count"] * (1 - row["agreement"] / 100))
    counts = {"images": row["count"], "lost": row["lost"], "gained": row["gained"]}
    worst = " · ".join(
        f"{short(str(name), 16)} {number(c['change'], 1, signed=True)}"
        for name, c in audit.per_class.head(WORST).iterrows()
        if c["change"] < 0
    )
    lines = [text("brief.differs.count", count=differently, **counts)]
    lines += [text("brief.differs.classes", classes=worst)] if worst else [text("brief.differs.no_class")]
    for _, noisy in audit.robustness[audit.robustness["strength"] > 0].iterrows():
        detail = text(f"audit.corruption.{noisy['kind']}", strength=noisy["strength"])
        lines.append(text("brief.differs.noise", detail=detail, change=noisy["change"]))
    lines.append(text("brief.differs.origin", seed=evidence.closer.seed, origin=evidence.closer.origin))
    shown = []
    for _, flip in flips.iterrows():
        told = {"label": short(str(flip["label"]), 16), "answer": short(str(flip["compressed_answer"]), 16)}
        line = text("brief.differs.flip", **told, confidence=flip["compressed_confidence"])
        shown.append((_thumbnail(audit.data.test_images[int(flip["index"])]), line))
    return {"gap": "", "said": joined(lines), "flips": shown}


def _thumbnail(image: Any) -> str:
    from PIL import Image

    pixels = image.permute(1, 2, 0).cpu().numpy()
    buffer = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels).save(buffer, format="png")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def money_line(money: Money | None) -> str:
    """Whether it pays, by how much, and on what that rests."""
    if money is None:
        return text("brief.money.none")
    assumptions = money.assumptions
    entered = sum(assumption.origin == ENTERED for assumption in assumptions)
    if entered:
        basis = text("brief.money.basis", count=entered, others=sum(1 for _ in assumptions) - entered)
    else:
        told = {key: assumptions.amount(assumptions[key].likely) for key in ("server_hour", "day_rate")}
        basis = text("brief.money.all_defaults", answers=assumptions["answers_a_day"].likely, **told)
    told = {"verdict": verdict_line(money).rstrip("."), "outcome": outcome_line(money)}
    return joined([text("brief.money.sentence", **told), basis])


def plan_rows(plan: Plan, answer: Answer) -> dict[str, Any]:
    """The stages, and over them how long they take."""
    steps = [
        {
            "name": step.stage.name,
            "when": text("brief.plan.weeks", weeks=said(step.weeks), who=step.who),
            "exit": step.exit,
            "risk": step.risk,
            "valve": step.valve,
        }
        for step in plan.steps
    ]
    title = text("brief.section.plan.no_go" if answer is Answer.NO_GO else "brief.section.plan")
    return {"title": title, "headline": plan.headline, "steps": steps}


def gap_lines(evidence: Evidence, money: Money | None) -> list[str]:
    """All that is not known, what spoils the comparison first."""
    gaps = sorted(evidence.gaps, key=lambda gap: gap.key not in INVALID)
    gaps = [gap for gap in gaps if gap.key not in AUDIT_GAPS]  # that one stands in its own section
    told = {"dataset": dataset_name(evidence.dataset), "model": evidence.model}
    not_exported = () if evidence.deployed else (Gap("no_deployment"),)
    lines = [gap.said for gap in (*gaps, Gap("elsewhere", told), *not_exported)]
    if money and money.gaps:
        names = text("brief.comma").join(text(f"money.line.{key}") for key in money.gaps)
        lines.append(text("brief.gap.money", lines=names))
    return some(lines, GAPS)


def source_names(evidence: Evidence) -> list[str]:
    """The run folders with their marks."""
    return some([f"{source.mark} {short(source.name, 48)}" for source in evidence.sources], SOURCES)


def provenance(evidence: Evidence) -> str:
    """Where all of it was measured, with what, and when."""
    told = evidence.provenance
    dates = text("brief.dates", first=date(told["dates"][0]), last=date(told["dates"][-1]))
    values = {
        "dates": dates if len(told["dates"]) > 1 else date(told["dates"][0]),
        "device": " · ".join(short(str(device)) for device in told["device"][:2]),
        "threads": text("brief.threads", count=told["threads"][0]),
        "platform": told["platform"][0],
        "torch": told["torch"][0],
        "version": told["tuckerlab"][0],
        "commit": " ".join(str(commit)[:8] for commit in told["commit"][:3]),
        "seeds": ", ".join(str(seed) for seed in told["seed"][:6]),
        "epochs": told["epochs"][0],
    }
    said = [text("brief.provenance", **values)]
    if evidence.deployed:
        device, threads = evidence.timed_on
        named = {"device": short(device, 20), "threads": text("brief.threads", count=threads)}
        said.append(text("brief.provenance.deployed", **named))
    if any(told["dirty"]):
        said.append(text("brief.provenance.dirty"))
    return joined([*said, *(short(note, 90) for note in told["note"][:1] if note)])


def _percent(share: float) -> str:
    return text("brief.percent", value=percent(share))


def _ours(money: Money) -> str:
    return "default" if leading_default(money) else "entered"
