"""When a contact is tried next after a call, and at which number: the rules of `dialer.retries`, asked with its rows.

The next time is moved forward to one at which the hours where that number is, the gap and the caps allow a call. The
caller owns the transaction and holds the contact's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.contact_numbers import following
from campaigns.earlier_calls import since
from campaigns.models import Attempt, Campaign, Contact
from campaigns.models import Disposition as Row
from campaigns.putting_off import next_allowed
from dialer.abandonment import rule_pack
from dialer.calls import CallState
from dialer.dispositions import Disposition
from dialer.numbers import zones
from dialer.retries import SAID, Next, Past, RetryRules, Rule, after, after_word, counts_against_cap, used_up
from dialer.windows import zones_to_judge

DIALLED_BY_HAND = "dialled by hand"


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt at a contact: how the call ended, and the word an agent had for it, if any."""

    state: CallState
    number: str
    ordered_at: datetime
    said: str | None

    @property
    def end(self) -> str:
        """The kind of end that rules are set for."""
        return self.state if self.said is None else SAID + self.said


def rules_of(session: Session, campaign: Campaign) -> RetryRules:
    """Return the campaign's rules: its delay, its rule pack's rest, and what was set for each kind of end."""
    by_end = {end: Rule.of(kept) for end, kept in campaign.retry_rules.items()}
    said = session.execute(select(Row.code, Row.retry_rule).where(Row.campaign_id == campaign.id))
    by_end |= {SAID + code: Rule.of(kept) for code, kept in said}
    return RetryRules.of(campaign.retry_delay, rest=rule_pack(campaign.rule_pack).rest, by_end=by_end)


def history(session: Session, contact_id: int) -> list[Tried]:
    """Return every attempt at a contact, newest first."""
    query = (
        select(Attempt.state, Attempt.number, Attempt.ordered_at, Row.code)
        .outerjoin(Row, Row.id == Attempt.disposition_id)
        .where(Attempt.contact_id == contact_id)
        .order_by(Attempt.id.desc())
    )
    return [Tried(CallState(state), number, at, said) for state, number, at, said in session.execute(query)]


def replan(
    session: Session,
    attempt: Attempt,
    contact: Contact,
    campaign: Campaign,
    *,
    word: Disposition | None = None,
    now: datetime,
) -> Next:
    """Put the contact of an attempt that is over to its next time, or close it; `word`: what an agent said of the call.

    The waits run from `now`: its end, or the moment somebody said what it was.
    """
    session.flush()  # what is being written of this attempt is part of the history
    earlier, rules = history(session, contact.id), rules_of(session, campaign)
    plan = _decide(attempt, contact, campaign, earlier, rules, word, now)
    if plan.at is None:
        contact.state, contact.closed_because, contact.next_at = "closed", plan.closed_because, None
        return plan
    number = attempt.number
    if plan.other_number:
        number = _other(contact, attempt.number) or number
    contact.state, contact.closed_because = "open", ""
    contact.next_number = None if number == contact.phone else number
    contact.next_at = next_allowed(session, campaign, contact, number, plan.at)
    return plan


def _decide(
    attempt: Attempt,
    contact: Contact,
    campaign: Campaign,
    earlier: Sequence[Tried],
    rules: RetryRules,
    word: Disposition | None,
    now: datetime,
) -> Next:
    past = [Past(one.number, one.end) for one in earlier]
    other = _other(contact, attempt.number)
    end = attempt.state if word is None else SAID + word.code
    counted = sum(counts_against_cap(one.state) for one in earlier if since(contact.promised_at, one.ordered_at))
    known: dict[str, Any] = {
        "now": now,
        "attempt_no": max(1, counted),
        "max_attempts": campaign.max_attempts,
        "rules": rules,
        "has_other_number": other is not None and not used_up(other, past, rules),
        "on_other_number": attempt.number != contact.phone and following(contact, attempt.number) is None,
        "times": max(1, past.count(Past(attempt.number, end))),
        "zones": zones_to_judge(zones(attempt.number), campaign.time_zone),
    }
    if word is not None:
        return after_word(word, **known)
    never = list(takewhile(lambda one: not counts_against_cap(one.state), earlier))
    return after(CallState(attempt.state), never_rang_in_a_row=max(1, len(never)), **known)


def _other(contact: Contact, number: str) -> str | None:
    """Return the number tried after this one, round and round; None when the contact has only one."""
    return following(contact, number) or (contact.phone if contact.phone != number else None)
