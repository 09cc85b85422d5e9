"""A campaign's retry rules: what a manager set for each kind of end, beside what holds without. The caller owns the
transaction and holds the campaign's row."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.models import Campaign
from campaigns.planning import rules_of
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.retries import RULED, Rule, usual_wait


@dataclass(frozen=True, slots=True)
class Shown:
    """One kind of end: the rule that was set, and what holds with it."""

    end: str
    rule: Rule
    delay: float  # seconds, in force
    most: int | None  # of one number, in force


def shown(session: Session, campaign: Campaign) -> list[Shown]:
    """Return every kind of end a rule may be set for, with what holds."""
    rules = rules_of(session, campaign)
    return [Shown(end, rules.rule(end), usual_wait(end, rules), rules.most(end)) for end in RULED]


def set_rule(
    session: Session, campaign: Campaign, end: str, *, now: datetime, who: str, forget: bool = False, **given: Any
) -> tuple[Rule, Rule]:
    """Set what is given of one end's rule, or forget the rule; returns it before and after.

    `given`: fields of a `Rule`; None takes a delay or a maximum back. NotFound for an end that has no rules.
    """
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: its retry rules cannot be changed")
    end = end.strip().lower().replace("-", "_").replace(" ", "_")
    if end not in RULED:
        raise NotFound(f"{_shown(end)!r} has no retry rule: there are {', '.join(RULED)}")
    before = Rule.of(campaign.retry_rules.get(end, {}))
    after = Rule() if forget else replace(before, **given)
    if end == CallState.ABANDONED and after.next_number:
        raise BadInput("after an abandoned call the person rests, and not the number: abandoned has no next number")
    if after == before:
        return before, after
    kept = {name: rule for name, rule in campaign.retry_rules.items() if name != end}
    campaign.retry_rules = kept if after == Rule() else {**kept, end: after.as_json()}
    ledger.record(
        session,
        at=now,
        kind="retry_rule",
        who=who,
        campaign_id=campaign.id,
        end=end,
        old=before.as_json(),
        new=after.as_json(),
    )
    return before, after


def _shown(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)[:30]
