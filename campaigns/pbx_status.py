"""What was last read of each PBX: its lines and agents, and what went wrong since.

Pacing decides on these rows, and on their age: stale, it falls to one call per idle agent, then to none (I12).
"""

from dataclasses import asdict

from sqlalchemy.dialects.postgresql import insert

from campaigns import agents, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import PbxStatus
from dialer.errors import PbxError
from dialer.pbx.base import Feature


def poll(application: Application, name: str, tellers: set[int] | None = None) -> bool:
    """Read lines and agents of one PBX and correct our record; False when the PBX could not be read.

    `tellers`: see `agents.apply_presence`.
    """
    pbx = application.pbxes[name]
    with application.transaction() as session:
        asked_at = database_now(session)  # what is sent from here on may be missing in the answer
    try:
        gateways = pbx.gateways() if Feature.LINES in pbx.features else []
        users = pbx.users() if Feature.PRESENCE in pbx.features else []
    except PbxError as exc:
        note_trouble(application, name, exc.why)
        return False
    with application.transaction() as session:
        now = database_now(session)
        values = {
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
        roster.refresh_groups(session, name, users)
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


def _by_presence(application: Application) -> bool:
    return application.settings.agent_login == "presence"


def note_trouble(application: Application, name: str, why: str) -> None:
    """Keep the last thing that went wrong with a PBX, to be shown and to slow the pace."""
    with application.transaction() as session:
        values = {"trouble": why[:500], "trouble_at": database_now(session)}
        session.execute(
            insert(PbxStatus).values(pbx=name, **values).on_conflict_do_update(index_elements=["pbx"], set_=values)
        )
