"""What the dialer asks of a directory, and what it may be told to set up, in our words.

A directory knows who has a telephone, which numbers there are and who is rung together. It places no calls, so it is
no `Pbx`. Reads may be repeated. A change is sent at most once: before it is sent somebody looks whether it is there
already, and after a reply that was lost somebody looks again. Callers catch the errors below, which are kinds of
`PbxUnavailable`, `PbxRefused`, `OutcomeUnknown` and `PbxNonsense`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from dialer.errors import OutcomeUnknown, PbxNonsense, PbxRefused, PbxUnavailable
from dialer.pbx.base import Finding, Presence

Look = Callable[[], None]  # the last act before the first byte of a change; what it raises stops it
Told = Callable[[int, int], None]  # how many of how many have been read


class DirectoryUnavailable(PbxUnavailable):
    """Nothing was changed: it cannot be reached, or asks us to slow down."""

    called = "directory"


class DirectoryRefused(PbxRefused):
    """It understood, and said no. Nothing was changed."""

    called = "directory"


class NotThere(DirectoryRefused):
    """It says itself that there is no such thing. A proxy's 404 is not this."""


class DirectoryUnknown(OutcomeUnknown):
    """The change may have been made: look before it is sent again."""

    called = "directory"


class DirectoryNonsense(PbxNonsense):
    """A read was answered with something that is not its language."""

    called = "directory"


class Creates(StrEnum):
    """What a directory lets us set up."""

    GROUP = "group"
    MEMBER = "member"
    NUMBER = "number"
    LAST = "last"  # where a call goes that no member took


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who has a telephone, or something that is called like one. None: the directory does not say."""

    id: str
    name: str
    extension: str = ""
    description: str = ""
    enabled: bool | None = None
    presence: Presence = Presence.UNKNOWN
    status: str = ""  # the maker's word for the registration
    calls_at_once: int | None = None
    hides_number: bool | None = None


@dataclass(frozen=True, slots=True)
class OwnNumber:
    """A number of the platform's, and who has it."""

    id: str
    number: str  # E.164 with the plus, or as it is written there when it is none
    account: str
    is_default: bool = False  # shown when a caller number is not valid
    forwards_to: str = ""
    shared: bool = False  # may be somebody else's too: outgoing calls are rewritten


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts that are rung one after the other."""

    id: str
    name: str
    members: tuple[str, ...]  # account names in the order in which they are rung


@dataclass(frozen=True, slots=True)
class Wish:
    """What a campaign needs for people who call back: a group, who is in it, and the numbers that reach it."""

    group: str  # its name, without the tenant's
    members: tuple[str, ...] = ()  # account names
    numbers: tuple[str, ...] = ()  # E.164 with the plus
    ring_seconds: int = 20  # for each member
    last: str = ""  # "email:somebody@example.net", or a number


@dataclass(frozen=True, slots=True)
class Made:
    """A thing as it is there: its id, where it is found, and how it was answered (without secrets)."""

    id: str
    path: str
    record: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that changes something, as it can be shown to a person and kept."""

    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that shall be there. `key` names it in every run, before it exists and afterwards."""

    creates: Creates
    key: str
    what: str  # "hunt group spring@sales.example.net"
    request: Request
    there: Made | None = None  # as it was found when the plan was made
    remark: str = ""  # what is left out, and why


class Directory(Protocol):
    """One directory."""

    name: str
    creates: frozenset[Creates]

    # reads ------------------------------------------------------------------------------------------
    def accounts(self, told: Told | None = None) -> Sequence[Account]:
        """Return everybody under the tenant, each with their extension and presence."""

    def numbers(self, told: Told | None = None) -> Sequence[OwnNumber]: ...

    def free_numbers(self) -> Sequence[OwnNumber]: ...

    def groups(self, told: Told | None = None) -> Sequence[Group]: ...

    def check(self, *, short: bool = False) -> Sequence[Finding]:
        """Look at the whole set-up and say in plain words what would go wrong; `short` reads no lists of people."""

    # provisioning -----------------------------------------------------------------------------------
    def plan(self, wish: Wish) -> Sequence[Step]:
        """Return what must be there, in the order in which it is made; only reads. Refused when it cannot be."""

    def look(self, step: Step) -> Made | None:
        """Return the thing as it is there now, or None when the directory itself says that it is not."""

    def make(self, step: Step, *, before_send: Look | None = None) -> Made:
        """Send the step's one request, once."""

    def way_back(self, step: Step, made: Made) -> Request | None:
        """Return the request that takes a thing back; None when only a person can."""

    def take_back(self, step: Step, made: Made, *, before_send: Look | None = None) -> bool:
        """Take a thing back, unless somebody else has changed it since; False when it was gone already."""

    def close(self) -> None: ...
