"""A responder's node may ask a script what to do, and does each of the five things it can be told."""

import pytest

from dialer.pbx.simulator.config import (
    Behaviour,
    CustomerConfig,
    Ending,
    IvrConfig,
    NodeConfig,
    WorldConfig,
    abandon,
    waiting,
)
from dialer.pbx.simulator.ivr import ScriptCall
from dialer.pbx.simulator.tables import NodeAction
from dialer.pbx.simulator.world import World
from tests.simulation.pbx_kit import call, run, steps

URL = "http://dialer.example/ivr"
ASKING = IvrConfig(
    17,
    "Asking",
    "",
    (
        NodeConfig(0, audio_message="comfort.wav", action=NodeAction.SCRIPT, script=URL),
        NodeConfig(1, parent_id=0, select_key="2", audio_message="nobody-free.wav"),
    ),
)
ASKED_AT = 7.1  # five seconds of ringing, two of comfort tone


@pytest.fixture
def pbx() -> World:
    by_number = {"390600000001": Behaviour(Ending.ANSWERS, ring=5.0, patience=600.0, talk=30.0)}
    config = WorldConfig(customers=CustomerConfig(by_number=by_number), ivrs=(ASKING, waiting(), abandon()))
    return World(config, seed=3)


def asked(pbx: World) -> ScriptCall:
    call(pbx, "390600000001")
    run(pbx, ASKED_AT)
    (question,) = pbx.take_scripts()
    return question


def test_a_node_asks_with_the_fields_of_the_guide(pbx):
    question = asked(pbx)
    assert question.url == URL
    assert " ".join(question.fields) == "license_id domain ivrid nodeid callid calling called input tag"
    assert question.fields["ivrid"] == "17"
    assert question.fields["calling"] == "390600000001"
    assert question.fields["tag"] == "-1"


@pytest.mark.parametrize("told", ["", "command=0", "command=9", "TRUE", "command=3\r\nrecipient_id=x"])
def test_no_or_a_malformed_instruction_ends_the_call(pbx, told):
    pbx.script_answered(asked(pbx).id, told)
    assert steps(run(pbx, 8)) == ["disconnect_in 3/17", "disconnect_out 2/4", "call_terminated 1"]


def test_a_script_that_never_answers_ends_the_call(pbx):
    question = asked(pbx)
    assert steps(run(pbx, 30)) == ["disconnect_in 3/17", "disconnect_out 2/4", "call_terminated 1"]
    pbx.script_answered(question.id, "command=1\r\nnode_key=2")
    assert run(pbx, 40) == []


def test_a_script_chooses_the_next_node(pbx):
    pbx.script_answered(asked(pbx).id, "command=1\r\nnode_key=2\r\n")
    run(pbx, 60)
    assert [m[0] for m in pbx.calls()[0]["messages"]] == ["nobody-free.wav"]


def test_an_unknown_key_leaves_the_caller_in_the_node(pbx):
    pbx.script_answered(asked(pbx).id, "command=1\r\nnode_key=7")
    assert run(pbx, 60) == []


@pytest.mark.parametrize(
    "told",
    [
        "command=3\r\nrecipient_id=102\r\nrecipient_type=0\r\nrecipient_number=202",
        "command=2\r\nrecipient_number=202",
    ],
)
def test_a_script_hands_the_caller_to_an_agent(pbx, told):
    pbx.script_answered(asked(pbx).id, told)
    assert steps(run(pbx, 20))[:2] == ["disconnect_out 3/17", "call_out 0/102"]
    assert [talk[0] for talk in pbx.calls()[0]["talks"]] == ["202"]


def test_a_script_changes_the_node_and_runs_it_again_with_its_tag(pbx):
    told = "command=4\r\naudio_message=comfort.wav\r\naudio_loop=0\r\nnode_action=3\r\nscript_url=http://x/2\r\ntag=5"
    pbx.script_answered(asked(pbx).id, told)
    run(pbx, 10)
    (question,) = pbx.take_scripts()
    assert (question.url, question.fields["tag"]) == ("http://x/2", "5")
