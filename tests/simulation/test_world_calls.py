"""The simulated PBX carries a call through the maker's steps, in the maker's order."""

import pytest

from dialer.pbx.simulator.config import (
    AgentConfig,
    Behaviour,
    CustomerConfig,
    Ending,
    GatewayConfig,
    WorldConfig,
    abandon,
    reception,
    waiting,
)
from dialer.pbx.simulator.world import World
from tests.simulation.pbx_kit import accepted, ask, call, join, park, run, run_out, send, steps

ANSWERS = Behaviour(Ending.ANSWERS, ring=5.0, patience=600.0, talk=60.0, hangs_up_first=True)
NUMBERS = {
    "390600000001": ANSWERS,
    "390600000002": Behaviour(Ending.BUSY),
    "390600000003": Behaviour(Ending.REJECTED),
    "390600000004": Behaviour(Ending.UNAVAILABLE),
    "390600000005": Behaviour(Ending.NO_ANSWER),
    "390600000006": Behaviour(Ending.ANSWERS, ring=5.0, patience=1.0),
    "390600000007": Behaviour(Ending.ANSWERS, ring=5.0, patience=600.0, talk=60.0, hangs_up_first=False),
}


def world(**changes: object) -> World:
    return World(WorldConfig(customers=CustomerConfig(by_number=NUMBERS), **changes), seed=3)  # type: ignore[arg-type]


def legs(hooks: list, extid: str) -> dict[str, str]:
    """Communication and legs of a call, as a dialer learns them."""
    found = {}
    for hook in hooks:
        f = hook.fields
        if f.get("extid") == extid and f["event_name"] == "call_response" and f["outcome"] == "1":
            found["com"] = f["call_id"]
            found[{"0": "user", "2": "gateway", "3": "ivr"}[f["sender_type"]]] = f["entity_call_id"]
    return found


def test_an_answered_customer_is_told_in_the_order_of_the_figure_and_hears_the_message_when_nobody_comes():
    pbx = world()
    assert accepted(call(pbx, "390600000001"))
    assert steps(run(pbx, 60)) == [
        "call_out 2/4",
        "call_progress 2/4",
        "call_response 2/4 1",
        "call_out 3/17",
        "call_response 3/17 1",
        "disconnect_in 3/17",
        "disconnect_out 2/4",
        "call_terminated 1",
    ]
    (heard,) = pbx.calls()
    (message,) = heard["messages"]
    assert message[0] == "nobody-free.wav"
    assert message[1] - heard["answered_at"] == pytest.approx(2.0, abs=0.01)
    assert message[2] - message[1] == pytest.approx(6.0)
    assert message[3] is True
    assert heard["silence"] == pytest.approx(2.0, abs=0.01)


@pytest.mark.parametrize(
    ("number", "outcome", "rings"),
    [("390600000002", 10, False), ("390600000003", 11, False), ("390600000004", 12, False), ("390600000005", 9, True)],
)
def test_who_does_not_answer_is_told_with_the_calling_sides_outcome(number, outcome, rings):
    pbx = world()
    call(pbx, number)
    expected = ["call_out 2/4", *(["call_progress 2/4"] if rings else [])]
    hooks = run(pbx, 60)
    assert steps(hooks) == [*expected, f"call_response 2/4 {outcome}", f"call_terminated {outcome}"]
    assert "connected_id" not in hooks[-2].fields
    assert hooks[-1].happened - hooks[0].happened == pytest.approx(22.0 if rings else 2.0, abs=1.0)


def test_the_call_out_event_shows_which_number_the_entity_sees():
    pbx = world()
    call(pbx, "390600000001")
    first, second = [h.fields for h in run(pbx, 6) if h.fields["event_name"] == "call_out"]
    assert (first["calling"], first["called"]) == ("0210001000", "390600000001")
    assert (second["calling"], second["called"]) == ("390600000001", "0210001000")
    assert first["entity_call_id"] != second["entity_call_id"]
    assert first["datetime"] == "2026-03-02 09:00:00"


def test_a_parked_agent_answers_by_itself_and_is_busy():
    pbx = world()
    assert accepted(park(pbx, 101))
    hooks = run(pbx, 2)
    assert steps(hooks) == [
        "call_out 0/101",
        "call_progress 0/101",
        "call_response 0/101 1",
        "call_out 3/18",
        "call_response 3/18 1",
    ]
    answered = next(h for h in hooks if h.fields["event_name"] == "call_response")
    assert 0.2 <= answered.happened <= 0.7
    user = ask(pbx, "get_entities", entity_type=0, entity_id=101).find("users/user")
    assert user.findtext("av_status") == "4"
    assert user.findtext("chat_status") == "2"


def joined(pbx: World, number: str = "390600000001") -> tuple[list, tuple[str, str], tuple[str, str, str]]:
    call(pbx, number, "c1")
    park(pbx, 101, "a1")
    hooks = run(pbx, 6)
    customer, agent = legs(hooks, "c1"), legs(hooks, "a1")
    return hooks, (customer["com"], customer["ivr"]), (agent["com"], "101", agent["user"])


@pytest.mark.parametrize(("number", "goes"), [("390600000001", "2/4"), ("390600000007", "0/101")])
def test_a_transfer_puts_the_agent_in_the_receptions_place_and_ends_the_agents_own_call(number, goes):
    pbx = world()
    _, customer, agent = joined(pbx, number)
    assert accepted(join(pbx, customer, agent))
    after = run(pbx, 7)
    assert steps(after) == [
        "disconnect_out 3/17",
        "call_transfer 3/17",
        "disconnect_out 3/18",
        "call_terminated 1",
    ]
    transfer, ended = after[1].fields, after[3].fields
    assert (transfer["call_id"], transfer["refer_id"], transfer["entity_call_id"]) == (
        customer[0],
        agent[0],
        agent[2],
    )
    assert (transfer["recipient_type"], transfer["recipient_id"]) == ("0", "101")
    assert transfer["extid"] == "c1"
    assert (ended["call_id"], ended["extid"]) == (agent[0], "a1")
    assert (after[0].fields["call_id"], after[2].fields["call_id"]) == (customer[0], agent[0])

    current = ask(pbx, "get_current_calls").findall("call")
    assert [(c.findtext("external_id"), c.findtext("connected_type"), c.findtext("connected_id")) for c in current] == [
        ("c1", "0", "101")
    ]
    other = {"2/4": "0/101", "0/101": "2/4"}[goes]
    assert steps(run(pbx, 120)) == [f"disconnect_in {goes}", f"disconnect_out {other}", "call_terminated 1"]
    first, second = ask(pbx, "get_call_report").findall("call")
    assert (first.findtext("id"), second.findtext("id")) == (agent[0], customer[0])
    assert (second.findtext("call_ref_id"), second.findtext("talk_time")) == (agent[0], "60")
    (truth,) = pbx.calls()
    assert truth["ended_by"] == ("customer" if goes == "2/4" else "agent")
    ((extension, began, ended_at),) = truth["talks"]
    assert extension == "201"
    assert ended_at - began == pytest.approx(60.0)
    assert pbx.judgement()["silent_calls"] == 0


def test_after_a_conversation_the_agent_is_absent_for_the_wrap_up_and_then_available():
    pbx = world()
    _, customer, agent = joined(pbx)
    join(pbx, customer, agent)
    run(pbx, 66.2)

    def presence() -> str:
        return ask(pbx, "get_entities", entity_type=0, entity_id=101).findtext("users/user/av_status")

    assert presence() == "7"
    run(pbx, 66 + 121)
    assert presence() == "2"
    spent = pbx.judgement()["agents"]["201"]
    assert 1 < spent["wrap-up"] < 121
    assert spent["talking"] == pytest.approx(60.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replace_com_id": 9999},
        {"replace_type": 0},
        {"replace_id": 18},
        {"replace_local_id": 501},
        {"recipient_com_id": 9999},
        {"recipient_type": 3},
        {"recipient_id": 102},
        {"recipient_call_id": 504},
    ],
)
def test_a_transfer_with_any_of_the_eight_ids_wrong_is_refused_and_changes_nothing(wrong):
    pbx = world()
    _, customer, agent = joined(pbx)
    reply = join(pbx, customer, agent, **wrong)
    assert reply.findtext("outcome") == "1"
    assert reply.findtext("error") in ("connection not found", "entity call not found")
    assert run(pbx, 7.1) == []
    assert accepted(join(pbx, customer, agent))


@pytest.mark.parametrize("missing", ["replace_com_id", "replace_local_id", "recipient_type", "recipient_call_id"])
def test_a_transfer_with_an_id_missing_is_refused_by_its_name(missing):
    pbx = world()
    _, customer, agent = joined(pbx)
    assert join(pbx, customer, agent, **{missing: ""}).findtext("error") == f"missing parameter {missing}"


def test_a_second_transfer_of_one_agent_is_accepted_at_most_and_never_carried_out():
    pbx = world()
    _, customer, agent = joined(pbx)
    assert accepted(join(pbx, customer, agent))
    join(pbx, customer, agent)
    hooks = run(pbx, 7)
    assert steps(hooks).count("call_transfer 3/17") == 1
    assert pbx.judgement()["ignored"] == {"call_transfer_ext: entity call not found": 1}


def test_an_agent_who_hung_up_before_the_transfer_leaves_the_customer_to_the_receptions_message():
    pbx = world()
    _, customer, agent = joined(pbx)
    ask(pbx, "call_terminate", call_id=agent[0])
    assert accepted(join(pbx, customer, agent))  # both are under way; the first one wins or is ignored
    run(pbx, 60)
    (truth,) = pbx.calls()
    assert truth["talks"] or truth["messages"]
    assert pbx.judgement()["silent_calls"] == 0


def test_a_diverted_customer_leaves_the_reception_before_the_new_entity_is_called():
    pbx = world()
    call(pbx, "390600000001")
    customer = legs(run(pbx, 6), "c1")
    reply = ask(
        pbx,
        "call_divert_ext",
        call_id=customer["com"],
        sender_type=3,
        sender_id=17,
        sender_call_id=customer["ivr"],
        recipient_type=3,
        recipient_id=19,
        recipient_number="0210001000",
    )
    assert accepted(reply)
    assert steps(run(pbx, 60)) == [
        "disconnect_out 3/17",
        "call_out 3/19",
        "call_progress 3/19",
        "call_divert 3/17",
        "call_response 3/19 1",
        "disconnect_in 3/19",
        "disconnect_out 2/4",
        "call_terminated 1",
    ]
    (truth,) = pbx.calls()
    assert [m[3] for m in truth["messages"]] == [True]


def test_a_diversion_to_somebody_who_is_away_ends_the_call():
    pbx = world()
    call(pbx, "390600000001")
    customer = legs(run(pbx, 6), "c1")
    ask(pbx, "set_user_mode", ext="201", mode=1)
    run(pbx, 6.1)
    ask(pbx, "call_divert_ext", call_id=customer["com"], recipient_type=0, recipient_id=101)
    assert steps(run(pbx, 7)) == [
        "disconnect_out 3/17",
        "call_response 0/101 8",
        "disconnect_out 2/4",
        "call_terminated 1",
    ]


def test_a_customer_without_patience_hangs_up_at_the_reception():
    pbx = world()
    call(pbx, "390600000006")
    assert steps(run(pbx, 60))[-3:] == ["disconnect_in 2/4", "disconnect_out 3/17", "call_terminated 1"]
    (truth,) = pbx.calls()
    assert truth["ended_by"] == "customer"
    assert truth["silence"] == pytest.approx(1.0)


def test_terminating_a_ringing_call_stops_the_ringing():
    pbx = world()
    call(pbx, "390600000005")
    (com,) = {h.fields["call_id"] for h in run(pbx, 4)}
    assert accepted(ask(pbx, "call_terminate", call_id=com))
    assert steps(run(pbx, 60)) == ["disconnect_out 2/4", "call_terminated 9"]
    assert pbx.state()["gateways"][0]["busy_lines"] == 0


def test_calls_beyond_the_lines_end_with_no_lines_and_ring_nobody():
    pbx = world(gateways=(GatewayConfig(lines=2),))
    for i in range(5):
        call(pbx, f"39061111000{i}", f"c{i}")
    hooks = run(pbx, 0.2)
    assert pbx.state()["gateways"][0]["busy_lines"] == 2
    assert sum(step == "call_response 2/4 13" for step in steps(hooks)) == 3
    assert sum(step == "call_terminated 13" for step in steps(hooks)) == 3
    assert len(pbx.calls()) == 2
    run_out(pbx)
    assert pbx.state()["gateways"][0]["busy_lines"] == 0


def test_a_gateway_whose_link_is_down_has_no_lines_and_a_disabled_one_is_refused():
    pbx = world()
    pbx.outages.gateway_down(pbx.entities.gateways[4])
    assert accepted(call(pbx, "390600000001"))
    assert steps(run(pbx, 1)) == ["call_response 2/4 13", "call_terminated 13"]
    pbx.entities.gateways[4].enabled = False
    assert call(pbx, "390600000001").findtext("error") == "gateway disabled"


def test_one_phone_takes_one_call_and_the_book_notes_the_double_dial():
    pbx = world()
    call(pbx, "390600000001", "c1")
    run(pbx, 2)
    call(pbx, "+390600000001".lstrip("+"), "c2")
    run(pbx, 3)
    call(pbx, "00390600000001", "c3")
    hooks = run(pbx, 30)
    assert "call_response 2/4 10" in steps(hooks, "c2")
    judged = pbx.judgement()
    assert judged["double_dials"] == 2
    assert judged["double_dial_list"][0]["why"] == "number already on a line"
    assert (
        judged["double_dial_list"][0]["first"]["extid"],
        judged["double_dial_list"][0]["second"]["extid"],
    ) == ("c1", "c2")
    assert judged["most_rings_of_a_number"] == 3


def test_a_number_whose_call_is_over_can_be_called_again_and_meets_another_mood():
    pbx = world()
    for turn in range(3):
        call(pbx, "390600000001", f"c{turn}")
        assert "call_response 2/4 1" in steps(run(pbx, pbx.now + 60), f"c{turn}")
    assert [c["nth"] for c in pbx.calls()] == [1, 2, 3]
    assert pbx.judgement()["double_dials"] == 0


def test_one_extid_dialled_twice_is_a_double_dial_even_much_later():
    pbx = world()
    call(pbx, "390600000002", "c1")
    run(pbx, 60)
    call(pbx, "390600000003", "c1")
    run(pbx, 120)
    (double,) = pbx.judgement()["double_dial_list"]
    assert double["why"] == "same extid twice"


@pytest.mark.parametrize(("mode", "outcome"), [(1, 12), (2, 11)])
def test_an_agent_who_is_absent_or_wants_no_disturbance_is_not_rung(mode, outcome):
    pbx = world()
    assert accepted(ask(pbx, "set_user_mode", ext="201", mode=mode))
    run(pbx, 0.1)
    park(pbx, 101)
    assert steps(run(pbx, 1)) == [f"call_response 0/101 {outcome}", f"call_terminated {outcome}"]


def test_an_agent_in_a_call_is_busy_for_a_second_one():
    pbx = world()
    park(pbx, 101, "a1")
    run(pbx, 1)
    park(pbx, 101, "a2")
    assert steps(run(pbx, 2), "a2") == ["call_response 0/101 10", "call_terminated 10"]


def test_two_customers_on_one_agent_are_seen_by_the_book():
    pbx = world(agents=AgentConfig(takes_second_call=True))
    for i, number in enumerate(("390600000001", "390600000007")):
        call(pbx, number, f"c{i}")
        park(pbx, 101, f"a{i}")
    hooks = run(pbx, 6)
    for i in range(2):
        customer, agent = legs(hooks, f"c{i}"), legs(hooks, f"a{i}")
        assert accepted(join(pbx, (customer["com"], customer["ivr"]), (agent["com"], "101", agent["user"])))
    run(pbx, 8)
    judged = pbx.judgement()
    assert judged["two_on_one"] == 1
    assert judged["two_on_one_list"][0]["agent"] == "201"


def test_a_command_is_answered_before_it_is_carried_out():
    pbx = world()
    call(pbx, "390600000001")
    assert pbx.outbox == []
    assert ask(pbx, "get_current_calls").findall("call") == []
    due = pbx.next_time()
    assert 0.005 <= due <= 0.05


def test_somebody_who_calls_in_reaches_an_agent_of_the_group():
    pbx = world()
    com = pbx.incoming("390699999999", 1, 5, "0210001000")
    hooks = run(pbx, 7)
    assert steps(hooks)[:2] == ["call_in", "call_out 1/5"]
    response = next(h.fields for h in hooks if h.fields["event_name"] == "call_response")
    assert (response["sender_type"], response["connected_type"], response["connected_id"]) == ("1", "0", "101")
    assert "extid" not in response
    assert int(response["call_id"]) == com
    run_out(pbx)
    assert pbx.judgement()["calls"] == 0
    assert pbx.state()["gateways"][0]["busy_lines"] == 0


def test_a_user_call_rings_the_extension_first_and_tells_user_events():
    pbx = World(WorldConfig(customers=CustomerConfig(by_number=NUMBERS), user_events=True), seed=3)
    assert accepted(ask(pbx, "call_request", ext="201", number="390600000001", extid="u1"))
    hooks = run(pbx, 200)
    assert steps(hooks)[0] == "call_out 0/101"
    user = [h.fields for h in hooks if h.fields["event_type"] == "2"]
    assert [(f["event"], f["event_name"]) for f in user] == [
        ("9", "outgoing_call"),
        ("14", "call_answered"),
        ("17", "call_disconnect_in"),
    ]
    assert {f["number"] for f in user} == {"390600000001"}
    assert {f["ext"] for f in user} == {"201"}
    report = ask(pbx, "get_user_call_report", ext="201", limit=1).find("call")
    assert report.findtext("remote_number") == "390600000001"
    assert report.findtext("outcome") == "1"
    assert report.findtext("answer_time") == user[1]["datetime"]


def test_a_user_call_to_somebody_busy_is_rejected_with_the_called_sides_outcome():
    pbx = World(WorldConfig(customers=CustomerConfig(by_number=NUMBERS), user_events=True), seed=3)
    ask(pbx, "call_request", ext="201", number="390600000002")
    hooks = run(pbx, 30)
    assert "call_response 2/4 2" in steps(hooks)
    assert [h.fields["event_name"] for h in hooks if h.fields["event_type"] == "2"] == [
        "outgoing_call",
        "call_rejected",
    ]


def test_a_user_command_that_cannot_be_carried_out_tells_its_request_id():
    pbx = World(WorldConfig(user_events=True), seed=3)
    park(pbx, 101)
    run(pbx, 1)
    request = ask(pbx, "call_request", ext="201", number="390600000001").findtext("request_id")
    failed = [h.fields for h in run(pbx, 2) if h.fields["event_name"] == "cmd_failed"]
    assert [(f["event"], f["request_id"], f["ext"]) for f in failed] == [("1", request, "201")]


def test_call_action_disconnects_diverts_and_holds_by_the_users_extension():
    pbx = world()
    _, customer, agent = joined(pbx)
    join(pbx, customer, agent)
    run(pbx, 7)
    assert accepted(ask(pbx, "call_action", ext="201", call_id=customer[0], action="hold"))
    run(pbx, 9)
    ask(pbx, "call_action", ext="201", call_id=customer[0], action="retrieve")
    assert steps(run(pbx, 10)) == ["call_retrieved"]
    ask(pbx, "call_action", ext="201", call_id=customer[0], action="divert", number="202", note="for you")
    hooks = run(pbx, 18)
    assert steps(hooks)[:4] == ["disconnect_out 0/101", "call_out 0/102", "call_progress 0/102", "call_divert 0/101"]
    assert accepted(ask(pbx, "call_action", ext="202", call_id=customer[0], action="disconnect"))
    assert steps(run(pbx, 19)) == ["disconnect_in 0/102", "disconnect_out 2/4", "call_terminated 1"]
    report = ask(pbx, "get_call_report", external_id="c1").find("call")
    assert int(report.findtext("hold_time")) in (1, 2)
    assert ask(pbx, "call_action", ext="202", call_id=customer[0], action="disconnect").findtext("outcome") == "1"


def test_quiet_refuses_calls_and_sends_parked_agents_home():
    pbx = world()
    park(pbx, 101)
    run(pbx, 1)
    pbx.quiet()
    assert call(pbx, "390600000001").findtext("outcome") == "1"
    assert steps(run(pbx, 2)) == ["disconnect_in 0/101", "disconnect_out 3/18", "call_terminated 1"]
    pbx.reopen()
    assert accepted(park(pbx, 101, "a2"))


def test_an_unarmed_reception_leaves_a_silent_call_in_the_book():
    pbx = world(ivrs=(reception(armed=False), waiting(), abandon()))
    call(pbx, "390600000001")
    run(pbx, 20)
    judged = pbx.judgement()
    assert judged["silent_calls"] == 1
    assert judged["longest_silence"] > 14
    (root,) = ask(pbx, "get_entities", entity_type=3, entity_id=17).findall("ivrs/ivr/nodes/node")
    assert root.findtext("waiting_input_time") == "0"
    assert send(pbx, "get_entities", entity_type=3).status == 200
