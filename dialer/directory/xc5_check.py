"""`dialer directory check`: rights, fields, agents' accounts, caller numbers and blocks, each with its remedy."""

from collections.abc import Iterator, Sequence

from dialer.directory.base import Account, DirectoryRefused, OwnNumber
from dialer.directory.hal import link
from dialer.directory.xc5_reads import Xc5Reads
from dialer.directory.xc5_records import text
from dialer.errors import PbxError
from dialer.pbx.base import Finding, Presence
from dialer.pbx.http import Unreadable

_NEEDED = {
    "account/*/child": ("username",),
    "account/*/number": ("number",),
    "account/*/route": ("order", "username", "hunt_user", "destination"),
}
_SHOWN = 8


def check(at: Xc5Reads, *, short: bool = False) -> Sequence[Finding]:
    """Return findings; it never raises: an error of the platform is a finding, too."""
    found: list[Finding] = []
    try:
        for finding in _look(at, short):
            found.append(finding)  # noqa: PERF402 - what was found before an error is kept
    except PbxError as exc:
        where = f"directory.{at.name}"
        found.append(Finding(False, exc.why, f"see {where}.url, {where}.user and the account's api_access"))
    return found


def _look(at: Xc5Reads, short: bool) -> Iterator[Finding]:
    tenant = at.tenant()
    yield Finding(True, f"XC5 answers and shows the tenant {text(tenant, 'username') or at.settings.account}")
    yield Finding(True, "XC5 sets up accounts, numbers and groups; calls go through the PBX, because it places none")
    yield _rights(at, link(tenant, "parent"))
    yield from _fields(at)
    if short:
        return
    yield from _people(at.accounts())
    yield from _numbers(at, at.numbers())
    yield _blocks(at)
    if at.settings.release == "pool":
        yield Finding(True, f"numbers taken from the pool go back to {at.settings.pool} when undone (not documented)")


def _rights(at: Xc5Reads, parent: str) -> Finding:
    if parent:
        try:
            at.client.record(at.client.http.place(parent))
        except (DirectoryRefused, Unreadable):
            pass
        else:
            return Finding(
                False,
                "the user may read what is above the tenant: its right is wider than the dialer needs",
                f"give directory.{at.name}.user the resource api_access=user on the tenant's account, not system",
                fatal=False,
            )
    return Finding(True, "the user's right ends at the tenant")


def _fields(at: Xc5Reads) -> Iterator[Finding]:
    for path, needed in _NEEDED.items():
        known = at.client.about(path).fields
        if known is None:
            told = f"OPTIONS {path} tells no fields: what is sent follows the maker's document"
            yield Finding(False, told, "ask the maker whether this release describes itself", fatal=False)
            continue
        missing = [name for name in needed if name not in known]
        told = f"{path} has the fields a campaign needs"
        if missing:
            remedy = "groups and numbers cannot be set up from here: ask the maker for the release that has them"
            yield Finding(False, f"{path} has no field {', '.join(missing)}", remedy, fatal=False)
        else:
            yield Finding(True, told)


def _people(accounts: Sequence[Account]) -> Iterator[Finding]:
    people = [one for one in accounts if one.extension]
    if not people:
        told = "no account has an extension"
        remedy = "extensions are the tenant's call rules with prefix_raw and username: add one for each agent"
        yield Finding(False, told, remedy, fatal=False)
        people = list(accounts)
    yield Finding(True, f"{len(accounts)} accounts, {sum(bool(one.extension) for one in accounts)} with an extension")
    ready = [one for one in people if one.presence is Presence.AVAILABLE]
    yield Finding(bool(ready), f"{len(ready)} have a registered phone", "register the agents' telephones", fatal=False)
    for trouble, which, remedy in (
        ("disabled", [one for one in people if one.enabled is False], "enable them, or leave them out"),
        (
            "set to do not disturb",
            [one for one in people if one.presence is Presence.DO_NOT_DISTURB],
            "switch dnd off: their phones count as not registered",
        ),
        (
            "hiding their number on every call (private), which is unlawful for sales calls in many countries",
            [one for one in people if one.hides_number],
            "switch private off on these accounts",
        ),
        (
            "allowed one call at a time only, so a parked agent cannot be joined",
            [one for one in people if one.calls_at_once is not None and one.calls_at_once < 2],
            "set concurrent_call_limit to 2 or more",
        ),
    ):
        if which:
            names = ", ".join(one.name for one in which[:_SHOWN]) + (" and others" if len(which) > _SHOWN else "")
            yield Finding(False, f"{names}: {trouble}", remedy, fatal=False)


def _numbers(at: Xc5Reads, numbers: Sequence[OwnNumber]) -> Iterator[Finding]:
    remedy = f"allocate one: `dialer directory provision {at.name} ... --number +...`"
    yield Finding(bool(numbers), f"{len(numbers)} numbers may be shown to customers", remedy, fatal=False)
    defaults = [one.number for one in numbers if one.is_default]
    if numbers and len(defaults) != 1:
        told = f"{len(defaults)} numbers are the default for calls whose caller number is not valid (is-pilot)"
        yield Finding(False, told, "mark exactly one as is-pilot, or strangers call back a chance number", fatal=False)


def _blocks(at: Xc5Reads) -> Finding:
    """Tell which calls the tenant's rules refuse: a campaign whose numbers they match reaches nobody."""
    dropped = [text(rule, "location") or text(rule, "prefix") or text(rule, "prefix_raw") or "every number"
               for rule in at.rules() if text(rule, "destination").startswith("drop:")]  # fmt: skip
    if dropped:
        told = f"call rules refuse calls to {', '.join(dict.fromkeys(dropped))}"
        return Finding(False, told, "no campaign reaches those through accounts of this tenant", fatal=False)
    return Finding(True, "no call rule of the tenant refuses a destination")
