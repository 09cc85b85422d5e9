"""A free port for a server of our own on this machine."""

import secrets
import socket
from collections.abc import Iterator

from dialer.errors import ServiceUnreachable

HOST = "127.0.0.1"
# Below those that systems give to connections that go out: one of these stays free until the server listens there.
_OURS = range(20_000, 32_000)
_TRIES = 20


def free_port(wanted: int | None = None, host: str = HOST) -> int:
    """Return `wanted` when nobody listens there, else any free port."""
    why: str | None = ""
    for port in dict.fromkeys(_candidates(wanted)):
        with socket.socket() as probe:
            # As the servers do: what lingers from closed connections is no obstacle.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as exc:
                why = exc.strerror
            else:
                return int(probe.getsockname()[1])
    raise ServiceUnreachable(
        f"no free port on {host} for an embedded server: {why}; "
        "end what holds so many ports, or set database.url and redis.url"
    )


def _candidates(wanted: int | None) -> Iterator[int]:
    if wanted:
        yield wanted
    for _ in range(_TRIES):
        yield secrets.choice(_OURS)
    yield 0  # whatever the system has
