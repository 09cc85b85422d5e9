"""What an agent says of themselves: to the dialer, and to a PBX that shows it on their phone.

The dialer's own record is what calls are given by. The PBX is told beside it; what it objects to is said and changes
nothing here, for its presence is read anyway. Who stops is stopped here first; who begins is shown there first, or
presence would find them away and take them back.
"""

from dataclasses import dataclass
from typing import Any

from campaigns import agents, phones, quiet_calls
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent
from dialer.errors import PbxError
from dialer.pbx.callback_lists import HearsAgents

_BEGINS = ("login", "ready")


@dataclass(frozen=True, slots=True)
class Said:
    """The agent after their word, and what the PBX objected to, if it was told and did."""

    agent: Agent
    objection: str = ""


def say(application: Application, agent_id: int, verb: str, *, who: str, **more: Any) -> Said:
    """Take an agent's word (login, logout, pause, ready); each step is a transaction of its own."""
    reason = str(more.get("reason", ""))
    objection = tell(application, agent_id, verb, reason) if verb in _BEGINS else ""
    with application.transaction() as session:
        now = database_now(session)
        if verb == "ready":
            quiet_calls.over_by_word(session, agent_id)
            phones.free_by_word(session, agent_id, timing=application.settings.timing, now=now)
        after: Agent = getattr(agents, verb)(session, agent_id, now=now, who=who, **more)
    if verb in _BEGINS:
        return Said(after, objection)
    if verb == "logout" and after.wanted == "out":
        # Logged out there, the phone would leave its call's agent in the middle of it.
        objection = tell(application, agent_id, "pause", "logout")
        return Said(after, objection or "the PBX shows a pause until then; say logout again after the call")
    return Said(after, tell(application, agent_id, verb, reason))


def tell(application: Application, agent_id: int, verb: str, reason: str = "") -> str:
    """Tell the agent's PBX, if it hears such words; what it objects to, empty when nothing."""
    with application.transaction() as session:
        agent = session.get_one(Agent, agent_id)
        name, user_id, phone = agent.pbx, agent.user_id, agent.extension or agent.user_id
    pbx = application.pbxes.get(name)
    if not isinstance(pbx, HearsAgents) or not pbx.hears_agents:
        return ""
    try:
        pbx.tell_agent(user_id, verb, phone=phone, reason=reason)
    except PbxError as exc:
        return exc.why
    return ""
