"""A call that a person asks for: an agent dials a contact or a number, or accepts an offer. The gate decides as ever.

The agent is put on the line first and the customer is called afterwards, so that nobody answers to an agent whose
phone still rings. Each step is a transaction of its own.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import agents, gate, giving, offers, pace_view, parking, pools, request_room
from campaigns.agent_states import AWAY, FREE
from campaigns.application import Application
from campaigns.db import ROW_LOCK, database_now
from campaigns.gate import Author
from campaigns.lines import Lines
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, CampaignAgent, Contact, ContactList, Offer
from campaigns.planning import DIALLED_BY_HAND
from campaigns.why import find_contact
from dialer import gate as rules
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound, RefusedByRule, TryAgainLater
from dialer.modes import AGENTLESS
from dialer.numbers import Number, normalise
from dialer.pacing import Staleness

# How often it is looked whether the agent is on the line by now.
LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Dialled:
    """A call ordered for an agent."""

    ref: str
    attempt: int
    contact: int
    number: str
    agent: str  # as people call them
    campaign: str


def call(
    application: Application, agent_id: int, campaign_id: int, *, contact: str = "", number: str = "", who: str
) -> Dialled:
    """Order one call for one agent: of a contact (its id, or a number of it), or of any number.

    RefusedByRule is the sentence of the first rule that says no; TryAgainLater when agent, line or PBX is not ready.
    """
    put_on_the_line(application, agent_id, campaign_id)
    with application.transaction() as session:
        now = database_now(session)
        campaign = session.get_one(Campaign, campaign_id)
        agent, first = on_the_phone(application, session, agent_id)
        if agent.reserved_for:
            raise TryAgainLater(f"agent {called(agent)} is kept for a call or an offer: that one comes first")
        lines = free_lines(application, session, campaign, now, agent.pbx)
        if contact:
            found, _ = find_contact(session, campaign, contact)
        else:
            found = _contact_for(session, campaign, number, now)
        chosen = _locked(session, found.id)
        _may_be_dialled(session, chosen, now)
        made = gate.order_one(
            session,
            campaign,
            chosen,
            lines,
            Author(who),
            now=now,
            timing=application.settings.timing,
            agent=agent,
            agent_first=first,
        )
        if not isinstance(made, Attempt):
            raise RefusedByRule(sentence(made))
        dialled = told(made, agent, campaign)
    application.doorbell.place(dialled.ref)
    return dialled


def accept(application: Application, agent_id: int, *, who: str) -> Dialled:
    """Order the call of the agent's open offer. NotFound when there is none; RefusedByRule when a rule says no now."""
    with application.transaction() as session:
        campaign_id = offers.open_offer(session, session.get_one(Agent, agent_id)).campaign_id
    put_on_the_line(application, agent_id, campaign_id)
    with application.transaction() as session:
        now = database_now(session)
        campaign = session.get_one(Campaign, campaign_id)
        agent, first = on_the_phone(application, session, agent_id)
        lines = free_lines(application, session, campaign, now, agent.pbx)
        timing = application.settings.timing
        made = offers.accept(session, agent, lines, now=now, who=who, timing=timing, agent_first=first)
    if isinstance(made, offers.Refused):  # said after the commit: the contact was put off
        raise RefusedByRule(made.why)
    dialled = told(made, agent, campaign)
    application.doorbell.place(dialled.ref)
    return dialled


# The agent ----------------------------------------------------------------------------------------------


def put_on_the_line(application: Application, agent_id: int, campaign_id: int) -> None:
    """Wait until the agent is parked, ordering the parking call when there is none.

    Where the PBX rings the agent first there is nothing to wait for: the order itself does.
    """
    timing = application.settings.timing
    with application.transaction() as session:
        now = database_now(session)
        agent = agents.locked(session, agent_id)
        campaign = session.get_one(Campaign, campaign_id)
        _may_work(session, agent, campaign)
        refs: list[str] = []
        if giving.rings_agent(application, agent.pbx):
            return
        if agent.state == "ready":
            if agent.not_before is not None and agent.not_before > now:
                raise TryAgainLater(f"the phone of agent {called(agent)} did not take the last call: try in a moment")
            open_leg = select(AgentLeg.id).where(AgentLeg.agent_id == agent.id, AgentLeg.ended_at.is_(None))
            if session.scalar(open_leg) is None:
                refs = parking.order_legs(session, campaign, [agent], now=now, timing=timing)
            else:
                parking.keep(session, campaign, now=now, pbx=agent.pbx, only=agent)
    for ref in refs:
        application.doorbell.place(ref)
    deadline = application.clock.monotonic() + timing.agent_ring_limit
    while True:
        with application.transaction() as session:
            state = session.scalar(select(Agent.state).where(Agent.id == agent_id))
        if state == "parked":
            return
        if state not in ("ready", "parking"):
            raise TryAgainLater(f"agent {called(agent)} is {_words(state)}: the call was not ordered")
        if application.clock.monotonic() >= deadline:
            raise TryAgainLater(f"the phone of agent {called(agent)} was not answered: the call was not ordered")
        application.clock.sleep(LOOK_EVERY)


def _may_work(session: Session, agent: Agent, campaign: Campaign) -> None:
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        raise RefusedByRule(f"{campaign.name}: {state.why}")
    if campaign.mode == AGENTLESS:
        raise BadInput(f"campaign {campaign.name} is agentless: nobody dials in it")
    member = select(CampaignAgent.agent_id).where(
        CampaignAgent.campaign_id == campaign.id, CampaignAgent.agent_id == agent.id
    )
    if session.scalar(member) is None or agent.pbx not in pools.names(session, campaign):
        raise BadInput(
            f"agent {called(agent)} does not work for campaign {campaign.name}: `dialer agent assign` says who"
        )
    if agent.state in AWAY:
        raise BadInput(
            f"agent {called(agent)} is {_words(agent.state)}: `dialer agent ready {agent.user_id}` comes first"
        )
    if agent.state not in FREE or agent.wanted:
        raise TryAgainLater(f"agent {called(agent)} is {_words(agent.state)}: after this call")


def on_the_phone(application: Application, session: Session, agent_id: int) -> tuple[Agent, bool]:
    """The agent, locked and `joinable`, and whether their PBX rings them first. The call is placed on that PBX."""
    first = giving.rings_agent(application, agents.locked(session, agent_id).pbx)
    return joinable(session, agent_id, agent_first=first), first


def joinable(session: Session, agent_id: int, *, agent_first: bool = False) -> Agent:
    """The agent, locked, on the line with everything a join needs; ready, where their phone rings first."""
    agent = agents.locked(session, agent_id)
    if agent_first:
        if agent.state != "ready":
            raise TryAgainLater(f"agent {called(agent)} is {_words(agent.state)}: try in a moment")
        return agent
    leg = select(AgentLeg.id).where(
        AgentLeg.agent_id == agent_id,
        AgentLeg.ended_at.is_(None),
        AgentLeg.state == CallState.HELD,
        AgentLeg.first_leg_id.is_not(None),
        AgentLeg.pbx_call_id.is_not(None),
    )
    if agent.state != "parked" or session.scalar(leg) is None:
        raise TryAgainLater(f"agent {called(agent)} is {_words(agent.state)} and not on the line: try in a moment")
    return agent


def called(agent: Agent) -> str:
    """Return what people call an agent by."""
    return agent.name or agent.user_id


def _words(state: str | None) -> str:
    return "in wrap-up" if state == "wrap_up" else state or "gone"


# The line and the PBX -----------------------------------------------------------------------------------


def free_lines(application: Application, session: Session, campaign: Campaign, now: datetime, pbx: str) -> Lines:
    """The free lines of `pbx`, at least one; TryAgainLater when there is none, or too little is known of it (I12)."""
    view = pace_view.read(session, campaign.id, now, pbx)
    if view is None:
        raise NotFound(f"there is no campaign {campaign.id}")
    timing = application.settings.timing
    staleness = Staleness(presence_stale=timing.presence_stale, presence_dead=timing.presence_dead)
    blind = staleness.blind(view.age(now))
    against = view.unanswered_orders() or (blind.why.removeprefix("0: ") if blind is not None else "")
    if against:
        raise TryAgainLater(f"no call now: {against}")
    known = application.settings.pbx.get(view.pbx)
    lines = view.lines([str(gateway) for gateway in known.gateways] if known is not None else [])
    own = lines.total if view.most_lines is None else min(lines.total, view.most_lines - len(view.open))
    if own <= 0:
        raise TryAgainLater("no call now: no line is free")
    room = request_room.of(application, view)
    if room is not None and room.calls <= 0:
        raise TryAgainLater(f"no call now: {room.why}")
    if not gate.keep_to_rate(session, campaign.id, lines, 1, now):
        raise TryAgainLater("no call now: as many were ordered as may be in a second")
    return lines


# The contact --------------------------------------------------------------------------------------------


def _contact_for(session: Session, campaign: Campaign, given: str, now: datetime) -> Contact:
    """The campaign's contact with this number; a new one, on the list of numbers dialled by hand, when it has none."""
    read = normalise(given, campaign.country)
    if not isinstance(read, Number):
        raise BadInput(f"{given!r} cannot be dialled: {read}")
    try:
        return find_contact(session, campaign, read.e164)[0]
    except NotFound:
        pass
    # One such list per campaign, whoever dials first: the campaign's row is held for it.
    session.get_one(Campaign, campaign.id, with_for_update=ROW_LOCK, populate_existing=True)
    by_hand = select(ContactList).where(ContactList.campaign_id == campaign.id, ContactList.kind == "manual")
    kept = session.scalars(by_hand.order_by(ContactList.id).limit(1)).one_or_none()
    if kept is None:
        kept = ContactList(campaign_id=campaign.id, name=DIALLED_BY_HAND, kind="manual")
        session.add(kept)
        session.flush()
    line = session.scalar(select(func.count()).select_from(Contact).where(Contact.list_id == kept.id)) or 0
    made = Contact(campaign_id=campaign.id, list_id=kept.id, line=line + 1, phone=read.e164, next_at=now)
    session.add(made)
    session.flush()
    return made


def _locked(session: Session, contact_id: int) -> Contact:
    return session.get_one(Contact, contact_id, with_for_update=ROW_LOCK, populate_existing=True)


def _may_be_dialled(session: Session, contact: Contact, now: datetime) -> None:
    """Reopen a number that was dialled by hand before; RefusedByRule for a contact that is not to be called."""
    kept = session.get_one(ContactList, contact.list_id)
    if kept.undone_at is not None:
        raise RefusedByRule(f"the list {kept.name} of this contact was taken back")
    if contact.state == "closed" and contact.closed_because == DIALLED_BY_HAND:
        contact.state, contact.next_at, contact.closed_because = "open", now, ""
    if contact.state == "closed":
        raise RefusedByRule(f"the contact is closed: {contact.closed_because or 'no reason was kept'}")
    if contact.state == "live":
        offered = session.scalar(select(Offer.id).where(Offer.contact_id == contact.id, Offer.state == "open"))
        raise RefusedByRule(
            "the contact is offered to an agent now" if offered else "the contact is being called, or spoken with, now"
        )


def sentence(proof: rules.Proof) -> str:
    """Return why the gate refused, as it is said to whoever wanted the call. Only of a proof that has a refusal."""
    refusal = proof.refusal
    assert refusal is not None
    return refusal.why


def told(made: Attempt, agent: Agent, campaign: Campaign) -> Dialled:
    """Return the order as whoever wanted the call is told of it."""
    return Dialled(made.ref, made.id, made.contact_id, made.number, called(agent), campaign.name)
