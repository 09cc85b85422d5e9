"""Fetch one file from one address: exactly that address, bounded in size and time, and no secret in any text.

No redirects, no proxies from the environment, certificates checked; where the name leads is looked at when connecting
(I28). The answer goes to a file, never to memory.
"""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from campaigns.import_storing import SIZE_LIMIT, folder
from dialer.errors import BadInput, DialerError, ServiceUnreachable
from dialer.settings import PullSettings

TIME_LIMIT = 300.0  # seconds for the whole file


@contextmanager
def fetched(
    name: str, settings: PullSettings, data_dir: Path, environ: Mapping[str, str] | None = None
) -> Iterator[IO[bytes]]:
    """Give the file, open at its beginning; it is gone at the end of the block."""
    with tempfile.TemporaryFile(dir=folder(data_dir)) as into:
        _fetch(name, settings, into, os.environ if environ is None else environ)
        into.seek(0)
        yield into


def file_name(name: str, settings: PullSettings) -> str:
    """Return what the file is called: the last part of its address."""
    return urlsplit(settings.url).path.rpartition("/")[2] or f"{name}.csv"


def _fetch(name: str, settings: PullSettings, into: IO[bytes], environ: Mapping[str, str]) -> None:
    import httpx

    from dialer.pbx.sockets import Allowance, GuardedTransport

    parts = urlsplit(settings.url)
    origin = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
    headers = {"Accept-Encoding": "identity", "User-Agent": "dialer"}
    if settings.authorization_env:
        value = environ.get(settings.authorization_env, "").strip()
        if not value:
            raise BadInput(
                f"import.{name}.authorization_env names the environment variable {settings.authorization_env}, which "
                "is not set: export it before starting the scheduler"
            )
        headers["Authorization"] = value
    allowance = Allowance()
    plain = parts.scheme == "http"
    context = httpx.create_ssl_context(trust_env=False)
    transport = GuardedTransport(context, allowance, loopback_only=plain and not settings.allow_http)
    trouble: DialerError | None = None
    try:
        with (
            allowance.of(TIME_LIMIT),
            httpx.Client(transport=transport, timeout=30.0, follow_redirects=False, trust_env=False) as client,
            client.stream("GET", settings.url, headers=headers) as answer,
        ):
            trouble = _taken(name, origin, answer, into)
    except httpx.TimeoutException:
        trouble = ServiceUnreachable(f"import.{name}: {origin} gave no whole file within the time")
    except (httpx.HTTPError, OSError) as exc:
        # Their words may hold the address, and the address a secret: only the kind is told.
        trouble = ServiceUnreachable(f"import.{name}: {origin} cannot be read ({type(exc).__name__}); check its url")
    if trouble is not None:
        raise trouble


def _taken(name: str, origin: str, answer: "object", into: IO[bytes]) -> DialerError | None:
    import httpx

    assert isinstance(answer, httpx.Response)
    if 300 <= answer.status_code < 400:
        return BadInput(
            f"import.{name}: {origin} sends us elsewhere (HTTP {answer.status_code}), and redirects are not followed: "
            f"set import.{name}.url to the final address"
        )
    if answer.status_code != 200:
        return ServiceUnreachable(f"import.{name}: {origin} answers HTTP {answer.status_code}: check url and rights")
    if answer.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        return BadInput(f"import.{name}: {origin} answers in a compressed form nobody asked for")
    size = 0
    for block in answer.iter_raw(1 << 16):
        size += len(block)
        if size > SIZE_LIMIT:
            return BadInput(f"import.{name}: the file is larger than {SIZE_LIMIT >> 30} GiB: split it")
        into.write(block)
    return None
