"""A directory's settings to its adapter: the one list of directories we speak to."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dialer.clock import Clock
from dialer.directory.base import Directory
from dialer.settings import DirectorySettings

if TYPE_CHECKING:
    import httpx


def open_directory(
    name: str,
    settings: DirectorySettings,
    *,
    environ: Mapping[str, str] | None = None,
    transport: "httpx.BaseTransport | None" = None,
    clock: Clock | None = None,
) -> Directory:
    """Return the adapter for a directory, with no request made yet. It is imported only here, like the PBXs'."""
    from dialer.directory.xc5 import Xc5Directory  # the only kind the settings let through

    return Xc5Directory(name, settings, environ=environ, transport=transport, clock=clock)
