"""Where a conformance run hears the PBX's events: in the event log, whoever writes it.

The web process writes what comes by webhook, and `dialer listener` what comes by stream. Where no listener leads and no
campaign runs, the run holds the connection itself, under the listener's own lease, and logs as the listener would.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx
from sqlalchemy import ARRAY, BigInteger, literal, or_, select, update

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.doctor_rows import SILENT
from campaigns.models import LoggedEvent, ProcessBeat
from campaigns.reactions import payload_of
from dialer.conformance.bench import Overheard
from dialer.pbx_kinds import streams

_MOST = 500  # events of one look; a busy PBX must not fill our memory
_EARLY = timedelta(seconds=1)  # an event may be received before the order's own moment is read
_ASK_WEB = 2.0


@dataclass
class LogEar:
    """Reads the event log. Never "ids above the last": a row may be committed after one with a higher id (I17)."""

    application: Application
    pbx: str
    since: datetime
    how: str = "they are read from the event log"
    why_none: tuple[str, str] | None = None
    _seen: set[int] = field(default_factory=set)
    _ours: set[str] = field(default_factory=set)

    def trouble(self) -> tuple[str, str] | None:
        return self.why_none

    def new(self, refs: Sequence[str], call_ids: Sequence[str]) -> Sequence[Overheard]:
        """Return what has come of these calls, and what names no call by our reference."""
        self._ours.update(refs)
        query = (
            select(LoggedEvent)
            .where(LoggedEvent.pbx == self.pbx, LoggedEvent.received_at >= self.since - _EARLY)
            .where(or_(LoggedEvent.ref.in_(refs), LoggedEvent.call_id.in_(call_ids), LoggedEvent.ref.is_(None)))
            .where(LoggedEvent.id != literal(list(self._seen), ARRAY(BigInteger)).all_())
            .order_by(LoggedEvent.id)
            .limit(_MOST)
        )
        with self.application.transaction() as session:
            rows = session.scalars(query).all()
        self._seen.update(row.id for row in rows)
        return [Overheard(row.received_at, payload_of(row), row.ref) for row in rows]

    def close(self) -> None:
        """Nobody needs to look at the events of our calls again."""
        if not self._ours:
            return
        with self.application.transaction() as session:
            session.execute(
                update(LoggedEvent)
                .where(LoggedEvent.ref.in_(self._ours), LoggedEvent.handled_at.is_(None))
                .values(handled_at=database_now(session))
            )


def log_ear(application: Application, pbx: str) -> LogEar:
    """Return the ear for a PBX, and see whether anybody writes down what it says."""
    with application.transaction() as session:
        now = database_now(session)
        kind = "listener" if streams(application.settings.pbx[pbx].kind) else "web"
        beats = select(ProcessBeat.name).where(ProcessBeat.kind == kind, ProcessBeat.beat_at > now - SILENT)
        alive = session.scalar(beats.limit(1)) is not None
    ear = LogEar(application, pbx, now)
    if kind == "listener":
        ear.how = "they are read from the event log, which `dialer listener` writes"
    else:
        web = application.settings.web.address
        ear.how = f"the PBX sends them to {web}/webhooks/{pbx}/..., where `dialer web` runs"
        if not alive and not _answers(web):
            what = f"`dialer web` does not run, or does not answer at {web}: the PBX's events arrive nowhere"
            ear.why_none = (what, "start `dialer web` (or `dialer up`), and run this again")
    return ear


def _answers(web: str) -> bool:
    try:
        return httpx.get(f"{web}/healthz", timeout=_ASK_WEB, trust_env=False).status_code == httpx.codes.OK
    except (httpx.HTTPError, httpx.InvalidURL):
        return False
