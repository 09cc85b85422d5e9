"""A campaign from its first draft to the archive: what may follow what, and a sentence when it may not.

Every change locks the campaign's row, so the gate of a running scheduler either sees it or is finished before
it (I7), and is written in the ledger with who and why. The caller owns the transaction.
"""

import difflib
import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import caller_id_pools, caller_ids, goals, ledger, pools
from campaigns.campaign_values import (
    checked_caller_id,
    checked_country,
    checked_hours,
    checked_name,
    checked_time_zone,
    country_of,
)
from campaigns.models import Agent, Attempt, Campaign, CampaignAgent, Contact, ContactList, PbxStatus, ProcessBeat
from dialer import modes
from dialer.abandonment import rule_pack
from dialer.errors import BadInput, DialerError, NotFound, RefusedByRule
from dialer.pbx.base import Feature

RULE_PACK = "default-2026"
# What the ledger keeps of a campaign as it was made.
_WRITTEN_DOWN = (
    "name", "pbx", "mode", "hours", "country", "caller_id", "max_abandonment", "max_lines", "max_attempts",
    "rule_pack", "needs_consent",
)  # fmt: skip


class NotNow(DialerError):
    """The campaign is in a state in which this cannot be done."""


@dataclass(frozen=True, slots=True)
class _Verb:
    word: str
    from_states: tuple[str, ...]
    to: str
    done: str  # "is already ..." when there is nothing to do


_VERBS = {
    "start": _Verb("started", ("draft", "stopped"), "running", "running"),
    "pause": _Verb("paused", ("running",), "paused", "paused"),
    "resume": _Verb("resumed", ("paused",), "running", "running"),
    "stop": _Verb("stopped", ("running", "paused"), "stopped", "stopped"),
    "archive": _Verb("archived", ("draft", "stopped"), "archived", "archived"),
}
_INSTEAD = {
    ("start", "paused"): "`dialer campaign resume {name}` lets it go on",
    ("resume", "draft"): "`dialer campaign start {name}` starts it",
    ("resume", "stopped"): "`dialer campaign start {name}` starts it again",
    ("pause", "draft"): "it has never been started, so it calls nobody",
    ("pause", "stopped"): "it calls nobody",
    ("stop", "draft"): "it has never been started, so it calls nobody",
    ("archive", "running"): "`dialer campaign stop {name}` comes first",
    ("archive", "paused"): "`dialer campaign stop {name}` comes first",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """A campaign after a verb, and the state before; equal states mean there was nothing to do."""

    campaign: Campaign
    before: str

    @property
    def changed(self) -> bool:
        return self.campaign.state != self.before


@dataclass(frozen=True, slots=True)
class Change:
    """One setting of the pace, before and after."""

    setting: str
    old: object
    new: object


def get(session: Session, name: str, *, lock: bool = False) -> Campaign:
    """Return the campaign called `name`, in any case of letters; NotFound suggests the nearest name."""
    query = select(Campaign).where(func.lower(Campaign.name) == name.strip().lower())
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    found = session.scalars(query).all()
    exact = [campaign for campaign in found if campaign.name == name]
    if exact or len(found) == 1:
        return (exact or found)[0]
    names = list(session.scalars(select(Campaign.name).order_by(Campaign.name)))
    raise NotFound(f"there is no campaign named {name!r}{_suggest(name, names)}")


def _suggest(name: str, names: list[str]) -> str:
    if not names:
        return "; there is none yet: `dialer campaign create NAME --caller-id NUMBER` makes one"
    lowered = {known.lower(): known for known in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    if near:
        return f"; did you mean {lowered[near[0]]!r}?"
    shown = ", ".join(repr(known) for known in names[:5])
    return f"; there are {shown}" + (" and others" if len(names) > 5 else "")


def create(
    session: Session,
    *,
    name: str,
    pbx: str,
    more_pbxes: Sequence[str] = (),
    standbys: Sequence[str] = (),
    features: Collection[Feature],
    caller_id: str,
    mode: str = "predictive",
    country: str = "",
    hours: str = "09:00-20:00",
    time_zone: str | None = None,
    max_attempts: int = 3,
    number_gap: float = 600.0,
    retry_delay: float = 3600.0,
    wrap_up_limit: float = 30.0,
    max_abandonment: float | None = None,
    max_lines: int | None = None,
    pack: str = RULE_PACK,
    may_raise: Collection[str] = (),
    needs_consent: bool = False,
    now: datetime,
    who: str,
    why: str = "",
) -> Campaign:
    """Write a new campaign as a draft: nothing is dialled until it is started.

    `more_pbxes` share its calls with `pbx`, `standbys` step in for one that fails; `features` are those all of them
    have. `pack`: the rule pack it is under for good. `may_raise`: who has the right to a limit above the pack's.
    """
    name = checked_name(name)
    country = checked_country(country) if country else country_of(caller_id)
    rules = rule_pack(pack)
    max_abandonment = rules.ceiling if max_abandonment is None else max_abandonment
    modes.check(mode, pbx, features)
    wanted = {"max_abandonment": max_abandonment, "max_lines": max_lines}
    goals.checked(wanted, pack, who=who, why=why, may_raise=may_raise)
    goals.in_range("max attempts", max_attempts, 1, 100)
    for word, seconds in (("number gap", number_gap), ("retry delay", retry_delay), ("wrap-up", wrap_up_limit)):
        goals.in_range(f"{word} (in seconds)", seconds, 0, 31 * 86_400)
    _check_name_is_free(session, name)
    shown = checked_caller_id(caller_id, country)
    if why_not := caller_ids.barred(shown, rules.name, (), mode):
        raise RefusedByRule(f"campaign {name}: {why_not}")
    campaign = Campaign(
        name=name,
        pbx=pbx,
        mode=mode,
        country=country,
        time_zone=checked_time_zone(time_zone),
        hours=checked_hours(hours),
        caller_id=shown,
        max_attempts=max_attempts,
        number_gap=number_gap,
        retry_delay=retry_delay,
        wrap_up_limit=wrap_up_limit,
        max_abandonment=max_abandonment,
        max_lines=max_lines,
        rule_pack=rules.name,
        answer_limit=rules.answer_limit.total_seconds(),
        needs_consent=needs_consent,
        state="draft",
        created_at=now,
        state_at=now,
    )
    session.add(campaign)
    try:
        session.flush()
    except IntegrityError as exc:
        raise BadInput(f"there is already a campaign named {name!r}: choose another name") from exc
    caller_id_pools.begin(session, campaign, who=who, now=now)
    pools.begin(session, campaign, [pbx, *more_pbxes], standbys, who=who, now=now)
    settings = {setting: getattr(campaign, setting) for setting in _WRITTEN_DOWN}
    ledger.record(
        session, at=now, kind="campaign", who=who, campaign_id=campaign.id, why=why, verb="create", **settings
    )
    return campaign


def _check_name_is_free(session: Session, name: str) -> None:
    twin = session.scalar(select(Campaign).where(func.lower(Campaign.name) == name.lower()))
    if twin is not None:
        raise BadInput(f"there is already a campaign named {twin.name!r} ({twin.state}): choose another name")


def start(session: Session, name: str, *, now: datetime, who: str, why: str = "") -> Moved:
    """Let a draft, or a stopped campaign, call."""
    moved = _move(session, "start", name, now=now, who=who, why=why)
    if moved.changed and moved.campaign.started_at is None:
        moved.campaign.started_at = now
    return moved


def pause(session: Session, name: str, *, now: datetime, who: str, why: str = "") -> Moved:
    """Order no more calls; those in progress go on. `resume` lets it go on."""
    return _move(session, "pause", name, now=now, who=who, why=why)


def resume(session: Session, name: str, *, now: datetime, who: str, why: str = "") -> Moved:
    """Let a paused campaign go on."""
    return _move(session, "resume", name, now=now, who=who, why=why)


def stop(session: Session, name: str, *, now: datetime, who: str, why: str = "") -> Moved:
    """Order no more calls and send the agents home; conversations in progress go on to their end."""
    return _move(session, "stop", name, now=now, who=who, why=why)


def archive(session: Session, name: str, *, now: datetime, who: str, why: str = "") -> Moved:
    """Put a campaign away for good; its records stay. Refused while a call of it is open."""
    campaign = get(session, name, lock=True)
    live = calls_in_progress(session, campaign)
    if live and campaign.state != "archived":
        raise NotNow(f"campaign {campaign.name} still has {live} calls in progress: archive it when they are over")
    return _move(session, "archive", name, now=now, who=who, why=why)


def _move(session: Session, verb: str, name: str, *, now: datetime, who: str, why: str) -> Moved:
    campaign = get(session, name, lock=True)
    rule, before = _VERBS[verb], campaign.state
    if before == rule.done:
        return Moved(campaign, before)
    if before not in rule.from_states:
        instead = _INSTEAD.get((verb, before), "an archived campaign stays as it is; create a new one")
        told = instead.format(name=shlex.quote(campaign.name))
        stands = "a draft" if before == "draft" else before
        raise NotNow(f"campaign {campaign.name} is {stands} and cannot be {rule.word}: {told}")
    campaign.state, campaign.state_at = rule.to, now
    moved: dict[str, Any] = {"verb": verb, "from": before, "to": rule.to}
    ledger.record(
        session,
        at=now,
        kind="campaign",
        who=who,
        campaign_id=campaign.id,
        why=why,
        **moved,
    )
    return Moved(campaign, before)


def set_pace(
    session: Session,
    name: str,
    *,
    mode: str | None = None,
    features: Collection[Feature] = frozenset(Feature),
    may_raise: Collection[str] = (),
    now: datetime,
    who: str,
    why: str = "",
    **given: Any,
) -> list[Change]:
    """Change how a campaign may dial; what is not given stays. Returns what really changed.

    `given`: goals by their names (`campaigns.goals`); None takes one back, where there can be none.
    """
    campaign = get(session, name, lock=True)
    if campaign.state == "archived":
        raise NotNow(f"campaign {campaign.name} is archived: its pace cannot be changed")
    wanted: dict[str, object] = {}
    if mode is not None:
        modes.check(mode, campaign.pbx, features)
        wanted["mode"] = mode
    wanted |= goals.checked(given, campaign.rule_pack, who=who, why=why, may_raise=may_raise)
    changes = [
        Change(setting, getattr(campaign, setting), new)
        for setting, new in wanted.items()
        if getattr(campaign, setting) != new
    ]
    for change in changes:
        setattr(campaign, change.setting, change.new)
        ledger.record(
            session,
            at=now,
            kind="pace",
            who=who,
            campaign_id=campaign.id,
            why=why,
            setting=change.setting,
            old=change.old,
            new=change.new,
        )
    return changes


def shortcomings(session: Session, campaign: Campaign) -> list[str]:
    """Say what a started campaign lacks before it can ring anybody; empty when nothing is missing."""
    missing = []
    typed = shlex.quote(campaign.name)
    count = select(func.count()).select_from(CampaignAgent).join(Agent, Agent.id == CampaignAgent.agent_id)
    alone = campaign.mode == modes.AGENTLESS
    if not alone and not session.scalar(count.where(CampaignAgent.campaign_id == campaign.id)):
        missing.append(f"no agent is assigned: `dialer agent assign {typed} 101,102` or group:NAME")
    if not open_contacts(session, campaign):
        missing.append(f"no contact is left to call: `dialer list import {typed} FILE` brings some")
    alive = session.scalar(
        select(func.count())
        .select_from(ProcessBeat)
        .where(ProcessBeat.kind == "scheduler", ProcessBeat.beat_at > func.clock_timestamp() - text("interval '15 s'"))
    )
    if not alive:
        missing.append("no scheduler is running: start `dialer scheduler`, or everything with `dialer up`")
    missing += caller_id_pools.shortcomings(session, campaign)
    for name in pools.names(session, campaign):
        status = session.get(PbxStatus, name)
        if status is not None and status.trouble:
            missing.append(f"PBX {name}: {status.trouble}; `dialer pbx check {name}` says more")
    return missing


def calls_in_progress(session: Session, campaign: Campaign) -> int:
    """Count the campaign's calls that are not over."""
    query = select(func.count()).select_from(Attempt).where(Attempt.ended_at.is_(None))
    return session.scalar(query.where(Attempt.campaign_id == campaign.id)) or 0


def open_contacts(session: Session, campaign: Campaign) -> int:
    """Count the campaign's contacts that may still be called, now or later."""
    query = (
        select(func.count())
        .select_from(Contact)
        .join(ContactList, ContactList.id == Contact.list_id)
        .where(Contact.campaign_id == campaign.id, Contact.state != "closed", ContactList.undone_at.is_(None))
    )
    return session.scalar(query) or 0
