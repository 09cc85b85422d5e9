"""Where each agent is in their work: the dialer's own record, moved by people, calls and presence.

Every change of state goes through `move`, which writes the ledger; occupancy is counted from there. The caller
owns the transaction and holds the agent's row lock (`locked`). Locks are taken attempt, leg, agent, in that
order, so nobody waits for somebody who waits for them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import ledger, reserving, staying
from campaigns.agent_states import AWAY, ON_THE_LINE
from campaigns.db import ROW_LOCK, ROW_LOCK_OR_SKIP
from campaigns.models import Agent, AgentLeg, Campaign, CampaignAgent
from campaigns.pbx_commands import order_hang_up
from dialer.errors import BadInput, NotFound
from dialer.pacing.staying import LONGEST
from dialer.pbx.base import PbxUser, Presence

# Set in `session.info` when somebody was parked: a customer may be waiting for just that.
PARKED = "somebody was parked"
# The PBX shows these of its own accord while a call rings or runs: they say nothing about the person.
_ON_A_CALL = (Presence.BUSY, Presence.RINGING)
# After a call that went wrong, no new parking call for so long: a phone must not ring without end.
PARKING_REST = timedelta(seconds=2)
# Who tells the PBX of a wrap-up has done so by then.
SHOWN_AWAY_BY = timedelta(seconds=10)
# Who has told it before, and so long after a talk is shown available: it was too short to be seen, or there was none.
TOO_SHORT_TO_SEE = timedelta(seconds=5)
# A phone that was busy, on a PBX that shows its user available all the same, is tried again no sooner than this.
BUSY_REST = timedelta(seconds=15)


def locked(session: Session, agent_id: int) -> Agent:
    """Return the agent with the row locked; NotFound when there is none."""
    agent = session.get(Agent, agent_id, with_for_update=ROW_LOCK, populate_existing=True)
    if agent is None:
        raise NotFound(f"there is no agent {agent_id}")
    return agent


def move(
    session: Session,
    agent: Agent,
    state: str,
    *,
    now: datetime,
    who: str,
    reason: str = "",
    said_by: str = "dialer",
    until: datetime | None = None,
) -> None:
    """Put the agent into `state` and write it down. `until` is the state's deadline, if it has one."""
    if state == agent.state and reason == agent.reason:
        agent.until = until
        return
    ledger.record(
        session,
        at=now,
        kind="agent",
        who=who,
        campaign_id=agent.campaign_id,
        agent_id=agent.id,
        why=reason,
        **_change(agent, state, now),
    )
    for column, value in fields(state, reason=reason, said_by=said_by, now=now, until=until).items():
        setattr(agent, column, value)
    if state == "parked":
        session.info[PARKED] = True
    reserving.moved(session, agent, now=now)
    if state in ("ready", *AWAY):
        agent.campaign_id = None


def fields(
    state: str, *, now: Any, reason: str = "", said_by: str = "dialer", until: datetime | None = None
) -> dict[str, Any]:
    """What an agent's row holds once the agent has come into `state`; `now` may be an expression of SQL."""
    return {
        "state": state,
        "reason": reason,
        "said_by": said_by,
        "since": now,
        "until": until,
        "presence_left": False,
    }


def _change(agent: Agent, state: str, now: datetime) -> dict[str, Any]:
    return {"from": agent.state, "to": state, "seconds": round((now - agent.since).total_seconds(), 3)}


# What people say -----------------------------------------------------------------------------------------


def login(session: Session, agent_id: int, *, now: datetime, who: str) -> Agent:
    """The agent starts work. Harmless when already at work; a paused agent stays paused."""
    agent = locked(session, agent_id)
    agent.wanted = agent.wanted_reason = ""
    if agent.state == "out":
        move(session, agent, "ready", now=now, who=who, said_by="person")
    return agent


def logout(session: Session, agent_id: int, *, now: datetime, who: str) -> Agent:
    """The agent goes home: at once, after the customer now on the line, or when no call that may not be lost rings."""
    return _leave(session, agent_id, "out", "", now=now, who=who)


def pause(session: Session, agent_id: int, *, reason: str, now: datetime, who: str) -> Agent:
    """The agent takes no more calls until `ready`: as soon as they may go, as at `logout`."""
    if not reason.strip():
        raise BadInput("a pause needs a reason, for example --reason lunch")
    return _leave(session, agent_id, "paused", reason.strip(), now=now, who=who)


def ready(session: Session, agent_id: int, *, now: datetime, who: str) -> Agent:
    """The agent takes calls again: ends a pause or a wrap-up, and takes back a wish to leave."""
    agent = locked(session, agent_id)
    agent.wanted = agent.wanted_reason = ""
    if agent.state in ("paused", "wrap_up", "out"):
        agent.not_before = None
        move(session, agent, "ready", now=now, who=who, said_by="person")
        agent.idle_since = agent.idle_since or now
    return agent


def _leave(session: Session, agent_id: int, state: str, reason: str, *, now: datetime, who: str) -> Agent:
    staying.one_at_a_time(session, staying.serves(session, [agent_id]))
    asked = session.get(Agent, agent_id, populate_existing=True)
    must_stay = asked is not None and asked.state in ON_THE_LINE and staying.needed(session, asked, now)
    leg = _open_leg(session, agent_id)
    agent = locked(session, agent_id)
    if agent.state in ("assigned", "talking"):
        agent.wanted, agent.wanted_reason = state, reason
        return agent
    if agent.state in ON_THE_LINE and must_stay:
        if not agent.wanted:  # who asks again goes no later for it
            agent.until = now + timedelta(seconds=LONGEST)
        agent.wanted, agent.wanted_reason = state, reason
        return agent
    agent.wanted = agent.wanted_reason = ""
    move(session, agent, state, now=now, who=who, reason=reason, said_by="person")
    if leg is not None:
        order_hang_up(session, leg, now=now)
    return agent


# What calls say ------------------------------------------------------------------------------------------


def leave_customer(session: Session, agent: Agent, *, now: datetime, wrap_up_limit: float) -> None:
    """A conversation is over: wrap-up, or what the agent asked for meanwhile."""
    agent.idle_since = None
    if agent.wanted:
        _as_wanted(session, agent, now)
    else:
        until = now + timedelta(seconds=wrap_up_limit)
        move(session, agent, "wrap_up", now=now, who="dialer", until=until)


def lose_leg(session: Session, agent: Agent, *, now: datetime, reason: str, by_agent: bool, busy: bool = False) -> None:
    """The agent's parking call is gone. Who hung up, or did not answer, is paused: an empty seat must not
    get a customer, and a phone must not ring without end. Otherwise the agent is parked anew in a moment.

    `busy`: the phone had another call on it, which is not ours: its end is seen by presence."""
    if agent.wanted:
        _as_wanted(session, agent, now)
    elif busy:
        agent.not_before = now + BUSY_REST
        move(session, agent, "paused", now=now, who="dialer", reason=reason, said_by="presence")
    elif by_agent:
        move(session, agent, "paused", now=now, who="dialer", reason=reason)
    else:
        agent.not_before = now + PARKING_REST
        move(session, agent, "ready", now=now, who="dialer", reason=reason)


def back_to_parked(session: Session, agent: Agent, *, now: datetime) -> None:
    """The customer went before the join; the agent still waits on the line."""
    if agent.wanted:
        leg = _open_leg(session, agent.id, lock=False)
        _as_wanted(session, agent, now)
        if leg is not None:
            order_hang_up(session, leg, now=now)
    else:
        move(session, agent, "parked", now=now, who="dialer")


def back_to_ready(session: Session, agent: Agent, *, now: datetime, rest: timedelta, pause: str = "") -> None:
    """A call that rang the agent first has reached nobody: the agent waits for the next, or is paused because of it."""
    if agent.wanted:
        _as_wanted(session, agent, now)
    elif pause:
        move(session, agent, "paused", now=now, who="dialer", reason=pause)
    else:
        agent.not_before = now + rest
        agent.idle_since = agent.idle_since or now
        move(session, agent, "ready", now=now, who="dialer")


def let_go(session: Session, now: datetime) -> int:
    """Let those go who stayed on the line for calls that rang, and are needed no more or long enough; how many.

    To be called before the transaction locks any row.
    """
    asked = select(Agent.id).where(Agent.state.in_(ON_THE_LINE), Agent.wanted != "").order_by(Agent.until, Agent.id)
    waiting = session.scalars(asked).all()
    staying.one_at_a_time(session, staying.serves(session, waiting))
    gone = 0
    for agent_id in waiting:
        leg = _open_leg(session, agent_id)
        agent = locked(session, agent_id)
        if agent.state not in ON_THE_LINE or not agent.wanted:
            continue
        if agent.until is not None and agent.until > now and staying.needed(session, agent, now):
            continue
        _as_wanted(session, agent, now)
        if leg is not None:
            order_hang_up(session, leg, now=now)
        session.flush()  # the next one asks how many are left
        gone += 1
    return gone


def _as_wanted(session: Session, agent: Agent, now: datetime) -> None:
    state, reason = agent.wanted, agent.wanted_reason
    agent.wanted = agent.wanted_reason = ""
    move(session, agent, state, now=now, who="dialer", reason=reason, said_by="person")


# What the passing of time and the PBX's presence say -----------------------------------------------------


def end_wrap_ups(session: Session, now: datetime) -> int:
    """End every wrap-up whose limit is over; returns how many."""
    due = session.scalars(
        select(Agent)
        .where(Agent.state == "wrap_up", Agent.until <= now)
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    ).all()
    for agent in due:
        if agent.presence in _ON_A_CALL and agent.presence_at is not None and agent.presence_at > agent.since:
            # Seen on a call since the customer left: somebody called in, and the agent works for them now.
            why = f"PBX shows {agent.presence}"
            move(session, agent, "paused", now=now, who="presence", reason=why, said_by="presence")
            continue
        move(session, agent, "ready", now=now, who="dialer", reason="wrap-up limit", said_by="presence")
        agent.idle_since = now
    return len(due)


def apply_presence(
    session: Session,
    pbx: str,
    users: Sequence[PbxUser],
    *,
    now: datetime,
    login_by_presence: bool,
    asked_at: datetime | None = None,
    tellers: set[int] | None = None,
) -> None:
    """Correct our record by what the PBX shows of its users, asked for at `asked_at` and read at `now`.

    Calls are believed before presence, which may lag; so nobody on a call of ours is touched here. `tellers` are
    the agents who were seen to tell the PBX of their wrap-ups; the caller keeps the set, and new ones are added.
    """
    seen = {user.id: user for user in users}
    wanted_at_work = set(
        session.scalars(
            select(CampaignAgent.agent_id)
            .join(Campaign, Campaign.id == CampaignAgent.campaign_id)
            .join(Agent, Agent.id == CampaignAgent.agent_id)
            .where(Agent.pbx == pbx, Campaign.state == "running")
        )
    )
    for agent_id, user in _to_correct(session, pbx, seen, wanted_at_work):
        # Locked one by one and passed over when busy: an answered customer may be choosing this very agent.
        agent = session.get(Agent, agent_id, with_for_update=ROW_LOCK_OR_SKIP, populate_existing=True)
        if agent is None or (asked_at is not None and agent.said_by == "person" and agent.since > asked_at):
            continue  # busy; or they said something since the PBX was asked, which this is too old to contradict
        agent.presence = str(user.presence if user else Presence.UNKNOWN)
        agent.presence_at = now
        if user is not None:
            agent.name, agent.extension = user.name or agent.name, user.extension or agent.extension
        at_work = login_by_presence and agent.id in wanted_at_work
        overdue = (asked_at or now) - agent.since >= TOO_SHORT_TO_SEE and agent.id in (tellers or ())
        back = _correct(session, agent, Presence(agent.presence), now=now, may_log_in=at_work, overdue=overdue)
        if back and tellers is not None:
            tellers.add(agent.id)


def may_come_back(session: Session, pbx: str, now: datetime) -> bool:
    """Whether somebody is in a wrap-up whose end the PBX may show any moment.

    Whom it has not shown away for a while shows it nothing of wrap-ups: the limit ends theirs.
    """
    shown_away = Agent.presence_left | (Agent.since > now - SHOWN_AWAY_BY)
    query = select(Agent.id).where(Agent.pbx == pbx, Agent.state == "wrap_up", shown_away).limit(1)
    return session.scalar(query) is not None


def _to_correct(
    session: Session, pbx: str, seen: Mapping[str, PbxUser], at_work: set[int]
) -> list[tuple[int, PbxUser | None]]:
    """The agents presence has something to say about: mostly none, so that a poll writes next to nothing."""
    rows = session.execute(
        select(Agent.id, Agent.user_id, Agent.presence, Agent.name, Agent.extension, Agent.state)
        .where(Agent.pbx == pbx)
        .order_by(Agent.id)
    ).all()
    found: list[tuple[int, PbxUser | None]] = []
    for row in rows:
        user = seen.get(row.user_id)
        shown = str(user.presence if user else Presence.UNKNOWN)
        known = user is None or (user.name or row.name, user.extension or row.extension) == (row.name, row.extension)
        here = shown == Presence.AVAILABLE
        moves = row.state in ("paused", "wrap_up") or (row.state == "ready" and not here)
        if shown != row.presence or not known or moves or (row.state == "out" and here and row.id in at_work):
            found.append((row.id, user))
    return found


def _correct(
    session: Session, agent: Agent, presence: Presence, *, now: datetime, may_log_in: bool, overdue: bool
) -> bool:
    """Move one agent as presence says; whether somebody came back from wrap-up by their own sign."""
    here = presence is Presence.AVAILABLE
    if not here and presence not in _ON_A_CALL:
        agent.presence_left = True
    came_back = here and agent.presence_left
    if agent.state == "out" and here and agent.said_by == "presence" and may_log_in:
        move(session, agent, "ready", now=now, who="presence", said_by="presence")
        agent.idle_since = now
    elif agent.state == "ready" and not here:
        move(session, agent, "paused", now=now, who="presence", reason=f"PBX shows {presence}", said_by="presence")
    elif agent.state == "paused" and here and (agent.said_by == "presence" or _may_return(agent, came_back)):
        move(session, agent, "ready", now=now, who="presence", said_by="presence")
    elif agent.state == "wrap_up" and (came_back or (here and overdue)):
        reason = "back from wrap-up" if came_back else "no wrap-up to be seen"
        move(session, agent, "ready", now=now, who="presence", reason=reason, said_by="presence")
        agent.idle_since = now
        return came_back
    return False


def _may_return(agent: Agent, came_back: bool) -> bool:
    """Whom the dialer paused (hung up while parked, did not answer) returns by showing a sign of life."""
    return agent.said_by == "dialer" and came_back


def send_home(session: Session, *, now: datetime) -> int:
    """Send agents home whose campaigns no longer run, if only presence had logged them in; returns how many."""
    running = (
        select(CampaignAgent.agent_id)
        .join(Campaign, Campaign.id == CampaignAgent.campaign_id)
        .where(Campaign.state.in_(("running", "paused")))
    )
    idle = session.scalars(
        select(Agent)
        .where(Agent.state.in_(("ready", "paused")), Agent.said_by != "person", ~Agent.id.in_(running))
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    ).all()
    for agent in idle:
        move(session, agent, "out", now=now, who="dialer", reason="no campaign runs", said_by="presence")
    return len(idle)


def _open_leg(session: Session, agent_id: int, *, lock: bool = True) -> AgentLeg | None:
    query = select(AgentLeg).where(AgentLeg.agent_id == agent_id, AgentLeg.ended_at.is_(None))
    return session.scalars(query.with_for_update(**ROW_LOCK) if lock else query).one_or_none()
