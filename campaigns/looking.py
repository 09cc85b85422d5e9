""" "Look at this call": what every queue message, second look and sweep comes down to.

One transaction per call, then its commands, then whatever those brought about. Running any of it twice is
harmless: events are handled once, commands are claimed once.
"""

from collections.abc import Sequence

from campaigns import assigning, pbx_commands, reactions
from campaigns.agents import PARKED
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import AgentLeg

# A join may be refused and another agent tried; more often than this it is not the agent's fault.
MOST_TRIES = 5


def look(application: Application, pbx: str, ref: str | None, call_id: str | None, *, hurry: bool = False) -> None:
    """Bring one call up to date and do what follows from it."""
    adapter = application.pbxes.get(pbx)
    if adapter is None:
        return  # taken out of the settings; the rows stay for when it comes back
    with application.transaction(hurry=hurry) as session:
        commands = reactions.react(session, adapter, ref, call_id, now=database_now(session))
        parked, others = PARKED in session.info, session.info.get(reactions.TOLD_OF, ())
    carry_out(application, commands)
    for other in others:
        look(application, pbx, other, None)
    if parked:
        serve_waiting(application, pbx)


def carry_out(application: Application, commands: Sequence[int]) -> None:
    """Send commands; a join that fell through lets the customer be offered to the next agent."""
    queue = list(commands)
    for _ in range(MOST_TRIES):
        if not queue:
            return
        again: list[int] = []
        for command_id in queue:
            done = pbx_commands.perform(application, command_id)
            if done is not None and done.kind == "join" and done.state in ("refused", "not_sent"):
                again += serve(application, done.ref)
        queue = again


def serve(application: Application, ref: str, *, hurry: bool = False) -> list[int]:
    """Offer one waiting customer to the agents; returns the commands to send."""
    with application.transaction(hurry=hurry) as session:
        call = reactions.locked_call(session, ref)
        if call is None or isinstance(call, AgentLeg):
            return []
        return assigning.serve(session, call, now=database_now(session))


def serve_waiting(application: Application, pbx: str | None = None) -> None:
    """Offer every waiting customer to the agents: somebody may have been parked this instant."""
    with application.transaction() as session:
        refs = assigning.waiting(session, pbx=pbx)
    for ref in refs:
        carry_out(application, serve(application, ref))
