"""Who said no is left in peace for so many days: for laws that ask it of everybody who calls for one company.

Days are calendar days where the phone is. The day of the refusal is not one of them, so the next call is possible when
the last of them has ended, in every zone the phone may be in.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.caps import UNKNOWN_DAY
from dialer.gate import Known, Verdict, nothing_against
from dialer.rate_windows import midnight

# Meanings of an agent's word by which the person did not want what was offered, or any call.
REFUSES = ("refusal", "do-not-call")


def refusal(now: datetime, refused_at: datetime | None, rest: timedelta, zones: Sequence[str], whose: str) -> Verdict:
    """Refuse a person who said no to any campaign less than `rest` (whole days) ago. `whose`: the law that asks it.

    `refused_at`: the end of the last call in which they did.
    """
    asked: tuple[tuple[str, Known], ...] = ("days", rest.days), ("law", whose)
    if refused_at is None:
        return nothing_against("refusal", "the person is not known to have refused lately", *asked)
    against = {**dict(asked), "refused_at": refused_at.astimezone(UTC).isoformat()}
    until = rest_ends(refused_at, rest, zones)
    if now < until:
        why = f"the person said no on {refused_at.astimezone(UTC):%Y-%m-%d}; {whose} leaves them in peace"
        return Verdict(False, "refusal", f"{why} for {rest.days} days", until=until, against=against)
    return Verdict(True, "refusal", "the days of peace after a refusal are over", against=against)


def rest_ends(refused_at: datetime, rest: timedelta, zones: Sequence[str]) -> datetime:
    """Return the first moment at which the days after a refusal are over in all zones; strict where one is unknown."""
    try:
        known = [ZoneInfo(zone) for zone in zones]
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = []
    if not known:
        return refused_at.astimezone(UTC) + rest + UNKNOWN_DAY
    return max(midnight(refused_at, zone, days=rest.days + 1) for zone in known)
