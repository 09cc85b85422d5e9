"""The words a campaign's agents have for what came of a call: its rows. The caller owns the transaction.

Every campaign begins with a built-in set, written when it is first looked at. A word is never deleted, since attempts
refer to it: retired, it can no longer be said.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.models import Campaign
from campaigns.models import Disposition as Row
from dialer.dispositions import BUILT_IN, Disposition, checked
from dialer.errors import BadInput, NotFound
from dialer.refusals import REFUSES
from dialer.retries import Rule


def word_of(row: Row) -> Disposition:
    """Return a row as the rules know it."""
    return Disposition(row.code, row.label, row.meaning, row.does, Rule.of(row.retry_rule), row.everywhere)


def all_of(session: Session, campaign_id: int, *, retired: bool = False) -> Sequence[Row]:
    """Return the words of a campaign, as they were added."""
    _begin(session, campaign_id)
    query = select(Row).where(Row.campaign_id == campaign_id).order_by(Row.retired_at.is_not(None), Row.id)
    return session.scalars(query if retired else query.where(Row.retired_at.is_(None))).all()


def get(session: Session, campaign: Campaign, code: str, *, retired: bool = False) -> Row:
    """Return the word with this code; NotFound names those there are. A retired one only if that is asked for."""
    rows = all_of(session, campaign.id, retired=True)
    found = next((row for row in rows if row.code == code.strip().lower()), None)
    if found is None or (found.retired_at is not None and not retired):
        known = ", ".join(row.code for row in rows if row.retired_at is None)
        shown = "".join(char if char.isprintable() else "?" for char in code)[:30]
        gone = "is retired" if found is not None else "does not exist"
        raise NotFound(f"disposition {shown!r} of campaign {campaign.name} {gone}; there are: {known}")
    return found


def add(session: Session, campaign: Campaign, word: Disposition, *, now: datetime, who: str) -> Row:
    """Give a campaign one more word."""
    word = checked(word)
    known = next((row for row in all_of(session, campaign.id, retired=True) if row.code == word.code), None)
    if known is not None:
        remedy = "restore" if known.retired_at is not None else "set"
        raise BadInput(
            f"campaign {campaign.name} has a disposition {word.code} already: `dialer disposition {remedy}` changes it"
        )
    row = Row(campaign_id=campaign.id, **_columns(word))
    session.add(row)
    session.flush()
    _record(session, row, "add", now=now, who=who, why="", **_columns(word))
    return row


def change(
    session: Session, campaign: Campaign, code: str, *, now: datetime, who: str, **given: Any
) -> tuple[Row, dict[str, tuple[Any, Any]]]:
    """Change a word; what is not given stays. Returns it, and old and new of what really changed.

    `given`: fields of a `Disposition` but its code, and of its `Rule`. What it brings about holds for what is
    said from now on; how often a number may end so, for what was said before as well.
    """
    row = get(session, campaign, code, retired=True)
    session.refresh(row, with_for_update={"key_share": True})
    before = word_of(row)
    of_rule = {name: given.pop(name) for name in ("delay", "most", "next_number", "days") if name in given}
    rule = replace(before.rule, **of_rule)
    if "does" in given and given["does"] != before.does:
        # What only the old effect had goes with it.
        rule = rule if given["does"] == "retry" else Rule(**of_rule)
        given.setdefault("everywhere", False)
    after = checked(replace(before, rule=rule, **given))
    if before.meaning in REFUSES and after.meaning not in REFUSES:
        raise BadInput(
            f"disposition {row.code} means that somebody said no, and who did is left in peace by it: retire it, "
            "and add another word for another meaning"
        )
    old, new = _columns(before), _columns(after)
    changes = {name: (old[name], new[name]) for name in new if old[name] != new[name]}
    for name, (_, value) in changes.items():
        setattr(row, name, value)
    if changes:
        told = {name: {"old": was, "new": becomes} for name, (was, becomes) in changes.items()}
        _record(session, row, "set", now=now, who=who, why="", changes=told)
    return row, changes


def retire(session: Session, campaign: Campaign, code: str, *, now: datetime, who: str) -> Row:
    """Take a word away from the agents; what was said with it stays. BadInput for the last one there is."""
    row = get(session, campaign, code, retired=True)
    if row.retired_at is not None:
        return row
    if len(all_of(session, campaign.id)) == 1:
        raise BadInput(f"{row.code} is the last disposition of campaign {campaign.name}: add another one first")
    row.retired_at = now
    _record(session, row, "retire", now=now, who=who, why="")
    return row


def restore(session: Session, campaign: Campaign, code: str, *, now: datetime, who: str) -> Row:
    """Give a retired word back to the agents."""
    row = get(session, campaign, code, retired=True)
    if row.retired_at is not None:
        row.retired_at = None
        _record(session, row, "restore", now=now, who=who, why="")
    return row


def _begin(session: Session, campaign_id: int) -> None:
    if session.scalar(select(Row.id).where(Row.campaign_id == campaign_id).limit(1)) is not None:
        return
    rows = [{"campaign_id": campaign_id, **_columns(word)} for word in BUILT_IN]
    session.execute(insert(Row).values(rows).on_conflict_do_nothing())


def _columns(word: Disposition) -> dict[str, Any]:
    return {
        "code": word.code,
        "label": word.label,
        "meaning": word.meaning,
        "does": word.does,
        "retry_rule": word.rule.as_json(),
        "everywhere": word.everywhere,
    }


def _record(session: Session, row: Row, verb: str, *, now: datetime, who: str, why: str, **details: Any) -> None:
    details = {**details, "code": row.code}
    ledger.record(
        session,
        at=now,
        kind="disposition_set",
        who=who,
        campaign_id=row.campaign_id,
        why=why,
        verb=verb,
        **details,
    )
