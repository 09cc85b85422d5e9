"""Why a call was not answered: SIP's status and Asterisk's cause in our words.

The status (`tech_cause`) says more and goes first; older Asterisks give only the cause. A telephone that is switched
off and one that rang until its network gave up both end with 480: which it was is told by whether it rang.
"""

from dialer.pbx.base import CallOutcome

_O = CallOutcome
Outcomes = tuple[CallOutcome, CallOutcome | None]  # what it was, and what instead when the phone had not rung

_BY_STATUS: dict[int, CallOutcome] = {
    **dict.fromkeys((486, 600), _O.BUSY),
    **dict.fromkeys((401, 403, 407, 603, 607, 608), _O.REJECTED),
    **dict.fromkeys((404, 410, 484, 485, 604), _O.INVALID),
    **dict.fromkeys((408, 480), _O.NO_ANSWER),
    **dict.fromkeys((500, 502, 503, 504, 580), _O.NO_LINES),
}
_BY_CAUSE: dict[int, CallOutcome] = {
    17: _O.BUSY,
    21: _O.REJECTED,
    **dict.fromkeys((1, 22, 28), _O.INVALID),
    **dict.fromkeys((18, 19), _O.NO_ANSWER),
    20: _O.UNAVAILABLE,
    **dict.fromkeys((27, 34, 38, 42, 44, 102), _O.NO_LINES),
}


def refused_by_far_end(cause: int | None, status: int | None) -> Outcomes:
    """Read the end of a call that the far end would not take."""
    outcome = _outcome(cause, status)
    switched_off = status == 480 or (status is None and cause == 19)
    return outcome, _O.UNAVAILABLE if switched_off else None


def ended_unanswered(cause: int | None, status: int | None) -> Outcomes:
    """Read the end of a call that nobody answered and, as far as it tells, nobody refused: mostly our own time-out."""
    outcome = _outcome(cause, status)
    # Asterisk says 480 of its own time-out, too. A trunk that said nothing at all is not the customer's doing.
    return outcome, _O.NO_LINES if outcome is _O.NO_ANSWER else None


def _outcome(cause: int | None, status: int | None) -> CallOutcome:
    if status is not None and status in _BY_STATUS:
        return _BY_STATUS[status]
    if status is not None and status >= 300:
        return _O.UNKNOWN
    return _BY_CAUSE.get(cause or 0, _O.UNKNOWN)
