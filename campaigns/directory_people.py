"""A directory's accounts as our agents: matched to the PBX's users, compared with a campaign's, and brought over.

Nobody who is at work is taken out of a campaign, and a directory that shows nobody changes nothing: platforms that
restart, and rights that were taken away, show empty lists. The caller owns the transaction.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from campaigns import pools, roster
from campaigns.models import Agent, Campaign
from campaigns.roster import AgentsSpec
from dialer.directory.base import Account
from dialer.errors import BadInput, SettingsError
from dialer.pbx.base import PbxUser, Presence
from dialer.settings import Settings


@dataclass(frozen=True, slots=True)
class Person:
    """An account and the PBX user it is; `why` says why it is none."""

    account: Account
    user: PbxUser | None = None
    by: str = ""  # extension, or id
    why: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Who would come, be renamed and go, and who stays because they are at work."""

    chosen: tuple[PbxUser, ...]  # the agents afterwards, those who stay included
    added: tuple[PbxUser, ...]
    changed: tuple[tuple[str, PbxUser], ...]  # how they were called, who they are now
    removed: tuple[Agent, ...]
    at_work: tuple[Agent, ...]


def pbx_of(settings: Settings, name: str) -> str:
    """Return the PBX whose users a directory's accounts are; SettingsError when that is not clear."""
    section = settings.directory[name]
    if section.pbx:
        if section.pbx not in settings.pbx:
            raise SettingsError(f"directory.{name}.pbx: there is no [pbx.{section.pbx}] section")
        return section.pbx
    if len(settings.pbx) == 1:
        return next(iter(settings.pbx))
    known = ", ".join(settings.pbx) or "there is no [pbx.NAME] section yet"
    raise SettingsError(f"directory.{name}.pbx must say on which PBX its accounts' phones ring ({known})")


def pbx_in_common(session: Session, settings: Settings, name: str, campaign: Campaign) -> str:
    """Return the directory's PBX, which is one of the campaign's; BadInput when it is none of them: extensions there
    are other people's."""
    pbx, known = pbx_of(settings, name), pools.names(session, campaign)
    if pbx not in known:
        raise BadInput(
            f"campaign {campaign.name} calls through PBX {' and '.join(known)}, and directory {name} is PBX {pbx}'s: "
            "extensions there are other people's"
        )
    return pbx


def match(accounts: Sequence[Account], users: Sequence[PbxUser]) -> list[Person]:
    """Find each account's PBX user: by extension, else by id (the account's name, whole or before the @).

    Two accounts that are one user, or an extension that two users share, are told and not guessed at.
    """
    by_id = {user.id.casefold(): user for user in users}
    shared = {number for number, times in Counter(user.extension for user in users).items() if times > 1}
    by_extension = {user.extension: user for user in users if user.extension}
    found = [_person(account, by_extension, by_id, shared) for account in accounts]
    times = Counter(one.user.id for one in found if one.user is not None)
    return [
        Person(one.account, why=f"another account is user {one.user.id}, too: give one of them another extension")
        if one.user is not None and times[one.user.id] > 1
        else one
        for one in found
    ]


def _person(
    account: Account, by_extension: dict[str, PbxUser], by_id: dict[str, PbxUser], shared: Collection[str]
) -> Person:
    if account.extension and account.extension in shared:
        return Person(account, why=f"two users of the PBX have extension {account.extension}")
    if account.extension in by_extension:
        return Person(account, by_extension[account.extension], "extension")
    for text in (account.name, account.name.partition("@")[0]):
        if text.casefold() in by_id:
            return Person(account, by_id[text.casefold()], "id")
    told = f"extension {account.extension}" if account.extension else "no extension"
    return Person(account, why=f"no user of the PBX has {told if account.extension else 'its name'}")


def compare(session: Session, campaign: Campaign, people: Sequence[Person], pbx: str) -> Comparison:
    """Compare the campaign's agents on a PBX with those of its directory who can work; agents who might go are locked.

    Its agents on other PBXs are no part of it, whatever their user ids and extensions.
    """
    spec = roster.parse(campaign.agents_spec) if campaign.agents_spec else AgentsSpec()
    if spec.everybody or spec.groups or spec.of(pbx).follows_the_pbx:
        several = len(pools.names(session, campaign)) > 1
        raise BadInput(
            f"campaign {campaign.name} takes its agents from {spec}, which the PBX keeps up to date; give it a list "
            f"first: `dialer agent assign {campaign.name} {f'{pbx}/101,{pbx}/102' if several else '101,102'}`"
        )
    users = [one.user for one in people if one.user is not None and one.account.enabled is not False]
    if not users:
        raise BadInput(
            "the directory shows no enabled account that is a user of the PBX, so nothing is changed: "
            "`dialer directory agents NAME` says why for each"
        )
    wanted = {user.id: user for user in users}
    members = {phone.user_id: (agent, phone) for agent, phone in roster.at_home(session, campaign, pbx, lock=True)}
    going = [(agent, phone) for agent, phone in members.values() if phone.user_id not in wanted]
    at_work = [(agent, phone) for agent, phone in going if agent.state != "out"]
    stay = [PbxUser(phone.user_id, phone.name, phone.extension, Presence.UNKNOWN) for _, phone in at_work]
    return Comparison(
        chosen=(*wanted.values(), *stay),
        added=tuple(user for user in wanted.values() if user.id not in members),
        changed=tuple(
            (f"{was.name or 'no name'} ({was.extension or 'no extension'})", user)
            for user in wanted.values()
            if user.id in members and ((was := members[user.id][1]).name, was.extension) != (user.name, user.extension)
        ),
        removed=tuple(agent for agent, _ in going if agent.state == "out"),
        at_work=tuple(agent for agent, _ in at_work),
    )


def bring(
    session: Session, campaign: Campaign, people: Sequence[Person], pbx: str, *, now: datetime, who: str
) -> Comparison:
    """Give the campaign the directory's agents, in the transaction in which they were compared."""
    compared = compare(session, campaign, people, pbx)
    roster.assign_on(session, campaign, pbx, compared.chosen, now=now, who=who)
    return compared


def accounts_of(
    session: Session, campaign: Campaign, accounts: Sequence[Account], pbx: str
) -> tuple[list[str], list[Agent]]:
    """Return the account names of a campaign's agents on a PBX, and those of them who have none."""
    members = roster.at_home(session, campaign, pbx)
    users = [PbxUser(phone.user_id, phone.name, phone.extension, Presence.UNKNOWN) for _, phone in members]
    named = {one.user.id: one.account.name for one in match(accounts, users) if one.user is not None}
    return [named[phone.user_id] for _, phone in members if phone.user_id in named], [
        agent for agent, phone in members if phone.user_id not in named
    ]
