"""The IVR script: a node's question is understood, and no answer of ours can be read as something else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.errors import EventTrouble
from dialer.pbx.voispeed_codes import EntityType, IvrAction
from dialer.pbx.voispeed_ivr import (
    End,
    GoToChild,
    IvrAnswer,
    RerunNode,
    TransferToEntity,
    TransferToNumber,
    read_ivr_query,
    render,
)

ASKED = "license_id=MP3026487718&domain=almach1.it&ivrid=9&nodeid=0&callid=10724&calling=35&called=12345&input=1&tag=-1"


def test_the_question_of_the_guide_is_understood() -> None:
    asked = read_ivr_query(ASKED)
    assert (asked.license_id, asked.domain) == ("MP3026487718", "almach1.it")
    assert (asked.ivr_id, asked.node_id, asked.call_id) == ("9", "0", "10724")
    assert (asked.calling, asked.called, asked.digits, asked.tag) == ("35", "12345", "1", None)


def test_a_tag_that_was_set_comes_back() -> None:
    assert read_ivr_query("callid=1&tag=5").tag == "5"


def test_digits_are_digits_whatever_was_sent() -> None:
    assert read_ivr_query("callid=1&input=12%0d%0acommand%3d3*%23").digits == "123*#"


@pytest.mark.parametrize("query", ["", "callid=", "callid=-1", "callid=a%20b", "calling=35", "x" * 100_000])
def test_a_question_about_no_call_is_trouble(query: str) -> None:
    with pytest.raises(EventTrouble, match="callid"):
        read_ivr_query(query)


@pytest.mark.parametrize(
    ("answer", "written"),
    [
        (End(), b"command=0"),
        (GoToChild("2"), b"command=1\r\nnode_key=2"),
        (TransferToNumber("385"), b"command=2\r\nrecipient_number=385"),
        (TransferToNumber("+390612345678"), b"command=2\r\nrecipient_number=390612345678"),
        (
            TransferToEntity(EntityType.RING_GROUP, "5", "073333655434"),
            b"command=3\r\nrecipient_number=073333655434\r\nrecipient_id=5\r\nrecipient_type=1",
        ),
        (
            RerunNode("new_message.wav", False, 6, 10, IvrAction.SCRIPT, "https://dialer.test/ivr?x=1", "5"),
            b"command=4\r\naudio_message=new_message.wav\r\naudio_loop=0\r\ninput_length=6\r\ninput_timeout=10\r\n"
            b"node_action=3\r\nscript_url=https://dialer.test/ivr?x=1\r\ntag=5",
        ),
        (RerunNode(), b"command=4"),
    ],
)
def test_answers_are_written_as_the_guide_writes_them(answer: IvrAnswer, written: bytes) -> None:
    assert render(answer) == written


@pytest.mark.parametrize(
    "answer",
    [
        GoToChild(""),
        GoToChild("2\r\ncommand=0"),
        TransferToNumber("+12"),
        TransferToNumber(""),
        TransferToNumber("06 12"),
        TransferToEntity(EntityType.USER, "5\r\n", "187"),
        TransferToEntity(EntityType.USER, "٥", "187"),
        TransferToEntity(EntityType.USER, "5", "x"),
        RerunNode(audio_message="a\nb"),
        RerunNode(script_url="ftp://x"),
        RerunNode(script_url="https://x y"),
        RerunNode(tag="a=b"),
        RerunNode(input_length=-1),
        RerunNode(input_timeout=86_400),
    ],
)
def test_what_could_become_another_line_is_never_written(answer: IvrAnswer) -> None:
    with pytest.raises(ValueError, match=r"must be|cannot be"):
        render(answer)


@given(
    st.one_of(
        st.builds(GoToChild, st.text()),
        st.builds(TransferToNumber, st.text()),
        st.builds(TransferToEntity, st.sampled_from(EntityType), st.text(), st.text()),
        st.builds(RerunNode, audio_message=st.text(), script_url=st.text(), tag=st.text()),
    )
)
def test_whatever_is_put_in_one_value_stays_one_line(answer: IvrAnswer) -> None:
    try:
        written = render(answer)
    except ValueError:
        return
    lines = written.split(b"\r\n")
    assert all(line.count(b"\n") == 0 and b"=" in line for line in lines)
    assert sum(line.startswith(b"command=") for line in lines) == 1


@given(st.text())
def test_any_question_is_understood_or_trouble(query: str) -> None:
    try:
        asked = read_ivr_query(query)
    except EventTrouble:
        return
    assert asked.call_id
