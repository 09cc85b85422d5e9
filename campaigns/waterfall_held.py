"""Due contacts that are held back by what SQL cannot say at once: refusals, caps, history in filters, do-not-call.

SQL finds the few who may be meant; the gate's own rules are asked about each of them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import capping, forgotten, judging, laws, waterfall_listed, waterfall_often
from campaigns.earlier_calls import A_CALL, EarlierCalls
from campaigns.models import Campaign, Contact
from campaigns.waterfall_groups import Packs
from dialer import caps as cap_rules
from dialer import refusals
from dialer.contact_filter import HISTORY, Condition, Past, from_json, verdict
from dialer.gate import Verdict

_AT_ONCE = 100
Until = dict[int, datetime | None]  # contact -> when it is let go


@dataclass(frozen=True, slots=True)
class Held:
    """Whom these rules hold back, by the names of the waterfall's rules; `untried`: all contacts not tried so far."""

    abandoned_since: datetime
    forbidden: Sequence[str] = ()  # numbers on the do-not-call list, or forgotten
    refused: Until = field(default_factory=dict)
    law_capped: Until = field(default_factory=dict)
    capped: Until = field(default_factory=dict)
    unwanted: Until = field(default_factory=dict)
    untried: Verdict | None = None

    @classmethod
    def read(
        cls, session: Session, campaign: Campaign, packs: Packs, due: str, values: Mapping[str, Any], now: datetime
    ) -> "Held":
        """Find them. `due`: the SQL that names the due contacts, with its `values`."""
        refused, law_capped, capped = _called_before(session, campaign, packs, values, now)
        unwanted, untried = _unwanted(session, campaign, due, values, now)
        return cls(
            # Who was called longer ago rests no more, and no call is longer than a day.
            abandoned_since=now - timedelta(seconds=max((*values["rests"], *values["rests_with_agent"]))) - A_CALL,
            forbidden=_forbidden(session, due, values),
            refused=refused,
            law_capped=law_capped,
            capped=capped,
            unwanted=unwanted,
            untried=untried,
        )

    def parameters(self) -> dict[str, Any]:
        """Return what the waterfall's SQL is given."""
        lists = {"refused": self.refused, "law_capped": self.law_capped, "capped": self.capped}
        lists["unwanted"] = self.unwanted
        values: dict[str, Any] = {name: list(held) for name, held in lists.items()}
        values |= {f"{name}_until": list(held.values()) for name, held in lists.items()}
        return values | {
            "abandoned_since": self.abandoned_since,
            "forbidden": list(self.forbidden),
            "untried": self.untried is not None,
            "untried_until": self.untried.until if self.untried is not None else None,
        }


def _forbidden(session: Session, due: str, values: Mapping[str, Any]) -> Sequence[str]:
    sharing = set(session.scalars(text(_SHARED.format(due=due)), values))
    return [*waterfall_listed.listed(session, values), *forgotten.among(session, sharing)]


_SHARED = """
    WITH {due} SELECT coalesce(d.next_number, d.phone) FROM due d JOIN shares_forgotten f ON f.contact_id = d.id
"""


# Refusals and caps ---------------------------------------------------------------------------------------

# Contacts who said no lately, or whose numbers somebody said no on, in whatever campaign.
_REFUSED = """
    WITH refused AS MATERIALIZED (
        SELECT t.contact_id, t.number FROM dispositions d CROSS JOIN LATERAL (
            SELECT * FROM attempts WHERE disposition_id = d.id AND ordered_at > :refused_since OFFSET 0) AS t
        WHERE d.meaning = ANY(:refuses))
    SELECT contact_id FROM refused
    UNION SELECT k.id FROM refused r JOIN contacts k ON k.phone = r.number WHERE k.campaign_id = :campaign_id
    UNION SELECT k.id FROM refused r JOIN contacts k ON k.phone2 = r.number WHERE k.campaign_id = :campaign_id
    UNION SELECT k.id FROM contacts k
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at <= :now AND k.more_numbers IS NOT NULL
      AND (k.next_number IN (SELECT number FROM refused)
           OR EXISTS (SELECT FROM refused r WHERE r.number = ANY(k.more_numbers)))
"""


def _called_before(
    session: Session, campaign: Campaign, packs: Packs, values: Mapping[str, Any], now: datetime
) -> tuple[Until, Until, Until]:
    """Return the due contacts who said no, those at a cap of their packs, and those at a cap of the campaign."""
    held: tuple[Until, Until, Until] = ({}, {}, {})
    own = capping.in_force(session, campaign)
    found = _perhaps_refused(session, packs, values, now)
    found |= waterfall_often.called_often(session, (*own, *packs.caps()), values, now)
    due = select(Contact).where(Contact.campaign_id == campaign.id, Contact.state == "open", Contact.next_at <= now)
    reach = max(packs.laws.reach(), cap_rules.reach(own)) + A_CALL
    in_order = sorted(found)
    for ids in (in_order[n : n + _AT_ONCE] for n in range(0, len(in_order), _AT_ONCE)):
        contacts = session.scalars(due.where(Contact.id.in_(ids))).all()
        calls = EarlierCalls.read(session, contacts, now - reach)
        for contact in contacts:
            number = judging.next_number(contact)
            where = laws.place(campaign, contact, number)
            zones, earlier = laws.zones(campaign, where), calls.earlier(contact, number)
            law = packs.laws.of(contact, where, campaign.mode)
            if law.refusal_by:
                said = calls.refused_at(contact, number)
                no = refusals.refusal(now, said, law.rest_after_refusal, zones, law.refusal_by)
                _keep(held[0], contact.id, [no])
            _keep(held[1], contact.id, cap_rules.judge(law.caps, now, earlier, zones))
            _keep(held[2], contact.id, cap_rules.judge(own, now, earlier, zones))
    return held


def _perhaps_refused(session: Session, packs: Packs, values: Mapping[str, Any], now: datetime) -> set[int]:
    if not packs.ask_of_refusals:
        return set()
    more = {"refused_since": now - packs.laws.reach() - A_CALL, "refuses": list(refusals.REFUSES)}
    return set(session.scalars(text(_REFUSED), {**values, **more}))


def _keep(held: Until, contact_id: int, verdicts: Iterable[Verdict]) -> None:
    """Note a contact that a cap refuses, with the moment when none does any more."""
    waits = [verdict.until for verdict in verdicts if not verdict.allowed]
    known = [wait for wait in waits if wait is not None]
    if waits:
        held[contact_id] = max(known) if len(known) == len(waits) else None


# Filters -------------------------------------------------------------------------------------------------

# Contacts with the same number of attempts, the same end of the last and the same answer to each question about days.
_PASTS = """
    WITH {due}, tried AS (
        SELECT t.contact_id, count(*) AS times, max(t.id) AS last FROM attempts t
        WHERE t.campaign_id = :campaign_id GROUP BY t.contact_id)
    SELECT x.times, t.state, min(t.ordered_at) AS last_at, array_agg(d.id) AS ids
    FROM due d JOIN tried x ON x.contact_id = d.id JOIN attempts t ON t.id = x.last
    WHERE d.due_date IS NULL
    GROUP BY x.times, t.state{days}
"""


def _unwanted(
    session: Session, campaign: Campaign, due: str, values: Mapping[str, Any], now: datetime
) -> tuple[Until, Verdict | None]:
    """Ask the filter about everybody's past; what it asks of their own columns has closed whom it does not want."""
    asked = [one for one in from_json(campaign.contact_filter) if one.field in HISTORY]
    if not asked:
        return {}, None
    bounds = {f"bound_{n}": bound for n, one in enumerate(asked) if (bound := _bound(one, now)) is not None}
    days = "".join(f", t.ordered_at < :{name}, t.ordered_at = :{name}" for name in bounds)
    if sum(one.field == "days_since_call" for one in asked) > len(bounds):
        days = ", t.ordered_at"
    held: Until = {}
    for row in session.execute(text(_PASTS.format(due=due, days=days)), {**values, **bounds}):
        told = verdict(asked, {}, Past(row.times, row.state, row.last_at), now)
        if not told.allowed:
            held |= dict.fromkeys(row.ids, told.until)
    nothing_yet = verdict(asked, {}, Past(), now)
    return held, None if nothing_yet.allowed else nothing_yet


def _bound(one: Condition, now: datetime) -> datetime | None:
    """Return the moment that parts the answers to a question about days; None where more than one does."""
    if one.field != "days_since_call" or one.operator not in ("<", "<=", ">", ">="):
        return None
    return now - timedelta(days=float(one.values[0].replace(",", ".")))
