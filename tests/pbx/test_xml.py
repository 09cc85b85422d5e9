"""XML becomes a small tree or one of our errors, quickly; a list is believed whole or not at all."""

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.pbx.voispeed_calls import current_call
from dialer.pbx.xml import MAX_BYTES, Node, XmlTrouble, parse
from tests.pbx.scripted import sample

ONE = b"<result><outcome>0</outcome><request_id>17012345678901</request_id></result>"


def refs(root: Node) -> list[str | None]:
    return [call.get("external_id") for call in root.all("call")]


# what is taken --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        ONE,
        b"\xef\xbb\xbf" + ONE,
        b"\r\n\t  " + ONE + b"\n\n",
        b'<?xml version="1.0" encoding="UTF-8" ?>\n' + ONE,
        b'\xef\xbb\xbf<?xml version="1.0" encoding="utf-8"?>' + ONE,
        b'<?xml version="1.0" encoding="ISO-8859-1"?>' + ONE,
        b'<?xml version="1.0" encoding="EBCDIC-NOBODY"?>' + ONE,
        b"<!-- built by PHP -->" + ONE,
    ],
)
def test_a_good_reply_is_read_whatever_stands_before_it(body: bytes) -> None:
    root = parse(body)
    assert (root.get("outcome"), root.get("request_id")) == ("0", "17012345678901")


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ("", "utf-8"),
        ("", "latin-1"),
        ('<?xml version="1.0" encoding="ISO-8859-1"?>', "latin-1"),
        ('<?xml version="1.0" encoding="UTF-8"?>', "latin-1"),
    ],
)
def test_letters_are_read_in_latin_1_too_whether_declared_or_not(declaration: str, encoding: str) -> None:
    body = f"{declaration}<result><outcome>1</outcome><error>linea già occupata</error></result>".encode(encoding)
    assert parse(body).get("error") == "linea già occupata"


def test_a_windows_euro_sign_in_declared_latin_1_is_read_as_windows_writes_it() -> None:
    body = b'<?xml version="1.0" encoding="iso-8859-1"?><result><error>5 \x80</error></result>'
    assert parse(body).get("error") == "5 €"


def test_entities_that_xml_itself_defines_are_read() -> None:
    assert parse(b"<result><error>a &lt; b &amp; c &#232;</error></result>").get("error") == "a < b & c è"


# sloppy, and still whole ----------------------------------------------------------------------------------


def test_the_calls_of_a_list_typed_as_in_the_guide_are_all_found() -> None:
    root = parse(sample("current_calls_as_printed.xml"), records=("call",))
    assert refs(root) == ["4711", "4712"]
    first = root.all("call")[0]
    assert (first.get("calling_id"), first.get("connected_id"), first.get("calling_desc")) == ("4", "17", "R&D trunk")


def test_names_broken_by_a_space_are_mended() -> None:
    root = parse(sample("call_report_as_printed.xml"), records=("call",))
    call = root.all("call")[0]
    assert (call.get("connected_type"), call.get("connected_number"), call.get("call_ref_if")) == ("0", "233", "8990")


@pytest.mark.parametrize("end", ["</call>", "<call>", "</calls>", "", "</call"])
def test_a_record_may_end_badly(end: str) -> None:
    body = f"<result><outcome>0</outcome><bad<call><id>1</id><external_id>a</external_id>{end}<call><id>2</id>"
    body += f"<external_id>b</external_id>{end}</result>"
    assert refs(parse(body.encode(), records=("call",))) == ["a", "b"]


def test_a_field_that_never_closes_keeps_its_value() -> None:
    body = b"<result><outcome>0<call><id>1<external_id>a<p2p>0</call></result>"
    root = parse(body, records=("call",))
    assert (root.get("outcome"), refs(root)) == ("0", ["a"])


def test_nested_records_survive_a_mistyped_container() -> None:
    body = b"<result><outcome>0</outcome><ivrs><ivr><id>17</id><nodes><node><node_id>0</node_id><node>"
    body += b"<node_id>1</node_id><nodes></ivr><ivr><id>18</id><nodes><node><node_id>0</node_id></node><nodes>"
    body += b"</ivr></ivrs></result>"
    ivrs = parse(body, records=("ivr", "node")).all("ivr")
    assert [[node.get("node_id") for node in ivr.all("node")] for ivr in ivrs] == [["0", "1"], ["0"]]


def test_a_field_may_be_called_like_another_lists_record() -> None:
    body = (
        b"<result><outcome>0</outcome><call><id>1</id><device>sip</device><external_id>a</external_id</call></result>"
    )
    call = parse(body, records=("call",)).all("call")[0]
    assert (call.get("device"), call.get("external_id")) == ("sip", "a")


def test_cdata_and_comments_are_read_in_a_sloppy_document_too() -> None:
    body = b"<result><outcome>1</outcome><!-- <error>no</error> --><error><![CDATA[a < b & c]]></error><x</result>"
    root = parse(body)
    assert (root.get("outcome"), root.get("error")) == ("1", "a < b & c")


def test_contacts_may_come_without_an_envelope() -> None:
    root = parse(sample("phonebook.xml"), records=("contact",), bare=True)
    assert [contact.get("name") for contact in root.all("contact")] == ["Gustavo", "Walter"]
    with pytest.raises(XmlTrouble):
        parse(sample("phonebook.xml"), records=("contact",))


# a list is never half believed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["current_calls.xml", "current_calls_as_printed.xml", "accepted.xml"])
def test_a_document_cut_anywhere_is_refused(name: str) -> None:
    whole = sample(name).strip()
    for at in range(len(whole)):
        with pytest.raises(XmlTrouble):
            parse(whole[:at], records=("call",))


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"<result><call><id>1</id></call><cal><id>2</id></call></result", "cut off"),
        (b"<result><call><id>1</id></call><cal><id>2</id></call></result>", "outside any record"),
        (b"<result><call><id>1</id><cal><id>2</id></call><x</result>", "run into each other"),
        (b"<result><call><id>1</id></call><x</result><result></result>", "more than one document"),
        (b"<result><call><id>1</id></call><x</result>tail", "cut off"),
        (b"<results><call></results>", "not well-formed"),
    ],
)
def test_a_list_in_which_a_call_may_be_lost_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(XmlTrouble, match=why):
        parse(body, records=("call",))


# what is refused ------------------------------------------------------------------------------------------

LAUGHS = b'<!DOCTYPE r [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
XXE = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b" \r\n ", "empty"),
        (b"0", "not XML"),
        (b"OK\n", "not XML"),
        (b"<result>\0</result>", "NUL"),
        ("<result></result>".encode("utf-16"), "NUL"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"\n<HTML><body>Log in</body></HTML>", "HTML"),
        (b"<br />\n<b>Warning</b>: mysql_connect()", "HTML"),
        (b"<answer><outcome>0</outcome></answer>", "root is <answer>"),
        (LAUGHS + b"<result>&b;</result>", "document type or entities"),
        (XXE + b"<result>&x;</result>", "document type or entities"),
        (b"<!DOCTYPE result SYSTEM 'http://127.0.0.1:1/x.dtd'><result/>", "document type or entities"),
        (b"<result><!DOCTYPE r><outcome>0</outcome></result>", "document type or entities"),
        (b"<result><!ENTITY a 'b'><x</result>", "document type or entities"),
        (b"<result>" + b"<a>" * 65 + b"</a>" * 65 + b"</result>", "nested"),
        (b"<result>" + b"<a/>" * 100_001 + b"</result>", "elements"),
        (b"<result>" + b"<a>" * 200_001 + b"</result>", "nested|elements"),
        (b"<result><" + b"a" * 500 + b"></result>", "never ends"),
        (b"<result>< ></result>", "name"),
        (b"<result>" + b"x" * MAX_BYTES + b"</result>", "longer than"),
    ],
)
def test_what_is_no_reply_is_refused_with_a_reason_and_quickly(body: bytes, why: str) -> None:
    began = time.thread_time()
    with pytest.raises(XmlTrouble, match=why) as caught:
        parse(body, records=("call",))
    assert time.thread_time() - began < 2
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "filling",
    [
        b"<",
        b"<!---->",
        b"<![CDATA[x]]>",
        b"<a",
        b"</a",
        b"&",
        b"<call><id>1",
        b"< _",
        b"<a     _",
        b"<?x?>",
        b"</call>",
    ],
)
def test_the_forgiving_reading_takes_linear_time(filling: bytes) -> None:
    body = b"<result><bad" + filling * ((MAX_BYTES - 100) // len(filling)) + b"</result>"
    began = time.thread_time()
    with contextlib.suppress(XmlTrouble):
        parse(body, records=("call",))
    # A quadratic reading of a megabyte would take minutes. Processor time: the machine may be busy.
    assert time.thread_time() - began < 20


PIECES = st.sampled_from(
    [
        b"<result>",
        b"</result>",
        b"<call>",
        b"</call>",
        b"<id>",
        b"</id>",
        b"</id",
        b"1",
        b"<outcome>0</outcome>",
        b"</connected _id>",
        b"<!--",
        b"-->",
        b"<![CDATA[",
        b"]]>",
        b"<?",
        b"?>",
        b"&amp;",
        b"&#0;",
        b"&#xFFFFFF;",
        b"&x;",
        b"<!DOCTYPE x>",
        b"\xff",
        b"\x0c",
        b" ",
        b"<",
        b">",
        b"/",
        b'<a b="c">',
    ]
)


@settings(max_examples=600, deadline=None)
@given(st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b"".join)))
def test_whatever_comes_there_is_a_tree_or_our_error(body: bytes) -> None:
    for records in ((), ("call",), ("ivr", "node")):
        for whole in (body, b"<result>" + body + b"</result>"):
            try:
                said = parse(whole, records=records, bare=bool(records)).tag
            except XmlTrouble as exc:
                said = str(exc)
            assert said.isprintable()


@settings(max_examples=400, deadline=None)
@given(
    at=st.integers(0, len(sample("current_calls.xml"))),
    junk=st.sampled_from([b"<", b">", b"", b"</", b"\x00", b" ", b"&", b"</call>", b"<call>"]),
    gone=st.integers(0, 6),
)
def test_one_damage_anywhere_loses_none_of_our_calls_or_the_list(at: int, junk: bytes, gone: int) -> None:
    """Each call of ours is still found by its id or by our reference, or the list is refused."""
    body = sample("current_calls.xml")
    try:
        root = parse(body[:at] + junk + body[at + gone :], records=("call",))
    except XmlTrouble:
        return
    calls = [current_call(node) for node in root.all("call") if node.children]
    if None in calls:
        return  # the adapter refuses such a list
    found = {(call.id, call.ref) for call in calls if call is not None}
    for call_id, ref in (("9001", "4711"), ("9002", "4712")):
        assert any(call_id == seen_id or ref == seen_ref for seen_id, seen_ref in found)
