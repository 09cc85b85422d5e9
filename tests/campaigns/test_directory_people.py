from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import directory_people, phones, pools, roster
from campaigns.directory_numbers import caller_ids, candidates
from campaigns.directory_people import Person, match
from campaigns.models import Agent, Campaign, Ledger
from dialer.directory.base import Account, OwnNumber
from dialer.errors import BadInput, SettingsError
from dialer.pbx.base import PbxUser, Presence
from dialer.settings import DirectorySettings, PbxSettings, Settings
from tests import factories

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def user(id: str, extension: str, name: str = "") -> PbxUser:
    return PbxUser(id, name or f"user {id}", extension, Presence.AVAILABLE)


def account(name: str, extension: str = "", **more: object) -> Account:
    return Account(f"guid-{name}", f"{name}@sales.example.net", extension, **more)  # type: ignore[arg-type]


USERS = [user("101", "201"), user("102", "202"), user("bruno", "299"), user("104", "204"), user("105", "204")]


def matched(*accounts: Account) -> list[tuple[str | None, str]]:
    return [(one.user.id if one.user else None, one.by or one.why) for one in match(accounts, USERS)]


# Who is who ----------------------------------------------------------------------------------------------


def test_an_account_is_the_user_with_its_extension_else_the_one_called_like_it() -> None:
    assert matched(account("anna", "201"), account("Bruno"), account("102", "777")) == [
        ("101", "extension"),
        ("bruno", "id"),
        ("102", "id"),
    ]


def test_who_is_nobody_is_told_why() -> None:
    assert matched(account("carla", "777"), account("blast")) == [
        (None, "no user of the PBX has extension 777"),
        (None, "no user of the PBX has its name"),
    ]


def test_two_who_are_one_and_one_who_is_two_are_told_and_not_guessed() -> None:
    assert matched(account("anna", "201"), account("101"), account("dora", "204")) == [
        (None, "another account is user 101, too: give one of them another extension"),
        (None, "another account is user 101, too: give one of them another extension"),
        (None, "two users of the PBX have extension 204"),
    ]


def test_the_pbx_is_the_one_named_or_the_only_one() -> None:
    pbx = PbxSettings(url="http://127.0.0.1:9/x")
    section = DirectorySettings(url="http://127.0.0.1:9/", account="t")

    def of(**pbxes: PbxSettings) -> str:
        return directory_people.pbx_of(Settings(pbx=pbxes, directory={"office": section}), "office")

    assert of(main=pbx) == "main"
    for pbxes in ({}, {"main": pbx, "other": pbx}):
        with pytest.raises(SettingsError, match=r"directory\.office\.pbx must say"):
            of(**pbxes)
    named = Settings(pbx={"a": pbx, "b": pbx}, directory={"office": section.model_copy(update={"pbx": "b"})})
    assert directory_people.pbx_of(named, "office") == "b"
    wrong = Settings(pbx={"a": pbx}, directory={"office": section.model_copy(update={"pbx": "c"})})
    with pytest.raises(SettingsError, match=r"no \[pbx\.c\] section"):
        directory_people.pbx_of(wrong, "office")


# Comparing and bringing over -----------------------------------------------------------------------------


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    roster.assign(session, made, roster.parse("101,102"), USERS, now=NOW, who="test")
    session.commit()
    return made


def people(*users: PbxUser, **more: object) -> list[Person]:
    return [Person(account(one.id, one.extension, **more), one, "extension") for one in users]


def in_campaign(session: Session, campaign: Campaign) -> set[str]:
    return {agent.user_id for agent in roster.members(session, campaign)}


def set_state(session: Session, user_id: str, state: str) -> None:
    session.scalars(select(Agent).where(Agent.user_id == user_id)).one().state = state
    session.flush()


def test_who_comes_who_is_renamed_and_who_goes_is_told_and_nothing_changed(
    session: Session, campaign: Campaign
) -> None:
    renamed = user("101", "211", "Anna Rossi-Bianchi")
    compared = directory_people.compare(session, campaign, people(renamed, user("bruno", "299")), "main")
    assert [one.id for one in compared.added] == ["bruno"]
    assert [(was, now.name) for was, now in compared.changed] == [("user 101 (201)", "Anna Rossi-Bianchi")]
    assert [one.user_id for one in compared.removed] == ["102"]
    assert in_campaign(session, campaign) == {"101", "102"}


def test_bringing_over_does_it_and_writes_it_down(session: Session, campaign: Campaign) -> None:
    directory_people.bring(
        session, campaign, people(user("101", "211", "Anna"), USERS[2]), "main", now=NOW, who="cli:anna"
    )
    assert in_campaign(session, campaign) == {"101", "bruno"}
    anna = session.scalars(select(Agent).where(Agent.user_id == "101")).one()
    assert (anna.name, anna.extension) == ("Anna", "211")
    assert campaign.agents_spec == "101,bruno"
    last = session.scalars(select(Ledger).where(Ledger.kind == "roster").order_by(Ledger.id.desc())).first()
    assert last is not None
    assert last.who == "cli:anna"
    assert session.scalars(select(Agent).where(Agent.user_id == "102")).one(), "agents are never deleted"


@pytest.mark.parametrize("state", ["ready", "parking", "parked", "assigned", "talking", "wrap_up", "paused"])
def test_who_is_at_work_stays_until_they_are_out(session: Session, campaign: Campaign, state: str) -> None:
    set_state(session, "102", state)
    compared = directory_people.bring(session, campaign, people(USERS[0]), "main", now=NOW, who="cli:anna")
    assert [one.user_id for one in compared.at_work] == ["102"]
    assert compared.removed == ()
    assert in_campaign(session, campaign) == {"101", "102"}
    set_state(session, "102", "out")
    directory_people.bring(session, campaign, people(USERS[0]), "main", now=NOW, who="cli:anna")
    assert in_campaign(session, campaign) == {"101"}


@pytest.mark.parametrize("shown", [[], [Person(account("x"), None, why="none")], people(USERS[0], enabled=False)])
def test_a_directory_that_shows_nobody_changes_nothing(
    session: Session, campaign: Campaign, shown: list[Person]
) -> None:
    with pytest.raises(BadInput, match="nothing is changed"):
        directory_people.bring(session, campaign, shown, "main", now=NOW, who="cli:anna")
    assert in_campaign(session, campaign) == {"101", "102"}


@pytest.mark.parametrize("spec", ["all", "group:Sales"])
def test_a_campaign_that_follows_the_pbx_is_not_followed_twice(session: Session, campaign: Campaign, spec: str) -> None:
    campaign.agents_spec = spec
    with pytest.raises(BadInput, match=r"dialer agent assign spring"):
        directory_people.bring(session, campaign, people(USERS[0]), "main", now=NOW, who="cli:anna")


def test_the_members_of_a_group_are_the_campaign_s_agents_who_have_an_account(
    session: Session, campaign: Campaign
) -> None:
    accounts = [account("anna", "201"), account("carla", "203")]
    names, without = directory_people.accounts_of(session, campaign, accounts, "main")
    assert names == ["anna@sales.example.net"]
    assert [one.user_id for one in without] == ["102"]


# Campaigns of several PBXs -------------------------------------------------------------------------------


@pytest.fixture
def pooled(session: Session) -> Campaign:
    """Two of `main`, and on `second` a 101 who is somebody else, with the same extension, and a 301."""
    made = factories.campaign(session, name="spring")
    pools.add(session, made, "second", who="test", now=NOW)
    theirs = [user("101", "201", "Zoe"), user("301", "301", "Yan")]
    roster.assign(
        session, made, roster.parse("main/101,102,second/101,301"), USERS, others={"second": theirs}, now=NOW, who="t"
    )
    session.commit()
    return made


def whole(session: Session, campaign: Campaign) -> set[str]:
    return {f"{agent.pbx}/{agent.user_id}" for agent in roster.members(session, campaign)}


def test_the_agents_of_another_pbx_stay_when_one_of_them_is_brought_over(session: Session, pooled: Campaign) -> None:
    before = whole(session, pooled)
    assert before == {"main/101", "main/102", "second/101", "second/301"}
    compared = directory_people.bring(session, pooled, people(USERS[0], USERS[2]), "main", now=NOW, who="cli:anna")
    assert ([one.id for one in compared.added], [one.user_id for one in compared.removed]) == (["bruno"], ["102"])
    assert whole(session, pooled) == {"main/101", "main/bruno", "second/101", "second/301"}
    spec = roster.parse(pooled.agents_spec)
    assert (spec.user_ids, spec.of("main").user_ids, spec.of("second").user_ids) == (
        ("301",),
        ("101", "bruno"),
        ("101",),
    )
    roster.assign(
        session, pooled, spec, USERS, others={"second": [user("101", "201"), user("301", "301")]}, now=NOW, who="t"
    )
    assert whole(session, pooled) == {"main/101", "main/bruno", "second/101", "second/301"}, "it can be given again"


def test_the_directory_of_a_second_pbx_is_compared_with_the_agents_there(session: Session, pooled: Campaign) -> None:
    new = user("302", "302", "Xenia")
    directory_people.bring(session, pooled, people(user("301", "301", "Yan"), new), "second", now=NOW, who="cli:anna")
    assert whole(session, pooled) == {"main/101", "main/102", "second/301", "second/302"}


def test_who_works_on_their_other_phone_for_now_is_known_by_their_own(session: Session, pooled: Campaign) -> None:
    anna = session.scalars(select(Agent).where(Agent.pbx == "main", Agent.user_id == "101")).one()
    there = PbxUser("401", "Anna", "401", Presence.AVAILABLE)
    phones.add(session, anna, "second", there, who="test", now=NOW)
    assert phones.work_on(session, anna, "second", who="dialer", now=NOW, why="PBX main is out of use")
    compared = directory_people.bring(session, pooled, people(USERS[0]), "main", now=NOW, who="cli:anna")
    assert ([one.id for one in compared.added], [one.user_id for one in compared.removed]) == ([], ["102"])
    assert anna in roster.members(session, pooled)


def test_nobody_is_put_in_a_group_because_another_pbx_has_their_extension(session: Session, pooled: Campaign) -> None:
    accounts = [account("anna", "201"), account("yan", "301")]
    names, without = directory_people.accounts_of(session, pooled, accounts, "main")
    assert (names, [one.user_id for one in without]) == (["anna@sales.example.net"], ["102"])


def test_the_directory_must_be_that_of_one_of_the_pbxes(session: Session, pooled: Campaign) -> None:
    pbx = PbxSettings(url="http://127.0.0.1:9/x")

    def of(name: str) -> str:
        section = DirectorySettings(url="http://127.0.0.1:9/", account="t", pbx=name)
        settings = Settings(pbx=dict.fromkeys(("main", "second", "third"), pbx), directory={"office": section})
        return directory_people.pbx_in_common(session, settings, "office", pooled)

    assert [of("main"), of("second")] == ["main", "second"]
    with pytest.raises(BadInput, match="calls through PBX main and second, and directory office is PBX third's"):
        of("third")


def test_only_what_follows_this_pbx_is_in_the_way(session: Session, pooled: Campaign) -> None:
    pooled.agents_spec = "main/101,second/all"
    directory_people.compare(session, pooled, people(USERS[0]), "main")
    with pytest.raises(BadInput, match="dialer agent assign spring second/101,second/102"):
        directory_people.compare(session, pooled, people(USERS[0]), "second")


# Numbers -------------------------------------------------------------------------------------------------


def number(written: str, **more: object) -> OwnNumber:
    return OwnNumber(f"guid-{written}", written, "anna", **more)  # type: ignore[arg-type]


class Numbered:
    def numbers(self) -> list[OwnNumber]:
        return [
            number("+6499290087"), number(":600"), number("+390212345678"), number("+6499290087"),
            number("+6499290099", shared=True), number("+64"),
        ]  # fmt: skip


def test_numbers_that_may_be_shown_are_a_plain_list_and_the_others_say_why() -> None:
    assert caller_ids(Numbered()) == ["+390212345678", "+6499290087"]  # type: ignore[arg-type]
    judged = {one.number.number: one.why_not for one in candidates(Numbered().numbers())}
    assert "country code" in judged[":600"]
    assert "shared" in judged["+6499290099"]
    assert judged["+64"]
