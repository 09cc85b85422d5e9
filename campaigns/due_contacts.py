"""The contacts of a campaign that are due, in the order they are called, each locked by whoever asks.

What the order and the pacer prefer is looked at without locks, through indexes; the rows are then locked and tested
again, so one that somebody else is taking at this instant is passed over.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache

from sqlalchemy import ARRAY, BigInteger, BindParameter, Select, Text, any_, bindparam, cast, select
from sqlalchemy.orm import Session, defer

from campaigns import callbacks, lanes, listed_place, prospects
from campaigns.db import ROW_LOCK_OR_SKIP, array
from campaigns.models import Campaign, Contact
from dialer.modes import AGENTLESS, AUTOMATIC


class Which(StrEnum):
    """Which of the due contacts are meant."""

    ALL = "all"
    PROMISED = "promised"  # callbacks with a due date that are anybody's: they are called with an agent reserved
    OWNED = "owned"  # callbacks of certain agents, who are at hand
    OTHERS = "others"  # everybody but those

    @classmethod
    def of_mode(cls, mode: str) -> "Which":
        """Return what a mode orders without an agent reserved."""
        return cls.OTHERS if mode in (*AUTOMATIC, AGENTLESS) else cls.ALL


def locked(
    session: Session,
    campaign: Campaign,
    now: datetime,
    most: int,
    which: Which,
    *,
    groups: Sequence[str] = (),
    own: Collection[int] = (),
    full: Collection[int] = (),
    pbx: str | None = None,
) -> list[Contact]:
    """Return up to `most` contacts due now, locked, those to be called first first.

    `groups`: to take them from, dearest first. `own`: agents at hand who may be given the callbacks they own. `full`:
    lists of which nobody new is taken. `pbx`: on which they are to be called, the campaign's first by default.
    """
    given = {"campaign": campaign.id, "now": now, "own": list(own), "pbx": pbx or campaign.pbx, "most": most}
    whole = bool(campaign.contact_filter)  # which asks about a list's own columns
    if which in (Which.PROMISED, Which.OWNED):
        # A promise has its time, and no order or wish comes before it.
        return list(session.scalars(_in_turn(which, whole), given))
    if campaign.contact_order or full:
        # A person's order goes before the pacer's wish; a promise, where it is called at all, before both.
        promised = session.scalars(_in_turn(which, whole, promised=True), given).all() if which is Which.ALL else ()
        wishes = groups if not campaign.contact_order else ()
        found_first = prospects.LOOKED_AT if wishes else most - len(promised)
        preferred = lanes.first_due(session, campaign, now, found_first, full=full)
        if wishes:
            preferred = prospects.preferred(session, campaign.id, now, wishes, most - len(promised), these=preferred)
    elif not groups:
        return list(session.scalars(_in_turn(which, whole), given))
    else:
        promised, preferred = (), prospects.preferred(session, campaign.id, now, groups, most)
    rank = {contact_id: n for n, contact_id in enumerate(preferred)}
    found = session.scalars(_of_these(which, whole), {**given, "these": array(preferred)})
    return [*promised, *sorted(found, key=lambda contact: rank[contact.id])]


@cache  # asked at every tick of every campaign, so built once
def _in_turn(which: Which, whole: bool, *, promised: bool = False) -> Select[Contact]:
    query = _due(which, whole)
    if promised:
        query = query.where(Contact.due_date.is_not(None))
    return query.order_by(Contact.next_at, Contact.id).limit(bindparam("most", type_=BigInteger))


@cache
def _of_these(which: Which, whole: bool) -> Select[Contact]:
    # One array and not a list of values: one statement however many there are, which the server prepares once.
    these = cast(bindparam("these", type_=Text), ARRAY(BigInteger))
    return _due(which, whole).where(Contact.id == any_(these)).order_by(Contact.id)


_NOW: BindParameter[datetime] = bindparam("now")
_PBX: BindParameter[str] = bindparam("pbx")


def _due(which: Which, whole: bool) -> Select[Contact]:
    """Ask for contacts that are due. Not `whole`: without a list's own columns, to be read for whom somebody asks."""
    query = select(Contact).where(
        Contact.campaign_id == bindparam("campaign"), Contact.state == "open", Contact.next_at <= _NOW
    )
    if not whole:
        query = query.options(defer(Contact.custom))
    if which is not Which.ALL:
        query = query.where(Contact.due_date.is_(None) if which is Which.OTHERS else Contact.due_date.is_not(None))
    if which is not Which.OTHERS:
        theirs = (Contact.kept_as == callbacks.OWNER) & (
            Contact.kept_for == any_(bindparam("own", type_=ARRAY(BigInteger)))
        )
        anybodys = Contact.kept_until.is_(None) | (Contact.kept_until <= _NOW)
        wanted = {Which.ALL: anybodys | theirs, Which.PROMISED: anybodys, Which.OWNED: theirs & ~anybodys}
        # A promise that a PBX keeps is for a line of its own.
        query = query.where(wanted[which], Contact.due_date.is_(None) | listed_place.callable_on(_PBX))
    return query.with_for_update(**ROW_LOCK_OR_SKIP).execution_options(populate_existing=True)
