"""What a campaign needs on an XC5, step by step: a hunt group, its numbers, its members, and where a call goes last.

Each step is one PUT. PUT creates in silence, also what was mistyped, so everything is looked for first, every field
is one that OPTIONS tells of, and every account named must be there.
"""

import re
from collections.abc import Iterator

from dialer.directory.base import (
    Creates,
    DirectoryRefused,
    DirectoryUnknown,
    Look,
    Made,
    NotThere,
    OwnNumber,
    Request,
    Step,
    Wish,
)
from dialer.directory.hal import Record
from dialer.directory.xc5_client import Denied, address
from dialer.directory.xc5_reads import Xc5Reads
from dialer.directory.xc5_records import ASKS_FIRST, flag, own_number, same, text, whole
from dialer.errors import PbxError
from dialer.pbx.foreign import inert, is_number

MADE_BY = "made by dialer"
MAX_MEMBERS = 200
_GROUP_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_ACCOUNT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")
_MAIL = re.compile(r"email:[A-Za-z0-9._+-]{1,64}@[A-Za-z0-9.-]{1,190}")


def plan(at: Xc5Reads, wish: Wish) -> list[Step]:
    """Return the steps, each with what is there already; nothing is changed."""
    _sensible(at, wish)
    tenant = at.tenant()
    group = _group_account(at, tenant, wish.group)
    children = at.children()
    people = {text(one, "username").casefold(): text(one, "username") for one in children}
    strangers = [name for name in wish.members if name.casefold() not in people]
    if strangers:
        known = ", ".join(sorted(people.values())[:8]) or "nobody"
        raise DirectoryRefused(at.name, f"there is no account {', '.join(strangers)} under the tenant; it has {known}")
    members = [people[name.casefold()] for name in wish.members]
    first = _group(at, tenant, group, children)
    there = at.things(f"{first.there.path}/number") if first.there else []
    routes = at.things(f"{first.there.path}/route") if first.there else []
    steps = [first]
    steps += [_number(at, group, number, there) for number in dict.fromkeys(wish.numbers)]
    steps += _members(at, group, members, wish.ring_seconds, routes)
    if wish.last:
        steps.append(_last(at, group, wish.last, routes))
    return steps


def look(at: Xc5Reads, step: Step) -> Made | None:
    """Return the thing as it is there now; None only when XC5 itself says that it is not."""
    group = _found(_group_of(step), at.children())
    if group is None:
        return None
    if step.creates is Creates.GROUP:
        record = at.client.found(at.path_of(group))
        return _made(at, record, "account") if record is not None else None
    parent = f"{at.path_of(group)}/{'number' if step.creates is Creates.NUMBER else 'route'}"
    for record in at.things(parent):
        if _is_it(step, record):
            return _made(at, record, parent)
    return None


def make(at: Xc5Reads, step: Step, before_send: Look | None = None) -> Made:
    """Send the request, once, and return what is there then."""
    record = at.client.put(step.request.path, step.request.body, before_send)
    if record and _is_it(step, record):
        parent = "account" if step.creates is Creates.GROUP else step.request.path
        if step.creates is Creates.NUMBER:
            parent = address("account", _group_of(step), "number")
        made = _made(at, record, parent)
        if made.path:
            return made
    # A reply that does not tell what was made: it is looked for, as after a reply that was lost.
    why = "and it is not there"
    try:
        found = look(at, step)
    except PbxError as exc:
        # What this look met says nothing about the request, which has been sent.
        found, why = None, f"and then: {exc.why}"
    if found is None:
        raise DirectoryUnknown(at.name, f"{step.what}: the request was answered, {why[:300]}")
    return found


# the steps ---------------------------------------------------------------------------------------------------


def _group(at: Xc5Reads, tenant: Record, group: str, children: list[Record]) -> Step:
    if _found(group, children) is None:
        _nowhere_else(at, group)
    path = f"{at.path_of(tenant)}/child"
    wanted = {"username": group, "description": MADE_BY}
    body, left_out = at.client.fitting("account/*/child", wanted, ("username",))
    request = Request("PUT", path, body)
    step = Step(Creates.GROUP, f"group {group}", f"hunt group {group}", request, remark=_without(left_out))
    return _with_there(step, look(at, step))


def _number(at: Xc5Reads, group: str, number: str, there: list[Record]) -> Step:
    key, what, path = f"number {group} {number}", f"number {number} for {group}", address("account", group, "number")
    for record in there:
        if own_number(record, group).number == number:
            made = _made(at, record, path)
            return Step(Creates.NUMBER, key, what, Request("PUT", path, {"number": number[1:]}), made)
    free = _free(at, number)
    if free is not None:
        # Taken from the pool by its guid; there is nothing to send with it.
        taken = Request("PUT", f"{path}/{address(free.id)}")
        return Step(Creates.NUMBER, key, f"{what}, from the pool of free numbers", taken)
    holder = next((one.account for one in at.numbers() if one.number == number), "")
    if holder:
        raise DirectoryRefused(at.name, f"number {number} belongs to {holder}: take it from them first, or use another")
    body, left_out = at.client.fitting("account/*/number", {"number": number[1:]}, ("number",))
    told = f"{what}, as a new one: no free number and no account of the tenant has it"
    return Step(Creates.NUMBER, key, told, Request("PUT", path, body), remark=_without(left_out))


def _members(at: Xc5Reads, group: str, members: list[str], ring: int, routes: list[Record]) -> Iterator[Step]:
    path = address("account", group, "route")
    taken = {order for one in routes if (order := whole(one, "order")) is not None}
    order = at.settings.member_order
    for member in dict.fromkeys(members):
        step = Step(Creates.MEMBER, f"member {group} {member}", f"{member} in {group}", Request("PUT", path))
        there = next((one for one in routes if _is_it(step, one)), None)
        while there is None and order in taken:
            order += 1
        if there is None and order >= at.settings.last_order:
            why = f"{group} has no place left between {at.settings.member_order} and {at.settings.last_order}"
            raise DirectoryRefused(at.name, f"{why}: take members out, or raise directory.{at.name}.last_order")
        wanted = {"order": order, "username": member, "hunt_user": True, "ring_seconds": ring}
        body, left_out = at.client.fitting("account/*/route", wanted, ("order", "username", "hunt_user"))
        made = _made(at, there, path) if there is not None else None
        yield Step(step.creates, step.key, step.what, Request("PUT", path, body), made, _without(left_out))
        if there is None:
            taken.add(order)


def _last(at: Xc5Reads, group: str, last: str, routes: list[Record]) -> Step:
    path, destination = address("account", group, "route"), last.removeprefix("+")
    body, _ = at.client.fitting(
        "account/*/route", {"order": at.settings.last_order, "destination": destination}, ("order", "destination")
    )
    step = Step(
        Creates.LAST, f"last {group}", f"calls to {group} that nobody took go to {last}", Request("PUT", path, body)
    )
    here = [one for one in routes if whole(one, "order") == at.settings.last_order]
    there = next((one for one in here if _is_it(step, one)), None)
    if there is None and here:
        has = text(here[0], "destination") or text(here[0], "username") or "something else"
        raise DirectoryRefused(at.name, f"calls to {group} that nobody took go to {has} already: change that by hand")
    return _with_there(step, _made(at, there, path) if there is not None else None)


# finding things ----------------------------------------------------------------------------------------------


def _is_it(step: Step, record: Record) -> bool:
    """Whether a record is the thing a step is about."""
    if step.creates is Creates.GROUP:
        return same(_group_of(step), record.get("username"))
    if step.creates is Creates.NUMBER:
        return own_number(record, "").number == step.key.split(" ")[2]
    if step.creates is Creates.MEMBER:
        return bool(flag(record, "hunt_user")) and same(step.key.split(" ")[2], record.get("username"))
    body = step.request.body
    return same(body.get("order"), record.get("order")) and same(body.get("destination"), record.get("destination"))


def _free(at: Xc5Reads, number: str) -> OwnNumber | None:
    """Return the free number of these digits; an installation without a pool has none."""
    try:
        listed = at.free_numbers(number[1:])
    except NotThere:
        return None
    return next((one for one in listed if one.number == number and one.id), None)


def _found(group: str, children: list[Record]) -> Record | None:
    """The tenant's own list says whether an account is there. A right that ends at the tenant may answer a name
    that does not exist by "access denied", so asking for it proves nothing."""
    return next((one for one in children if same(group, one.get("username"))), None)


def _nowhere_else(at: Xc5Reads, group: str) -> None:
    """PUT on a name that exists elsewhere on the platform would change that account."""
    try:
        there = at.client.found(address("account", group))
    except Denied:
        return
    if there is not None:
        raise DirectoryRefused(at.name, f"{group} exists elsewhere on the platform: choose another name")


def _made(at: Xc5Reads, record: Record, parent: str) -> Made:
    shown = {
        inert(name, 60): inert(value) if isinstance(value, str) else value
        for name, value in record.items()
        if isinstance(value, str | int | float | bool | None) and not name.startswith("_")
    }
    return Made(text(record, "guid", 64), at.client.record_path(record, parent), shown)


def _with_there(step: Step, there: Made | None) -> Step:
    return Step(step.creates, step.key, step.what, step.request, there, step.remark)


def _group_of(step: Step) -> str:
    return step.key.split(" ")[1]


def _group_account(at: Xc5Reads, tenant: Record, group: str) -> str:
    """A group's account is called by the tenant's domain, as XC5 does: name@domain."""
    domain = (text(tenant, "username") or at.settings.account).rpartition("@")[2]
    return f"{group}@{domain}"


def _without(left_out: list[str]) -> str:
    return f"without {', '.join(left_out)}: OPTIONS tells of no such field" if left_out else ""


def _sensible(at: Xc5Reads, wish: Wish) -> None:
    """Nothing strange meets the platform: names, numbers and destinations are ours, and say what they are."""
    if not _GROUP_NAME.fullmatch(wish.group):
        raise DirectoryRefused(
            at.name, f"{inert(wish.group, 40)!r} cannot be a group's name: use letters, digits, . _ and -"
        )
    for member in wish.members:
        if not _ACCOUNT_NAME.fullmatch(member):
            raise DirectoryRefused(
                at.name, f"{inert(member, 40)!r} is no account name, such as agent7@sales.example.net"
            )
    for number in wish.numbers:
        if not is_number(number) or not number.startswith("+") or number.startswith(ASKS_FIRST):
            raise DirectoryRefused(at.name, f"{inert(number, 20)!r} is no number: write it with + and the country code")
    if wish.last and not (_MAIL.fullmatch(wish.last) or (is_number(wish.last) and wish.last.startswith("+"))):
        raise DirectoryRefused(
            at.name,
            f"{inert(wish.last, 40)!r} is no last destination: write email:somebody@example.net, or a number with +",
        )
    if not 1 <= wish.ring_seconds <= 300:
        raise DirectoryRefused(at.name, f"a member cannot be rung for {wish.ring_seconds} s: write 1 to 300")
    if len(wish.members) > MAX_MEMBERS:
        raise DirectoryRefused(at.name, f"a hunt group of {len(wish.members)}: at most {MAX_MEMBERS} are set up here")
