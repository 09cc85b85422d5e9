"""What the pacer decided and is held to: written down with its inputs and its reason, and shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import budgets
from campaigns.gate import Claim, Passed
from campaigns.goals import GOALS
from campaigns.models import Campaign, PaceDecision
from dialer.abandonment import Budget
from dialer.pacing import Pace, Snapshot

# Equal decisions in a row are one row, brought up to date this often.
WRITE_EVERY = timedelta(seconds=1)
_LENGTHEN = text(
    """
    UPDATE pace_decisions d SET until_at = :now, ticks = l.ticks
    FROM unnest(CAST(:ids AS bigint[]), CAST(:ticks AS integer[])) AS l(id, ticks) WHERE d.id = l.id
    """
)


def write_down(
    session: Session,
    campaign_id: int,
    last: PaceDecision | None,
    pace: Pace,
    passed: Passed,
    given_up: Sequence[str],
    snapshot: Snapshot,
    claim: Claim,
    mode: str,
    now: datetime,
    pbx: str = "",
) -> PaceDecision:
    """Store a decision, and return it for the next call's `last`; one that repeats the last only lengthens it.

    `pbx`: what was decided on, where the campaign has several.
    """
    if last is not None and not given_up and _repeats(last, pace, claim):
        _lengthen(session, [last], now)
        return last
    bound_by = [*pace.limits, *(limit for limit in passed.held_back if limit not in pace.limits)]
    limits: dict[str, Any] = {"bound_by": bound_by, "refused": dict(passed.refused), "mode": mode}
    if given_up:
        limits["given_up"] = len(given_up)
    decision = _row(campaign_id, pace, snapshot, claim, now, limits, pbx)
    decision.ordered, decision.why = passed.through, _told(pace, passed, given_up)
    session.add(decision)
    session.flush()
    session.expunge(decision)
    decision.why = pace.why
    return decision


@dataclass(frozen=True, slots=True)
class Quiet:
    """A decision after which nothing was ordered, about a campaign that has one PBX."""

    campaign_id: int
    last: PaceDecision | None
    pace: Pace
    snapshot: Snapshot
    claim: Claim
    mode: str


def write_quiet(session: Session, decided: Sequence[Quiet], now: datetime) -> list[PaceDecision]:
    """Store decisions about many campaigns as `write_down` does, in as few statements as one; returns them in turn."""
    rows: list[PaceDecision] = []
    repeated: list[PaceDecision] = []
    fresh: list[PaceDecision] = []
    for one in decided:
        last = one.last
        if last is not None and _repeats(last, one.pace, one.claim):
            repeated.append(last)
        else:
            limits = {"bound_by": [*one.pace.limits], "refused": {}, "mode": one.mode}
            last = _row(one.campaign_id, one.pace, one.snapshot, one.claim, now, limits)
            fresh.append(last)
        rows.append(last)
    _lengthen(session, repeated, now)
    session.add_all(fresh)
    session.flush()
    for row in fresh:
        session.expunge(row)
    return rows


def _repeats(last: PaceDecision, pace: Pace, claim: Claim) -> bool:
    """Whether a decision only lengthens the last: nothing to be called then and now, for the same reason."""
    return pace.calls == last.calls == 0 and pace.why == last.why and last.fence == claim.fence


def _lengthen(session: Session, repeated: Sequence[PaceDecision], now: datetime) -> None:
    """Count one more tick of decisions that were repeated, and bring the rows up to date that have waited for it."""
    stale: list[PaceDecision] = []
    for last in repeated:
        last.ticks += 1
        if now - last.until_at >= WRITE_EVERY:
            last.until_at = now
            stale.append(last)
    if stale:
        given = {"ids": [row.id for row in stale], "ticks": [row.ticks for row in stale], "now": now}
        session.execute(_LENGTHEN, given)


def _row(
    campaign_id: int, pace: Pace, snapshot: Snapshot, claim: Claim, now: datetime, limits: dict[str, Any], pbx: str = ""
) -> PaceDecision:
    return PaceDecision(
        campaign_id=campaign_id,
        decided_at=now,
        until_at=now,
        ticks=1,
        calls=pace.calls,
        ordered=0,
        why=pace.why,
        snapshot=snapshot.as_json(),
        limits=limits,
        reckoned=dict(pace.reckoned),
        fence=claim.fence,
        pbx=pbx,
    )


def _told(pace: Pace, passed: Passed, given_up: Sequence[str]) -> str:
    """The pacer's sentence, and what came of it."""
    why = pace.why
    if passed.refused:
        shown = ", ".join(f"{count} by {rule.replace('_', ' ')}" for rule, count in sorted(passed.refused.items()))
        why = f"{why}; the gate put off {shown}"
    if passed.held_back:
        why = f"{why}; {passed.through} ordered, the most of {' and '.join(passed.held_back)}"
    elif pace.calls > passed.through and passed.none_due:
        why = f"{why}; only {passed.through} contacts could be called"
    return f"{why}; {len(given_up)} ringing given up" if given_up else why


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision, or several equal ones in a row: `ticks` of them between `decided_at` and `until_at`."""

    decided_at: datetime
    until_at: datetime
    ticks: int
    calls: int
    ordered: int
    why: str
    pbx: str = ""  # where the campaign has several

    def as_json(self) -> dict[str, Any]:
        """Return the decision for a program."""
        return asdict(self)


def last_decisions(session: Session, campaign: str, count: int) -> list[Decided]:
    """Return the newest `count` decisions about a campaign, newest first."""
    query = (
        select(PaceDecision)
        .join(Campaign, Campaign.id == PaceDecision.campaign_id)
        .where(Campaign.name == campaign)
        .order_by(PaceDecision.decided_at.desc(), PaceDecision.id.desc())
        .limit(count)
    )
    return [
        Decided(row.decided_at, row.until_at, row.ticks, row.calls, row.ordered, row.why, row.pbx)
        for row in session.scalars(query)
    ]


@dataclass(frozen=True, slots=True)
class Paced:
    """What one campaign's pace is held to, and what was decided lately."""

    name: str
    state: str
    mode: str
    rule_pack: str
    goals: dict[str, Any]
    budget: Budget  # of the strictest window in force
    decisions: list[Decided]

    def as_json(self) -> dict[str, Any]:
        """Return the pace for a program."""
        budget = {
            "window": self.budget.window, "ceiling": self.budget.ceiling, "abandoned": self.budget.abandoned,
            "met": self.budget.met, "rate": round(self.budget.rate, 6), "calls_left": self.budget.left,
        }  # fmt: skip
        head = {"name": self.name, "state": self.state, "mode": self.mode, "rule_pack": self.rule_pack}
        decided = [decision.as_json() for decision in self.decisions]
        return {**head, **self.goals, "abandonment": budget["rate"], "budget": budget, "decisions": decided}


def paces(session: Session, now: datetime, *, name: str | None, last: int) -> list[Paced]:
    """Return the pace of every campaign that is not archived, running ones first; or of the one called `name`."""
    query = select(Campaign).where(Campaign.state != "archived")
    if name is not None:
        query = select(Campaign).where(Campaign.name == name)
    order = ("running", "paused", "draft", "stopped", "archived")
    found = sorted(session.scalars(query), key=lambda one: (order.index(one.state), one.name.lower()))
    return [
        Paced(
            name=one.name,
            state=one.state,
            mode=one.mode,
            rule_pack=one.rule_pack,
            goals={goal: getattr(one, goal) for goal in GOALS},
            budget=budgets.shown(session, one, now).budget,
            decisions=last_decisions(session, one.name, last),
        )
        for one in found
    ]
