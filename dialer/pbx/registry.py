"""A PBX's settings to its adapter: the one list of PBXs we speak to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dialer.errors import SettingsError
from dialer.pbx.base import Pbx
from dialer.settings import PbxSettings

if TYPE_CHECKING:
    import httpx

_VOISPEED = ("voispeed", "simulator")  # the simulator speaks VOIspeed, so one adapter serves both
STREAMING = ("asterisk",)  # tell their events on a connection that `dialer listener` holds
KINDS = (*_VOISPEED, *STREAMING)


def open_pbx(
    name: str,
    settings: PbxSettings,
    *,
    environ: Mapping[str, str] | None = None,
    transport: "httpx.BaseTransport | None" = None,
) -> Pbx:
    """Return the adapter for a PBX, with no request made yet; SettingsError when there is none for its kind.

    `transport` replaces the network, for worlds that live in this process. The adapter is imported only here:
    a command line that speaks to no PBX does not wait for an HTTP library.
    """
    if settings.kind == "asterisk":
        from dialer.pbx.asterisk import AsteriskPbx

        return AsteriskPbx(name, settings, environ=environ)
    if settings.kind in _VOISPEED:
        from dialer.pbx.voispeed import VoispeedPbx

        return VoispeedPbx(name, settings, environ=environ, transport=transport)
    raise SettingsError(f"pbx.{name}.kind: {settings.kind} is not in this release; it speaks to {', '.join(KINDS)}")
