"""What every directory must show, whoever makes it: subclass `DirectoryContract` and give it a `rig`.

A rig is a directory reached over real HTTP, a hand that makes it misbehave, and the platform's own book of what was
set up. The promises are those of `dialer.directory.base`.
"""

import time
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import pytest

from dialer.directory.base import (
    Creates,
    Directory,
    DirectoryNonsense,
    DirectoryRefused,
    DirectoryUnavailable,
    DirectoryUnknown,
    NotThere,
    Step,
    Wish,
)
from dialer.errors import PbxError
from tests.pbx.contract import Fault as PbxFault

SLACK = 10.0  # seconds a busy machine may take on top
READS = ("accounts", "numbers", "free_numbers", "groups")


class Fault(StrEnum):
    """Ways in which a directory may misbehave."""

    NOT_LISTENING = PbxFault.NOT_LISTENING
    CUT = PbxFault.CUT
    CUT_IN_THE_MIDDLE = PbxFault.CUT_IN_THE_MIDDLE
    SILENCE = PbxFault.SILENCE
    DRIP = PbxFault.DRIP
    FLOOD = PbxFault.FLOOD
    SERVER_ERROR = PbxFault.SERVER_ERROR
    HTML = PbxFault.HTML
    TRUNCATED = PbxFault.TRUNCATED
    EMPTY = PbxFault.EMPTY
    DEEP = "nested without end"
    REDIRECT = PbxFault.REDIRECT
    UNAUTHORISED = "401"
    FORBIDDEN = "403"
    PROXY_404 = "a proxy's 404"
    SLOW_DOWN = "429"
    REPLY_LOST = "changes are made, and the reply is lost"


NOT_REACHED = (Fault.NOT_LISTENING, Fault.SERVER_ERROR, Fault.CUT, Fault.SLOW_DOWN)
NONSENSE = (Fault.HTML, Fault.TRUNCATED, Fault.EMPTY, Fault.FLOOD, Fault.DEEP)
REFUSED = (Fault.UNAUTHORISED, Fault.FORBIDDEN, Fault.PROXY_404, Fault.REDIRECT)
UNKNOWN = (
    Fault.CUT,
    Fault.CUT_IN_THE_MIDDLE,
    Fault.SILENCE,
    Fault.DRIP,
    Fault.FLOOD,
    Fault.SERVER_ERROR,
    Fault.HTML,
    Fault.TRUNCATED,
    Fault.DEEP,
    Fault.REPLY_LOST,
)


class Rig(Protocol):
    """A directory under test. `patience` is its time-out for one request, in seconds."""

    directory: Directory
    patience: float
    faults: frozenset[Fault]
    secrets: Sequence[str]

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        """Show `fault` from now on, or for the next `times` requests."""

    def heal(self) -> None:
        """Be healthy again."""

    def received(self) -> int:
        """How many requests have reached it so far."""

    def changes(self) -> int:
        """How many of them would change something."""

    def book(self) -> list[str]:
        """What the platform says was created, moved and deleted, in order."""

    def standing(self) -> object:
        """Everything that is set up now, without the ids of things, to be compared."""

    def wish(self) -> Wish:
        """Something it can set up: a group, two members, a free number, a new number, and a last destination."""

    def meddle(self, step: Step) -> None:
        """Change the thing of a step, as an administrator on the platform's own page would."""

    def add_to_group(self, wish: Wish) -> None:
        """Put something of somebody else's into the group."""


class DirectoryContract:
    """Subclass it, name the class `Test...`, and add a `rig` fixture (which may ask for `patience`)."""

    @pytest.fixture
    def patience(self, request: pytest.FixtureRequest) -> float:
        """The time-out to open it with: short only where it is waited for."""
        fault = request.node.callspec.params.get("fault") if hasattr(request.node, "callspec") else None
        return 0.6 if fault in (Fault.SILENCE, Fault.DRIP) else 10.0

    # reads --------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("read", READS)
    def test_a_read_gives_a_list_and_changes_nothing(self, rig: Rig, read: str) -> None:
        assert isinstance(getattr(rig.directory, read)(), list)
        assert rig.changes() == 0

    def test_people_have_names_and_numbers_are_e164(self, rig: Rig) -> None:
        people, numbers = rig.directory.accounts(), rig.directory.numbers()
        assert people
        assert all(one.id and one.name for one in people)
        assert any(one.extension for one in people)
        assert numbers
        assert all(one.number.startswith("+") and one.number[1:].isdigit() and one.account for one in numbers)

    def test_a_read_says_how_far_it_is(self, rig: Rig) -> None:
        seen: list[tuple[int, int]] = []
        people = rig.directory.accounts(lambda at, of: seen.append((at, of)))
        assert seen == [(at, len(people)) for at in range(len(people))]

    @pytest.mark.parametrize("fault", NOT_REACHED)
    @pytest.mark.parametrize("read", READS)
    def test_a_read_that_gets_no_answer_says_unavailable(self, rig: Rig, read: str, fault: Fault) -> None:
        rig.misbehave(fault)
        with pytest.raises(DirectoryUnavailable) as caught:
            getattr(rig.directory, read)()
        self._is_a_sentence(rig, caught.value)

    @pytest.mark.parametrize("fault", NONSENSE)
    @pytest.mark.parametrize("read", READS)
    def test_a_read_never_believes_nonsense(self, rig: Rig, read: str, fault: Fault) -> None:
        rig.misbehave(fault)
        with pytest.raises(DirectoryNonsense) as caught:
            getattr(rig.directory, read)()
        self._is_a_sentence(rig, caught.value)

    @pytest.mark.parametrize("fault", REFUSED)
    def test_a_read_that_is_refused_says_why_and_what_to_do(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault)
        with pytest.raises(DirectoryRefused) as caught:
            rig.directory.accounts()
        assert not isinstance(caught.value, NotThere)
        self._is_a_sentence(rig, caught.value)
        assert f"directory.{rig.directory.name}." in str(caught.value), "names the setting to look at"

    @pytest.mark.parametrize("fault", list(Fault))
    def test_a_read_ends_in_a_list_or_an_error_of_ours_and_in_time(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault)
        began = time.monotonic()
        try:
            rig.directory.accounts()
        except PbxError as exc:
            self._is_a_sentence(rig, exc)
        else:
            assert fault is Fault.REPLY_LOST, "only changes are concerned"
        assert time.monotonic() - began < 2 * rig.patience + SLACK

    @pytest.mark.parametrize("fault", [Fault.SERVER_ERROR, Fault.CUT])
    def test_a_read_is_asked_again_after_a_passing_fault(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault, times=1)
        assert rig.directory.accounts()

    @pytest.mark.parametrize("fault", list(Fault))
    def test_the_check_never_raises_and_names_a_remedy(self, rig: Rig, fault: Fault) -> None:
        rig.misbehave(fault)
        findings = rig.directory.check()
        bad = [finding for finding in findings if not finding.ok and finding.fatal]
        assert bad or fault is Fault.REPLY_LOST
        assert all(finding.what and finding.remedy for finding in bad)
        assert rig.changes() == 0

    def test_the_check_of_a_healthy_one_finds_no_fault(self, rig: Rig) -> None:
        assert [finding for finding in rig.directory.check() if not finding.ok and finding.fatal] == []

    # provisioning -------------------------------------------------------------------------------------

    def test_a_plan_only_reads_and_says_the_same_again(self, rig: Rig) -> None:
        steps, again = rig.directory.plan(rig.wish()), rig.directory.plan(rig.wish())
        assert steps == again
        assert rig.changes() == 0
        assert {step.creates for step in steps} <= rig.directory.creates
        assert len({step.key for step in steps}) == len(steps), "a key names one thing"
        assert steps[0].creates is Creates.GROUP
        assert all(step.what and step.request.method and step.request.path and step.there is None for step in steps)

    def test_every_step_is_one_request_and_afterwards_everything_is_there(self, rig: Rig) -> None:
        for step in rig.directory.plan(rig.wish()):
            before = rig.changes()
            assert rig.directory.look(step) is None
            assert rig.changes() == before
            made = rig.directory.make(step)
            assert rig.changes() == before + 1
            found = rig.directory.look(step)
            assert found is not None
            assert (found.id, found.path) == (made.id, made.path)
            assert not self._shows_a_secret(rig, repr(made))
        assert all(step.there is not None for step in rig.directory.plan(rig.wish()))
        assert len(rig.book()) == len(set(rig.book())) == len(rig.directory.plan(rig.wish()))

    def test_taken_back_in_reverse_nothing_is_left(self, rig: Rig) -> None:
        before = rig.standing()
        done = [(step, rig.directory.make(step)) for step in rig.directory.plan(rig.wish())]
        assert rig.standing() != before
        for step, made in reversed(done):
            assert rig.directory.way_back(step, made) is not None
            assert rig.directory.take_back(step, made) is True
            assert rig.directory.look(step) is None
        assert rig.standing() == before
        changes = rig.changes()
        assert [rig.directory.take_back(step, made) for step, made in done] == [False] * len(done)
        assert rig.changes() == changes, "what is gone is not deleted again"

    def test_what_somebody_changed_since_is_not_taken_back(self, rig: Rig) -> None:
        done = [(step, rig.directory.make(step)) for step in rig.directory.plan(rig.wish())]
        step, made = next(one for one in done if one[0].creates is Creates.MEMBER)
        rig.meddle(step)
        before = rig.changes()
        with pytest.raises(DirectoryRefused, match="changed since"):
            rig.directory.take_back(step, made)
        assert rig.changes() == before

    def test_a_group_with_somebody_else_s_things_in_it_is_left(self, rig: Rig) -> None:
        first = rig.directory.plan(rig.wish())[0]
        made = rig.directory.make(first)
        rig.add_to_group(rig.wish())
        before = rig.changes()
        with pytest.raises(DirectoryRefused, match="still has"):
            rig.directory.take_back(first, made)
        assert rig.changes() == before

    @pytest.mark.parametrize("fault", UNKNOWN)
    @pytest.mark.parametrize("at", [0, 1])
    def test_a_change_without_a_usable_reply_is_unknown_and_left_once(self, rig: Rig, fault: Fault, at: int) -> None:
        steps = rig.directory.plan(rig.wish())
        for step in steps[:at]:
            rig.directory.make(step)
        before = rig.changes()
        rig.misbehave(fault)
        began = time.monotonic()
        with pytest.raises(DirectoryUnknown) as caught:
            rig.directory.make(steps[at])
        assert time.monotonic() - began < rig.patience + SLACK
        assert rig.changes() == before + 1, "a change is never sent twice"
        self._is_a_sentence(rig, caught.value)
        rig.heal()
        found = rig.directory.look(steps[at])
        assert (found is not None) == (fault is Fault.REPLY_LOST), "looking tells what became of it"

    @pytest.mark.parametrize("fault", REFUSED)
    def test_a_change_that_is_refused_says_why(self, rig: Rig, fault: Fault) -> None:
        first = rig.directory.plan(rig.wish())[0]
        rig.misbehave(fault)
        with pytest.raises(DirectoryRefused) as caught:
            rig.directory.make(first)
        self._is_a_sentence(rig, caught.value)

    def test_a_change_that_never_left_is_safe_to_send_again(self, rig: Rig) -> None:
        first = rig.directory.plan(rig.wish())[0]
        rig.misbehave(Fault.NOT_LISTENING)
        before = rig.received()
        with pytest.raises(DirectoryUnavailable):
            rig.directory.make(first)
        assert rig.received() == before

    @pytest.mark.parametrize("fault", [fault for fault in Fault if fault is not Fault.REPLY_LOST])
    def test_a_fault_is_never_taken_for_absence(self, rig: Rig, fault: Fault) -> None:
        steps = rig.directory.plan(rig.wish())
        rig.directory.make(steps[0])
        rig.misbehave(fault)
        for step in steps[:3]:
            with pytest.raises(PbxError):
                rig.directory.look(step)

    def test_somebody_mistyped_is_refused_and_not_created(self, rig: Rig) -> None:
        wish = rig.wish()
        with pytest.raises(DirectoryRefused, match="no account"):
            rig.directory.plan(Wish(wish.group, ("nobody-of-that-name",)))
        assert rig.changes() == 0

    @pytest.mark.parametrize("bad", ["", "a/b", "..", "a b", "a\r\nb", "%2e%2e", "a?x=1", "ä", "x" * 200, "*"])
    def test_what_is_no_name_or_number_never_meets_it(self, rig: Rig, bad: str) -> None:
        good, before = rig.wish(), rig.received()
        for wish in (
            Wish(bad),
            Wish(good.group, (bad,)),
            Wish(good.group, numbers=(bad,)),
            Wish(good.group, last=f"email:{bad}"),
        ):
            with pytest.raises(DirectoryRefused) as caught:
                rig.directory.plan(wish)
            self._is_a_sentence(rig, caught.value)
        assert rig.received() == before

    # what it says of itself ---------------------------------------------------------------------------

    def test_its_repr_shows_no_address_and_closing_twice_raises_nothing(self, rig: Rig) -> None:
        assert "http" not in repr(rig.directory)
        rig.directory.close()
        rig.directory.close()

    # helpers ------------------------------------------------------------------------------------------

    def _shows_a_secret(self, rig: Rig, text: str) -> bool:
        return any(secret in text for secret in rig.secrets)

    def _is_a_sentence(self, rig: Rig, error: PbxError) -> None:
        assert error.pbx == rig.directory.name
        assert str(error).startswith(f"directory {rig.directory.name}: ")
        assert str(error).isprintable()
        assert len(str(error)) < 700
        assert not self._shows_a_secret(rig, f"{error} {error!r}")
        assert error.__cause__ is None, "the library's exception holds the request"
        # Ours may follow one another; none of the library's may be among them.
        seen = error.__context__
        while seen is not None:
            assert isinstance(seen, PbxError), f"{seen!r} of a library holds the request, and the request the secret"
            seen = seen.__context__
