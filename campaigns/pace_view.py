"""What the pacer is shown of a campaign, or of many, read from rows in one query."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from campaigns import lanes, list_caps, listed_place, sharing, stored_gateways, unseen_calls
from campaigns.agent_states import ON_THE_LINE
from campaigns.lines import Lines
from campaigns.pace_calls import ON_THE_WAY, Call
from campaigns.sharing import Other
from dialer.abandonment import Budget
from dialer.calls import LIVE_ANSWERED, CallState
from dialer.list_caps import Standing
from dialer.pacing import Snapshot
from dialer.pacing.base import Goals
from dialer.pools import Outage

# Calls that ended this recently are shown once more, so that the pacer hears of their end.
RECENT = timedelta(seconds=15)

_VIEW = text(
    """
    -- What many campaigns need of a PBX they share is read once for all of them.
    WITH uncounted AS MATERIALIZED (
        SELECT t.pbx, t.campaign_id, t.gateway, t.sent_at
          FROM attempts t LEFT JOIN pbx_status s ON s.pbx = t.pbx
         WHERE t.ended_at IS NULL
           AND (t.sent_at IS NULL OR s.read_at IS NULL OR t.sent_at > s.read_at - CAST(:lag AS interval))
    ), unread AS MATERIALIZED (
        SELECT e.pbx, min(e.received_at) AS since FROM logged_events e
         WHERE e.handled_at IS NULL AND NOT e.can_wait GROUP BY e.pbx
    )
    SELECT c.id, c.state, c.mode, c.max_lines, c.state_at, here.pbx, c.weight,
           c.ratio, c.desired_wait, c.min_ring, c.inbound_first,
      (SELECT json_agg(json_build_array(
                a.id, a.state, extract(epoch FROM CAST(:now AS timestamptz) - a.since), a.wanted <> '',
                extract(epoch FROM CAST(:now AS timestamptz) - coalesce(a.idle_since, a.since)),
                coalesce(t.campaign_id, r.campaign_id, o.campaign_id, a.campaign_id, c.id),
                a.reserved_for <> '' AND a.state IN ('parking', 'parked'),
                a.state = 'ready' AND a.reserved_for = '' AND coalesce(a.not_before <= CAST(:now AS timestamptz), true),
                a.state = 'ready' AND a.reserved_for <> ''))
         FROM campaign_agents ca JOIN agents a ON a.id = ca.agent_id
         LEFT JOIN assignments s ON s.agent_id = a.id AND s.ended_at IS NULL
         LEFT JOIN attempts t ON t.id = s.attempt_id
         LEFT JOIN attempts r ON r.id = a.reserved_attempt_id
         LEFT JOIN offers o ON o.agent_id = a.id AND o.state = 'open'
        WHERE ca.campaign_id = c.id AND a.pbx = here.pbx AND a.state NOT IN ('out', 'paused')) AS agents,
      (SELECT json_agg(json_build_array(t.id, t.state, t.ordered_at, t.answered_at, t.joined_at, t.ended_at, t.sent_at,
                                        coalesce(t.agent_id, (SELECT s.agent_id FROM assignments s
                                          WHERE s.attempt_id = t.id AND s.ended_at IS NULL)),
                                        t.gateway, t.answer_group, t.ringing_at, t.given_up_at,
                                        t.pbx_call_id IS NOT NULL,
                                        t.reserved_agent_id IS NOT NULL AND EXISTS (
                                          SELECT 1 FROM agents r WHERE r.reserved_attempt_id = t.id),
                                        t.agent_first, t.number))
         FROM (SELECT * FROM attempts WHERE campaign_id = c.id AND pbx = here.pbx AND ended_at IS NULL
               UNION ALL
               SELECT * FROM attempts WHERE campaign_id = c.id AND pbx = here.pbx
                 AND ended_at > CAST(:recent AS timestamptz)
                 AND ordered_at > CAST(:recent AS timestamptz) - interval '1 hour') t) AS calls,
      (SELECT json_build_array(s.read_at, s.gateways, s.trouble, s.trouble_at) FROM pbx_status s
        WHERE s.pbx = here.pbx) AS status,
      -- Of a campaign of several PBXs: which they are, and what it has on the others.
      (SELECT json_agg(json_build_array(m.pbx, m.role, s.out_since, s.back_since, s.out_why) ORDER BY m.position)
         FROM campaign_pbxes m LEFT JOIN pbx_status s ON s.pbx = m.pbx WHERE m.campaign_id = c.id) AS members,
      CASE WHEN EXISTS (SELECT FROM campaign_pbxes m WHERE m.campaign_id = c.id) THEN
        (SELECT json_build_array(count(*) FILTER (WHERE {counts}), count(*) FILTER (
                                   -- An order of which a lost PBX tells no end: nobody is rung so long.
                                   WHERE t.state = ANY(:on_the_way) AND NOT t.agent_first
                                     AND t.ordered_at > CAST(:now AS timestamptz) - interval '1 minute'),
                                 count(*) FILTER (WHERE t.state = ANY(:served) AND NOT EXISTS (
                                   SELECT FROM assignments g WHERE g.attempt_id = t.id AND g.ended_at IS NULL)))
           FROM attempts t LEFT JOIN pbx_status s ON s.pbx = t.pbx
          WHERE t.campaign_id = c.id AND t.ended_at IS NULL AND t.pbx <> here.pbx) END AS on_others,
      CASE WHEN EXISTS (SELECT FROM campaign_pbxes m WHERE m.campaign_id = c.id) THEN
        (SELECT count(*) FROM campaign_agents x JOIN agents y ON y.id = x.agent_id
          WHERE x.campaign_id = c.id AND y.pbx <> here.pbx AND y.state NOT IN ('out', 'paused')
            AND NOT EXISTS (SELECT FROM pbx_status s WHERE s.pbx = y.pbx AND s.out_since IS NOT NULL)) END
        AS at_work_on_others,
      (SELECT json_agg(json_build_array(t.gateway, t.sent_at)) FROM uncounted t
        WHERE t.pbx = here.pbx AND t.campaign_id <> c.id) AS others,
      (SELECT json_agg(json_build_array(
                b.id, b.weight, s.shared,
                (SELECT count(*) FROM campaign_agents x JOIN agents y ON y.id = x.agent_id
                  WHERE x.campaign_id = b.id AND y.pbx = here.pbx AND y.state NOT IN ('out', 'paused')),
                (SELECT json_agg(extract(epoch FROM CAST(:now AS timestamptz) - t.ordered_at)) FROM attempts t
                  WHERE t.campaign_id = b.id AND t.pbx = here.pbx AND t.ended_at IS NULL
                    AND t.state = ANY(:on_the_way) AND NOT t.agent_first
                    AND NOT EXISTS (SELECT 1 FROM agents r WHERE r.reserved_attempt_id = t.id)),
                (SELECT count(*) FROM attempts t
                  WHERE t.campaign_id = b.id AND t.pbx = here.pbx AND t.ended_at IS NULL AND t.state = ANY(:served)
                    AND NOT EXISTS (SELECT 1 FROM assignments g WHERE g.attempt_id = t.id AND g.ended_at IS NULL)
                    AND NOT EXISTS (SELECT 1 FROM agents r WHERE r.reserved_attempt_id = t.id)),
                b.mode <> 'manual'  -- its agents dial when they like: no part of anybody is kept for it
                AND coalesce((SELECT min(k.next_at) FROM contacts k WHERE k.campaign_id = b.id AND k.state = 'open')
                         <= CAST(:now AS timestamptz) + interval '3 seconds', false),
                (SELECT CAST(d.reckoned ->> 'answer_chance' AS float8) FROM pace_decisions d
                  WHERE d.campaign_id = b.id AND d.pbx IN ('', here.pbx)
                  ORDER BY d.decided_at DESC LIMIT 1),
                {lists_of_b}) ORDER BY b.id)
         FROM (SELECT o.campaign_id, count(*) AS shared
                 FROM campaign_agents m
                 JOIN agents a ON a.id = m.agent_id AND a.pbx = here.pbx AND a.state NOT IN ('out', 'paused')
                 JOIN campaign_agents o ON o.agent_id = m.agent_id AND o.campaign_id <> m.campaign_id
                WHERE m.campaign_id = c.id GROUP BY o.campaign_id) s
         JOIN campaigns b ON b.id = s.campaign_id AND b.state = 'running' AND b.mode <> 'agentless') AS sharing,
      (SELECT extract(epoch FROM CAST(:now AS timestamptz) - e.since) FROM unread e
        WHERE e.pbx = here.pbx) AS events_age,
      -- The least of them by the index: asked whether there is any, the planner reads a table where none is due.
      coalesce((SELECT min(k.next_at) FROM contacts k WHERE k.campaign_id = c.id AND k.state = 'open')
               <= CAST(:now AS timestamptz) + interval '3 seconds', false) AS due,
      {lists_of_c} AS capped
    FROM unnest(CAST(:campaigns AS bigint[]), CAST(:pbxes AS text[])) AS asked(campaign_id, pbx)
    JOIN campaigns c ON c.id = asked.campaign_id
    CROSS JOIN LATERAL (SELECT coalesce(asked.pbx, c.pbx) AS pbx) AS here
    """.replace("{lists_of_b}", list_caps.AS_JSON.format(campaign="b.id"))
    .replace("{lists_of_c}", list_caps.AS_JSON.format(campaign="c.id"))
    .replace("{counts}", unseen_calls.COUNTS)
)
# A contact that is due so soon is due for the pacer: its call is ordered when it is.
_SOON = timedelta(seconds=3)
# The PBX carries an order out a little after it was sent; what is younger than that is not in its count.
_LAG = timedelta(seconds=0.5)


@dataclass(frozen=True, slots=True)
class AtWork:
    """One of the campaign's agents who is neither out nor on a pause; times in seconds."""

    id: int
    state: str
    since: float  # in this state
    leaving: bool  # asked to go, or to pause, as soon as they may
    waited: float  # since their last customer
    campaign_id: int  # whose customer they have or are kept for, or whose parking call
    reserved: bool = False  # kept for one certain call: free for nobody else
    callable: bool = False  # ready, kept for nothing and rested: where the agent's phone rings first, free
    ready_and_kept: bool = False  # reads an offer, where nobody is parked for it

    @property
    def with_customer(self) -> bool:
        """Whether they talk, or are about to."""
        return self.state in ("assigned", "talking")

    @property
    def on_the_line(self) -> bool:
        """Whether they wait on the line, or are being put there."""
        return self.state in ON_THE_LINE


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What a campaign has at work on its other PBXs: agents, and calls, of them in the air or without an agent."""

    agents: int = 0
    calls: int = 0  # that count against its limit of lines
    ringing: int = 0
    waiting: int = 0


@dataclass(slots=True)
class View:
    """A campaign at one moment, on one PBX: all of it, where it has no other."""

    id: int
    state: str
    mode: str
    state_at: datetime
    pbx: str
    max_lines: int | None
    weight: float
    goals: Goals
    agents: list[AtWork]
    calls: list[Call]
    read_at: datetime | None
    gateways: list[dict[str, Any]]
    trouble: str
    events_age: float
    due: bool
    others: list[Sequence[Any]] = field(default_factory=list)  # calls of others there that it has not counted yet
    sharing: list[Other] = field(default_factory=list)  # campaigns with agents in common
    places: list[tuple[str, str, Outage]] = field(default_factory=list)  # PBX, role, outage; empty: this one alone
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
    full: list[Standing] = field(default_factory=list)  # lists of which nobody new is called now
    kept_elsewhere: bool = False  # whoever is due is a request that another PBX keeps

    @property
    def open(self) -> list[Call]:
        return [call for call in self.calls if call.ended_at is None]

    def lines(self, allowed: Sequence[str]) -> Lines:
        """Free lines by gateway: what the PBX counted, less what was sent since and what is about to be."""
        free: dict[str, int] = {}
        for gateway in stored_gateways.usable(self.gateways):
            if not allowed or gateway["id"] in allowed:
                uncounted = sum(self._uncounted(name, sent) for name, sent in self._ours() if name == gateway["id"])
                free[gateway["id"]] = max(0, gateway["lines"] - gateway["busy_lines"] - uncounted)
        return Lines(free, pbx=self.pbx)

    @property
    def other_pbxes(self) -> list[str]:
        """The campaign's other PBXs, those it was taken from among them."""
        return [name for name, _role, _outage in self.places if name != self.pbx]

    @property
    def next_pbx(self) -> str | None:
        """The PBX that comes after this one, in a ring; None where there is no other, or this one is none of them."""
        names = [name for name, _role, _outage in self.places]
        return names[(names.index(self.pbx) + 1) % len(names)] if self.pbx in names else None

    @property
    def most_lines(self) -> int | None:
        """Of the campaign's own limit, what its calls on other PBXs leave here."""
        return None if self.max_lines is None else max(0, self.max_lines - self.elsewhere.calls)

    def _part(self) -> float:
        """Of the campaign's agents at work, the part on this PBX."""
        here = len(self.agents)
        return round(here / (here + self.elsewhere.agents), 6) if self.elsewhere.agents else 1.0

    def _ours(self) -> Iterator[tuple[str, datetime | None]]:
        for call in self.open:
            yield call.gateway, call.sent_at
        for gateway, sent_at in self.others:
            yield gateway, datetime.fromisoformat(sent_at) if sent_at else None

    def _uncounted(self, _gateway: str, sent_at: datetime | None) -> bool:
        return sent_at is None or self.read_at is None or sent_at > self.read_at - _LAG

    def snapshot(
        self,
        now: datetime,
        lines: Lines,
        budget: Budget,
        *,
        least_ring: float | None = None,
        prospects: tuple[tuple[str, int], ...] = (),
        in_order: bool = False,
        expected: tuple[tuple[str, float, float], ...] = (),
        agent_first: bool = False,
    ) -> Snapshot:
        """The same as values for the pacer.

        `least_ring`: seconds of ringing after which a call may be given up; None when none ever may. `agent_first`:
        the PBX rings the agent first, so nobody waits on the line and whoever is ready is free.
        `in_order`: the prospects are those who come first in the campaign's own order. `expected`: what of them.
        """
        # Those who need one of the free agents.
        calls = [call for call in self.open if not call.reserved and not call.agent_first]
        ringing = [call for call in calls if call.state in ON_THE_WAY]
        # Only whom the PBX is parking already: their seconds are fewer than a customer's ring.
        # Who has asked to go stays for the calls that ring (campaigns/staying.py), and for no new one.
        free = [agent for agent in self.agents if agent.on_the_line and not agent.reserved and not agent.leaving]
        kept = [agent for agent in self.agents if agent.on_the_line and agent.reserved]
        if agent_first:
            free = [agent for agent in self.agents if agent.callable and not agent.leaving]
            kept = [agent for agent in self.agents if agent.ready_and_kept]
        serving = [agent for agent in self.agents if agent.with_customer]
        stay = [agent for agent in serving if not agent.leaving]
        return Snapshot(
            idle=len(free) if agent_first else sum(agent.state == "parking" for agent in free),
            parked=sum(agent.state == "parked" for agent in free),
            talking=tuple(agent.since for agent in stay if agent.campaign_id == self.id),
            wrapping=tuple(agent.since for agent in self.agents if agent.state == "wrap_up"),
            ringing=tuple((now - call.ordered_at).total_seconds() for call in ringing),
            ringing_groups=tuple(call.group for call in ringing) if any(call.group for call in ringing) else (),
            ringing_calls=self._names(ringing, now, least_ring),
            waiting=sum(call.state in LIVE_ANSWERED and call.agent_id is None for call in calls),
            reserved=sum(agent.campaign_id == self.id for agent in kept),
            reserved_elsewhere=sum(agent.campaign_id != self.id for agent in kept),
            in_message=sum(call.state == CallState.MESSAGE for call in self.open),
            free_lines=lines.total,
            max_lines=self.most_lines,
            presence_age=(now - self.read_at).total_seconds() if self.read_at else None,
            events_age=self.events_age,
            budget=budget,
            # None where the PBX cannot end a ringing call.
            goals=self.goals if self.goals.min_ring == least_ring else replace(self.goals, min_ring=least_ring),
            prospects=prospects,
            in_order=in_order,
            expected=expected,
            waits=tuple(agent.waited for agent in free),
            leaving=sum(agent.leaving and agent.campaign_id == self.id for agent in serving),
            elsewhere=tuple(agent.since for agent in stay if agent.campaign_id != self.id),
            others_ringing=sharing.ringing(self.sharing),
            others_chances=sharing.chances(self.sharing),
            others_waiting=sharing.waiting(self.sharing),
            share=round(sharing.share(self.weight, self.sharing), 6),
            agent_first=agent_first,
            part=self._part(),
            pools_ringing=self.elsewhere.ringing,
            pools_waiting=self.elsewhere.waiting,
        )

    @staticmethod
    def _names(ringing: Sequence[Call], now: datetime, least_ring: float | None) -> tuple[str, ...]:
        """The calls that can be given up this moment, by name; nothing when there is none."""
        if least_ring is None:
            return ()
        names = tuple(str(call.id) if call.can_be_given_up(now, least_ring) else "" for call in ringing)
        return names if any(names) else ()

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


def read(session: Session, campaign_id: int, now: datetime, pbx: str | None = None) -> View | None:
    """Read a campaign's view on `pbx`, or on its first; None when there is no such campaign."""
    return read_many(session, [campaign_id], now, pbx).get(campaign_id)


def read_many(session: Session, campaigns: Sequence[int], now: datetime, pbx: str | None = None) -> dict[int, View]:
    """Read the views of many campaigns in one question: of each on `pbx`, or on its own first. Those there are."""
    given = {"campaigns": list(campaigns), "pbxes": [pbx] * len(campaigns), "now": now, "recent": now - RECENT}
    states = {"on_the_way": [str(state) for state in ON_THE_WAY], "served": [str(state) for state in LIVE_ANSWERED]}
    rows = session.execute(_VIEW, {**given, **states, "lag": _LAG}).all()
    return {row.id: _view(session, row, now) for row in rows}


def _view(session: Session, row: Row[Any], now: datetime) -> View:
    campaign_id: int = row.id
    read_at, gateways, trouble, trouble_at = row.status or (None, [], "", None)
    read_time = datetime.fromisoformat(read_at) if read_at else None
    full = list_caps.full_of_json(row.capped, now)
    troubled = bool(trouble) and (read_time is None or (trouble_at and datetime.fromisoformat(trouble_at) > read_time))
    kept_elsewhere = bool(
        row.due and row.members and listed_place.nobody_else(session, campaign_id, row.pbx, now + _SOON)
    )
    return View(
        id=campaign_id,
        state=row.state,
        mode=row.mode,
        state_at=row.state_at,
        pbx=row.pbx,
        max_lines=row.max_lines,
        weight=row.weight,
        goals=Goals(row.ratio, row.desired_wait, row.min_ring, row.inbound_first),
        agents=[
            AtWork(agent, state, max(0.0, float(since)), leaving, max(0.0, float(waited)), whose, *kept)
            for agent, state, since, leaving, waited, whose, *kept in row.agents or []
        ],
        calls=[Call.of(call) for call in row.calls or []],
        read_at=read_time,
        gateways=gateways or [],
        trouble=trouble if troubled else "",
        events_age=max(0.0, float(row.events_age or 0.0)),
        due=row.due and _somebody_left(session, campaign_id, full, now) and not kept_elsewhere,
        others=row.others or [],
        sharing=[_sharing(session, one, now) for one in row.sharing or []],
        places=[
            (name, role, Outage(_time(out), _time(back), why or "")) for name, role, out, back, why in row.members or []
        ],
        elsewhere=Elsewhere(row.at_work_on_others or 0, *(row.on_others or ())),
        full=full,
        kept_elsewhere=kept_elsewhere,
    )


def _sharing(session: Session, row: Sequence[Any], now: datetime) -> Other:
    other = Other.of(row)
    if not other.due or not (full := list_caps.full_of_json(row[8], now)):
        return other
    return replace(other, due=_somebody_left(session, other.id, full, now))


def _somebody_left(session: Session, campaign_id: int, full: Sequence[Standing], now: datetime) -> bool:
    """Whether somebody is due whom the caps of the lists leave: asked where one is at its cap, and only there."""
    return not full or lanes.anybody_due(session, campaign_id, now + _SOON, full=[one.list_id for one in full])


def _time(told: str | None) -> datetime | None:
    return datetime.fromisoformat(told) if told else None
