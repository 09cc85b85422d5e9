"""Calls that ring the agent first: the agent is in them from the gate on, and nobody can be abandoned."""

from datetime import timedelta
from itertools import permutations

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import agent_first, agents, binding, dialling, gate, giving, limits, own_calls, placing, quiet_calls
from campaigns.application import Application
from campaigns.models import Agent, AgentLeg, Assignment, Attempt, Contact, Ledger, LoggedEvent, PaceDecision, PbxStatus
from campaigns.pbx_status import poll
from dialer.calls import CallState
from dialer.errors import OutcomeUnknown, PbxBusy, PbxLockedOut, PbxRefused, PbxUnavailable
from dialer.pbx.base import (
    AgentFirstOrder,
    CallEvent,
    CallOutcome,
    Feature,
    Gateway,
    Heard,
    PastCall,
    PbxUser,
    Role,
)
from tests import factories
from tests.campaigns.modes_kit import Desk, desk, refused

FIRST = frozenset({Feature.AGENT_FIRST})


class FirstDesk(Desk):
    """A desk at a PBX that rings the agent first, and tells of its calls without our reference."""

    def agent(self, **values: object) -> Agent:
        made = factories.agent(self.session, self.campaign, **{"idle_since": factories.NOW, **values})
        self.session.commit()
        return made

    def order(self) -> Attempt:
        """Tick, and have what was ordered sent."""
        self.tick()
        made = self.open()
        placing.place(self.application, made.ref)
        self.session.expire_all()
        return made

    def open(self) -> Attempt:
        return self.session.scalars(select(Attempt).where(Attempt.ended_at.is_(None))).one()

    def tell(self, attempt: Attempt, heard: Heard, role: Role = Role.CUSTOMER, **more: object) -> LoggedEvent:
        """One event without a reference: agent, number and the PBX's id."""
        user = self.session.get_one(Agent, attempt.reserved_agent_id).user_id
        told = {"heard": heard, "name": heard, "call_id": f"9{attempt.id}", "role": role, "user_id": user}
        return self.event(CallEvent(**{**told, "number": attempt.number, **more}))  # type: ignore[arg-type]

    def event(self, event: CallEvent) -> LoggedEvent:
        from campaigns import looking

        self.session.commit()
        with self.application.transaction() as session:
            logged = self.pbx.say(session, event).id
        looking.look(self.application, self.pbx.name, None, event.call_id)
        self.session.expire_all()
        return self.session.get_one(LoggedEvent, logged)

    def later(self, seconds: float) -> None:
        """Open calls were sent and answered so much earlier."""
        self.session.execute(
            text("UPDATE attempts SET sent_at = sent_at - make_interval(secs => :s), "
                 "joined_at = joined_at - make_interval(secs => :s) WHERE ended_at IS NULL"),
            {"s": seconds},
        )  # fmt: skip
        self.session.execute(text("UPDATE attempts SET over_at = over_at - interval '2 s' WHERE ended_at IS NULL"))
        self.session.commit()

    def close_quiet(self) -> int:
        self.session.commit()
        closed = quiet_calls.close(self.application, self.pbx)
        self.session.expire_all()
        return closed

    def settle(self, attempt: Attempt) -> None:
        from campaigns import limits, reactions
        from campaigns.db import database_now

        self.session.commit()
        with self.application.transaction() as session:
            call = reactions.locked_call(session, attempt.ref)
            assert call is not None
            limits.settle(session, call, now=database_now(session))
        self.session.expire_all()


@pytest.fixture
def first(application: Application, session: Session) -> FirstDesk:
    at = desk(application, session, mode="progressive")
    at.pbx.features = FIRST
    at.__class__ = FirstDesk
    assert isinstance(at, FirstDesk)
    return at


def contacts(at: Desk, count: int = 1, **values: object) -> list[Contact]:
    made = [factories.contact(at.session, at.campaign, **values) for _ in range(count)]
    at.session.commit()
    return made


def test_each_free_agent_gets_one_call_in_the_gates_own_transaction_and_nobody_is_parked(first: FirstDesk) -> None:
    people = [first.agent(), first.agent()]
    contacts(first, 5)
    first.tick()
    made = first.session.scalars(select(Attempt).order_by(Attempt.id)).all()
    assert [attempt.agent_first for attempt in made] == [True, True]
    given = first.session.scalars(select(Assignment)).all()
    assert {one.agent_id for one in given} == {one.id for one in people}
    assert all(
        one.leg_id is None and one.assigned_at == attempt.ordered_at for one, attempt in zip(given, made, strict=True)
    )
    assert [agent.state for agent in people] == ["assigned", "assigned"]
    assert first.session.scalars(select(AgentLeg.id)).all() == []
    first.tick()
    assert len(first.session.scalars(select(Attempt.id)).all()) == 2, "nobody is free: nobody else is called"
    last = first.session.scalars(select(PaceDecision).order_by(PaceDecision.id)).first()
    assert last is not None
    assert last.why.startswith("2: one call per agent, whose phone rings first: 2 agents free")
    assert last.snapshot["agent_first"] is True


def test_the_order_names_agent_number_and_caller_id(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    attempt = first.order()
    (sent,) = first.pbx.commands("call_for_agent")
    assert sent == AgentFirstOrder(attempt.ref, agent.user_id, agent.extension, contact.phone, "+390210001000")
    assert attempt.state == "placed"


def test_the_life_of_a_call_from_the_agents_phone_to_the_wrap_up(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    attempt = first.order()
    attempt.pbx_call_id = None  # its reply named no call
    first.tell(attempt, Heard.RINGING, Role.AGENT)
    assert (attempt.state, agent.state, attempt.pbx_call_id) == ("placed", "assigned", f"9{attempt.id}")
    first.tell(attempt, Heard.ANSWERED, Role.AGENT)
    assert (attempt.state, attempt.joined_at) == ("placed", None)
    assert attempt.agent_answered_at is not None
    first.tell(attempt, Heard.RINGING)
    assert (attempt.state, agent.state) == ("ringing", "assigned")
    first.tell(attempt, Heard.ANSWERED)
    assert (attempt.state, agent.state, attempt.agent_id) == ("joined", "talking", agent.id)
    assert attempt.joined_at == attempt.answered_at
    first.tell(attempt, Heard.ENDED, outcome=CallOutcome.OK, talked=12.0)
    assert (attempt.state, agent.state, contact.state) == ("completed", "wrap_up", "closed")
    kinds = set(first.session.scalars(select(Ledger.kind).where(Ledger.attempt_id == attempt.id)))
    assert {"ordered", "assigned", "answered", "joined", "call_ended"} <= kinds
    assert "abandoned" not in kinds


def test_events_that_are_lost_swapped_or_doubled_end_in_the_same_place(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.ENDED, outcome=CallOutcome.OK, talked=30.0)
    assert (attempt.state, attempt.agent_id) == ("completed", agent.id)
    assert attempt.over_at is not None
    assert attempt.joined_at == attempt.over_at - timedelta(seconds=30)
    first.tell(attempt, Heard.ANSWERED)
    first.tell(attempt, Heard.ENDED, outcome=CallOutcome.OK)
    assert (attempt.state, agent.state) == ("completed", "wrap_up")


def test_a_customer_who_does_not_answer_costs_an_attempt_and_frees_the_agent_at_once(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.ENDED, outcome=CallOutcome.NO_ANSWER)
    first.settle(attempt)
    assert (attempt.state, agent.state, contact.state) == ("no_answer", "ready", "open")
    assert contact.next_at is not None
    assert attempt.ended_at is not None
    assert contact.next_at - attempt.ended_at == timedelta(hours=1)


def test_an_agent_who_does_not_answer_costs_the_customer_nothing_and_is_paused_the_second_time(
    first: FirstDesk,
) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    first.campaign.max_attempts = 1
    for state, reason in (("ready", ""), ("paused", "phone: 2 calls not taken")):
        attempt = first.order()
        first.tell(attempt, Heard.RINGING, Role.AGENT)
        first.tell(attempt, Heard.NOT_REACHED, Role.AGENT, outcome=CallOutcome.NO_ANSWER)
        first.settle(attempt)
        assert (attempt.state, contact.state) == ("no_agent", "open")
        assert (agent.state, agent.reason) == (state, reason)
        agent.not_before, contact.next_at = None, factories.NOW
    agents.ready(first.session, agent.id, now=factories.NOW, who="test")
    attempt = first.order()
    first.tell(attempt, Heard.NOT_REACHED, Role.AGENT)
    first.settle(attempt)
    assert agent.state == "ready", "their word begins the count anew"


@pytest.mark.parametrize(
    ("error", "state", "trouble"),
    [
        (PbxRefused("main", "no such extension"), "refused", ""),
        (PbxLockedOut("main", "the key is not good"), "refused", "the key is not good"),
        (PbxUnavailable("main", "cannot be reached"), "expired", "cannot be reached"),
        (PbxBusy("main", "no requests left"), "expired", ""),
    ],
)
def test_an_order_that_rang_nobody_gives_contact_and_agent_back(
    first: FirstDesk, error: Exception, state: str, trouble: str
) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    first.pbx.answers["call_for_agent"] = error  # type: ignore[assignment]
    first.tick()
    attempt = first.open()
    placing.place(first.application, attempt.ref)
    first.session.expire_all()
    assert (attempt.state, agent.state, contact.state) == (state, "ready", "open")
    assert agent.not_before is not None, "and the phone is left alone for a moment"
    assert first.session.get_one(PbxStatus, "main").trouble == trouble


def test_a_pbx_that_is_away_is_given_no_order_for_a_while_though_nothing_is_read_of_it(first: FirstDesk) -> None:
    assert poll(first.application, "main")
    contacts(first)
    first.pbx.answers["call_for_agent"] = PbxUnavailable("main", "cannot be reached")
    first.agent()
    first.tick()
    placing.place(first.application, first.open().ref)
    assert not poll(first.application, "main")
    first.agent()
    first.tick()
    assert first.session.scalars(select(Attempt.id).where(Attempt.ended_at.is_(None))).all() == []
    first.session.execute(text("UPDATE pbx_status SET trouble_at = trouble_at - interval '1 minute'"))
    first.session.commit()
    assert poll(first.application, "main")


def test_an_order_without_a_reply_is_unknown_until_an_event_tells_or_the_clock_calls_it_lost(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    first.pbx.answers["call_for_agent"] = OutcomeUnknown("main", "no reply")
    first.tick()
    attempt = first.open()
    placing.place(first.application, attempt.ref)
    first.session.expire_all()
    assert (attempt.state, agent.state) == ("unknown", "assigned")
    assert first.close_quiet() == 0
    first.later(111)
    assert first.close_quiet() == 1
    assert (attempt.state, agent.state, contact.state) == ("lost", "ready", "open")
    assert len(first.pbx.sent) == 1, "and never sent again"


def test_of_a_call_of_which_nothing_is_heard_the_history_is_asked_once(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first, 3)
    first.pbx.features = FIRST | {Feature.CALL_REPORT}
    attempt = first.order()
    first.later(111)
    began = first.session.scalar(select(Attempt.sent_at).where(Attempt.id == attempt.id))
    assert began is not None
    row = PastCall(
        "77", None, CallOutcome.OK, talk_time=20.0, user_id=agent.user_id, number=attempt.number, began=began
    )
    first.pbx.past = [row]
    assert first.close_quiet() == 1
    assert (attempt.state, agent.state, attempt.agent_id) == ("completed", "wrap_up", agent.id)


def test_a_call_the_history_does_not_know_rang_nobody(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    first.pbx.features = FIRST | {Feature.CALL_REPORT}
    attempt = first.order()
    first.later(111)
    other = PastCall("77", None, CallOutcome.OK, user_id="of another", number=attempt.number, began=attempt.sent_at)
    first.pbx.past = [other]
    assert first.close_quiet() == 1
    assert (attempt.state, agent.state, contact.state) == ("no_agent", "ready", "open")


def test_a_talk_whose_end_is_never_told_ends_by_the_agents_word_or_at_its_limit(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.ANSWERED)
    assert quiet_calls.over_by_word(first.session, agent.id)
    assert (attempt.state, agent.state) == ("completed", "wrap_up")
    agents.ready(first.session, agent.id, now=factories.NOW, who="test")
    contacts(first)
    again = first.order()
    first.tell(again, Heard.ANSWERED)
    assert first.close_quiet() == 0
    first.later(14_401)
    assert first.close_quiet() == 1
    assert again.state == "completed"
    assert again.trouble.endswith("the PBX told no end of this talk")


def test_an_agents_own_call_is_not_ours_and_keeps_customers_away_until_it_ends(first: FirstDesk) -> None:
    agent = first.agent()
    own = {"name": "x", "call_id": "1", "user_id": agent.user_id, "role": Role.CUSTOMER, "number": "+390699999999"}
    first.event(CallEvent(heard=Heard.RINGING, **own))  # type: ignore[arg-type]
    assert (agent.state, agent.reason) == ("paused", own_calls.REASON)
    contacts(first)
    first.tick()
    assert first.session.scalars(select(Attempt.id)).all() == []
    logged = first.event(CallEvent(heard=Heard.ENDED, **own))  # type: ignore[arg-type]
    assert (agent.state, logged.trouble) == ("ready", "")
    first.event(CallEvent(heard=Heard.ARRIVED, **own))  # type: ignore[arg-type]
    first.session.execute(text("UPDATE agents SET until = now() - interval '1 s'"))
    first.people()
    assert agent.state == "ready", "and an end that is never told does not keep them for ever"


def test_their_own_call_to_another_number_during_ours_is_not_taken_for_it(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.ANSWERED, call_id="private", number="+390699999999")
    assert (attempt.state, attempt.heard_at, agent.state) == ("placed", None, "assigned")
    first.tell(attempt, Heard.ENDED, call_id="private", number="+390699999999", outcome=CallOutcome.OK)
    assert attempt.state == "placed"


def test_a_second_call_to_the_same_number_is_not_ours_once_ours_is_known(first: FirstDesk) -> None:
    first.agent()
    contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.RINGING)
    first.tell(attempt, Heard.ENDED, call_id="private", outcome=CallOutcome.OK)
    assert (attempt.state, attempt.pbx_call_id) == ("ringing", f"9{attempt.id}")


def test_events_under_another_id_than_the_replys_are_found_by_agent_and_number_and_said_loudly(
    first: FirstDesk,
) -> None:
    first.agent()
    contacts(first)
    attempt = first.order()
    replied = attempt.pbx_call_id
    assert replied == attempt.request_id is not None
    first.tell(attempt, Heard.ANSWERED)
    assert attempt.state == "joined"
    assert attempt.pbx_call_id != replied
    assert "otherwise than its reply" in attempt.trouble


def heard_as_replied(first: FirstDesk) -> Agent:
    """A call of this site is over; its events came under the id of the reply. Its agent is ready again."""
    agent = first.agent()
    contacts(first, 3)
    before = first.order()
    first.tell(before, Heard.RINGING, call_id=before.request_id)
    first.tell(before, Heard.ENDED, call_id=before.request_id, outcome=CallOutcome.NO_ANSWER)
    first.settle(before)
    assert (before.ended_at is not None, agent.state) == (True, "ready")
    first.session.execute(text("UPDATE agents SET not_before = NULL"))
    return agent


def test_where_events_come_under_the_replys_id_no_other_id_is_bound(first: FirstDesk) -> None:
    """The agent dials the very customer by hand before the PBX has spoken of our call: that is a call of their own."""
    heard_as_replied(first)
    attempt = first.order()
    first.tell(attempt, Heard.ANSWERED, call_id="by-hand")
    first.tell(attempt, Heard.ENDED, call_id="by-hand", outcome=CallOutcome.OK)
    assert (attempt.state, attempt.joined_at, attempt.pbx_call_id) == ("placed", None, attempt.request_id)
    first.tell(attempt, Heard.ANSWERED, call_id=attempt.request_id)
    assert (attempt.state, attempt.trouble) == ("joined", "")


def test_a_site_that_names_calls_otherwise_is_believed_call_after_call(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first, 3)
    for _ in range(2):
        attempt = first.order()
        first.tell(attempt, Heard.ANSWERED)
        assert (attempt.state, attempt.trouble) == ("joined", binding.OTHERWISE)
        first.tell(attempt, Heard.ENDED, outcome=CallOutcome.OK)
        first.settle(attempt)
        agents.ready(first.session, agent.id, now=factories.NOW, who="test")
        first.session.execute(text("UPDATE agents SET not_before = NULL"))


def test_an_event_under_the_replys_own_id_takes_the_call_back(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first)
    attempt = first.order()
    first.tell(attempt, Heard.RINGING, call_id="by-hand")
    assert attempt.pbx_call_id == "by-hand"
    first.tell(attempt, Heard.ANSWERED, call_id=attempt.request_id)
    assert (attempt.state, attempt.pbx_call_id) == ("joined", attempt.request_id)
    assert attempt.trouble == binding.TAKEN_BACK
    first.tell(attempt, Heard.ENDED, call_id="by-hand", outcome=CallOutcome.OK)
    assert (attempt.state, agent.state) == ("joined", "talking"), "the end of the other call frees nobody"
    first.tell(attempt, Heard.ENDED, call_id=attempt.request_id, outcome=CallOutcome.OK)
    assert attempt.over_at is not None


def test_an_id_of_one_agents_call_is_never_bound_to_anothers(first: FirstDesk) -> None:
    one, other = first.agent(), first.agent()
    contacts(first, 2)
    first.tick()
    mine, theirs = first.session.scalars(select(Attempt).order_by(Attempt.id)).all()
    for attempt in (mine, theirs):
        placing.place(first.application, attempt.ref)
    first.session.expire_all()
    whose = {one.id: other, other.id: one}
    for attempt in (mine, theirs):
        assert attempt.reserved_agent_id is not None
        stranger = whose[attempt.reserved_agent_id].user_id
        first.tell(attempt, Heard.ANSWERED, call_id=f"x{attempt.id}", user_id=stranger)
        first.tell(attempt, Heard.ANSWERED, call_id=attempt.request_id and f"y{attempt.id}", number="+390699999999")
    assert [(attempt.state, attempt.joined_at) for attempt in (mine, theirs)] == [("placed", None)] * 2


def test_a_call_that_was_closed_and_is_answered_after_all_is_a_talk_and_no_abandoned_call(first: FirstDesk) -> None:
    agent = first.agent()
    contacts(first, 2)
    attempt = first.order()
    first.tell(attempt, Heard.RINGING)
    first.later(111)
    assert first.close_quiet() == 1
    assert (attempt.state, agent.state) == ("no_answer", "ready")
    first.tell(attempt, Heard.ANSWERED)
    assert (agent.state, agent.reason) == ("paused", own_calls.REASON)
    assert attempt.joined_at == attempt.answered_at is not None
    first.tell(attempt, Heard.ENDED, outcome=CallOutcome.OK)
    assert agent.state == "ready"
    assert first.session.scalars(select(Ledger.id).where(Ledger.kind == "abandoned")).all() == []


def test_who_asks_to_go_before_the_order_is_sent_is_not_rung(first: FirstDesk) -> None:
    agent = first.agent()
    (contact,) = contacts(first)
    first.tick()
    agents.pause(first.session, agent.id, reason="lunch", now=factories.NOW, who="test")
    first.session.commit()
    attempt = first.open()
    placing.place(first.application, attempt.ref)
    first.session.expire_all()
    assert (first.pbx.sent, attempt.state, agent.state, contact.state) == ([], "expired", "paused", "open")


def test_two_campaigns_never_get_one_agent(first: FirstDesk) -> None:
    from campaigns.lines import Lines

    agent = first.agent()
    contacts(first)
    with first.application.transaction() as one:
        campaign = one.merge(first.campaign)
        (taken,) = giving.idle(one, campaign, 5, factories.NOW)
        with first.application.transaction() as other:
            assert giving.idle(other, other.merge(first.campaign), 5, factories.NOW) == []
        contact = one.scalars(select(Contact)).one()
        gate.order_one(
            one, campaign, contact, Lines({"4": 9}), gate.Author("test"), now=factories.NOW,
            timing=first.application.settings.timing, agent=taken, agent_first=True,
        )  # fmt: skip
    first.session.expire_all()
    assert agent.state == "assigned"
    with pytest.raises(Exception, match="uq_assignments_open_agent"), first.application.transaction() as again:
        again.add(Assignment(attempt_id=first.open().id, agent_id=agent.id, assigned_at=factories.NOW))


def test_a_promised_callback_comes_before_the_others_and_goes_to_its_owner(first: FirstDesk) -> None:
    first.agent(idle_since=factories.NOW - timedelta(hours=1))
    owner = first.agent()
    contacts(first, 3)
    (promised,) = contacts(first, due_date=factories.NOW.date())
    mine = factories.contact(
        first.session, first.campaign, due_date=factories.NOW.date(), kept_for=owner.id, kept_as="owner"
    )
    first.session.execute(
        text("UPDATE contacts SET kept_until = now() + interval '5 minutes' WHERE kept_for IS NOT NULL")
    )
    first.tick()
    made = {a.contact_id: a.reserved_agent_id for a in first.session.scalars(select(Attempt))}
    assert made.keys() == {mine.id, promised.id}
    assert made[mine.id] == owner.id


def test_preview_offers_to_whoever_is_ready_and_rings_them_when_they_accept(first: FirstDesk) -> None:
    first.campaign.mode = "preview"
    agent = first.agent()
    contacts(first, 2)
    first.tick()
    assert (agent.state, agent.reserved_for) == ("ready", "offer")
    first.tick()
    assert first.session.scalars(select(Attempt.id)).all() == []
    made = dialling.accept(first.application, agent.id, who="test")
    first.session.expire_all()
    attempt = first.session.get_one(Attempt, made.attempt)
    assert (attempt.agent_first, agent.state, agent.reserved_for) == (True, "assigned", "")
    assert placing.place(first.application, made.ref) is CallState.PLACED


def test_by_hand_the_agent_is_rung_first_as_well(first: FirstDesk) -> None:
    first.campaign.mode = "manual"
    agent = first.agent()
    dialling.call(first.application, agent.id, first.campaign.id, number="+390612345678", who="test")
    first.session.expire_all()
    assert (agent.state, first.open().agent_first) == ("assigned", True)
    assert refused(
        dialling.call, first.application, agent.id, first.campaign.id, number="+390612345678", who="test"
    ).startswith("75: ")


def test_lines_nobody_tells_are_those_of_the_settings_less_our_own_open_calls(first: FirstDesk) -> None:
    first.pbx.lines = [Gateway("4", "outside", True, True, 2, 0)]
    first.pbx.people = [PbxUser("1", "Anna", "1", presence="unknown")]  # type: ignore[arg-type]
    for _ in range(3):
        first.agent()
    contacts(first, 3)
    first.session.execute(text("DELETE FROM pbx_status"))
    first.session.commit()
    assert poll(first.application, "main")
    first.tick()
    made = first.session.scalars(select(Attempt)).all()
    assert len(made) == 2
    for attempt in made:
        placing.place(first.application, attempt.ref)
    assert poll(first.application, "main")
    first.session.expire_all()
    assert first.session.get_one(PbxStatus, "main").gateways[0]["busy_lines"] == 2
    first.tick()
    assert len(first.session.scalars(select(Attempt)).all()) == 2
    assert {agent.state for agent in first.session.scalars(select(Agent))} == {"assigned", "ready"}, "nobody is paused"


A_TALK = (
    (Heard.RINGING, Role.AGENT, None),
    (Heard.RINGING, Role.CUSTOMER, None),
    (Heard.ANSWERED, Role.CUSTOMER, None),
    (Heard.ENDED, Role.CUSTOMER, CallOutcome.OK),
)
NOT_TAKEN = (*A_TALK[:2], (Heard.ANSWERED, Role.AGENT, None), (Heard.ENDED, Role.CUSTOMER, CallOutcome.UNKNOWN))


@pytest.mark.parametrize(
    ("events", "ends", "then"), [(A_TALK, "completed", "wrap_up"), (NOT_TAKEN, "no_answer", "ready")]
)
def test_every_order_of_the_same_events_ends_the_same(
    first: FirstDesk, events: tuple[tuple[Heard, Role, CallOutcome | None], ...], ends: str, then: str
) -> None:
    agent = first.agent()
    contacts(first)
    attempt, session = first.order(), first.session
    for order in permutations(events):
        with session.begin_nested() as back:
            for n, (heard, role, outcome) in enumerate((*order, order[0])):  # the first of them twice
                at = factories.NOW + timedelta(seconds=n)
                told = CallEvent(heard, heard, call_id="9", role=role, outcome=outcome)
                agent_first.apply(session, attempt, told, at=at, now=at)
            limits.settle(session, attempt, now=factories.NOW + timedelta(minutes=1))
            assert (attempt.state, agent.state) == (ends, then), [one[:2] for one in order]
            session.flush()
            back.rollback()
        session.expire_all()
        assert (attempt.state, agent.state) == ("placed", "assigned")
