"""What the web, the command line and the actors are given: settings, database, clock, PBXs and a doorbell."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session, sessionmaker

from campaigns.db import reachable
from dialer.clock import Clock, SystemClock
from dialer.directory.base import Directory
from dialer.errors import NotFound
from dialer.pbx.base import Pbx
from dialer.settings import Settings

_IN_A_HURRY = text("SET LOCAL lock_timeout = '150ms'")


class Doorbell(Protocol):
    """Says "look" and carries nothing but an id. May lose a ring: the second look finds what it meant."""

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        """An event about this call was logged."""

    def place(self, ref: str) -> None:
        """An order was committed."""

    def run_import(self, import_id: int) -> None:
        """A file waits to be imported."""


class SilentDoorbell:
    """No queue at hand (a command line, a test): the second look of a running worker finds the work."""

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        """Nobody hears it."""

    def place(self, ref: str) -> None:
        """Nobody hears it."""

    def run_import(self, import_id: int) -> None:
        """Nobody hears it."""


@dataclass
class Application:
    """One process's view of the product. Built by `workers.wiring`, or by a test."""

    settings: Settings
    engine: Engine
    sessions: sessionmaker[Session]
    clock: Clock = field(default_factory=SystemClock)
    pbxes: Mapping[str, Pbx] = field(default_factory=dict)
    doorbell: Doorbell = field(default_factory=SilentDoorbell)
    directories: Mapping[str, Directory] = field(default_factory=dict)

    @contextmanager
    def transaction(self, *, hurry: bool = False) -> Iterator[Session]:
        """One session, one transaction: committed at the end, rolled back on any error.

        In a hurry it waits for no lock longer than a moment: somebody else's clock is running.
        """
        with reachable(), self.sessions() as session, session.begin():
            if hurry:
                session.execute(_IN_A_HURRY)
            yield session

    @contextmanager
    def at_once(self) -> Iterator[Session]:
        """A session in which each statement is a transaction: one that stands alone saves three round trips."""
        engine = self.engine.execution_options(isolation_level="AUTOCOMMIT")
        with reachable(), self.sessions(bind=engine) as session:
            yield session

    def pbx(self, name: str) -> Pbx:
        """Return the adapter of PBX `name`; NotFound names the ones there are."""
        try:
            return self.pbxes[name]
        except KeyError:
            if name in self.settings.directory:
                raise NotFound(f"{name} is a directory: it places no calls; give the PBX that does") from None
            known = ", ".join(self.pbxes) or "none: add a [pbx.NAME] section to the settings"
            raise NotFound(f"there is no PBX named {name!r} in the settings (there are: {known})") from None

    def directory(self, name: str) -> Directory:
        """Return the adapter of directory `name`; NotFound names the ones there are."""
        if name not in self.directories:
            raise no_directory(name, self.directories)
        return self.directories[name]

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir


def no_directory(name: str, known: Iterable[str]) -> NotFound:
    """Return the error for a directory that is not in the settings."""
    told = ", ".join(known) or "none: add a [directory.NAME] section to the settings"
    return NotFound(f"there is no directory named {name!r} in the settings (there are: {told})")
