"""Preview: a contact is shown to one agent, who accepts it, skips it, or lets its time run out.

While an offer is open its contact is taken (`live`, so that nobody else dials or is offered it) and its agent is kept
for it. Every offer ends: with the agent's word, at its deadline, or because agent, contact or campaign went away;
`tidy` sees to that (I14). The caller owns the transaction. Locks are taken agent, offer, contact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from campaigns import callbacks, gate, giving, judging, ledger, putting_off, reserving
from campaigns.db import ROW_LOCK, ROW_LOCK_OR_SKIP
from campaigns.gate import Author, Claim, Passed
from campaigns.judging import Known
from campaigns.lines import Lines
from campaigns.models import Agent, Attempt, Campaign, Contact, Offer
from dialer.callbacks import pair
from dialer.errors import BadInput, NotFound
from dialer.modes import PREVIEW
from dialer.settings import TimingSettings


@dataclass(frozen=True, slots=True)
class Refused:
    """A rule said no to an accepted offer: it is withdrawn, its contact put off. Commit, then say `why`."""

    why: str


def offer(
    session: Session,
    campaign_id: int,
    wanted: int,
    claim: Claim,
    *,
    now: datetime,
    timing: TimingSettings,
    agent_first: bool = False,
    pbx: str | None = None,
) -> Passed:
    """Offer up to `wanted` due contacts that pass every rule now, one each to agents on the line who have none.

    LeaseLost when the claim is void. What came of it is in `refused` and `none_due`; offers have no references.
    `agent_first`: the agent's phone rings when they accept, so whoever is ready is offered one.
    """
    campaign = session.get_one(Campaign, campaign_id)
    if agent_first:
        agents = giving.idle(session, campaign, wanted, now, pbx=pbx)
    else:
        agents = reserving.parked(session, campaign, wanted, pbx=pbx)
    by_id = {agent.id: agent for agent in agents}
    allowed = gate.let_through(session, campaign_id, len(agents), claim, now=now, timing=timing, own=by_id, pbx=pbx)
    author = Author.of(claim)
    until = now + timedelta(seconds=timing.preview_limit)
    # Contacts may be fewer than agents. Who owns a callback among them gets that one.
    due = [(contact, callbacks.whose(contact, now)) for contact, _number, _proof in allowed.contacts]
    owning = {kept_for for _, kept_for in due}
    owners = {agent_id: agent for agent_id, agent in by_id.items() if agent_id in owning}
    others = [agent for agent in agents if agent.id not in owning]
    for agent, contact in pair(owners, others, due):
        contact.state, contact.next_at = "live", None
        made = Offer(campaign_id=campaign_id, contact_id=contact.id, agent_id=agent.id, offered_at=now, until=until)
        session.add(made)
        session.flush()
        reserving.reserve(
            session, agent, reserving.OFFER, until=until, now=now, who=author.who, campaign_id=campaign_id
        )
        _record(session, made, "offered", now=now, who=author.who, why="")
        allowed.passed.offered += 1
    return allowed.passed


def open_offer(session: Session, agent: Agent) -> Offer:
    """Return the agent's open offer with its row locked; NotFound when there is none."""
    query = select(Offer).where(Offer.agent_id == agent.id, Offer.state == "open")
    found = session.scalars(query.with_for_update(**ROW_LOCK).execution_options(populate_existing=True)).one_or_none()
    if found is None:
        raise NotFound(f"agent {agent.name or agent.user_id} has no open offer: it was answered, or its time is over")
    return found


def accept(
    session: Session,
    agent: Agent,
    lines: Lines,
    *,
    now: datetime,
    who: str,
    timing: TimingSettings,
    agent_first: bool = False,
) -> Attempt | Refused:
    """Order the call of the agent's offer, kept for this agent; every rule is asked again.

    The caller holds the agent's lock and has seen that the agent is on the line and a line is free.
    """
    found = open_offer(session, agent)
    contact = _locked_contact(session, found)
    if found.until <= now:
        _end(session, found, agent, contact, "expired", "not answered in time", now=now, who=who, at=now)
        return Refused("the offer's time is over: the contact is offered again")
    if agent.reserved_for != reserving.OFFER:
        _end(
            session, found, agent, contact, "withdrawn", "the agent is kept for another call", now=now, who=who, at=now
        )
        return Refused("the agent is kept for another call now: the contact is offered again")
    if contact.state != "live":
        _end(session, found, agent, contact, "withdrawn", _gone(contact), now=now, who=who, at=None)
        return Refused(_gone(contact))
    campaign = session.get_one(Campaign, found.campaign_id)
    made = gate.order_one(
        session, campaign, contact, lines, Author(who), now=now, timing=timing, agent=agent, agent_first=agent_first
    )
    if isinstance(made, Attempt):
        found.state, found.ended_at, found.attempt_id = "accepted", now, made.id
        _record(session, found, "accepted", now=now, who=who, why="")
        return made
    refusal = made.refusal
    assert refusal is not None
    _end(session, found, agent, contact, "withdrawn", refusal.why, now=now, who=who, at=now)
    known = Known.read(session, campaign, [contact], now, ring_seconds=timing.ring_limit)
    putting_off.put_off(known, contact, judging.next_number(contact), made)
    return Refused(refusal.why)


def skip(session: Session, agent: Agent, *, reason: str, now: datetime, who: str) -> Offer:
    """Put the offered contact off by the campaign's retry delay. The caller holds the agent's lock."""
    if not reason.strip():
        raise BadInput("skipping a contact needs a reason, for example --reason 'known to be away'")
    found = open_offer(session, agent)
    contact = _locked_contact(session, found)
    campaign = session.get_one(Campaign, found.campaign_id)
    later = now + timedelta(seconds=campaign.retry_delay)
    _end(session, found, agent, contact, "skipped", reason.strip(), now=now, who=who, at=later)
    return found


def tidy(session: Session, now: datetime) -> int:
    """End the open offers whose time is over, or that have come to nothing; returns how many."""
    ended = 0
    query = (
        select(Offer.id, Offer.agent_id)
        .join(Agent, Agent.id == Offer.agent_id)
        .join(Campaign, Campaign.id == Offer.campaign_id)
        .join(Contact, Contact.id == Offer.contact_id)
        .where(
            Offer.state == "open",
            or_(
                Offer.until <= now,
                Agent.reserved_for != reserving.OFFER,
                Campaign.state != "running",
                Campaign.mode != PREVIEW,
                Contact.state != "live",
            ),
        )
        .order_by(Offer.id)
    )
    for offer_id, agent_id in session.execute(query).all():
        # The agent first, as everybody does; one who is busy this instant is looked at again in a moment.
        agent = session.get(Agent, agent_id, with_for_update=ROW_LOCK_OR_SKIP, populate_existing=True)
        found = session.get(Offer, offer_id, with_for_update=ROW_LOCK, populate_existing=True) if agent else None
        if agent is None or found is None or found.state != "open":
            continue
        contact = _locked_contact(session, found)
        campaign = session.get_one(Campaign, found.campaign_id, populate_existing=True)
        state, why = _verdict(found, agent, contact, campaign, now)
        if state:
            _end(session, found, agent, contact, state, why, now=now, who="dialer", at=now)
            ended += 1
    return ended


def _verdict(offer: Offer, agent: Agent, contact: Contact, campaign: Campaign, now: datetime) -> tuple[str, str]:
    if offer.until <= now:
        return "expired", "not answered in time"
    if agent.reserved_for != reserving.OFFER:
        return "withdrawn", f"the agent is {agent.state.replace('_', '-')}"
    if campaign.state != "running":
        return "withdrawn", f"campaign {campaign.state}"
    if campaign.mode != PREVIEW:
        return "withdrawn", f"the campaign's mode is {campaign.mode} now"
    if contact.state != "live":
        return "withdrawn", _gone(contact)
    return "", ""


def _gone(contact: Contact) -> str:
    return f"the contact is {contact.state}" + (f": {contact.closed_because}" if contact.closed_because else "")


def _locked_contact(session: Session, offer: Offer) -> Contact:
    return session.get_one(Contact, offer.contact_id, with_for_update=ROW_LOCK, populate_existing=True)


def _end(
    session: Session,
    offer: Offer,
    agent: Agent,
    contact: Contact,
    state: str,
    why: str,
    *,
    now: datetime,
    who: str,
    at: datetime | None,
) -> None:
    """End an offer without a call: its agent is free, its contact comes up again at `at`."""
    offer.state, offer.reason, offer.ended_at = state, why[:500], now
    if contact.state == "live":  # not closed meanwhile
        contact.state, contact.next_at = "open", at
    if agent.reserved_for == reserving.OFFER:
        reserving.release(session, agent, now=now, why=f"offer {state}", who=who)
    _record(session, offer, state, now=now, who=who, why=why)


def _record(session: Session, offer: Offer, verb: str, *, now: datetime, who: str, why: str) -> None:
    ledger.record(
        session,
        at=now,
        kind="offer",
        who=who,
        campaign_id=offer.campaign_id,
        attempt_id=offer.attempt_id,
        agent_id=offer.agent_id,
        why=why,
        verb=verb,
        offer=offer.id,
        contact=offer.contact_id,
        until=offer.until.isoformat(),
    )


def offers_of(session: Session, agent: Agent, *, last: int) -> Sequence[tuple[Offer, Contact, str]]:
    """Return the agent's offers with contact and campaign name: the open one first, then the newest."""
    query = (
        select(Offer, Contact, Campaign.name)
        .join(Contact, Contact.id == Offer.contact_id)
        .join(Campaign, Campaign.id == Offer.campaign_id)
        .where(Offer.agent_id == agent.id)
        .order_by(Offer.state != "open", Offer.id.desc())
        .limit(last)
        .execution_options(populate_existing=True)
    )
    return [(row[0], row[1], row[2]) for row in session.execute(query)]
