"""Numbers nobody calls: in one campaign, or anywhere. Added at once, lifted only with a reason, kept with who and when.

The gate asks `entries` inside the transaction that orders a call, so an entry holds from its commit on. The caller owns
the transaction.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, or_, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import forgotten, ledger
from campaigns.db import array
from campaigns.models import DoNotCall
from dialer.errors import BadInput, NotFound
from dialer.gate import DoNotCallEntry
from dialer.numbers import mask, require

_REASONS_LENGTH = 4_000  # characters of all reasons of one entry
# Always a row, with the key by which the forgotten are found; the entry for all campaigns comes last, and stays.
_FORBIDDEN = text(f"""
    SELECT forgotten.key, d.number, d.source, d.reason, d.campaign_id IS NULL AS everywhere, d.added_at
    FROM (SELECT {forgotten.KEY} AS key) AS forgotten LEFT JOIN do_not_call d
      ON d.number = ANY(CAST(:numbers AS text[])) AND (d.campaign_id IS NULL OR d.campaign_id = :campaign)
    ORDER BY d.campaign_id NULLS LAST
""")  # noqa: S608 (text of our own)


def add(
    session: Session,
    text: str,
    *,
    country: str,
    campaign_id: int | None = None,
    source: str = "person",
    reason: str = "",
    who: str,
    now: datetime,
) -> tuple[DoNotCall, bool]:
    """Put a number on the list of one campaign, or of all; the entry, and whether it is new.

    `text` is read as people in `country` write numbers; BadInput when it is none. An entry that is there already keeps
    its date and its reason; another reason is written behind it, with its own date and who gave it.
    """
    number = require(text, country, "do-not-call").e164
    values = {
        "number": number,
        "campaign_id": campaign_id,
        "source": one_line(source) or "person",
        "reason": one_line(reason),
        "added_by": who,
        "added_at": now,
    }
    added = session.execute(insert(DoNotCall).values(values).on_conflict_do_nothing().returning(DoNotCall.id)).scalar()
    entry = session.scalars(select(DoNotCall).where(DoNotCall.number == number, _scope(campaign_id))).one()
    if added is not None:
        ledger.record(
            session,
            at=now,
            kind="dnc_added",
            who=who,
            campaign_id=campaign_id,
            why=entry.reason,
            number=number,
            source=entry.source,
        )
    else:
        _another_reason(session, entry, values, now)
    return entry, added is not None


def _another_reason(session: Session, entry: DoNotCall, given: Mapping[str, Any], now: datetime) -> None:
    """Somebody asked again, and why may matter more than the first time: a complaint after a wish."""
    session.refresh(entry, with_for_update=True)
    reason = given["reason"]
    kept = entry.reason
    if not reason or kept == reason or kept.startswith(f"{reason}; ") or f"; {reason} (" in f"; {kept}":
        return
    told = f"{reason} ({given['source']}, {given['added_by']}, {now:%Y-%m-%d})"
    if len(entry.reason) + len(told) < _REASONS_LENGTH:  # beyond it the ledger alone has them
        entry.reason = f"{entry.reason}; {told}" if entry.reason else told
    ledger.record(
        session, at=now, kind="dnc_added_again", who=given["added_by"], campaign_id=entry.campaign_id, why=reason,
        number=entry.number, source=given["source"],
    )  # fmt: skip
    session.flush()


def remove(
    session: Session,
    text: str,
    *,
    country: str,
    campaign_id: int | None = None,
    reason: str,
    who: str,
    now: datetime,
) -> None:
    """Lift a number from the list, with a reason that the ledger keeps; NotFound when it is not there."""
    number = require(text, country, "do-not-call").e164
    if not one_line(reason):
        raise BadInput(
            f"taking {mask(number)} off the do-not-call list needs a reason: somebody asked not to be called, "
            "so say why they may be called again"
        )
    gone = session.execute(
        delete(DoNotCall)
        .where(DoNotCall.number == number, _scope(campaign_id))
        .returning(DoNotCall.source, DoNotCall.reason, DoNotCall.added_by, DoNotCall.added_at)
    ).one_or_none()
    if gone is None:
        elsewhere = _elsewhere(session, number, campaign_id)
        raise NotFound(f"{mask(number)} is not on {_name(campaign_id)}{elsewhere}")
    ledger.record(
        session,
        at=now,
        kind="dnc_removed",
        who=who,
        campaign_id=campaign_id,
        why=one_line(reason),
        number=number,
        source=gone.source,
        added_because=gone.reason,
        added_by=gone.added_by,
        added_at=gone.added_at.isoformat(),
    )


def check(session: Session, text: str, *, country: str, campaign_id: int | None = None) -> list[DoNotCall]:
    """Return every entry that holds for the number: all of them, or those that bind one campaign."""
    number = require(text, country, "do-not-call").e164
    query = select(DoNotCall).where(DoNotCall.number == number)
    if campaign_id is not None:
        query = query.where(or_(DoNotCall.campaign_id.is_(None), DoNotCall.campaign_id == campaign_id))
    return list(session.scalars(query.order_by(DoNotCall.campaign_id.nulls_first())))


def listed(session: Session, number: str) -> DoNotCall | None:
    """Return an entry for this E.164 number in the list of any campaign, or of all; None when there is none."""
    query = select(DoNotCall).where(DoNotCall.number == number)
    return session.scalars(query.order_by(DoNotCall.campaign_id.nulls_first()).limit(1)).one_or_none()


def entries(session: Session, numbers: Collection[str], campaign_id: int) -> dict[str, DoNotCallEntry]:
    """Return what forbids the campaign these E.164 numbers: the widest entry of each, and who asked to be forgotten."""
    if not numbers:
        return {}
    rows = session.execute(_FORBIDDEN, {"numbers": array(numbers), "campaign": campaign_id}).all()
    found = {
        row.number: DoNotCallEntry(row.source, row.reason, row.everywhere, row.added_at)
        for row in rows
        if row.number is not None
    }
    for number, since in forgotten.by_key(session, numbers, rows[0].key).items():
        found[number] = DoNotCallEntry("an erasure on request", added_at=since)
    return found


def _scope(campaign_id: int | None) -> ColumnElement[bool]:
    return DoNotCall.campaign_id.is_(None) if campaign_id is None else DoNotCall.campaign_id == campaign_id


def _elsewhere(session: Session, number: str, campaign_id: int | None) -> str:
    others = session.scalars(select(DoNotCall.campaign_id).where(DoNotCall.number == number)).all()
    if not others:
        return ""
    if None in others:
        return "; it is on the list of all campaigns"
    named = "a campaign" if campaign_id is None else "another campaign"
    return f"; it is on that of {named}: name the campaign to take it off there"


def _name(campaign_id: int | None) -> str:
    return "the do-not-call list of all campaigns" if campaign_id is None else "this campaign's do-not-call list"


def one_line(text: str) -> str:
    """Return one printable line: it is shown on terminals, and PostgreSQL keeps no NUL."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:500]
