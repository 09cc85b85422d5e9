"""What the pacer is shown of a campaign, read from rows in one query, and what happened since it last looked."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.gate import Lines
from campaigns.models import Attempt
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing import PaceEvent, Snapshot, events_of_call

# Calls that ended this recently are shown once more, so that the pacer hears of their end.
RECENT = timedelta(seconds=15)
# A new leader learns from this many of the campaign's last attempts.
REMEMBERED = 3_000

_VIEW = text(
    """
    SELECT c.state, c.mode, c.max_lines, c.max_abandonment, c.answer_limit, c.state_at, c.pbx,
      (SELECT json_agg(json_build_array(a.id,
                              CASE WHEN a.reserved_for <> '' AND a.state IN ('parking', 'parked') THEN 'reserved'
                                   ELSE a.state END, extract(epoch FROM CAST(:now AS timestamptz) - a.since)))
         FROM campaign_agents ca JOIN agents a ON a.id = ca.agent_id
        WHERE ca.campaign_id = c.id AND a.state NOT IN ('out', 'paused')
          AND (a.campaign_id IS NULL OR a.campaign_id = c.id)) AS agents,
      (SELECT json_agg(json_build_array(t.id, t.state, t.ordered_at, t.answered_at, t.joined_at, t.ended_at,
                                        coalesce(t.agent_id, (SELECT s.agent_id FROM assignments s
                                          WHERE s.attempt_id = t.id AND s.ended_at IS NULL)),
                                        t.gateway, t.sent_at, t.reserved_agent_id IS NOT NULL AND EXISTS (
                                          SELECT 1 FROM agents r WHERE r.reserved_attempt_id = t.id)))
         FROM (SELECT * FROM attempts WHERE campaign_id = c.id AND ended_at IS NULL
               UNION ALL
               SELECT * FROM attempts WHERE campaign_id = c.id AND ended_at > CAST(:recent AS timestamptz)
                 AND ordered_at > CAST(:recent AS timestamptz) - interval '1 hour') t) AS calls,
      (SELECT json_build_array(s.read_at, s.gateways, s.trouble, s.trouble_at) FROM pbx_status s
        WHERE s.pbx = c.pbx) AS status,
      (SELECT json_agg(json_build_array(t.gateway, t.campaign_id, t.sent_at)) FROM attempts t
        WHERE t.ended_at IS NULL AND t.pbx = c.pbx AND t.campaign_id <> c.id) AS others,
      (SELECT extract(epoch FROM CAST(:now AS timestamptz) - min(e.received_at)) FROM logged_events e
        WHERE e.handled_at IS NULL AND NOT e.can_wait AND e.pbx = c.pbx) AS events_age,
      EXISTS (SELECT 1 FROM contacts k WHERE k.campaign_id = c.id AND k.state = 'open'
                AND k.next_at <= CAST(:now AS timestamptz) + interval '3 seconds') AS due
    FROM campaigns c WHERE c.id = :campaign_id
    """
)
_BUDGET = text(
    """
    SELECT count(*) FILTER (WHERE state IN ('abandoned', 'message') OR late OR stray) AS abandoned,
           count(*) FILTER (WHERE joined_at IS NOT NULL AND NOT late) AS met
    FROM (
        SELECT state, joined_at, coalesce(extract(epoch FROM joined_at - answered_at) > answer_limit, false) AS late,
               -- somebody answered a call that had been closed as something else
               ended_at IS NOT NULL AND joined_at IS NULL AND state <> 'hung_up' AS stray
        FROM attempts WHERE campaign_id = :campaign_id AND answered_at > :since AND mode <> 'agentless'
        UNION ALL  -- found abandoned by the PBX's report alone: nobody told us when it was answered
        SELECT state, joined_at, false, false FROM attempts
        WHERE campaign_id = :campaign_id AND answered_at IS NULL AND state = 'abandoned' AND ended_at > :since
          AND mode <> 'agentless'
    ) AS answered
    """
)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt as the pacer's view shows it."""

    id: int
    state: CallState
    ordered_at: datetime
    answered_at: datetime | None
    joined_at: datetime | None
    ended_at: datetime | None
    agent_id: int | None
    gateway: str
    sent_at: datetime | None
    reserved: bool = False  # an agent is kept for it

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Call":
        times = [datetime.fromisoformat(value) if value else None for value in (*row[2:6], row[8])]
        ordered, answered, joined, ended, sent = times
        assert ordered is not None
        return cls(row[0], CallState(row[1]), ordered, answered, joined, ended, row[6], str(row[7]), sent, row[9])


@dataclass(slots=True)
class View:
    """A campaign at one moment."""

    state: str
    mode: str
    state_at: datetime
    pbx: str
    ceiling: float
    max_lines: int | None
    agents: list[tuple[int, str, float]]
    calls: list[Call]
    read_at: datetime | None
    gateways: list[dict[str, Any]]
    trouble: str
    events_age: float
    due: bool
    others: list[Sequence[Any]] = field(default_factory=list)

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if call.ended_at is None]

    def lines(self, allowed: Sequence[str]) -> Lines:
        """Free lines by gateway: what the PBX counted, less what was sent since and what is about to be."""
        free: dict[str, int] = {}
        for gateway in self.gateways:
            if gateway["enabled"] and gateway["registered"] and (not allowed or gateway["id"] in allowed):
                uncounted = sum(self._uncounted(name, sent) for name, sent in self._ours() if name == gateway["id"])
                free[gateway["id"]] = max(0, gateway["lines"] - gateway["busy_lines"] - uncounted)
        return Lines(free)

    def _ours(self) -> Iterator[tuple[str, datetime | None]]:
        for call in self.open:
            yield call.gateway, call.sent_at
        for gateway, _, sent_at in self.others:
            yield gateway, datetime.fromisoformat(sent_at) if sent_at else None

    def _uncounted(self, _gateway: str, sent_at: datetime | None) -> bool:
        # The PBX carries an order out a little after it was sent; what is younger than that is not in its count.
        return sent_at is None or self.read_at is None or sent_at > self.read_at - timedelta(seconds=0.5)

    def snapshot(self, now: datetime, lines: Lines, budget: Budget) -> Snapshot:
        """The same as values for the pacer."""
        states: dict[str, list[float]] = {}
        for _, state, since in self.agents:
            states.setdefault(state, []).append(max(0.0, since))
        served = (CallState.ANSWERED, CallState.HELD)
        on_the_way = (CallState.ORDERED, CallState.SENDING, CallState.UNKNOWN, CallState.PLACED, CallState.RINGING)
        free = [call for call in self.open if not call.reserved]  # those who need one of the free agents
        return Snapshot(
            # Only whom the PBX is parking already: their seconds are fewer than a customer's ring.
            idle=len(states.get("parking", [])),
            parked=len(states.get("parked", [])),
            talking=tuple(states.get("talking", []) + states.get("assigned", [])),
            wrapping=tuple(states.get("wrap_up", [])),
            ringing=tuple((now - call.ordered_at).total_seconds() for call in free if call.state in on_the_way),
            waiting=sum(call.state in served and call.agent_id is None for call in free),
            reserved=len(states.get("reserved", [])),
            in_message=sum(call.state == CallState.MESSAGE for call in self.open),
            free_lines=lines.total,
            max_lines=self.max_lines,
            presence_age=(now - self.read_at).total_seconds() if self.read_at else None,
            events_age=self.events_age,
            budget=budget,
        )

    def age(self, now: datetime) -> Snapshot:
        """How old our knowledge of the PBX is, and nothing else."""
        presence = (now - self.read_at).total_seconds() if self.read_at else None
        return Snapshot(presence_age=presence, events_age=self.events_age)

    def unanswered_orders(self) -> str:
        """Why no call should be ordered now although lines are free; empty when nothing speaks against it."""
        if self.trouble:
            return f"the PBX is in trouble: {self.trouble}"
        unknown = sum(call.state is CallState.UNKNOWN for call in self.open)
        if unknown >= max(3, len(self.open) / 4):
            return f"{unknown} orders got no reply from the PBX; waiting to hear of them"
        return ""


def read(session: Session, campaign_id: int, now: datetime) -> View | None:
    """Read a campaign's view; None when there is no such campaign."""
    row = session.execute(_VIEW, {"campaign_id": campaign_id, "now": now, "recent": now - RECENT}).one_or_none()
    if row is None:
        return None
    read_at, gateways, trouble, trouble_at = row.status or (None, [], "", None)
    read_time = datetime.fromisoformat(read_at) if read_at else None
    troubled = bool(trouble) and (read_time is None or (trouble_at and datetime.fromisoformat(trouble_at) > read_time))
    return View(
        state=row.state,
        mode=row.mode,
        state_at=row.state_at,
        pbx=row.pbx,
        ceiling=row.max_abandonment,
        max_lines=row.max_lines,
        agents=[(agent, state, float(since)) for agent, state, since in row.agents or []],
        calls=[Call.of(call) for call in row.calls or []],
        read_at=read_time,
        gateways=gateways or [],
        trouble=trouble if troubled else "",
        events_age=max(0.0, float(row.events_age or 0.0)),
        due=row.due,
        others=row.others or [],
    )


def budget(session: Session, campaign_id: int, since: datetime, ceiling: float, window: str) -> Budget:
    """Count what the window has spent: rows, never a counter (I19). A message now playing is spent already."""
    row = session.execute(_BUDGET, {"campaign_id": campaign_id, "since": since}).one()
    return Budget(row.abandoned, row.met, ceiling, window)


def events_of(call: Call) -> list[PaceEvent]:
    """Everything that has happened to a call, in order."""
    return events_of_call(
        str(call.id),
        call.state,
        ordered_at=call.ordered_at,
        answered_at=call.answered_at,
        joined_at=call.joined_at,
        ended_at=call.ended_at,
        agent=str(call.agent_id or ""),
    )


def remembered(session: Session, campaign_id: int) -> list[PaceEvent]:
    """What a new leader learns from: the campaign's last attempts."""
    query = (
        select(Attempt)
        .where(Attempt.campaign_id == campaign_id, Attempt.ended_at.is_not(None))
        .order_by(Attempt.ordered_at.desc())
        .limit(REMEMBERED)
    )
    found: list[PaceEvent] = []
    for row in session.scalars(query):
        call = Call(
            row.id,
            CallState(row.state),
            row.ordered_at,
            row.answered_at,
            row.joined_at,
            row.ended_at,
            row.agent_id,
            row.gateway,
            row.sent_at,
        )
        found += events_of(call)
    return found
