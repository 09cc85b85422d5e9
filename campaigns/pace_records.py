"""What the rows know of a stretch of calling: the calls, the agents' time, and what came of it all.

Read-only. Everything is counted from rows; replays, forecasts and their checks read the same ones. What the decisions
of that time tell is in `pace_in_force`.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from statistics import median

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import detected
from campaigns.agent_states import AWAY
from campaigns.models import Campaign
from dialer.calls import CallState
from dialer.dispositions import MACHINES, NO_PERSON
from dialer.pacing import Happened, PaceEvent, events_of_call
from dialer.pacing.answers import Chance
from dialer.retries import NEVER_RANG
from dialer.simulation.figures import Figures
from dialer.simulation.recorded import OnRecord
from dialer.simulation.world import Curve

LONGEST_TALK = timedelta(hours=12)  # a conversation that began earlier is over
_SAME_MOMENT = 3.0  # seconds between the end of a talk and the wrap-up that the ledger has of it

_CALLS = text(
    f"""
    SELECT t.id, t.state, t.ordered_at, t.answered_at, t.joined_at, t.join_sent_at, t.message_at, t.ended_at,
           coalesce(t.left_at, t.over_at, t.ended_at) AS over_at, t.agent_id, t.attempt_no, k.list_id,
           to_jsonb(t) ->> 'given_up_at' AS given_up_at, coalesce(to_jsonb(t) ->> 'answer_group', '') AS answer_group,
           coalesce(extract(epoch FROM t.joined_at - t.answered_at) > t.answer_limit, false) AS late, t.number,
           coalesce(d.meaning, '') AS meaning,
           {detected.IS} AS detected
    FROM attempts t JOIN contacts k ON k.id = t.contact_id LEFT JOIN dispositions d ON d.id = t.disposition_id
    WHERE t.campaign_id = :campaign_id AND t.ordered_at >= :since AND t.ordered_at < :until
    ORDER BY t.ordered_at, t.id
    """  # noqa: S608 (text of our own)
)
_LAST_CALLS = text(
    "SELECT ordered_at FROM attempts WHERE campaign_id = :campaign_id AND ordered_at < :until "
    "ORDER BY ordered_at DESC OFFSET :count LIMIT 1"
)
# Every change of an agent's state is a ledger row that says what it was before and for how long; the state an agent
# is in now lasts until now.
_SPANS = text(
    """
    WITH mine AS (
        SELECT a.id, a.state, a.since, a.campaign_id FROM agents a
        WHERE EXISTS (SELECT 1 FROM campaign_agents ca WHERE ca.agent_id = a.id AND ca.campaign_id = :campaign_id)
           OR a.id IN (SELECT agent_id FROM attempts WHERE campaign_id = :campaign_id AND agent_id IS NOT NULL
                       AND ordered_at >= CAST(:since AS timestamptz) - interval '12 hours' AND ordered_at < :until))
    SELECT l.agent_id, l.details ->> 'from' AS state, l.campaign_id,
           l.at - make_interval(secs => CAST(l.details ->> 'seconds' AS float)) AS since, l.at AS until
    FROM ledger l JOIN mine ON mine.id = l.agent_id
    WHERE l.kind = 'agent' AND l.at >= :since
      AND l.at - make_interval(secs => CAST(l.details ->> 'seconds' AS float)) < :until
    UNION ALL
    SELECT id, state, campaign_id, since, CAST(:now AS timestamptz) FROM mine WHERE since < :until
    ORDER BY 1, 4, 5
    """
)


@dataclass(frozen=True, slots=True)
class Call:
    """One attempt."""

    id: int
    state: CallState
    ordered_at: datetime
    answered_at: datetime | None
    joined_at: datetime | None
    join_sent_at: datetime | None
    message_at: datetime | None
    ended_at: datetime | None
    over_at: datetime | None
    agent_id: int | None
    attempt_no: int
    list_id: int
    given_up: bool
    group: str
    late: bool
    number: str = ""
    meaning: str = ""  # of what its agent said
    detected: bool = False  # ended by a machine detector: of these only a share, of all, is a D
    expected: Chance | None = None  # how likely an answer was, as far as that was learnt beforehand

    @property
    def rang(self) -> bool:
        """Whether it says anything about people: it is over, or was answered, and a phone may have rung."""
        return self.answered_at is not None or (self.ended_at is not None and self.state not in NEVER_RANG)

    @property
    def met(self) -> bool:
        """L: whether an agent met a person in time."""
        return self.joined_at is not None and not self.late and self.meaning not in NO_PERSON

    @property
    def abandoned(self) -> bool:
        """D, as the pacer's budget counts it: a message that plays is one already."""
        if self.detected:
            return False
        if (self.late and self.meaning not in MACHINES) or self.state in (CallState.ABANDONED, CallState.MESSAGE):
            return True
        stray = self.ended_at is not None and self.joined_at is None and self.state is not CallState.HUNG_UP
        return stray and self.answered_at is not None

    def events(self) -> list[PaceEvent]:
        """What a pacer heard of it."""
        told = events_of_call(
            str(self.id),
            self.state,
            ordered_at=self.ordered_at,
            answered_at=self.answered_at,
            joined_at=self.joined_at,
            ended_at=self.ended_at,
            agent=str(self.agent_id or ""),
        )
        if self.given_up and self.answered_at is None and self.ended_at is not None:
            told = [event for event in told if event.kind not in (Happened.NO_ANSWER, Happened.FAILED)]
            told.append(PaceEvent(Happened.GIVEN_UP, self.ended_at, str(self.id)))
        return [replace(told[0], group=self.group, expected=self.expected), *told[1:]]


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time in which an agent was in one state, for this campaign or for none."""

    agent_id: int
    state: str
    since: datetime
    until: datetime


def calls(session: Session, campaign: Campaign, since: datetime, until: datetime) -> list[Call]:
    """The calls ordered in [since, until)."""
    given = {"campaign_id": campaign.id, "since": since, "until": until}
    return [
        Call(
            row.id, CallState(row.state), row.ordered_at, row.answered_at, row.joined_at, row.join_sent_at,
            row.message_at, row.ended_at, row.over_at, row.agent_id, row.attempt_no, row.list_id,
            row.given_up_at is not None, row.answer_group, row.late, row.number, row.meaning, row.detected,
        )
        for row in session.execute(_CALLS, given)
    ]  # fmt: skip


def last_calls(session: Session, campaign: Campaign, until: datetime, count: int) -> list[Call]:
    """The last `count` calls ordered before `until`, oldest first."""
    given = {"campaign_id": campaign.id, "until": until, "count": count}
    first = session.execute(_LAST_CALLS, given).scalar_one_or_none()
    return calls(session, campaign, first or datetime(2000, 1, 1, tzinfo=UTC), until)[-count:]


def spans(session: Session, campaign: Campaign, since: datetime, until: datetime, now: datetime) -> list[Span]:
    """What the agents did between two moments, by agent and time; what lies over the edges is not cut."""
    given = {"campaign_id": campaign.id, "since": since, "until": until, "now": now}
    return [
        Span(row.agent_id, row.state, row.since, row.until)
        for row in session.execute(_SPANS, given)
        if row.until > since and (row.campaign_id is None or row.campaign_id == campaign.id)
    ]


def staffing(told: Iterable[Span], since: datetime, until: datetime) -> Curve:
    """How many agents were at work, by seconds from `since`."""
    changes: dict[float, int] = {0.0: 0}
    for begins, ends in _at_work(told):
        begin, end = seconds_after(begins, since), seconds_after(min(ends, until), since)
        if end > begin:
            changes[begin] = changes.get(begin, 0) + 1
            changes[end] = changes.get(end, 0) - 1
    present = 0
    points: list[tuple[float, float]] = []
    for at, change in sorted(changes.items()):
        present += change
        if not points or points[-1][1] != present:
            points.append((at, float(present)))
    return Curve(tuple(points))


def _at_work(told: Iterable[Span]) -> list[tuple[datetime, datetime]]:
    """Stretches of one agent's work. One state follows another within a moment: that is no pause."""
    found: list[tuple[int, datetime, datetime]] = []
    for span in sorted(told, key=lambda span: (span.agent_id, span.since)):
        if span.state in AWAY:
            continue
        if found and found[-1][0] == span.agent_id and span.since <= found[-1][2] + timedelta(seconds=1):
            found[-1] = (span.agent_id, found[-1][1], max(found[-1][2], span.until))
        else:
            found.append((span.agent_id, span.since, span.until))
    return [(begins, ends) for _, begins, ends in found]


def seconds_after(at: datetime, since: datetime) -> float:
    """Return how many seconds after `since` it is, never less than none: how the virtual world tells the time."""
    return max(0.0, round((at - since).total_seconds(), 1))


def what_happened(
    made: Sequence[Call], told: Sequence[Span], since: datetime, until: datetime, now: datetime
) -> Figures:
    """The figures of [since, until), from rows. `made` begins early enough to hold every talk that reaches into it."""

    def inside(begin: datetime, end: datetime) -> float:
        return max(0.0, (min(end, until) - max(begin, since)).total_seconds())

    # As in the virtual world, minutes with a machine are no talk.
    people = (call for call in made if call.meaning not in NO_PERSON)
    talked = sum(inside(call.joined_at, call.over_at or now) for call in people if call.joined_at is not None)
    wrapped = sum(inside(span.since, span.until) for span in told if span.state == "wrap_up")
    worked = sum(inside(span.since, span.until) for span in told if span.state not in AWAY)
    answered = [call for call in made if call.answered_at is not None and since <= call.answered_at < until]
    unheard = [
        call
        for call in made
        if call.answered_at is None and call.abandoned and call.ended_at is not None and since <= call.ended_at < until
    ]
    return Figures.of(
        talked=talked,
        wrapped=wrapped,
        worked=worked,
        calls=sum(since <= call.ordered_at < until for call in made),
        answered=len(answered),
        met=sum(call.met for call in answered),
        abandoned=sum(call.abandoned for call in answered) + len(unheard),
        seconds=(until - since).total_seconds(),
    )


def most_lines(made: Sequence[Call], since: datetime, until: datetime) -> tuple[int, int] | None:
    """Lines in use: the number that 95 % of the time was enough, and the most; None when none was used."""
    changes: list[tuple[float, int]] = []
    for call in made:
        begin, end = call.ordered_at, call.over_at or until
        if end > since and begin < until:
            changes += [(seconds_after(begin, since), 1), (seconds_after(min(end, until), since), -1)]
    if not changes:
        return None
    length: dict[int, float] = {}
    used, last = 0, 0.0
    for at, change in sorted(changes):
        length[used] = length.get(used, 0.0) + at - last
        used, last = used + change, at
    length[used] = length.get(used, 0.0) + max(0.0, (until - since).total_seconds() - last)
    total, enough = sum(length.values()), 0.0
    most = max(lines for lines, time in length.items() if time > 0)
    for lines in sorted(length):
        enough += length[lines]
        if enough >= 0.95 * total:
            return lines, most
    return most, most


def on_record(made: Sequence[Call], told: Sequence[Span], begins: datetime) -> list[OnRecord]:
    """The calls that say anything about people, as the virtual world takes them."""
    after = _AfterTalk(told)
    found = []
    for call in made:
        if not call.rang:
            continue
        over = call.answered_at or call.ended_at
        assert over is not None
        answered = None if call.given_up and call.answered_at is None else call.answered_at is not None
        talk = wrap_up = parks = None
        if call.joined_at is not None and call.over_at is not None:
            talk = max(0.0, (call.over_at - call.joined_at).total_seconds())
            wrap_up, parks = after.of(call.agent_id, call.over_at)
        rings = (over - call.ordered_at).total_seconds()
        at, machine = (call.ordered_at - begins).total_seconds(), call.meaning in NO_PERSON
        found.append(OnRecord(at, answered, rings, talk, wrap_up, parks, call.group, machine))
    return found


_WANTED_WITHIN = 5.0  # seconds; an agent who is wanted is called by the next tick, or after a short rest


class _AfterTalk:
    """What each agent did after each conversation."""

    def __init__(self, told: Sequence[Span]) -> None:
        self._spans: dict[int, list[Span]] = {}
        for span in told:
            self._spans.setdefault(span.agent_id, []).append(span)
        self._begins = {agent: [span.since for span in mine] for agent, mine in self._spans.items()}

    def of(self, agent_id: int | None, over: datetime) -> tuple[float, float | None]:
        """Seconds of the wrap-up (none when the agent left at once), and then until on the line again if told."""
        mine = self._spans.get(agent_id or 0, [])
        n = bisect_left(self._begins.get(agent_id or 0, []), over - timedelta(seconds=_SAME_MOMENT))
        while n < len(mine) and mine[n].since <= over + timedelta(seconds=_SAME_MOMENT):
            if mine[n].state == "wrap_up":
                return (mine[n].until - mine[n].since).total_seconds(), self._parked(mine, n)
            n += 1
        return 0.0, None

    def _parked(self, mine: list[Span], n: int) -> float | None:
        for span in mine[n + 1 :]:
            if span.state == "parked":
                return max(0.0, (span.since - mine[n].until).total_seconds())
            if span.state not in ("ready", "parking"):
                return None
            if span.state == "ready" and (span.until - span.since).total_seconds() > _WANTED_WITHIN:
                return None  # nobody asked for them: that says nothing of the way to the line
        return None


def heard(made: Sequence[Call], told: Sequence[Span]) -> list[PaceEvent]:
    """Everything a pacer heard, in order of time: calls, and how wrap-ups ended."""
    events = [event for call in made for event in call.events()]
    events += [
        PaceEvent(Happened.READY, span.until, agent=str(span.agent_id)) for span in told if span.state == "wrap_up"
    ]
    return sorted(events, key=lambda event: event.at)


def connecting(made: Sequence[Call]) -> float:
    """Seconds from the order to join until customer and agent hear each other."""
    took = [
        (call.joined_at - call.join_sent_at).total_seconds()
        for call in made
        if call.joined_at is not None and call.join_sent_at is not None
    ]
    return min(2.0, max(0.0, median(took))) if took else 0.25


def patience(made: Sequence[Call], campaign: Campaign) -> float:
    """Seconds from the answer until nobody is fetched any more: the message is on its way."""
    took = [
        (call.message_at - call.answered_at).total_seconds()
        for call in made
        if call.message_at is not None and call.answered_at is not None
    ]
    return min(campaign.answer_limit, max(0.1, median(took))) if took else campaign.answer_limit
