"""`dialer pbx check` for VoIPLine: one request of the account's few, and what its articles leave open."""

from collections.abc import Callable, Sequence

from dialer.errors import PbxError, PbxLockedOut
from dialer.pbx.base import Finding, PbxUser
from dialer.pbx.voipline_options import VoiplineOptions


def check_set_up(
    name: str,
    options: VoiplineOptions,
    users: Sequence[PbxUser],
    look: Callable[[], object],
) -> list[Finding]:
    """Say what would go wrong. Never raises a PBX's errors."""
    place = f"pbx.{name}.extra"
    found = [_reached(name, look)]
    found.append(
        Finding(
            bool(users),
            f"{len(users)} agents are listed in the settings" if users else "no agent is listed in the settings",
            f'the interface lists no users: name them by their numbers, {place}.agents = "1010=Agent Ten, 1011=Bert"',
        )
    )
    if "requests" not in options.model_fields_set:
        found.append(
            Finding(
                False,
                f"the account is taken to allow {options.requests} requests in {options.window / 60:g} minutes, "
                f"{options.kept_back} of them kept for reading: published for version 1, for no other",
                f"ask VoIPLine's support for the account's limit, and set {place}.requests and {place}.window",
                fatal=False,
            )
        )
    if "body" not in options.model_fields_set:
        found.append(
            Finding(
                False,
                "calls are ordered by a form (multipart/form-data); the portal also writes JSON",
                f'if a call is refused with HTTP 400 or 415, set {place}.body = "json"; set it to "multipart" when '
                "calls go through, and this line is gone",
                fatal=False,
            )
        )
    found.append(
        Finding(
            True,
            "calls need the webhooks of User outbound call, answered and completion, and Apply after each change "
            "in the portal",
        )
    )
    return found


def _reached(name: str, look: Callable[[], object]) -> Finding:
    why, locked = "", False
    try:
        look()
    except PbxError as exc:
        why, locked = exc.why, isinstance(exc, PbxLockedOut)
    if not why:
        return Finding(True, "the history of calls can be read: key and address are good")
    remedy = (
        "copy the key again from Integration/API, and add the public address of every machine that runs a worker or a "
        "scheduler there"
        if locked
        else f"check pbx.{name}.url against the request URL that the portal shows, up to /v2"
    )
    return Finding(False, f"the history of calls cannot be read: {why}", remedy)
