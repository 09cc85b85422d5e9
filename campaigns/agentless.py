"""Calls with no agent behind them: whoever answers hears the recorded message, at once and in full.

Nobody was promised an agent, so such an answer is no abandoned call: these attempts are kept out of D and L, and
counted apart. What happens at the deadline (an event with the leg's id was lost) is in `limits.run_out`.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import ledger, pbx_commands
from campaigns.models import Attempt
from dialer.calls import CallState, Signal, advance

NO_PROOF = "no event told that the message began"


def play(session: Session, attempt: Attempt, *, now: datetime) -> list[int]:
    """Order the message for somebody who has answered; returns the command to send after the commit.

    The caller holds the attempt's lock, and has seen that the person is on the line and can be told of.
    """
    attempt.message_at = now
    attempt.state = advance(CallState(attempt.state), Signal.MESSAGE)
    ledger.record(
        session,
        at=now,
        kind="message",
        who="dialer",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        why="agentless: the message is what this call is for",
        rule_pack=attempt.rule_pack,
    )
    command = pbx_commands.order_message(session, attempt, now=now)
    return [command] if command is not None else []
