"""The network below the HTTP client: one deadline for a whole request, and only peers we agreed to meet.

An HTTP time-out counts from the last byte, so a PBX that sends one byte every four seconds would hold a worker
for ever; here every wait of a request draws on the same allowance. A name is checked again where it leads to
when connecting, because what a name meant when the settings were read is not what it means now.
"""

import ipaddress
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

MAX_CONNECTIONS = 32
# Shorter than the five seconds after which Apache closes an idle connection: a command written on a connection
# the PBX is just closing would end as "outcome unknown" for nothing.
KEEP_ALIVE = 3.0


class Allowance:
    """How much of the current request's time is left, per thread."""

    def __init__(self) -> None:
        self._local = threading.local()

    @contextmanager
    def of(self, seconds: float) -> Iterator[None]:
        """Give the request made inside this block `seconds` in all."""
        self._local.until = time.monotonic() + seconds
        try:
            yield
        finally:
            self._local.until = None

    def left(self, wanted: float | None, over: type[Exception]) -> float | None:
        """Return how long one wait may take; raise `over` when nothing is left."""
        until: float | None = getattr(self._local, "until", None)
        if until is None:
            return wanted
        left = until - time.monotonic()
        if left <= 0:
            raise over("the time for this request is used up")
        return left if wanted is None else min(left, wanted)


class GuardedTransport(httpx.HTTPTransport):
    """httpx's own transport on a network that keeps the deadline and checks the peer."""

    def __init__(self, context: ssl.SSLContext, allowance: Allowance, *, loopback_only: bool) -> None:
        super().__init__(verify=context, trust_env=False)
        # httpx has no public way to be given a network backend. Its pool is replaced before first use;
        # a test with a PBX that drips its answer notices if this ever stops working.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=_GuardedBackend(allowance, loopback_only=loopback_only),
        )


class _GuardedBackend(httpcore.NetworkBackend):
    def __init__(self, allowance: Allowance, *, loopback_only: bool) -> None:
        self._network = httpcore.SyncBackend()
        self._allowance = allowance
        self._loopback_only = loopback_only

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._allowance.left(timeout, httpcore.ConnectTimeout)
        stream = self._network.connect_tcp(host, port, left, local_address, socket_options)
        peer = stream.get_extra_info("server_addr")
        why = objection(str(peer[0]) if peer else "", loopback_only=self._loopback_only)
        if why:
            stream.close()
            raise httpcore.ConnectError(why)
        return _TimedStream(stream, self._allowance)


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, allowance: Allowance) -> None:
        self._stream = stream
        self._allowance = allowance

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._allowance.left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._allowance.left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._allowance.left(timeout, httpcore.ConnectTimeout)
        return _TimedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._allowance)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def objection(address: str, *, loopback_only: bool) -> str:
    """Say why no request may go to this address; empty when it may."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return "the address it leads to cannot be read"
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
        return f"its name leads to {ip}, where no PBX can be"
    if loopback_only and not ip.is_loopback:
        return f"its name leads to {ip}, and plain http is allowed to this machine only"
    return ""
