"""After this outcome, when is this contact tried again, and when is it left in peace.

Two counts are kept apart. The *cap* is for the person: it counts attempts that may have rung. What never rang
(no free line, refused by the PBX, never sent) costs the person nothing, so it costs them no attempt either, and
is tried again soon, each time a little later.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from dialer.calls import FINAL, CallState

REACHED = "reached"
MESSAGE_PLAYED = "message played"
ATTEMPTS_USED_UP = "attempts used up"
UNREACHABLE = "unreachable"
REFUSED_BY_PBX = "refused by the PBX every time"

# Nothing rang. A lost or failed call may have rung, so it counts: the doubt goes to the person.
NEVER_RANG = (CallState.NO_LINES, CallState.REFUSED, CallState.EXPIRED)


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How long to wait, in seconds, after each kind of end. `of` derives them from a campaign's delay."""

    delay: float = 3_600.0  # no answer, hung up, unavailable, failed, lost
    busy: float = 600.0  # somebody is at the phone
    rejected: float = 7_200.0  # somebody said no to this call: leave them longer
    rest: float = 72 * 3_600.0  # after an abandoned call, by the rule pack
    soon: float = 60.0  # nothing rang; doubled for each time in a row
    soon_most: float = 3_600.0
    unavailable_most: int = 2  # times one number is found unavailable before it is believed
    refused_most: int = 12  # times in a row the PBX refuses: with the waits above, some seven hours

    @classmethod
    def of(cls, retry_delay: float, *, rest: timedelta | None = None) -> "RetryRules":
        """Return the rules of a campaign whose ordinary delay is `retry_delay` seconds."""
        usual = cls()
        return cls(
            delay=retry_delay,
            busy=min(retry_delay, usual.busy),
            rejected=2 * retry_delay,
            rest=usual.rest if rest is None else rest.total_seconds(),
            soon=min(retry_delay, usual.soon),
            soon_most=min(retry_delay, usual.soon_most),
        )


@dataclass(frozen=True, slots=True)
class Next:
    """When a contact is tried again, or why it is closed: exactly one of the two is given."""

    at: datetime | None
    closed_because: str = ""
    other_number: bool = False  # try the contact's other number then
    why: str = ""


def counts_against_cap(state: CallState) -> bool:
    """Whether an attempt that ended so may have rung, and so used up one of the person's attempts."""
    return state not in NEVER_RANG


def after(
    outcome: CallState,
    *,
    attempt_no: int,
    max_attempts: int,
    now: datetime,
    rules: RetryRules,
    has_other_number: bool = False,
    on_other_number: bool = False,
    unavailable_times: int = 1,
    never_rang_in_a_row: int = 1,
) -> Next:
    """Say what happens to a contact after an attempt ended as `outcome`.

    `attempt_no`: this attempt's number, from 1, among those of the contact that count against the cap; one that
    never rang gives its number back to the next.
    `has_other_number`, `on_other_number`: the contact has a second number; this attempt was made to it.
    `unavailable_times`: how often this number was found unavailable, this time included.
    `never_rang_in_a_row`: attempts in a row, this one included, that never rang.
    """
    if outcome not in FINAL:
        raise ValueError(f"an attempt that is still {outcome} has no next one")
    if outcome is CallState.COMPLETED:
        return _close(REACHED, "an agent spoke with this contact")
    if outcome is CallState.PLAYED:
        return _close(MESSAGE_PLAYED, "this contact answered and heard the recorded message")
    if outcome is CallState.REFUSED and never_rang_in_a_row >= rules.refused_most:
        return _close(REFUSED_BY_PBX, f"the PBX refused the order {never_rang_in_a_row} times in a row")
    other = outcome is CallState.UNAVAILABLE and has_other_number and not on_other_number
    if outcome is CallState.UNAVAILABLE and not other and unavailable_times >= rules.unavailable_most:
        return _close(UNREACHABLE, f"the number could not be reached {unavailable_times} times")
    if counts_against_cap(outcome) and attempt_no >= max_attempts:
        return _close(ATTEMPTS_USED_UP, f"all {max_attempts} attempts are used up")
    if other:
        at = now + timedelta(seconds=rules.soon)
        return Next(at, other_number=True, why="the number could not be reached; the other one is tried")
    wait, why = _wait(outcome, rules, never_rang_in_a_row)
    return Next(now + timedelta(seconds=wait), why=why)


def _close(because: str, why: str) -> Next:
    return Next(None, closed_because=because, why=why)


def _wait(outcome: CallState, rules: RetryRules, in_a_row: int) -> tuple[float, str]:
    """Return the seconds to wait and the reason, for every end that leaves the contact open."""
    if outcome in NEVER_RANG:
        # 40 doublings are far past any limit; more would only grow the number.
        soon = min(rules.soon * 2 ** min(max(in_a_row - 1, 0), 40), rules.soon_most)
        return soon, "nothing rang: tried again soon, and it costs no attempt"
    return {
        CallState.ABANDONED: (rules.rest, "answered and met nobody: left in peace for the rest the rules ask"),
        CallState.HUNG_UP: (rules.delay, "hung up before an agent came"),
        CallState.BUSY: (rules.busy, "busy: somebody is at the phone"),
        CallState.NO_ANSWER: (rules.delay, "nobody answered"),
        CallState.REJECTED: (rules.rejected, "the call was rejected: left longer"),
        CallState.UNAVAILABLE: (rules.delay, "the number could not be reached: tried once more"),
        CallState.FAILED: (rules.delay, "the call failed, and may have rung"),
        CallState.LOST: (rules.delay, "the call was lost sight of, and may have rung"),
    }[outcome]
