"""Taking back on an XC5 what was made there: one request each, and never what somebody else has changed since."""

from dialer.directory.base import Creates, DirectoryRefused, Look, Made, Request, Step
from dialer.directory.hal import Record
from dialer.directory.xc5_client import address
from dialer.directory.xc5_provisioning import look
from dialer.directory.xc5_reads import Xc5Reads
from dialer.directory.xc5_records import same, text


def way_back(at: Xc5Reads, step: Step, made: Made) -> Request | None:
    """Return the request that takes a thing back; None when it is for a person to do.

    How a number goes back to the pool is not documented. Giving it to the pool's account is how any number is given
    to any account, so that is the default; `release` has the other two ways.
    """
    if step.creates is Creates.NUMBER and not step.request.body:
        if at.settings.release == "by-hand":
            return None
        if at.settings.release == "pool":
            return Request("PUT", address("account", at.settings.pool, "number", made.id))
    return Request("DELETE", made.path)


def take_back(at: Xc5Reads, step: Step, made: Made, before_send: Look | None = None) -> bool:
    """Take a thing back; False when it was gone already. DirectoryRefused when it is not ours any more."""
    now = look(at, step)
    if now is None:
        return False
    if now.id != made.id:
        raise DirectoryRefused(at.name, f"{step.what}: it is another one now (id {now.id}): remove that by hand")
    # A list may tell less than the record itself; what neither tells is not known to have changed.
    record = {**now.record, **((at.client.found(now.path) if now.path else None) or {})}
    changed = [name for name, sent in step.request.body.items() if name in record and not same(sent, record[name])]
    if changed:
        told = ", ".join(f"{name} is {text(record, name) or 'empty'}" for name in changed)
        raise DirectoryRefused(at.name, f"{step.what} was changed since ({told}): remove it by hand if it may go")
    if step.creates is Creates.GROUP:
        _nothing_left(at, step, now)
    request = way_back(at, step, made)
    if request is None:
        raise DirectoryRefused(
            at.name,
            f"{step.what}: directory.{at.name}.release is by-hand: give it back on XC5's own page, then undo again",
        )
    if request.method == "DELETE":
        at.client.delete(request.path, before_send)
    else:
        at.client.put(request.path, request.body, before_send)
    return True


def _nothing_left(at: Xc5Reads, step: Step, now: Made) -> None:
    """With a group everything in it would go: what others put there is a reason to leave it."""
    left: list[str] = []
    for part in ("number", "route", "child"):
        found: list[Record] = at.client.records(f"{now.path}/{part}")
        if found:
            left.append(f"{len(found)} {part}{'' if len(found) == 1 else 's'}")
    if left:
        raise DirectoryRefused(
            at.name,
            f"{step.what} still has {' and '.join(left)} not made from here: remove them by hand, then undo again",
        )
