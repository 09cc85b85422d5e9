"""A PBX's settings to its adapter, by the table of kinds (`dialer.pbx_kinds`)."""

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from dialer.errors import SettingsError
from dialer.pbx.base import Pbx
from dialer.pbx_kinds import KINDS
from dialer.settings import PbxSettings

if TYPE_CHECKING:
    import httpx

    from dialer.pbx.request_book import RequestBook


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
    kind = KINDS.get(settings.kind)
    if kind is None:
        raise SettingsError(f"pbx.{name}.kind: {settings.kind} is not in this release; it speaks to {', '.join(KINDS)}")
    module, _, adapter = kind.adapter.partition(":")
    offered = {"transport": transport, "requests": requests}
    wanted = {what: offered[what] for what in kind.takes}
    opened: Pbx = getattr(import_module(module), adapter)(name, settings, environ=environ, **wanted)
    return opened
