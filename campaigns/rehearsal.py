"""Live one call through before there is one, so that the first customer is served as fast as any.

A process builds each statement when it first asks it. With the first agents parked and their first customers
answering at once, that made those customers wait for up to half a second. So the whole of it is lived here once, on a
PBX nobody has, in a transaction that is undone: nothing is sent, nobody sees its rows, nothing is left of them.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from campaigns import pbx_commands, placing, reactions
from campaigns.application import Application
from campaigns.call_rows import unhandled
from campaigns.db import database_now
from campaigns.matching import attempt_ref, leg_ref
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, CampaignAgent, Contact, ContactList, LoggedEvent
from dialer.calls import CallState
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role

log = structlog.get_logger(__name__)

# Ofcom keeps 01632 960xxx for drama: they ring nobody. A number may be called once at a time, so each rehearsal has its
# own, of more digits than any has.
CALLER_ID = "+441632960001"
NUMBER = "+441632960{:06}"


def _told(heard: Heard, role: Role, leg: str, outcome: CallOutcome | None = None) -> CallEvent:
    return CallEvent(heard, "rehearsal", role=role, call_id=leg[0], leg_id=leg, outcome=outcome)


_AGENT_PARKS = (_told(Heard.ANSWERED, Role.AGENT, "a1"), _told(Heard.ANSWERED, Role.WAITING, "a2"))
_CUSTOMER_ANSWERS = (
    _told(Heard.RINGING, Role.CUSTOMER, "c1"),
    _told(Heard.ANSWERED, Role.CUSTOMER, "c1"),
    _told(Heard.ANSWERED, Role.RECEPTION, "c2"),
)
_THEY_TALK = (_told(Heard.BRIDGED, Role.AGENT, "c1"),)
_IT_IS_OVER = (_told(Heard.LEFT, Role.CUSTOMER, "c1"), _told(Heard.ENDED, Role.OTHER, "c1", CallOutcome.OK))


def rehearse(application: Application) -> bool:
    """Live a call through and undo it; whether it came to its end. What is in the way is logged, and does no harm."""
    try:
        with application.sessions() as session:
            try:
                ended = live_through(session, secrets.token_hex(4))
            finally:
                session.rollback()
        placing.place(application, attempt_ref("rehearsal", 0))  # of no call
        pbx_commands.perform(application, 0)  # of no command
    except Exception as exc:  # the first customers wait a little longer, that is all
        log.warning("the rehearsal was broken off", kind=type(exc).__name__)
        return False
    return ended is CallState.COMPLETED


def live_through(session: Session, name: str) -> CallState:
    """Write all that one answered call needs, and live it to its end, which is returned; the caller undoes it."""
    now = database_now(session)
    attempt, leg = _written(session, f"rehearsal-{name}", NUMBER.format(secrets.randbelow(1_000_000)), now)
    _hear(session, leg, _AGENT_PARKS, now)
    for told in (_CUSTOMER_ANSWERS, _THEY_TALK, _IT_IS_OVER):
        _hear(session, attempt, told, now)
    return CallState(attempt.state)


def _hear(session: Session, call: Attempt | AgentLeg, told: Sequence[CallEvent], now: datetime) -> None:
    """Bring a call up to date as `reactions.react` does, but for reading what a PBX writes."""
    session.add(LoggedEvent(pbx=call.pbx, ref=call.ref, method="GET", query=""))
    session.flush()
    locked = reactions.locked_call(session, call.ref)
    assert locked is not None
    logged = unhandled(session, call.pbx, ref=call.ref)
    for event in told:
        reactions.apply_event(session, locked, event, at=now, now=now)
    for row in logged:
        row.handled_at = now
    reactions.follow_up(session, locked, now=now)
    session.flush()


def _written(session: Session, name: str, number: str, now: datetime) -> tuple[Attempt, AgentLeg]:
    """A call that rings, and the leg of an agent whose phone does."""
    campaign = Campaign(
        name=name, pbx=name, mode="predictive", state="running", country="GB", time_zone="Europe/London"
    )
    campaign.hours, campaign.caller_id, campaign.started_at = "always", CALLER_ID, now
    agent = Agent(pbx=name, user_id="1", name=name, state="parking", since=now, presence="available", presence_at=now)
    session.add_all((campaign, agent))
    session.flush()
    contacts = ContactList(campaign_id=campaign.id, name=name, kind="contacts")
    session.add_all((contacts, CampaignAgent(campaign_id=campaign.id, agent_id=agent.id)))
    session.flush()
    contact = Contact(campaign_id=campaign.id, list_id=contacts.id, line=2, phone=number, state="live")
    session.add(contact)
    session.flush()
    placed = {"pbx": name, "state": CallState.PLACED, "ordered_at": now, "not_after": now, "sent_at": now}
    leg = AgentLeg(ref=leg_ref(name, 1), agent_id=agent.id, campaign_id=campaign.id, **placed)
    attempt = Attempt(
        ref=attempt_ref(name, 1),
        campaign_id=campaign.id,
        contact_id=contact.id,
        number=number,
        gateway=name,
        caller_id=CALLER_ID,
        attempt_no=1,
        fence=0,
        proof={},
        answer_limit=campaign.answer_limit,
        rule_pack=campaign.rule_pack,
        mode=campaign.mode,
        **placed,
    )
    session.add_all((leg, attempt))
    session.flush()
    return attempt, leg
