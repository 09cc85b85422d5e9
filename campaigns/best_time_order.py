"""The order `best-time`: of the contacts that come first, those whose hour this is, and the others put off to theirs.

A few hundred contacts are looked at, through the index of the lanes; which of them go first is said by
`dialer.best_time_choice`. Those it puts off get a later `next_at`, so the next look finds others: no list is read
whole. That is done every few seconds, on locked rows, and only while enough others are due. Who waits when the
campaign takes another order is let back, part by part (`take_back`).
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import best_times
from campaigns.db import array
from campaigns.models import Campaign
from campaigns.prospects import group_of
from dialer.abandonment import rule_pack
from dialer.best_time_choice import AHEAD, PATIENCE, Due, Outlook
from dialer.best_times import Who, kind_of, zone_of
from dialer.calling_rules import in_force
from dialer.places import Place
from dialer.windows import Hours, judge

LOOKED_AT = 400
PUT_OFF_BY = "best_time"
_AT_ONCE = 5_000  # contacts let back in one transaction
PUT_OFF_EVERY = timedelta(seconds=10)
_RING = 60.0  # seconds a phone may ring
_COUNTED = 50_000  # contacts due, at most: no better hour is farther than they last
_SHORTEST = timedelta(minutes=10)  # from which on calls an hour can be told

_CONTACTS = text("""
    SELECT id, list_id, tried, coalesce(next_number, phone) AS number, time_zone
    FROM contacts WHERE id = ANY(CAST(:ids AS bigint[]))
""")
_IMPATIENT = text("""
    SELECT k.id FROM contacts k WHERE k.id = ANY(CAST(:ids AS bigint[])) AND k.tried > 0
      AND (SELECT max(a.ordered_at) FROM attempts a WHERE a.contact_id = k.id) <= :patient_since
""")
_LEARNT = text("SELECT learnt_at, put_off_at FROM learnt_times WHERE campaign_id = :campaign")
_MY_TURN = text("""
    UPDATE learnt_times SET put_off_at = :now
    WHERE campaign_id = :campaign AND (put_off_at IS NULL OR put_off_at <= :before) RETURNING campaign_id
""")
_DUE = text(f"""
    SELECT count(*) FROM (SELECT FROM contacts WHERE campaign_id = :campaign AND state = 'open' AND next_at <= :now
                          LIMIT {_COUNTED}) AS due
""")  # noqa: S608 (a number of our own)
_LATELY = text(f"""
    SELECT count(*) AS calls, min(ordered_at) AS since
    FROM (SELECT ordered_at FROM attempts WHERE campaign_id = :campaign AND ordered_at > :since
          ORDER BY ordered_at DESC LIMIT {_COUNTED}) AS lately
""")  # noqa: S608
_PUT_OFF = text(f"""
    UPDATE contacts SET next_at = locked.until, put_off_by = '{PUT_OFF_BY}', put_off_until = locked.until
    FROM (SELECT k.id, later.until
          FROM unnest(CAST(:ids AS bigint[]), CAST(:untils AS timestamptz[])) AS later(id, until)
          JOIN contacts k ON k.id = later.id
          WHERE k.state = 'open' AND k.next_at <= :now AND k.due_date IS NULL
          FOR NO KEY UPDATE OF k SKIP LOCKED) AS locked
    WHERE contacts.id = locked.id
""")  # noqa: S608
# Whoever was moved since (called, promised, put off by a rule) is no longer ours to move. MATERIALIZED: a nested loop
# would otherwise ask for the slice once a row, each time skip what it has locked, and move everybody at once.
_TAKE_BACK = text(f"""
    WITH waiting AS MATERIALIZED (
        SELECT id FROM contacts
        WHERE campaign_id = :campaign AND state = 'open' AND next_at > :now AND next_at <= :farthest
          AND put_off_by = '{PUT_OFF_BY}' AND put_off_until = next_at
        ORDER BY next_at, id LIMIT {_AT_ONCE} FOR NO KEY UPDATE SKIP LOCKED)
    UPDATE contacts SET next_at = :now, put_off_by = NULL, put_off_until = NULL
    FROM waiting WHERE contacts.id = waiting.id
""")  # noqa: S608
_LEFT_WAITING = text("""
    SELECT t.campaign_id FROM learnt_times t JOIN campaigns c ON c.id = t.campaign_id
    WHERE t.put_off_at IS NOT NULL AND NOT (c.contact_order LIKE '%best-time%') ORDER BY 1
""")


def in_order(
    session: Session, campaign: Campaign, now: datetime, ranked: Sequence[tuple[int, int]], wanted: int
) -> list[int]:
    """Return up to `wanted` of these contacts, each given behind its rank, as they are to be called now."""
    if not ranked:
        return []
    ranks = {contact_id: rank for rank, contact_id in ranked}
    zone = best_times.zone_of_campaign(campaign)
    rows = session.execute(_CONTACTS, {"ids": array(ranks)})
    by_id = {row[0]: row for row in rows.all()}
    due = [
        Due(
            contact_id,
            Who(group_of(list_id, tried + 1), kind_of(number)),
            time_zone or zone_of(number, zone),
            ranks[contact_id],
        )
        for contact_id, list_id, tried, number, time_zone in (
            by_id[contact_id] for _, contact_id in ranked if contact_id in by_id
        )
    ]
    learnt = session.execute(_LEARNT, {"campaign": campaign.id}).one_or_none()
    times = best_times.as_of(session, campaign.id, learnt.learnt_at if learnt is not None else None)
    outlook = Outlook(times, now, _opening(campaign))
    first = outlook.in_order(due)
    if learnt is not None and (learnt.put_off_at is None or learnt.put_off_at <= now - PUT_OFF_EVERY):
        _put_off(session, campaign, now, outlook, first[wanted:])
    return [one.id for one in first[:wanted]]


def _put_off(session: Session, campaign: Campaign, now: datetime, outlook: Outlook, others: Sequence[Due]) -> None:
    turn = {"campaign": campaign.id, "now": now, "before": now - PUT_OFF_EVERY}
    if not others or session.execute(_MY_TURN, turn).first() is None:
        return
    lately = session.execute(_LATELY, {"campaign": campaign.id, "since": now - timedelta(hours=1)}).one()
    if not lately.calls:
        return  # nobody can say how fast contacts are used up
    an_hour = lately.calls / (max(_SHORTEST, now - lately.since) / timedelta(hours=1))
    staying = session.scalar(_DUE, {"campaign": campaign.id, "now": now}) or 0
    asked = {"ids": array(one.id for one in others), "patient_since": now - PATIENCE}
    impatient = set(session.scalars(_IMPATIENT, asked))
    others = [one._replace(patient=one.id not in impatient) for one in others]
    later = outlook.put_off(others, staying=staying, an_hour=an_hour)
    if later:
        ids, untils = zip(*later, strict=True)
        session.execute(_PUT_OFF, {"ids": list(ids), "untils": list(untils), "now": now})


def take_back(session: Session, campaign_id: int, now: datetime) -> int:
    """Let contacts that wait for a better hour be called now, a part of them at a time; returns how many.

    For a campaign that has another order now, in which no hour is better. The caller owns the transaction.
    """
    given = {"campaign": campaign_id, "now": now, "farthest": now + AHEAD + timedelta(hours=1)}
    done = session.execute(_TAKE_BACK, given)
    let_back = int(getattr(done, "rowcount", 0))
    if not let_back:
        over = text("UPDATE learnt_times SET put_off_at = NULL WHERE campaign_id = :campaign")
        session.execute(over, {"campaign": campaign_id})
    return let_back


def left_waiting(session: Session) -> list[int]:
    """Return the campaigns in which contacts may still wait for a better hour although none counts any more."""
    return list(session.scalars(_LEFT_WAITING))


def _opening(campaign: Campaign) -> Callable[[str, datetime], bool]:
    """Whether the campaign's hours and its pack's allow a call to phones of a zone at a moment."""
    pack, hours, mode = campaign.rule_pack, campaign.hours, campaign.mode
    return lambda zone, at: _is_open(pack, hours, mode, zone, at)


@lru_cache(maxsize=4_096)  # the same full hours are asked about at every gate, until the clock strikes
def _is_open(rules: str, hours: str, mode: str, zone: str, at: datetime) -> bool:
    pack = rule_pack(rules)
    law = in_force([(pack.name, pack.calling)], Place((), (zone,)), mode)
    return judge(at, Hours.parse(hours), (zone,), ring_seconds=_RING, also=law.timetables).allowed
