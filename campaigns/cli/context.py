"""What a command is given: the settings, and an application that is opened only when somebody asks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from campaigns.application import Application
    from dialer.settings import Settings


class CliContext(Protocol):
    """`ctx.obj`. The composition root makes one; a test makes one around its own database.

    Both members may raise, and nothing is read before they are used: `dialer --help` works with broken settings,
    and `dialer doctor` can say what is broken.
    """

    @property
    def settings(self) -> Settings:
        """The settings; SettingsError names every wrong value."""

    def application(self) -> AbstractContextManager[Application]:
        """An open application, closed again at the end of the block."""


def who() -> str:
    """Who gives the order, for the ledger: the account this process runs as, whatever its environment says."""
    try:
        import pwd

        return f"cli:{pwd.getpwuid(os.getuid()).pw_name}"
    except (ImportError, KeyError):
        return f"cli:{os.getuid()}" if hasattr(os, "getuid") else "cli:unknown"
