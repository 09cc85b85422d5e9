"""A PBX's settings to its adapter: the one list of PBXs we speak to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dialer.errors import SettingsError
from dialer.pbx.base import Pbx
from dialer.settings import PbxSettings

if TYPE_CHECKING:
    import httpx

    from dialer.pbx.request_book import RequestBook

_VOISPEED = ("voispeed", "simulator")  # the simulator speaks VOIspeed, so one adapter serves both
STREAMING = ("asterisk", "xivo")  # tell their events on a connection that `dialer listener` holds
KINDS = (*_VOISPEED, *STREAMING, "easyconnect", "voipline")


def open_pbx(
    name: str,
    settings: PbxSettings,
    *,
    environ: Mapping[str, str] | None = None,
    transport: "httpx.BaseTransport | None" = None,
    requests: "RequestBook | None" = None,
) -> Pbx:
    """Return the adapter for a PBX, with no request made yet; SettingsError when there is none for its kind.

    `transport` replaces the network, for worlds that live in this process. `requests`: where the requests of accounts
    that allow few are counted, over all processes. The adapter is imported only here:
    a command line that speaks to no PBX does not wait for an HTTP library.
    """
    if settings.kind == "asterisk":
        from dialer.pbx.asterisk import AsteriskPbx

        return AsteriskPbx(name, settings, environ=environ)
    if settings.kind == "xivo":
        from dialer.pbx.xivo import XivoPbx

        return XivoPbx(name, settings, environ=environ, transport=transport)
    if settings.kind == "easyconnect":
        from dialer.pbx.easyconnect import EasyConnectPbx

        return EasyConnectPbx(name, settings, environ=environ, transport=transport)
    if settings.kind == "voipline":
        from dialer.pbx.voipline import VoiplinePbx

        return VoiplinePbx(name, settings, requests=requests, environ=environ, transport=transport)
    if settings.kind in _VOISPEED:
        from dialer.pbx.voispeed import VoispeedPbx

        return VoispeedPbx(name, settings, environ=environ, transport=transport)
    raise SettingsError(f"pbx.{name}.kind: {settings.kind} is not in this release; it speaks to {', '.join(KINDS)}")
