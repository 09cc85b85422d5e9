"""Rows with sensible defaults: a test names only what it is about."""

from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.installation import ensure_installation
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, CampaignAgent, Contact, ContactList, Lease, PbxStatus
from dialer.calls import FINAL, CallState

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_numbers = count(1)


def campaign(session: Session, **values: object) -> Campaign:
    made = Campaign(
        **{
            "name": f"campaign-{next(_numbers)}",
            "pbx": "main",
            "mode": "progressive",
            "state": "running",
            "country": "IT",
            "time_zone": "Europe/Rome",
            "hours": "always",
            "caller_id": "+390210001000",
            "started_at": NOW,
            **values,
        }
    )
    session.add(made)
    session.flush()
    ensure_installation(session.get_bind())  # type: ignore[arg-type]
    return made


def contact_list(session: Session, of: Campaign, **values: object) -> ContactList:
    made = ContactList(**{"campaign_id": of.id, "name": "list", "kind": "contacts", **values})
    session.add(made)
    session.flush()
    return made


def contact(session: Session, of: Campaign, **values: object) -> Contact:
    number = next(_numbers)
    if "list_id" not in values:
        values["list_id"] = contact_list(session, of).id
    made = Contact(
        **{
            "campaign_id": of.id,
            "line": number + 1,
            "phone": f"+3902{10000000 + number}",
            "next_at": NOW,
            **values,
        }
    )
    session.add(made)
    session.flush()
    return made


def attempt(session: Session, of: Campaign | None = None, **values: object) -> Attempt:
    of = of or campaign(session)
    to = values.pop("contact", None) or contact(session, of, state="live", next_at=None)
    assert isinstance(to, Contact)
    number = next(_numbers)
    state = CallState(str(values.get("state", CallState.PLACED)))
    made = Attempt(
        **{
            "campaign_id": of.id,
            "contact_id": to.id,
            "pbx": of.pbx,
            "ref": f"dtest-c{number}",
            "number": to.phone,
            "gateway": "4",
            "caller_id": of.caller_id,
            "attempt_no": 1,
            "fence": 1,
            "proof": {},
            "answer_limit": of.answer_limit,
            "rule_pack": of.rule_pack,
            "state": state,
            "ordered_at": NOW,
            "not_after": NOW + timedelta(seconds=10),
            "sent_at": NOW,
            "ended_at": NOW if state in FINAL else None,
            **values,
        }
    )
    session.add(made)
    session.flush()
    return made


def agent(session: Session, of: Campaign, **values: object) -> Agent:
    number = next(_numbers)
    made = Agent(
        **{
            "pbx": of.pbx,
            "user_id": str(1000 + number),
            "name": f"Agent {number}",
            "extension": str(200 + number),
            "state": "ready",
            "since": NOW,
            "presence": "available",
            "presence_at": NOW,
            **values,
        }
    )
    session.add(made)
    session.flush()
    session.add(CampaignAgent(campaign_id=of.id, agent_id=made.id))
    session.flush()
    return made


def leg(session: Session, of: Campaign, who: Agent, **values: object) -> AgentLeg:
    number = next(_numbers)
    state = CallState(str(values.get("state", CallState.PLACED)))
    made = AgentLeg(
        **{
            "pbx": of.pbx,
            "ref": f"dtest-a{number}",
            "agent_id": who.id,
            "campaign_id": of.id,
            "state": state,
            "ordered_at": NOW,
            "not_after": NOW + timedelta(seconds=10),
            "sent_at": NOW,
            "ended_at": NOW if state in FINAL else None,
            **values,
        }
    )
    session.add(made)
    session.flush()
    return made


def parked_agent(session: Session, of: Campaign, **values: object) -> tuple[Agent, AgentLeg]:
    """An agent on the waiting IVR, with everything a join needs."""
    who = agent(session, of, **{"state": "parked", "idle_since": NOW, "campaign_id": of.id, **values})
    held = leg(
        session,
        of,
        who,
        state=CallState.HELD,
        pbx_call_id=str(9000 + who.id),
        first_leg_id=str(500 + who.id),
        answered_at=NOW,
        held_at=NOW,
    )
    return who, held


def lines(session: Session, pbx: str = "main", *, free: int = 30, read_at: datetime = NOW) -> PbxStatus:
    gateway = {"id": "4", "name": "trunk", "enabled": True, "registered": True, "lines": free, "busy_lines": 0}
    made = PbxStatus(pbx=pbx, read_at=read_at, gateways=[gateway])
    session.add(made)
    session.flush()
    return made


def lease(session: Session, of: Campaign, holder: str = "test", fence: int = 1) -> Lease:
    expires = session.execute(text("SELECT clock_timestamp() + interval '1 hour'")).scalar_one()
    made = Lease(name=f"campaign:{of.id}", holder=holder, fence=fence, expires_at=expires)
    session.add(made)
    session.flush()
    return made
