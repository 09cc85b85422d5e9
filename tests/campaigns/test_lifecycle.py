from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import lifecycle
from campaigns.lifecycle import NotNow
from campaigns.models import Attempt, Campaign, Contact, ContactList, Ledger
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.pbx.base import Feature

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def create(session: Session, name: str = "spring", **given: Any) -> Campaign:
    values: dict[str, Any] = {"pbx": "main", "features": frozenset(Feature), "caller_id": "+390551234567"}
    return lifecycle.create(session, name=name, now=NOW, who="cli:anna", **{**values, **given})


def contact(session: Session, campaign: Campaign, phone: str = "+390612345678") -> Contact:
    imported = ContactList(campaign_id=campaign.id, name="list", kind="contacts")
    session.add(imported)
    session.flush()
    added = Contact(campaign_id=campaign.id, list_id=imported.id, line=2, phone=phone, next_at=NOW)
    session.add(added)
    session.flush()
    return added


def attempt(session: Session, one: Contact) -> Attempt:
    added = Attempt(
        campaign_id=one.campaign_id, contact_id=one.id, number=one.phone, gateway="4", caller_id="+390551234567",
        attempt_no=1, fence=1, proof={}, answer_limit=2.0, rule_pack="default-2026", pbx="main", ref="x-c1",
        state="ringing", ordered_at=NOW, not_after=NOW + timedelta(seconds=10),
    )  # fmt: skip
    session.add(added)
    session.flush()
    return added


def ledger(session: Session, kind: str) -> list[Ledger]:
    session.flush()
    return list(session.scalars(select(Ledger).where(Ledger.kind == kind).order_by(Ledger.id)))


# Creating ------------------------------------------------------------------------------------------------


def test_a_new_campaign_is_a_draft_under_the_rule_pack_and_in_the_ledger(session: Session) -> None:
    made = create(session, hours="Mon-Fri 09:00-13:00", max_lines=12, why="spring sale")
    assert (made.state, made.country, made.caller_id, made.hours) == (
        "draft", "IT", "+390551234567", "mon-fri 09:00-13:00",
    )  # fmt: skip
    assert (made.max_abandonment, made.answer_limit, made.max_lines) == (0.03, 2.0, 12)
    (row,) = ledger(session, "campaign")
    assert (row.who, row.why, row.details["verb"], row.details["name"]) == (
        "cli:anna",
        "spring sale",
        "create",
        "spring",
    )


@pytest.mark.parametrize("name", ["spring", "Spring", " SPRING  "])
def test_two_campaigns_cannot_have_one_name_in_any_case_of_letters(session: Session, name: str) -> None:
    create(session)
    with pytest.raises(BadInput, match=r"already a campaign named 'spring' \(draft\)"):
        create(session, name)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("", "needs a name"),
        ("   ", "needs a name"),
        ("-rf", "must begin with a letter"),
        ("a/b", "holds /"),
        ("a\x1b[31m", r"holds U\+001B \["),
        ("x" * 61, "has 61 characters"),
    ],
)
def test_a_name_that_would_hurt_elsewhere_is_refused_with_what_is_wrong(session: Session, name: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        create(session, name)


@pytest.mark.parametrize("name", ["Primavera 2026", "été", "a.b-c_d", "7"])
def test_names_people_use_are_taken(session: Session, name: str) -> None:
    assert create(session, name).name == name


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": "magic"}, "no mode 'magic'"),
        ({"country": "UK"}, "did you mean GB"),
        ({"country": "Atlantis"}, "use two letters"),
        ({"caller_id": "hello"}, "caller id 'hello' cannot be used"),
        ({"caller_id": "112"}, "emergency"),
        ({"hours": "9 to 5"}, "hours '9 to 5'"),
        ({"hours": "20:00-09:00"}, "ends before it begins"),
        ({"time_zone": "Mars/Olympus"}, "no time zone 'Mars/Olympus'"),
        ({"time_zone": "../../etc/passwd"}, "no time zone"),
        ({"max_attempts": 0}, "max attempts must be between 1 and 100"),
        ({"max_lines": 0}, "limit of lines must be between 1 and 10000"),
        ({"max_abandonment": 3}, r"3 % is written 0.03 or 3%"),
        ({"max_abandonment": -0.1}, "between 0 and 1"),
        ({"max_abandonment": float("nan")}, "between 0 and 1"),
        ({"features": frozenset({Feature.JOIN})}, "PBX main cannot do predictive calls: it lacks customer first"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_its_place(session: Session, given: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        create(session, **given)
    assert session.scalars(select(Campaign)).all() == []


def test_the_country_comes_from_the_caller_id_unless_it_is_given(session: Session) -> None:
    assert create(session, "one", caller_id="+33142685300").country == "FR"
    assert create(session, "two", caller_id="0551234567").country == "IT"
    assert create(session, "three", caller_id="+33142685300", country="de").country == "DE"


def test_a_caller_id_no_public_plan_knows_is_kept_and_doubted_at_the_start(session: Session) -> None:
    made = create(session, caller_id="4711")
    assert made.caller_id == "4711"
    assert any("caller id 4711 may be refused" in sentence for sentence in lifecycle.shortcomings(session, made))


def test_a_limit_above_the_rule_pack_needs_the_right_and_a_reason(session: Session) -> None:
    with pytest.raises(
        RefusedByRule, match=r"5.00% is above the 3.00% of the rule pack default-2026, and cli:anna may"
    ):
        create(session, max_abandonment=0.05, why="trial agreed with the client")
    with pytest.raises(RefusedByRule, match="--why"):
        create(session, max_abandonment=0.05, may_raise=["cli:anna"])
    raised = create(session, max_abandonment=0.05, may_raise=["cli:anna"], why="trial agreed with the client")
    assert raised.max_abandonment == 0.05


@pytest.mark.parametrize(
    ("pack", "limit", "answer"), [("us-2026", 0.03, 2.0), ("uk-2026", 0.03, 2.0), ("it-2026", 0.04, 3.0)]
)
def test_a_campaign_is_under_the_rule_pack_it_was_given(
    session: Session, pack: str, limit: float, answer: float
) -> None:
    made = create(session, pack=pack)
    assert (made.rule_pack, made.max_abandonment, made.answer_limit) == (pack, limit, answer)
    assert ledger(session, "campaign")[0].details["rule_pack"] == pack
    with pytest.raises(NotFound, match="there is no rule pack 'us-1999'"):
        create(session, "other", pack="us-1999")


# Finding -------------------------------------------------------------------------------------------------


def test_a_campaign_is_found_in_any_case_and_a_near_name_is_suggested(session: Session) -> None:
    with pytest.raises(NotFound, match="there is none yet"):
        lifecycle.get(session, "spring")
    made = create(session, "Spring")
    assert lifecycle.get(session, "spring") is made
    with pytest.raises(NotFound, match="did you mean 'Spring'"):
        lifecycle.get(session, "sprong")
    with pytest.raises(NotFound, match="there are 'Spring'"):
        lifecycle.get(session, "winter-sale")


# Moving --------------------------------------------------------------------------------------------------

ALLOWED = {
    ("start", "draft"), ("start", "stopped"), ("pause", "running"), ("resume", "paused"), ("stop", "running"),
    ("stop", "paused"), ("archive", "draft"), ("archive", "stopped"),
}  # fmt: skip
TARGETS = {"start": "running", "pause": "paused", "resume": "running", "stop": "stopped", "archive": "archived"}


@pytest.mark.parametrize("state", ["draft", "running", "paused", "stopped", "archived"])
@pytest.mark.parametrize("verb", list(TARGETS))
def test_every_verb_in_every_state_moves_does_nothing_or_says_why_not(session: Session, verb: str, state: str) -> None:
    made = create(session)
    made.state = state
    move = getattr(lifecycle, verb)
    later = NOW + timedelta(minutes=5)
    if (verb, state) in ALLOWED:
        moved = move(session, "spring", now=later, who="cli:anna", why="because")
        assert (moved.before, moved.campaign.state, moved.changed) == (state, TARGETS[verb], True)
        assert made.state_at == later
        row = ledger(session, "campaign")[-1]
        assert (row.details, row.why) == ({"verb": verb, "from": state, "to": TARGETS[verb]}, "because")
    elif TARGETS[verb] == state:
        assert not move(session, "spring", now=later, who="cli:anna").changed
        assert len(ledger(session, "campaign")) == 1
    else:
        stands = "a draft" if state == "draft" else state
        with pytest.raises(NotNow, match=f"campaign spring is {stands} and cannot be") as refused:
            move(session, "spring", now=later, who="cli:anna")
        assert ":" in str(refused.value)
        assert made.state == state


def test_started_at_is_the_first_start(session: Session) -> None:
    made = create(session)
    lifecycle.start(session, "spring", now=NOW, who="cli:anna")
    lifecycle.stop(session, "spring", now=NOW + timedelta(hours=1), who="cli:anna")
    lifecycle.start(session, "spring", now=NOW + timedelta(hours=2), who="cli:anna")
    assert made.started_at == NOW


def test_a_campaign_with_a_call_on_the_line_is_not_archived(session: Session) -> None:
    made = create(session)
    attempt(session, contact(session, made))
    with pytest.raises(NotNow, match="1 calls in progress"):
        lifecycle.archive(session, "spring", now=NOW, who="cli:anna")


def test_a_start_says_everything_that_is_missing_and_nothing_that_is_there(session: Session) -> None:
    made = create(session)
    told = " ".join(lifecycle.shortcomings(session, made))
    assert "no agent is assigned" in told
    assert "no contact is left" in told
    assert "no scheduler is running" in told
    contact(session, made)
    assert "contact" not in " ".join(lifecycle.shortcomings(session, made))


def test_hints_quote_a_name_with_spaces(session: Session) -> None:
    made = create(session, "big sale")
    made.state = "paused"
    with pytest.raises(NotNow, match="`dialer campaign resume 'big sale'`"):
        lifecycle.start(session, "big sale", now=NOW, who="cli:anna")


# The pace ------------------------------------------------------------------------------------------------


def test_each_change_of_pace_is_a_ledger_row_with_old_and_new(session: Session) -> None:
    made = create(session)
    changes = lifecycle.set_pace(
        session, "spring", max_abandonment=0.02, max_lines=40, mode="progressive", now=NOW, who="cli:anna", why="slow"
    )
    assert {(one.setting, one.old, one.new) for one in changes} == {
        ("max_abandonment", 0.03, 0.02), ("max_lines", None, 40), ("mode", "predictive", "progressive"),
    }  # fmt: skip
    assert (made.max_abandonment, made.max_lines, made.mode) == (0.02, 40, "progressive")
    rows = ledger(session, "pace")
    assert {(row.details["setting"], row.details["old"], row.details["new"]) for row in rows} == {
        (one.setting, one.old, one.new) for one in changes
    }
    assert {(row.who, row.why) for row in rows} == {("cli:anna", "slow")}


def test_what_is_so_already_changes_nothing_and_writes_nothing(session: Session) -> None:
    create(session)
    assert lifecycle.set_pace(session, "spring", max_abandonment=0.03, now=NOW, who="cli:anna") == []
    assert ledger(session, "pace") == []


def test_lines_can_be_made_unlimited_again(session: Session) -> None:
    made = create(session, max_lines=10)
    lifecycle.set_pace(session, "spring", max_lines=None, now=NOW, who="cli:anna")
    assert made.max_lines is None


def test_raising_the_pace_above_the_rule_pack_needs_the_right_and_a_reason_and_keeps_it(session: Session) -> None:
    made = create(session)

    def raise_to(limit: float, who: str, why: str) -> list[lifecycle.Change]:
        return lifecycle.set_pace(
            session, "spring", max_abandonment=limit, may_raise=["cli:boss"], now=NOW, who=who, why=why
        )

    with pytest.raises(RefusedByRule, match="may_raise_ceiling"):
        raise_to(0.031, "cli:anna", "client's order")
    with pytest.raises(RefusedByRule, match="--why"):
        raise_to(0.031, "cli:boss", "  ")
    assert made.max_abandonment == 0.03
    raise_to(0.04, "cli:boss", "client's order")
    assert [(row.who, row.why) for row in ledger(session, "pace")] == [("cli:boss", "client's order")]
    assert raise_to(0.02, "cli:anna", "") != [], "anybody may lower it again"


def test_every_goal_is_set_taken_back_and_told_in_the_ledger(session: Session) -> None:
    made = create(session)
    wanted = {"ratio": 1.5, "desired_wait": 10.0, "min_ring": 18.0, "calls_per_second": 2.5, "weight": 3.0}
    lifecycle.set_pace(session, "spring", **wanted, inbound_first=True, now=NOW, who="cli:anna", why="Monday")
    assert {name: getattr(made, name) for name in wanted} == wanted
    assert made.inbound_first is True
    told = {(row.details["setting"], row.details["new"], row.who, row.why) for row in ledger(session, "pace")}
    assert told == {(name, new, "cli:anna", "Monday") for name, new in {**wanted, "inbound_first": True}.items()}
    back = dict.fromkeys(("ratio", "desired_wait", "min_ring", "calls_per_second"))
    lifecycle.set_pace(session, "spring", **back, now=NOW, who="cli:anna")
    assert {name: getattr(made, name) for name in back} == back


@pytest.mark.parametrize(
    ("goal", "value", "told"),
    [
        ("ratio", 0.0, "between 1 and 10"),
        ("ratio", float("nan"), "between 1 and 10"),
        ("desired_wait", -1.0, "between 0 and 3600"),
        ("min_ring", 121.0, "between 0 and 120"),
        ("calls_per_second", 0.0, "between 0.01 and 1000"),
        ("weight", 0.0, "between 0.01 and 1000"),
        ("weight", None, "weight must have a value"),
        ("speed", 9.0, "there is no goal 'speed'"),
    ],
)
def test_a_goal_that_means_nothing_is_refused_with_what_would_do(
    session: Session, goal: str, value: float | None, told: str
) -> None:
    create(session)
    with pytest.raises(BadInput, match=told):
        lifecycle.set_pace(session, "spring", **{goal: value}, now=NOW, who="cli:anna")
    assert ledger(session, "pace") == []


def test_no_right_and_no_reason_lets_a_phone_ring_shorter_than_the_law(session: Session) -> None:
    create(session)
    with pytest.raises(RefusedByRule, match=r"14 s is below the 15 s of the rule pack.*ring-out"):
        lifecycle.set_pace(
            session, "spring", min_ring=14.0, may_raise=["cli:boss"], now=NOW, who="cli:boss", why="please"
        )


def test_the_pace_of_an_archived_campaign_stays(session: Session) -> None:
    create(session).state = "archived"
    with pytest.raises(NotNow, match="archived"):
        lifecycle.set_pace(session, "spring", max_lines=5, now=NOW, who="cli:anna")
