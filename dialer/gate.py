"""What is asked before a phone may ring, one small rule each; hours are in `windows`.

The rules take values and answer with a `Verdict`. The transaction that locks the rows, asks them all and
writes the attempt belongs to `campaigns`: a verdict is worth nothing unless it was taken on locked rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

Known = str | int | float | bool | None | tuple[str, ...]


class Verdict(NamedTuple):  # which is made in a fifth of the time: a gate makes a thousand
    """What one rule said, and against what. `until` is when it will say yes; None when time alone changes nothing."""

    allowed: bool
    rule: str
    why: str
    until: datetime | None = None
    against: Mapping[str, Known] = MappingProxyType({})

    @property
    def next_allowed_at(self) -> datetime | None:
        """When to ask again; None when allowed, or when waiting alone will not help."""
        return self.until

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as it is kept in the attempt's proof."""
        kept: dict[str, Any] = {"rule": self.rule, "allowed": self.allowed, "why": self.why}
        if self.until is not None:
            kept["until"] = self.until.astimezone(UTC).isoformat()
        if self.against:
            kept["against"] = {
                name: list(value) if isinstance(value, tuple) else value for name, value in self.against.items()
            }
        return kept


@lru_cache(maxsize=1024)
def nothing_against(rule: str, why: str, *against: tuple[str, Known]) -> Verdict:
    """Return the verdict on whoever a rule knows nothing of: the same for nearly everybody, so made once."""
    return Verdict(True, rule, why, against=dict(against))


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that was asked about one call, at one time: kept in the attempt's row."""

    at: datetime
    verdicts: Sequence[Verdict]

    @property
    def allowed(self) -> bool:
        """Whether every rule said yes. A proof that asked nothing proves nothing."""
        return bool(self.verdicts) and all(verdict.allowed for verdict in self.verdicts)

    @property
    def refusal(self) -> Verdict | None:
        """The first rule that said no, to show."""
        return next((verdict for verdict in self.verdicts if not verdict.allowed), None)

    @property
    def until(self) -> datetime | None:
        """When no rule would say no any more; None when allowed, or when one waits for a person."""
        waits = [verdict.until for verdict in self.verdicts if not verdict.allowed]
        known = [wait for wait in waits if wait is not None]
        return max(known) if known and len(known) == len(waits) else None

    def as_json(self) -> dict[str, Any]:
        """Return what the `proof` column keeps."""
        return {"at": self.at.astimezone(UTC).isoformat(), "rules": [verdict.as_json() for verdict in self.verdicts]}


@dataclass(frozen=True, slots=True)
class DoNotCallEntry:
    """Why a number is not to be called: the row, without its table."""

    source: str
    reason: str = ""
    everywhere: bool = True
    added_at: datetime | None = None


def do_not_call(entry: DoNotCallEntry | None) -> Verdict:
    """Refuse a number that is on the list, however old the entry is."""
    if entry is None:
        return nothing_against("do_not_call", "the number is not on the do-not-call list")
    scope = "any campaign" if entry.everywhere else "this campaign"
    since = f" since {entry.added_at:%Y-%m-%d}" if entry.added_at else ""
    reason = f": {entry.reason}" if entry.reason else ""
    return Verdict(
        False,
        "do_not_call",
        f"the number is on the do-not-call list of {scope}{since}, from {entry.source}{reason}",
        against={"source": entry.source, "everywhere": entry.everywhere},
    )


@lru_cache(maxsize=1024)
def attempt_cap(counted: int, most: int) -> Verdict:
    """Refuse a contact whose tries are used up. `counted`: earlier attempts that may have rung (see `retries`)."""
    against = {"counted": counted, "most": most}
    if counted >= most:
        return Verdict(False, "attempts", f"all {most} attempts are used up", against=against)
    return Verdict(True, "attempts", f"attempt {counted + 1} of {most}", against=against)


def number_gap(now: datetime, last_called_at: datetime | None, gap: float) -> Verdict:
    """Refuse a number that any campaign called less than `gap` seconds ago."""
    if last_called_at is None:
        return nothing_against("number_gap", "the number was not called lately", ("gap", gap))
    until = last_called_at + timedelta(seconds=gap)
    against: dict[str, Known] = {"gap": gap, "last_called_at": last_called_at.astimezone(UTC).isoformat()}
    ago = seconds_in_words(max(0.0, (now - last_called_at).total_seconds()))
    if now < until:
        why = f"the number was called {ago} ago; {seconds_in_words(gap)} must lie between two calls"
        return Verdict(False, "number_gap", why, until=until, against=against)
    return Verdict(True, "number_gap", f"the number was last called {ago} ago", against=against)


def number_open(now: datetime, since: datetime | None, whose: str, ring_seconds: float) -> Verdict:
    """Refuse a number to which a call is open, of any campaign. `whose`: of which contact it is."""
    if since is None:
        return nothing_against("number_open", "no call to the number is open")
    why = f"a call to the number is open since {since.astimezone(UTC):%H:%M:%S} UTC, for {whose}"
    return Verdict(False, "number_open", why, until=now + timedelta(seconds=ring_seconds))


def rest(now: datetime, abandoned_at: datetime | None, length: timedelta, whose: str) -> Verdict:
    """Refuse a number whose last abandoned call, by any campaign, ended less than `length` ago. `whose`: the pack."""
    asked: tuple[tuple[str, Known], ...] = ("rest", length.total_seconds()), ("pack", whose)
    if abandoned_at is None:
        return nothing_against("rest", "no call to the number was abandoned lately", *asked)
    against = {**dict(asked), "abandoned_at": abandoned_at.astimezone(UTC).isoformat()}
    until = abandoned_at + length
    if now < until:
        why = f"a call to the number was abandoned; {whose} lets it rest for {seconds_in_words(length.total_seconds())}"
        return Verdict(False, "rest", why, until=until, against=against)
    return Verdict(True, "rest", "its rest after an abandoned call is over", against=against)


@dataclass(frozen=True, slots=True)
class Agreement:
    """That a person agreed to be called: where it was given, and when, as far as it is known."""

    source: str
    at: datetime | None = None


def consent(now: datetime, needed_by: str, agreed: Agreement | None) -> Verdict:
    """Refuse a person who is not known to have agreed before now, where a law or the campaign needs that they did."""
    against: dict[str, Known] = {"needed_by": needed_by}
    if agreed is None:
        why = f"{needed_by} calls only people who agreed to it, and no consent of this one is known"
        return Verdict(False, "consent", why, against=against)
    against["source"] = agreed.source
    if agreed.at is None:
        return Verdict(
            True, "consent", f"they agreed to be called ({agreed.source or 'no source kept'})", against=against
        )
    against["at"] = agreed.at.astimezone(UTC).isoformat()
    if now < agreed.at:
        why = f"their consent holds from {agreed.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        return Verdict(False, "consent", why, until=agreed.at, against=against)
    told = f"they agreed to be called on {agreed.at:%Y-%m-%d} ({agreed.source or 'no source kept'})"
    return Verdict(True, "consent", told, against=against)


@lru_cache(maxsize=64)
def campaign_state(state: str) -> Verdict:
    """Refuse everything unless the campaign runs."""
    against: dict[str, Known] = {"state": state}
    if state != "running":
        told = "a draft" if state == "draft" else state
        return Verdict(False, "campaign", f"the campaign is {told}, not running", against=against)
    return Verdict(True, "campaign", "the campaign is running", against=against)


def not_before(now: datetime, at: datetime | None) -> Verdict:
    """Refuse a contact before its time: a retry that is not due, or a callback's hour. None: no time was set."""
    if at is None:
        return Verdict(True, "not_before", "no earliest time was set")
    against: dict[str, Known] = {"at": at.astimezone(UTC).isoformat()}
    if now < at:
        return Verdict(
            False, "not_before", f"not before {at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC", until=at, against=against
        )
    return Verdict(True, "not_before", "its time has come", against=against)


def kept_for_agent(now: datetime, agent: int, kept_for: int | None, until: datetime | None, whose: str = "") -> Verdict:
    """Refuse a promised callback that is another agent's for now: its owner's, or taken. `whose`: that agent's name."""
    if kept_for is None or kept_for == agent or until is None or now >= until:
        return Verdict(True, "kept", "the callback is no other agent's")
    why = f"the callback is kept for {whose or f'agent {kept_for}'} until {until.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Verdict(False, "kept", why, until=until, against={"kept_for": kept_for})


def seconds_in_words(seconds: float) -> str:
    """Say a duration as people do: 45 s, 12 min, 3 h, 5 days."""
    for limit, unit, word in ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {word}"
    return f"{seconds / 86_400:.0f} days"
