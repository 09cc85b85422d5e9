"""What was last read of each PBX: its lines and agents, and what went wrong since.

Pacing decides on these rows, and on their age: stale, it falls to one call per idle agent, then to none (I12).
"""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import agents, pbx_health, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Attempt, PbxStatus
from dialer.errors import PbxError
from dialer.modes import agent_first
from dialer.pbx.base import Feature, Gateway


def poll(application: Application, name: str, tellers: set[int] | None = None) -> bool:
    """Read lines and agents of one PBX and correct our record; False when the PBX could not be read.

    `tellers`: see `agents.apply_presence`.
    """
    pbx = application.pbxes[name]
    with application.transaction() as session:
        asked_at = database_now(session)  # what is sent from here on may be missing in the answer
        trouble = "" if _LISTS & pbx.features else _in_trouble(session, name, asked_at)
        if trouble:
            pbx_health.note(session, name, trouble, now=asked_at, timing=application.settings.timing)
            return False  # nothing is read that could show it is over: orders are tried again after a while
    own_word = agent_first(pbx.features)  # what such a PBX does not tell, its settings say
    try:
        gateways = pbx.gateways() if Feature.LINES in pbx.features or own_word else []
        users = pbx.users() if Feature.PRESENCE in pbx.features or own_word else []
    except PbxError as exc:
        note_trouble(application, name, exc.why)
        with application.transaction() as session:
            now = database_now(session)
            pbx_health.note(session, name, exc.why, now=now, timing=application.settings.timing)
        return False
    with application.transaction() as session:
        now = database_now(session)
        if Feature.LINES not in pbx.features:
            gateways = _counted_here(session, name, gateways)
        values: dict[str, Any] = {
            "read_at": asked_at,
            "gateways": [asdict(gateway) for gateway in gateways],
            "trouble": "",
            "trouble_at": None,
        }
        session.execute(
            insert(PbxStatus)
            .values(pbx=name, **values)
            .on_conflict_do_update(
                index_elements=["pbx"],
                set_=values,
                where=(PbxStatus.read_at.is_(None)) | (PbxStatus.read_at < asked_at),
            )
        )
        allowed = _allowed(application, name, values["gateways"])
        trouble = pbx_health.of_a_good_read(session, name, allowed, now)
        pbx_health.note(session, name, trouble, now=now, timing=application.settings.timing)
        roster.refresh_groups(session, name, users)
        if Feature.PRESENCE not in pbx.features:
            return True
        agents.apply_presence(
            session,
            name,
            users,
            now=now,
            login_by_presence=_by_presence(application),
            asked_at=asked_at,
            tellers=tellers,
        )
    return True


_LISTS = frozenset({Feature.LINES, Feature.PRESENCE})
# A PBX of which nothing is read is given no order for so long after one showed that it is away.
TROUBLE_REST = timedelta(seconds=20)


def _in_trouble(session: Session, name: str, now: datetime) -> str:
    row = session.get(PbxStatus, name, populate_existing=True)
    if row is None or row.trouble_at is None or now - row.trouble_at >= TROUBLE_REST:
        return ""
    return row.trouble or "it was in trouble a moment ago"


def _counted_here(session: Session, name: str, gateways: Sequence[Gateway]) -> list[Gateway]:
    """The lines of a PBX that does not count them: busy are those of our own open calls that were sent."""
    query = select(Attempt.gateway, func.count()).where(Attempt.pbx == name, Attempt.ended_at.is_(None))
    sent = query.where(Attempt.sent_at.is_not(None)).group_by(Attempt.gateway)
    ours = {row[0]: row[1] for row in session.execute(sent)}
    return [replace(gateway, busy_lines=ours.get(gateway.id, 0)) for gateway in gateways]


def watch_wrap_ups(application: Application, name: str, tellers: set[int] | None = None) -> bool:
    """Between two polls, while somebody is in wrap-up: read the agents, and see who is back; whether that was needed.

    Nobody tells us of it, and until it is seen an agent waits for nothing. What goes wrong here is for the poll to say.
    """
    pbx = application.pbxes[name]
    if Feature.PRESENCE not in pbx.features:
        return False
    with application.transaction() as session:
        asked_at = database_now(session)
        if not agents.may_come_back(session, name, asked_at):
            return False
    try:
        users = pbx.users()
    except PbxError:
        return True
    with application.transaction() as session:
        agents.apply_presence(
            session,
            name,
            users,
            now=database_now(session),
            login_by_presence=_by_presence(application),
            asked_at=asked_at,
            tellers=tellers,
        )
    return True


def _allowed(application: Application, name: str, gateways: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The gateways that the settings let us use."""
    known = application.settings.pbx.get(name)
    named = {str(gateway) for gateway in known.gateways} if known else set()
    return [gateway for gateway in gateways if not named or gateway["id"] in named]


def _by_presence(application: Application) -> bool:
    return application.settings.agent_login == "presence"


def note_trouble(application: Application, name: str, why: str) -> None:
    """Keep the last thing that went wrong with a PBX, to be shown and to slow the pace."""
    with application.transaction() as session:
        values = {"trouble": why[:500], "trouble_at": database_now(session)}
        session.execute(
            insert(PbxStatus).values(pbx=name, **values).on_conflict_do_update(index_elements=["pbx"], set_=values)
        )
