"""What is XC5's own: pages and links, fields by OPTIONS, errors of one element, words nobody documented."""

import io
import json
import logging
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.clock import ManualClock
from dialer.directory import hal
from dialer.directory.base import (
    Creates,
    DirectoryNonsense,
    DirectoryRefused,
    DirectoryUnavailable,
    Wish,
)
from dialer.directory.http import BURST, DirectoryHttp, Spacing
from dialer.directory.xc5 import Xc5Directory
from dialer.directory.xc5_records import extensions, flag, hunt_members, own_number, registered, whole
from dialer.errors import PbxError, SettingsError
from dialer.pbx.base import Presence
from dialer.pbx.http import Unreadable
from tests.directory.conftest import ENVIRON, settings_for
from tests.directory.test_xc5_contract import STEPS
from tests.directory.xc5_peer import PASSWORD, POOL, TENANT, USER, Xc5World, html, told
from tests.pbx.scripted import ScriptedServer
from tests.pbx.test_secrets import told_by

Open = Callable[..., Xc5Directory]
ANNA = f"anna@{TENANT}"


# Pages and links ---------------------------------------------------------------------------------------------


def test_pages_are_followed_to_their_end(xc5: Xc5Directory, world: Xc5World) -> None:
    whole_list = xc5.accounts()
    world.page_size = 2
    assert xc5.accounts() == whole_list
    assert len(whole_list) == 3


@pytest.mark.parametrize(
    "href",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1:1/api-sys/account",
        "//evil.example/api-sys/account",
        "https://127.0.0.1/api-sys/account",
        "/elsewhere/account",
        "/api-sys/../admin",
        "/api-sys/%2e%2e/admin",
        "/api-sys/%252e%252e/admin",
        "/api-sys/..%5cadmin",
        "file:///etc/passwd",
        "http://user:pw@127.0.0.1/api-sys/",
    ],
)
def test_a_link_that_leaves_our_address_is_not_followed(
    xc5: Xc5Directory, world: Xc5World, server: ScriptedServer, href: str
) -> None:
    world.page_size, world.next_leads_to = 1, href
    with pytest.raises(DirectoryNonsense, match="a link leads"):
        xc5.accounts()
    assert all(one.path.startswith("/api-sys/account/") for one in server.requests)


@pytest.mark.parametrize("href", ["/admin/all", "https://xc5.internal/api-sys/account/1", "http://169.254.169.254/"])
def test_a_record_whose_own_link_leads_away_is_found_by_its_guid(
    xc5: Xc5Directory, world: Xc5World, server: ScriptedServer, href: str
) -> None:
    step = xc5.plan(Wish("spring"))[0]
    world._long = lambda guid: {**world.accounts[guid], "_links": {"self": {"href": href}}}  # type: ignore[method-assign]
    made = xc5.make(step)
    assert made.path == f"account/{made.id}"
    assert xc5.take_back(step, made)
    assert all(one.path.startswith("/api-sys/account/") for one in server.requests)


def test_pages_without_end_are_noticed(xc5: Xc5Directory, world: Xc5World, server: ScriptedServer) -> None:
    world.page_size, world.next_leads_to = 1, f"/api-sys/account/{world.find(TENANT)}/child?from=0"
    with pytest.raises(DirectoryNonsense, match="no end"):
        xc5.accounts()
    assert len(server.requests) < 10


@pytest.mark.parametrize(
    "body",
    [
        '[{"guid": "1"}]',
        '{"guid": "1"}',
        '{"_embedded": {"account": [{"guid": "1"}]}}',
        '{"_embedded": {"account": {"guid": "1"}}, "_links": {"self": "x"}}',
        '[{"GUID": "1", "Password": "p", "ums_pin": "3"}]',
    ],
)
def test_records_come_in_an_array_alone_or_embedded_and_without_secrets(body: str) -> None:
    assert hal.page(body.encode()).records == ({"guid": "1"},)


@settings(max_examples=80, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(st.sampled_from(["_links", "_embedded", "error", "guid", "next", "href"]), inner)
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_whatever_comes_is_read_or_refused(body: bytes) -> None:
    try:
        records = hal.page(body).records
    except Unreadable:
        return
    assert all(isinstance(one, dict) for one in records)


# Errors ------------------------------------------------------------------------------------------------------


def test_401_names_the_three_things_it_may_be(open_xc5: Open, server: ScriptedServer) -> None:
    wrong = Xc5Directory("office", settings_for(server), environ={"XC5_PASSWORD": "something else"})
    with pytest.raises(DirectoryRefused) as caught:
        wrong.accounts()
    wrong.close()
    for part in ("401", "authentication required", "password is wrong", "disabled", "api_access=user"):
        assert part in str(caught.value)


def test_a_tenant_that_is_not_there_is_named_with_its_setting(open_xc5: Open) -> None:
    with pytest.raises(DirectoryRefused, match=r"no account typo\.example\.net .*directory\.office\.account"):
        open_xc5(account="typo.example.net").accounts()


def test_a_tenant_above_the_right_is_refused(open_xc5: Open) -> None:
    with pytest.raises(DirectoryRefused, match="403"):
        open_xc5(account="example.net").accounts()


def test_an_error_beside_a_good_status_is_an_error(xc5: Xc5Directory, server: ScriptedServer) -> None:
    server.now = told(200, [{"error": "licence expired"}])
    with pytest.raises(DirectoryRefused, match="licence expired"):
        xc5.accounts()


def test_a_page_of_html_is_quoted_and_no_absence(xc5: Xc5Directory, server: ScriptedServer) -> None:
    step = xc5.plan(Wish("spring"))[0]
    server.now = html(404)
    with pytest.raises(DirectoryRefused, match=r"HTTP 404, it is not JSON; received: '<html>.*PROXY"):
        xc5.look(step)


@pytest.mark.parametrize("record", [{}, {"description": "nobody"}])
def test_a_short_record_without_name_and_guid_is_told(
    xc5: Xc5Directory, world: Xc5World, record: dict[str, Any]
) -> None:
    world._child = lambda *_: (200, [record])  # type: ignore[method-assign]
    with pytest.raises(DirectoryNonsense, match="neither guid nor username"):
        xc5.accounts()


def test_what_a_record_does_not_tell_is_unknown_and_not_false(xc5: Xc5Directory, world: Xc5World) -> None:
    anna = world.find(ANNA)
    for field in ("enabled", "dnd", "private", "concurrent_call_limit", "reg_status", "description"):
        del world.accounts[anna][field]
    world.refuses["GET reg"] = (404, [{"error": "invalid path"}])
    found = next(one for one in xc5.accounts() if one.name == ANNA)
    assert (found.enabled, found.hides_number, found.calls_at_once) == (None, None, None)
    assert found.presence is Presence.UNKNOWN
    assert found.extension == "201"


# Words nobody documented -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "there"),
    [
        ("registered", True),
        ("Registered (UDP)", True),
        ("unregistered", False),
        ("not registered", False),
        ("Not-Registered", False),
        ("NOT_REGISTERED", False),
        ("none registered", False),
        ("registration failed", None),
        ("registering", None),
        ("", None),
        ("online", None),
    ],
)
def test_a_registration_is_read_and_never_guessed(status: str, there: bool | None) -> None:
    assert registered(status, ()) is there


def test_a_word_of_the_installation_s_own_counts(open_xc5: Open, world: Xc5World) -> None:
    world.accounts[world.find(ANNA)]["reg_status"] = "Online"
    assert _presence(open_xc5(), ANNA) is Presence.UNAVAILABLE, "no telephone in its list"
    assert _presence(open_xc5(registered_words=("online",)), ANNA) is Presence.AVAILABLE


def test_where_the_word_says_nothing_the_telephones_are_counted(xc5: Xc5Directory, world: Xc5World) -> None:
    anna = world.find(ANNA)
    world.accounts[anna]["reg_status"] = ""
    assert _presence(xc5, ANNA) is Presence.UNAVAILABLE
    world.registrations[anna] = [{"contact": "sip:anna@192.0.2.7"}]
    assert _presence(xc5, ANNA) is Presence.AVAILABLE


@pytest.mark.parametrize(
    ("values", "presence"),
    [({"enabled": 0}, Presence.UNAVAILABLE), ({"dnd": "yes"}, Presence.DO_NOT_DISTURB), ({}, Presence.AVAILABLE)],
)
def test_registration_is_presence_unless_the_account_is_closed(
    xc5: Xc5Directory, world: Xc5World, values: dict[str, Any], presence: Presence
) -> None:
    world.accounts[world.find(ANNA)].update(values)
    assert _presence(xc5, ANNA) is presence


def _presence(xc5: Xc5Directory, name: str) -> Presence:
    return next(one.presence for one in xc5.accounts() if one.name == name)


def test_values_are_read_however_they_are_written() -> None:
    record = {"a": True, "b": 1, "c": "false", "d": "NO", "e": "maybe", "f": None, "n": "101", "m": 7, "x": True}
    assert [flag(record, name) for name in "abcdefz"] == [True, True, False, False, None, None, None]
    assert [whole(record, name) for name in ("n", "m", "x", "e", "z")] == [101, 7, None, None, None]


def test_numbers_get_their_plus_and_shared_ones_are_marked() -> None:
    one = own_number({"guid": "1", "number": "a:6499290087", "cfa": 6421555, "is-pilot": 1}, "anna")
    assert (one.number, one.account, one.is_default, one.forwards_to, one.shared) == (
        "+6499290087", "anna", True, "+6421555", True,
    )  # fmt: skip
    assert own_number({"number": ":600", "assigned": "bob"}, "anna").number == ":600"


def test_extensions_are_the_tenant_s_rules_and_hunters_come_in_their_order() -> None:
    rules = [
        {"prefix_raw": "600", "username": "Anna@x", "destination": ":600"},
        {"prefix_raw": 14, "destination": "*%"},
        {"prefix_raw": "9", "username": "bob@x", "destination": "drop:404:no"},
        {"prefix_raw": "601", "username": "carla@x"},
    ]
    assert extensions(rules) == {"anna@x": "600", "carla@x": "601"}
    routes = [
        {"order": "101", "username": "b", "hunt_user": "1"},
        {"order": 9, "username": "ring"},
        {"order": 100, "username": "a", "hunt_user": True},
    ]
    assert hunt_members(routes) == ("a", "b")


# What OPTIONS tells ------------------------------------------------------------------------------------------


def test_a_field_the_installation_lacks_is_left_out_and_told(xc5: Xc5Directory, world: Xc5World) -> None:
    del world.fields["route"]["ring_seconds"]
    del world.fields["child"]["description"]
    group, member = xc5.plan(Wish("spring", (ANNA,)))
    assert group.request.body == {"username": f"spring@{TENANT}"}
    assert "description" in group.remark
    assert set(member.request.body) == {"order", "username", "hunt_user"}
    assert "ring_seconds" in member.remark
    for step in (group, member):
        xc5.make(step)
    assert [one.members for one in xc5.groups()] == [(ANNA,)]


def test_a_field_that_is_needed_and_lacking_stops_everything_before_it_begins(
    xc5: Xc5Directory, world: Xc5World, server: ScriptedServer
) -> None:
    del world.fields["route"]["hunt_user"]
    with pytest.raises(DirectoryRefused, match=r"account/\*/route has no field hunt_user .*ask the maker"):
        xc5.plan(Wish("spring", (ANNA,)))
    assert {one.method for one in server.requests} == {"GET", "OPTIONS"}
    assert any("has no field hunt_user" in one.what for one in xc5.check())


def test_an_installation_that_does_not_describe_itself_is_taken_by_the_document(
    xc5: Xc5Directory, world: Xc5World
) -> None:
    world.fields.clear()
    steps = xc5.plan(Wish("spring", (ANNA,)))
    assert steps[1].request.body["ring_seconds"] == 20
    assert any("tells no fields" in one.what and not one.fatal for one in xc5.check())


# Provisioning's own ------------------------------------------------------------------------------------------


def test_a_name_that_exists_elsewhere_on_the_platform_is_not_taken_over(
    open_xc5: Open, world: Xc5World, server: ScriptedServer
) -> None:
    world.right = "system"
    world.account(f"spring@{TENANT}", world.find("example.net"))
    with pytest.raises(DirectoryRefused, match="exists elsewhere"):
        open_xc5().plan(Wish("spring"))


def test_a_right_that_denies_what_does_not_exist_denies_no_group(xc5: Xc5Directory, world: Xc5World) -> None:
    """To somebody whose right ends at the tenant, a name that is nowhere may be told as one that is forbidden."""
    find = world.find
    world.find = lambda text: find(text) or ("nobody" if "spring" in text else "")  # type: ignore[method-assign]
    may = world._may
    world._may = lambda guid: guid != "nobody" and may(guid)  # type: ignore[method-assign]
    steps = xc5.plan(Wish("spring", (ANNA,)))
    assert [step.there for step in steps] == [None, None]
    assert xc5.look(steps[0]) is None
    assert xc5.look(steps[1]) is None


def test_a_pool_that_cannot_be_read_is_not_taken_for_an_empty_one(xc5: Xc5Directory, world: Xc5World) -> None:
    world.refuses["GET numberallocate"] = (403, [{"error": "access denied"}])
    with pytest.raises(DirectoryRefused, match="numberallocate: does not let us in"):
        xc5.plan(Wish("spring", numbers=("+6499290100",)))
    world.refuses["GET numberallocate"] = (404, [{"error": "invalid path"}])
    assert "as a new one" in xc5.plan(Wish("spring", numbers=("+6499290555",)))[1].what


def test_a_number_of_somebody_else_s_is_refused_with_who_has_it(xc5: Xc5Directory) -> None:
    with pytest.raises(DirectoryRefused, match=rf"\+6499290087 belongs to {ANNA}"):
        xc5.plan(Wish("spring", numbers=("+6499290087",)))


def test_members_take_the_next_free_places(xc5: Xc5Directory, world: Xc5World) -> None:
    for step in xc5.plan(Wish("spring", (ANNA,))):
        xc5.make(step)
    carla, anna = xc5.plan(Wish("spring", (f"carla@{TENANT}", ANNA)))[1:]
    assert (carla.there, carla.request.body["order"]) == (None, 101)
    assert anna.there is not None
    assert anna.there.record["order"] == "100"


def test_another_last_destination_is_left_to_a_person(xc5: Xc5Directory) -> None:
    for step in xc5.plan(Wish("spring", last="email:a@x.nz")):
        xc5.make(step)
    with pytest.raises(DirectoryRefused, match=r"go to email:a@x\.nz already"):
        xc5.plan(Wish("spring", last="email:b@x.nz"))


@pytest.mark.parametrize(
    ("release", "request_"),
    [("pool", ("PUT", f"account/{POOL}/number/")), ("delete", ("DELETE", "account/")), ("by-hand", None)],
)
def test_a_number_from_the_pool_goes_back_as_the_settings_say(
    open_xc5: Open, release: str, request_: tuple[str, str] | None
) -> None:
    xc5 = open_xc5(release=release)
    steps = xc5.plan(Wish("spring", numbers=("+6499290100", "+6499290555")))
    made = [xc5.make(step) for step in steps]
    back = xc5.way_back(steps[1], made[1])
    if request_ is None:
        assert back is None
        with pytest.raises(DirectoryRefused, match="by-hand"):
            xc5.take_back(steps[1], made[1])
    else:
        assert back is not None
        assert (back.method, back.path.startswith(request_[1])) == (request_[0], True)
    # One that was created is deleted, whatever happens with those of the pool.
    other = xc5.way_back(steps[2], made[2])
    assert other is not None
    assert (steps[2].creates, other.method) == (Creates.NUMBER, "DELETE")


# The check ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda world: setattr(world, "right", "system"), "wider than the dialer needs"),
        (lambda world: world.accounts[world.find(ANNA)].update(private=True), f"{ANNA}: hiding their number"),
        (lambda world: world.accounts[world.find(ANNA)].update(dnd=1), f"{ANNA}: set to do not disturb"),
        (lambda world: world.accounts[world.find(ANNA)].update(enabled="no"), f"{ANNA}: disabled"),
        (lambda world: world.accounts[world.find(ANNA)].update(concurrent_call_limit="1"), f"{ANNA}: allowed one call"),
        (lambda world: world.number("6499290089", ANNA, **{"is-pilot": True}), "2 numbers are the default"),
        (
            lambda world: world.rule(order=-14, location="<CallRule-Mobile>", destination="drop:404:blocked"),
            "refuse calls to <CallRule-Mobile>",
        ),
        (lambda world: world.rules.clear(), "no account has an extension"),
    ],
)
def test_the_check_warns_of_what_would_go_wrong(
    xc5: Xc5Directory, world: Xc5World, change: Callable[[Xc5World], object], said: str
) -> None:
    assert not any(said in one.what for one in xc5.check())
    change(world)
    found = [one for one in xc5.check() if said in one.what]
    assert [(one.ok, one.fatal) for one in found] == [(False, False)]
    assert found[0].remedy


# Settings, pace, secrets ---------------------------------------------------------------------------------------


def test_requests_keep_to_two_a_second_after_the_first_ten() -> None:
    from datetime import UTC, datetime

    clock = ManualClock(datetime(2026, 3, 2, tzinfo=UTC))
    spacing = Spacing(2.0, clock)
    for _ in range(BURST):
        spacing.wait()
    assert clock.monotonic() == 0
    for _ in range(20):
        spacing.wait()
    assert clock.monotonic() == pytest.approx(10.0)
    clock.advance(3600)
    for _ in range(BURST + 2):
        spacing.wait()
    assert clock.monotonic() == pytest.approx(3611.0), "an idle hour saves up ten requests and no more"


@pytest.mark.parametrize(
    ("changes", "environ", "named"),
    [
        ({"url": "http://xc5.example/api-sys/"}, ENVIRON, "plain http"),
        ({"url": "https://a:b@xc5.example/api-sys/"}, ENVIRON, "user name or password"),
        ({"user": ""}, ENVIRON, r"directory\.office\.user is missing"),
        ({"user": "a:b"}, ENVIRON, "no colon"),
        ({"password_env": ""}, ENVIRON, r"directory\.office\.password_env is missing"),
        ({}, {}, r"directory\.office\.password_env names .* XC5_PASSWORD, which is not set"),
        ({"password_env": "", "password_file": "/nowhere"}, {}, r"directory\.office\.password_file: cannot read"),
        ({"extra": {"ca_file": "/nowhere"}, "url": "https://xc5.example/"}, ENVIRON, r"office\.extra\.ca_file"),
    ],
)
def test_wrong_settings_are_told_before_anything_is_sent(
    server: ScriptedServer, changes: dict[str, Any], environ: dict[str, str], named: str
) -> None:
    with pytest.raises(SettingsError, match=named):
        Xc5Directory("office", settings_for(server, **changes), environ=environ).accounts()
    assert server.requests == []


def test_the_password_may_come_from_a_file_and_change_while_we_run(server: ScriptedServer, tmp_path: Any) -> None:
    file = tmp_path / "password"
    file.write_text("wrong\n")
    xc5 = Xc5Directory("office", settings_for(server, password_env="", password_file=str(file)), environ={})
    with pytest.raises(DirectoryRefused):
        xc5.accounts()
    file.write_text(PASSWORD + "\n")
    assert xc5.accounts()
    xc5.close()


def test_the_canary_is_nowhere_after_every_fault(server: ScriptedServer, world: Xc5World) -> None:
    coded = b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    forms = (PASSWORD, coded, "kAn4ry", "wort=")
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    names = [logging.getLogger(name) for name in (None, "httpx", "httpcore", "httpcore.http11", "stamina")]
    levels = [one.level for one in names]
    names[0].addHandler(handler)
    for one in names:
        one.setLevel(logging.DEBUG)
    xc5 = Xc5Directory("office", settings_for(server, timeout=0.25), environ=ENVIRON)
    said: list[str] = []
    try:
        step = xc5.plan(Wish("spring", (ANNA,)))[0]
        for fault in [world.answer, *STEPS.values()]:
            server.now = fault
            for act in (xc5.accounts, xc5.check, lambda: xc5.make(step), lambda: xc5.look(step)):
                try:
                    said.append(repr(act()))
                except PbxError as exc:
                    said += list(told_by(exc, set()))
    finally:
        names[0].removeHandler(handler)
        for one, level in zip(names, levels, strict=True):
            one.setLevel(level)
        xc5.close()
    everything = "\n".join([*said, written.getvalue()])
    assert "HTTP 401" in everything
    assert "send_request_headers" in everything, "the libraries were listened to"
    assert [line for line in everything.splitlines() if any(form in line for form in forms)] == []


def test_a_name_that_leads_to_a_forbidden_address_is_not_met(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dialer.pbx import sockets

    monkeypatch.setattr(sockets, "objection", lambda *_args, **_more: "its name leads to 169.254.169.254")
    http = DirectoryHttp("office", settings_for(server), environ=ENVIRON)
    with pytest.raises(DirectoryUnavailable, match=r"169\.254"):
        http.get("account")
    http.close()
    assert server.requests == []
