"""Callback lists that PBXs keep, as people see them: what is open, what is in the way, which tickets are owed."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.listed_requests import keeper
from campaigns.models import PbxList
from dialer.pbx.base import Pbx

SHOWN = 20
_COUNTS = text(
    """
    SELECT count(*) AS open, count(*) FILTER (WHERE r.taken_by <> '') AS taken,
           count(*) FILTER (WHERE r.trouble <> '') AS refused
    FROM listed_requests r WHERE r.pbx = :pbx AND r.pbx_list = :list AND r.gone_at IS NULL
    """
)
_OWED = text(
    """
    SELECT count(*) FROM listed_tickets t JOIN listed_requests r ON r.id = t.request_id
    WHERE t.pbx = :pbx AND r.pbx_list = :list AND t.state = 'open'
    """
)
_TROUBLES = text(
    """
    SELECT request_id AS request, trouble AS why FROM listed_requests
    WHERE pbx = :pbx AND pbx_list = :list AND gone_at IS NULL AND trouble <> '' ORDER BY id LIMIT :most
    """
)


def bound(pbxes: Mapping[str, Pbx]) -> list[tuple[str, str, str]]:
    """The lists of the settings: PBX, name or id, campaign."""
    found = []
    for name, pbx in pbxes.items():
        kept = keeper(pbx)
        found += [(name, listed, campaign) for listed, campaign in kept.callback_lists.items()] if kept else []
    return found


def overview(session: Session, lists: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """Return each list with its counts, its last read, and the requests that cannot be called."""
    told = []
    for pbx, bound_as, campaign in lists:
        row = session.get(PbxList, (pbx, bound_as))
        given = {"pbx": pbx, "list": row.pbx_list if row is not None else "", "most": SHOWN}
        counts = session.execute(_COUNTS, given).one()
        told.append(
            {
                "list": (row.name if row is not None else "") or bound_as, "pbx": pbx, "campaign": campaign,
                "open": counts.open, "taken": counts.taken, "refused": counts.refused,
                "owed": session.scalar(_OWED, given), "read_at": row.read_at if row is not None else None,
                "trouble": row.trouble if row is not None else "it was not read yet: does the scheduler run?",
                "troubles": [dict(one) for one in session.execute(_TROUBLES, given).mappings()],
            }
        )  # fmt: skip
    return told
