"""Order calls for agents who are ready, on a PBX that rings the agent's phone first and the customer's from it.

One transaction locks the agents and the contacts, asks every rule, and gives each call its agent. Promised callbacks
come first, their owners' own among them: here every call has its agent, so none needs to be kept ahead.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import callbacks, gate, giving
from campaigns.callbacks_ahead import Promised
from campaigns.due_contacts import Which
from campaigns.gate import Allowed, Author, Claim, Passed
from campaigns.lines import Lines
from campaigns.models import Agent, Campaign
from dialer.callbacks import pair
from dialer.settings import TimingSettings


def order(
    session: Session,
    campaign: Campaign,
    wanted: int,
    lines: Lines,
    claim: Claim,
    waiting: Promised,
    *,
    now: datetime,
    timing: TimingSettings,
    choose: Sequence[str] = (),
) -> Passed:
    """Write up to `wanted` attempts that pass every rule now, each for one agent. LeaseLost when the claim is void."""
    wanted = min(wanted, lines.total)
    owners = (
        giving.idle(session, campaign, wanted, now, only=waiting.owners_due, pbx=lines.pbx)
        if waiting.owners_due
        else []
    )
    taken = {agent.id for agent in owners}
    others = giving.idle(session, campaign, wanted - len(owners), now, without=taken, pbx=lines.pbx)
    possible = gate.keep_to_rate(session, campaign.id, lines, min(wanted, len(owners) + len(others)), now)
    passed = Passed()
    if possible < min(wanted, len(owners) + len(others)):
        passed.held_back.append("calls per second")
    author = Author.of(claim)
    own = {agent.id: agent for agent in owners}
    if own:
        most = min(possible, len(own))
        allowed = gate.let_through(
            session, campaign.id, most, claim, now=now, timing=timing, which=Which.OWNED, own=own, pbx=lines.pbx
        )
        used = _write(session, allowed, own, [], lines, author, passed, now=now, timing=timing)
        others = [*(agent for agent in owners if agent.id not in used), *others]
    for which in (Which.PROMISED, Which.OTHERS) if waiting.due else (Which.OTHERS,):
        most = min(possible - passed.through, len(others))
        if most <= 0:
            break
        allowed = gate.let_through(
            session, campaign.id, most, claim, now=now, timing=timing, which=which, groups=choose, rung=True,
            pbx=lines.pbx,
        )  # fmt: skip
        used = _write(session, allowed, {}, others, lines, author, passed, now=now, timing=timing)
        others = [agent for agent in others if agent.id not in used]
        passed.none_due = allowed.passed.none_due
    return passed


def _write(
    session: Session,
    allowed: Allowed,
    owners: Mapping[int, Agent],
    others: Sequence[Agent],
    lines: Lines,
    author: Author,
    passed: Passed,
    *,
    now: datetime,
    timing: TimingSettings,
) -> set[int]:
    """Write the attempts of those let through; returns the agents they were given to."""
    used: set[int] = set()
    ids = gate.new_ids(session, len(allowed.contacts))
    due = [(found, callbacks.whose(found[0], now)) for found in allowed.contacts]
    for number_id, (agent, (contact, number, proof)) in zip(ids, pair(owners, others, due), strict=False):
        gate.write(
            session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing, agent=agent,
            agent_first=True,
        )  # fmt: skip
        used.add(agent.id)
    session.flush()
    passed.refs += allowed.passed.refs
    passed.refused += allowed.passed.refused
    return used
