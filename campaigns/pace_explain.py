"""One stored decision of the pacer, explained: what it saw, what bound it, and what became of the calls it ordered."""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.campaign_values import usual_time_zone
from campaigns.models import Campaign
from dialer.calls import FINAL, CallState
from dialer.errors import NotFound
from dialer.pacing import Snapshot

# A decision holds until the next one, a tick later. When none came for longer than this, nobody was deciding.
HELD = timedelta(seconds=5)

_LIMITS = {
    "abandonment": "the abandonment limit: one call more would have risked more than it allows",
    "budget": "the abandonment limit: nobody more may be lost just now, so one call per free agent",
    "cold start": "too few calls so far to predict anything, so one call per free agent",
    "lines": "outside lines: no more were free",
    "campaign lines": "the campaign's own limit of lines",
    "calls per agent": "the guard of calls in the air for each agent",
    "presence stale": "an old report of who is at work, so one call per free agent",
    "presence dead": "no report of who is at work, so no calls",
    "events stale": "events that were late, so one call per free agent",
    "events dead": "events that were far too late, so no calls",
    "agents": "the agents: nobody was at work",
    "contacts": "the list: no contact was due",
    "pbx": "trouble at the PBX",
    "requests": "the requests that the PBX's account allows in a while",
}

_DECISIONS = """
    SELECT d.id, d.decided_at, d.until_at, d.ticks, d.calls, d.ordered, d.why, d.snapshot, d.limits,
           coalesce(nullif(d.reckoned, '{}'::jsonb), d.limits -> 'reckoned', '{}'::jsonb) AS reckoned
    FROM pace_decisions d WHERE d.campaign_id = :campaign_id
"""
_AT = text(_DECISIONS + " AND d.decided_at <= :at ORDER BY d.decided_at DESC, d.id DESC LIMIT 1")
_BEFORE = text(_DECISIONS + " AND (d.decided_at, d.id) < (:at, :id) ORDER BY d.decided_at DESC, d.id DESC LIMIT 1")
_AFTER = text(_DECISIONS + " AND (d.decided_at, d.id) > (:at, :id) ORDER BY d.decided_at, d.id LIMIT 1")
_SPAN = text(
    "SELECT min(decided_at) AS first, max(until_at) AS last FROM pace_decisions WHERE campaign_id = :campaign_id"
)
# The tick that decided also ordered: one transaction, one time.
_ORDERED = text(
    """
    SELECT t.id, t.contact_id, t.state, t.ordered_at, t.answered_at, t.joined_at, t.left_at, t.over_at, t.ended_at,
           to_jsonb(t) ->> 'given_up_at' AS given_up_at, coalesce(nullif(a.name, ''), a.user_id) AS agent
    FROM attempts t LEFT JOIN agents a ON a.id = t.agent_id
    WHERE t.campaign_id = :campaign_id AND t.ordered_at = :at ORDER BY t.id
    """
)


@dataclass(frozen=True, slots=True)
class OrderedCall:
    """What became of one call that the decision ordered. Lengths are in seconds."""

    attempt: int
    contact: int
    state: CallState
    answered_after: float | None
    waited: float | None  # from the answer to the agent
    talked: float | None
    ended_after: float | None
    agent: str | None
    given_up: bool

    @property
    def open(self) -> bool:
        return self.state not in FINAL


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored decision. `snapshot` is None when the row holds none that can be read."""

    id: int
    decided_at: datetime
    until_at: datetime
    ticks: int
    calls: int
    ordered: int
    why: str
    mode: str
    bound_by: tuple[str, ...]
    refused: dict[str, int]
    reckoned: dict[str, Any]
    snapshot: Snapshot | None
    stored: dict[str, Any]  # the snapshot as it is stored

    @classmethod
    def of(cls, row: Any) -> "Decision":
        limits = dict(row.limits or {})
        return cls(
            id=row.id,
            decided_at=row.decided_at,
            until_at=row.until_at,
            ticks=row.ticks,
            calls=row.calls,
            ordered=row.ordered,
            why=row.why,
            mode=str(limits.get("mode", "")),
            bound_by=tuple(limits.get("bound_by", ())),
            refused=dict(limits.get("refused", {})),
            reckoned=dict(row.reckoned or {}),
            snapshot=readable(row.snapshot),
            stored=row.snapshot,
        )

    def as_json(self) -> dict[str, Any]:
        """Return the decision for a program, with all that it saw."""
        return {
            "decided_at": self.decided_at, "until_at": self.until_at, "ticks": self.ticks, "calls": self.calls,
            "ordered": self.ordered, "why": self.why, "mode": self.mode, "bound_by": list(self.bound_by),
            "refused": self.refused, "reckoned": self.reckoned, "snapshot": self.stored,
        }  # fmt: skip

    def short(self) -> dict[str, Any]:
        """Return a neighbour for a program."""
        return {
            "decided_at": self.decided_at, "until_at": self.until_at, "calls": self.calls, "ordered": self.ordered,
            "why": self.why,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explained:
    """A decision between its neighbours, and the calls it ordered."""

    campaign: str
    zone: ZoneInfo
    at: datetime
    decision: Decision
    calls: list[OrderedCall]
    before: Decision | None
    after: Decision | None

    def as_json(self) -> dict[str, Any]:
        """Return everything for a program."""
        return {
            "campaign": self.campaign,
            "time_zone": self.zone.key,
            "at": self.at,
            "decision": self.decision.as_json(),
            "calls": [asdict(call) for call in self.calls],
            "what_happened": outcome(self.calls),
            "before": self.before.short() if self.before else None,
            "after": self.after.short() if self.after else None,
        }


def readable(stored: Any) -> Snapshot | None:
    """Return a stored snapshot, or None when it is not one (a row of an older release, or made by hand)."""
    try:
        return Snapshot.from_json(stored)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def zone_of(campaign: Campaign) -> ZoneInfo:
    """The time zone in which people speak of a campaign's day."""
    return ZoneInfo(usual_time_zone(campaign.country, campaign.time_zone))


def explain(session: Session, campaign: Campaign, at: datetime) -> Explained:
    """Explain the decision in force at a moment; NotFound says when there were some."""
    mine = {"campaign_id": campaign.id}
    zone = zone_of(campaign)
    row = session.execute(_AT, mine | {"at": at}).one_or_none()
    following = session.execute(_AFTER, mine | {"at": at, "id": 2**62}).one_or_none()
    if row is None or at > max(row.until_at, row.decided_at) + HELD:
        raise NotFound(_none_then(session, campaign, at, row, following, zone))
    decision = Decision.of(row)
    here = mine | {"at": decision.decided_at, "id": decision.id}
    before, after = (session.execute(query, here).one_or_none() for query in (_BEFORE, _AFTER))
    calls = [_call(call) for call in session.execute(_ORDERED, mine | {"at": decision.decided_at})]
    return Explained(
        campaign.name,
        zone,
        at,
        decision,
        calls,
        Decision.of(before) if before else None,
        Decision.of(after) if after else None,
    )


def _none_then(session: Session, campaign: Campaign, at: datetime, row: Any, following: Any, zone: ZoneInfo) -> str:
    span = session.execute(_SPAN, {"campaign_id": campaign.id}).one()
    if span.first is None:
        return (
            f"the pacer has decided nothing yet about campaign {campaign.name}: it does while a campaign runs and a "
            "scheduler is up"
        )

    def said(moment: datetime) -> str:
        local = moment.astimezone(zone)
        return f"{local:%H:%M:%S}" if local.date() == at.astimezone(zone).date() else f"{local:%Y-%m-%d %H:%M:%S}"

    told = f"nothing was decided about campaign {campaign.name} at {at.astimezone(zone):%Y-%m-%d %H:%M:%S} ({zone.key})"
    if row is None:
        return f"{told}: the first decision on record is of {said(span.first)}"
    if following is None:
        return f"{told}: the last decision is of {said(span.last)}"
    return (
        f"{told}: it was not running then, or no scheduler was; "
        f"the last decision before is of {said(row.until_at)}, the next of {said(following.decided_at)}"
    )


def _call(row: Any) -> OrderedCall:
    def between(first: datetime | None, second: datetime | None) -> float | None:
        return round((second - first).total_seconds(), 3) if first is not None and second is not None else None

    over = row.left_at or row.over_at or row.ended_at
    return OrderedCall(
        attempt=row.id,
        contact=row.contact_id,
        state=CallState(row.state),
        answered_after=between(row.ordered_at, row.answered_at),
        waited=between(row.answered_at, row.joined_at),
        talked=between(row.joined_at, over),
        ended_after=between(row.ordered_at, over if row.ended_at else None),
        agent=row.agent,
        given_up=row.given_up_at is not None,
    )


def bound_in_words(limit: str) -> str:
    """Say a limit of a decision as one would to somebody who does not know the engine."""
    return _LIMITS.get(limit, limit)


_ENDS = {
    CallState.NO_ANSWER: "nobody answered",
    CallState.BUSY: "busy",
    CallState.REJECTED: "rejected",
    CallState.UNAVAILABLE: "not reachable",
    CallState.NO_LINES: "no line",
    CallState.NO_AGENT: "the agent's phone was not taken",
    CallState.REFUSED: "refused by the PBX",
    CallState.EXPIRED: "never sent",
    CallState.LOST: "lost sight of",
    CallState.FAILED: "failed",
    CallState.HUNG_UP: "hung up before an agent came",
    CallState.ABANDONED: "abandoned: no agent in time",
}


def outcome(calls: list[OrderedCall]) -> list[str]:
    """Say what became of the calls, the answered ones one by one, the others counted."""
    told: list[str] = []
    others: dict[str, int] = {}
    for call in calls:
        if call.talked is not None or (call.waited is not None and call.open):
            who = call.agent or "an agent"
            told.append(
                f"answered after {_said(call.answered_after)}, met {who} after {_said(call.waited)}"
                + (f", talked {_said(call.talked)}" if not call.open else ", still talking")
            )
        elif call.answered_after is not None and not call.open:
            told.append(f"answered after {_said(call.answered_after)}, {_ENDS.get(call.state, call.state)}")
        else:
            word = "given up while it rang" if call.given_up else _ENDS.get(call.state, str(call.state))
            others[word] = others.get(word, 0) + 1
    return told + [f"{number} {word}" for word, number in sorted(others.items(), key=lambda one: (-one[1], one[0]))]


def _said(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} min"
