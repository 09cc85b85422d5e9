"""Whom a conformance run may call: the operator's own phones, and none that a rule or a campaign keeps.

There is no contact and no campaign, so hours, caps and gaps do not apply: the one who is rung has just said so. The
do-not-call lists, erasures, open calls and agents at work do.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from campaigns import do_not_call, forgotten, ledger
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Campaign, CampaignPbx
from dialer.conformance.phones import Phones
from dialer.conformance.probe import Probe
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.numbers import mask, require
from dialer.pbx.base import PbxUser
from dialer.pools import REMOVED

_ANYWHERE = "US"  # numbers are given with their country code, so none is assumed


def own_number(text: str, option: str) -> str:
    """Read a number given on the command line: E.164, with plus and country code, so that nobody guesses a country."""
    if not text.strip().startswith("+"):
        raise BadInput(f"{option} {text[:30]!r}: write it with plus and country code, +39...; nothing is guessed here")
    return require(text, _ANYWHERE, option).e164


def own_agents(users: Sequence[PbxUser], wanted: Sequence[str]) -> tuple[PbxUser, ...]:
    """Find the operator's agents among the PBX's users, by extension or id; NotFound names some there are."""
    found = []
    for text in wanted:
        same = [user for user in users if text in (user.extension, user.id)]
        exact = [user for user in same if user.extension == text] or same
        if not exact:
            some = ", ".join(user.extension for user in users[:10]) or "none"
            raise NotFound(f"--own-agent {text[:30]}: the PBX lists no such agent (there are: {some})")
        found.append(exact[0])
    return tuple(found)


def refuse_what_is_kept(session: Session, pbx: str, phones: Phones) -> None:
    """RefusedByRule when one of these phones may not be rung now. Asked once before the plan, and before each call."""
    for number in [*phones.numbers, *([phones.wrong] if phones.wrong else [])]:
        _number(session, number)
    for user in phones.agents:
        _agent(session, pbx, user.id)


def gatekeeper(application: Application, pbx: str, who: str) -> Callable[[Probe], None]:
    """Return what asks the rules before each call, and writes down the ones that are made."""

    def allow(probe: Probe) -> None:
        with application.transaction() as session:
            if probe.number:
                _number(session, probe.number)
            if probe.user_id:
                _agent(session, pbx, probe.user_id)
            ledger.record(
                session,
                at=database_now(session),
                kind="conformance_call",
                who=who,
                why="a test of the PBX on the operator's own phones",
                pbx=pbx,
                ref=probe.ref,
                number=mask(probe.number) if probe.number else "",
                agent=probe.user_id,
            )

    return allow


def caller_id_of(session: Session, pbx: str) -> str:
    """Return the caller id of the newest campaign on this PBX; empty when there is none."""
    query = select(Campaign.caller_id).where(_calls_through(pbx)).order_by(Campaign.id.desc()).limit(1)
    return session.scalar(query) or ""


def running_on(session: Session, pbx: str) -> int:
    """Return how many campaigns run on this PBX."""
    query = select(func.count()).select_from(Campaign).where(_calls_through(pbx), Campaign.state == "running")
    return session.scalar(query) or 0


def _calls_through(pbx: str) -> ColumnElement[bool]:
    """Whether a campaign calls through this PBX, alone, as one of several, or should another be lost."""
    named = select(CampaignPbx.campaign_id).where(CampaignPbx.pbx == pbx, CampaignPbx.role != REMOVED)
    return or_(Campaign.pbx == pbx, Campaign.id.in_(named))


def _number(session: Session, number: str) -> None:
    entry = do_not_call.listed(session, number)
    if entry is not None:
        where = "all campaigns" if entry.campaign_id is None else "a campaign"
        raise RefusedByRule(
            f"{mask(number)} is on the do-not-call list of {where} (since {entry.added_at:%Y-%m-%d}): it is not "
            "called, not even for a test; give another number, or lift it with `dialer dnc remove`"
        )
    if forgotten.among(session, [number]):
        raise RefusedByRule(f"{mask(number)} is of somebody who asked to be forgotten: it is not called; give another")
    if session.scalar(select(Attempt.id).where(Attempt.number == number, Attempt.ended_at.is_(None))):
        raise RefusedByRule(f"a campaign is calling {mask(number)} just now: wait until that call is over")


def _agent(session: Session, pbx: str, user_id: str) -> None:
    phone = session.scalar(select(Agent).where(Agent.pbx == pbx, Agent.user_id == user_id))
    if phone is None:
        return
    # Whoever has phones on two PBXs is one person, at work on the one and rung on the other.
    agent = session.get_one(Agent, phone.spare_of) if phone.spare_of is not None else phone
    if agent.state == "paused" or (agent.state == "out" and not running_on(session, pbx)):
        return
    who = f"agent {phone.extension or user_id}"
    if agent is not phone:
        who += f" ({agent.name or agent.user_id}, whose other phone is on {agent.pbx})"
    raise RefusedByRule(
        f"{who} is {agent.state.replace('_', ' ')}, and a campaign may call that phone: "
        f"`dialer agent pause {agent.user_id} --pbx {agent.pbx}` first"
    )
