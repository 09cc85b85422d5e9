"""What came of a demo run: our own rows, and beside them the PBX's book, which shares no code with us."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import text

from campaigns.application import Application
from campaigns.db import database_now

_TOTALS = text(
    """
    SELECT count(*) AS attempts,
           count(answered_at) AS answered,
           count(joined_at) AS joined,
           count(*) FILTER (WHERE state = 'abandoned') AS abandoned,
           count(DISTINCT contact_id) FILTER (WHERE state = 'completed') AS reached,
           coalesce(sum(extract(epoch FROM coalesce(over_at, ended_at) - joined_at)), 0) AS talk
    FROM attempts
    """
)
_OUTCOMES = text("SELECT state, count(*) AS number FROM attempts GROUP BY 1 ORDER BY 2 DESC, 1")
_JOIN = text(
    """
    SELECT extract(epoch FROM join_sent_at - answered_at) * 1000 AS ms FROM attempts
    WHERE join_sent_at IS NOT NULL AND answered_at IS NOT NULL ORDER BY 1
    """
)
# Of customers for whom an agent was free at the answer: the figure that is ours alone.
_STUCK = text(
    """
    SELECT (SELECT count(*) FROM attempts WHERE ended_at IS NULL)
         + (SELECT count(*) FROM agent_legs WHERE ended_at IS NULL)
         + (SELECT count(*) FROM assignments WHERE ended_at IS NULL)
         + (SELECT count(*) FROM offers WHERE ended_at IS NULL)
         + (SELECT count(*) FROM agents WHERE state IN ('parking', 'parked', 'assigned', 'talking')
            OR reserved_for <> '') AS rows,
           (SELECT count(*) FROM logged_events WHERE handled_at IS NULL) AS events
    """
)
# The time each agent spent in each state, from the ledger: a row when a state ends, and the last one still running.
_STATES = text(
    """
    WITH ended AS (
        SELECT agent_id, details->>'from' AS state, (details->>'seconds')::float AS seconds, at
        FROM ledger WHERE kind = 'agent'
    ), clipped AS (
        SELECT state, greatest(0, least(seconds, extract(epoch FROM least(at, :ended) - :started))) AS seconds
        FROM ended WHERE at > :started
    )
    SELECT coalesce(sum(seconds) FILTER (WHERE state IN ('talking', 'assigned', 'wrap_up')), 0) AS busy,
           coalesce(sum(seconds) FILTER (WHERE state NOT IN ('out', 'paused')), 0) AS at_work
    FROM clipped
    """
)


@dataclass(frozen=True)
class DemoResults:
    """The figures of one run; `book` is the simulated PBX's word, everything else is ours."""

    started: datetime
    ended: datetime
    attempts: int
    answered: int
    joined: int
    abandoned: int
    contacts_reached: int
    talk_seconds: float
    occupancy: float
    outcomes: dict[str, int]
    join_ms: dict[str, float]
    join_waits: list[float]
    double_dials: int
    silent_calls: int
    two_on_one: int
    stuck: int
    imported: dict[str, Any]
    book: Mapping[str, Any]
    samples: list[dict[str, float]] = field(default_factory=list)

    @property
    def abandonment(self) -> float:
        """D / (D + L)."""
        met = self.joined
        return self.abandoned / (self.abandoned + met) if self.abandoned + met else 0.0

    @property
    def clean(self) -> bool:
        """Whether nothing happened that must never happen."""
        return not (self.double_dials or self.silent_calls or self.two_on_one or self.stuck)

    def as_json(self) -> dict[str, Any]:
        """One object; the contract's core first."""
        return {
            "attempts": self.attempts,
            "answered": self.answered,
            "joined": self.joined,
            "abandoned": self.abandoned,
            "double_dials": self.double_dials,
            "stuck": self.stuck,
            "occupancy": round(self.occupancy, 4),
            "join_ms": self.join_ms,
            "abandonment": round(self.abandonment, 4),
            "contacts_reached": self.contacts_reached,
            "talk_seconds": round(self.talk_seconds, 1),
            "silent_calls": self.silent_calls,
            "two_on_one": self.two_on_one,
            "seconds": round((self.ended - self.started).total_seconds(), 1),
            "outcomes": self.outcomes,
            "import": self.imported,
            "book": {name: self.book.get(name) for name in ("calls", "answered", "joined", "heard_message")},
        }


def collect(
    application: Application,
    *,
    started: datetime,
    ended: datetime,
    samples: list[dict[str, float]],
    book: Mapping[str, Any],
    imported: dict[str, Any],
) -> DemoResults:
    """Count everything from rows, and set the PBX's book beside it."""
    with application.transaction() as session:
        total = session.execute(_TOTALS).one()
        outcomes = {row.state: row.number for row in session.execute(_OUTCOMES)}
        waits = [float(ms) for ms in session.scalars(_JOIN)]
        stuck = session.execute(_STUCK).one()
        now = database_now(session)
        states = session.execute(_STATES, {"started": started, "ended": min(now, ended)}).one()
    return DemoResults(
        started=started,
        ended=ended,
        attempts=total.attempts,
        answered=total.answered,
        joined=total.joined,
        abandoned=total.abandoned,
        contacts_reached=total.reached,
        talk_seconds=float(total.talk),
        occupancy=float(states.busy) / float(states.at_work) if states.at_work else 0.0,
        outcomes=outcomes,
        join_ms={f"p{share}": round(percentile(waits, share), 1) for share in (50, 95, 99)},
        join_waits=waits,
        double_dials=int(book["double_dials"]),
        silent_calls=int(book["silent_calls"]),
        two_on_one=int(book["two_on_one"]),
        stuck=int(stuck.rows) + int(stuck.events) + int(book["calls_up"]),
        imported=imported,
        book=book,
        samples=samples,
    )


def percentile(values: list[float], share: int) -> float:
    """The nearest-rank percentile of sorted values; 0 of none."""
    return values[min(len(values) - 1, max(0, -(-len(values) * share // 100) - 1))] if values else 0.0


def as_record(results: DemoResults) -> dict[str, Any]:
    """Everything, for the file that is left beside the plot."""
    return {**asdict(results), "started": results.started.isoformat(), "ended": results.ended.isoformat()}
