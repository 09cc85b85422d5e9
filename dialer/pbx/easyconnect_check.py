"""`dialer pbx check` for EasyConnect: what can be seen without ringing anybody, and what its manual leaves open."""

from collections.abc import Callable, Sequence

from dialer.errors import PbxError
from dialer.pbx.base import Finding, PbxUser
from dialer.pbx.easyconnect_openapi import Learnt
from dialer.pbx.easyconnect_options import EasyConnectOptions
from dialer.settings import PbxSettings

_API = "/api/v1/"
_BESIDE = "/xqting-easyconnect/swagger/api.yaml"


def openapi_address(settings: PbxSettings, options: EasyConnectOptions) -> str:
    """Where the site describes its calls: as set, or as the manual says, beside the API."""
    if options.openapi_url:
        return options.openapi_url
    base = settings.url.removesuffix(_API) if settings.url.endswith(_API) else settings.url.rstrip("/")
    return base + _BESIDE


def check_set_up(
    name: str,
    settings: PbxSettings,
    options: EasyConnectOptions,
    users: Sequence[PbxUser],
    learnt: Callable[[], Learnt],
) -> list[Finding]:
    """Say what would go wrong. Never raises a PBX's errors."""
    place = f"pbx.{name}.extra"
    found = [_description(place, options, learnt)]
    found.append(
        Finding(
            bool(users),
            f"{len(users)} agents are listed in the settings" if users else "no agent is listed in the settings",
            f'EasyConnect lists no users: name them, {place}.agents = "215=Anna Rossi, 216=Bert"; '
            "each must be in the group whose active member EasyConnect is",
        )
    )
    if options.ringing_means == "unknown":
        found.append(
            Finding(
                False,
                "it is not known whose phone an outgoing `ringing` event speaks of, so a call that nobody takes counts "
                "as not answered by the customer",
                f"make one call for an agent who lets the phone ring: if a ringing event comes before it is taken, set "
                f'{place}.ringing_means to "agent", and to "customer" if none does',
                fatal=False,
            )
        )
    if not options.hang_up_path:
        found.append(
            Finding(
                False,
                "no call is known that ends a call: the agent hangs up on the phone",
                f"save the site's OpenAPI file and name it in {place}.openapi_file, or set {place}.hang_up_path",
                fatal=False,
            )
        )
    if settings.number_format == "digits" and not settings.dial_prefix:
        found.append(
            Finding(
                False,
                "numbers are dialled as digits with the country code and no prefix: 390612345678",
                f'set pbx.{name}.number_format = "international" (00..) or "plus", and dial_prefix, as the dialling '
                "plan of the PBX wants it",
                fatal=False,
            )
        )
    return found


def _description(place: str, options: EasyConnectOptions, learnt: Callable[[], Learnt]) -> Finding:
    why = ""
    try:
        told = learnt()
    except PbxError as exc:
        why = exc.why
    if why:
        return Finding(
            False,
            f"the site's OpenAPI file cannot be read: {why}",
            f"check the address: App URL (AP Manager, EasyConnect, Instances, Edit) and /swagger/api.yaml; "
            f"set {place}.openapi_url to it",
        )
    listed = ", ".join(str(one) for one in told.operations[:12])
    makes = [one for one in told.operations if (one.method, one.path) == (options.method, options.makecall_path)]
    if not makes:
        return Finding(
            False,
            f"the site has no {options.method} {options.makecall_path}; it has {listed}",
            f"set {place}.makecall_path and {place}.method to the call that makes a call",
        )
    if not {"from", "to"} <= set(makes[0].fields):
        return Finding(
            False,
            f"{makes[0]} does not take `from` and `to` in its query",
            "this release knows no other way to name them: write to us, with the file",
        )
    return Finding(True, f"the site's calls: {listed}")
