"""Who may speak for a PBX: a secret in the path, compared in constant time, from an address we know (I25).

Forwarded headers are not looked at: whoever can send one can forge one.
"""

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from dialer.errors import SettingsError
from dialer.secrets import secret
from dialer.settings import PbxSettings, Settings

MIN_SECRET = 16  # characters; 32 random bytes are what the documentation asks for
GUESSES = 100  # wrong secrets an address may try in a minute before it is not even listened to
_WINDOW = 60.0
_MAX_GUESSERS = 10_000
_LOOK_AGAIN = 2.0  # seconds between two looks at a secret file after a wrong secret

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Refusal(StrEnum):
    """Why a request was turned away; for counting, never told to the one who asked."""

    UNKNOWN_PBX = "unknown_pbx"
    SOURCE = "source_not_allowed"
    SECRET = "wrong_secret"  # noqa: S105 - a word for counting
    GUESSING = "guessing"


class Door:
    """The secrets and the source addresses of one PBX."""

    def __init__(self, name: str, settings: PbxSettings, *, strict: bool) -> None:
        self._name, self._settings = name, settings
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in settings.webhook_allow)
        if not self._networks:
            raise SettingsError(
                f"pbx.{name}.webhook_allow is empty, so no event could come in: "
                "name the address the PBX sends from, for example 192.0.2.10/32"
            )
        self._digests = self._read(strict=strict or not all(net.is_loopback for net in self._networks))
        self._file = Path(settings.webhook_secret_file) if settings.webhook_secret_file else None
        self._file_stamp = _stamp(self._file)
        self._look_at = 0.0
        # An address is parsed once, not once per event; the PBXs of one installation are few.
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def _read(self, *, strict: bool) -> tuple[bytes, ...]:
        digests = []
        for which in ("webhook_secret", "webhook_secret_previous"):
            value = secret(self._settings, self._name, which)
            if value is None:
                continue
            text = value.get_secret_value()
            if strict and len(text) < MIN_SECRET:
                raise SettingsError(
                    f"pbx.{self._name}.{which}: the secret has {len(text)} characters; use at least {MIN_SECRET}, "
                    'for example from: python3 -c "import secrets; print(secrets.token_urlsafe(32))"'
                )
            digests.append(_digest(text))
        return tuple(digests)

    def _allows(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return any(ip in network for network in self._networks)

    def knows(self, given: str) -> bool:
        """Whether this is the secret, the previous one, or the one now in the secret file."""
        digest = _digest(given)
        if _is_one_of(digest, self._digests):
            return True
        return self._file_changed() and _is_one_of(digest, self._digests)

    def _file_changed(self) -> bool:
        """Take a new secret from the file without a restart. The old one stays good until then."""
        if self._file is None or time.monotonic() < self._look_at:
            return False
        self._look_at = time.monotonic() + _LOOK_AGAIN
        stamp = _stamp(self._file)
        if stamp == self._file_stamp:
            return False
        try:
            self._digests += tuple(digest for digest in self._read(strict=True) if digest not in self._digests)
        except SettingsError:
            return False  # half written, or unreadable for a moment: the secrets in memory hold
        self._file_stamp = stamp
        return True


class Admission:
    """The doors of every PBX that sends us events."""

    def __init__(self, settings: Settings, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        strict = settings.env == "production"
        self._doors: Mapping[str, Door] = {
            name: Door(name, pbx, strict=strict)
            for name, pbx in settings.pbx.items()
            if pbx.webhook_secret_env or pbx.webhook_secret_file
        }
        self._monotonic = monotonic
        self._guesses: dict[str, tuple[float, int]] = {}  # address -> (window opened, wrong secrets in it)
        self._proven: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The PBXs that may send events here."""
        return tuple(self._doors)

    def judge(self, name: str, given: str, address: str) -> Refusal | None:
        """None when `address` may speak for PBX `name` with this secret."""
        door = self._doors.get(name)
        if door is None:
            return Refusal.UNKNOWN_PBX
        if not door.allows(address):
            return Refusal.SOURCE
        if self._guesses and self._guesses_too_much(address):
            return Refusal.GUESSING
        if door.knows(given):
            self._proven.add(address)
            return None
        self._note_guess(address)
        return Refusal.SECRET

    def _guesses_too_much(self, address: str) -> bool:
        opened, wrong = self._guesses.get(address, (0.0, 0))
        # A PBX that has shown a good secret is never shut out for a wrong one in a forgotten second hook.
        return wrong >= GUESSES and self._monotonic() - opened < _WINDOW and address not in self._proven

    def _note_guess(self, address: str) -> None:
        now = self._monotonic()
        opened, wrong = self._guesses.get(address, (now, 0))
        if now - opened >= _WINDOW:
            opened, wrong = now, 0
        if address not in self._guesses and len(self._guesses) >= _MAX_GUESSERS:
            del self._guesses[next(iter(self._guesses))]
        self._guesses[address] = (opened, wrong + 1)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_one_of(digest: bytes, digests: tuple[bytes, ...]) -> bool:
    # Every one is compared, whichever fits: how long it takes tells nothing.
    return bool(sum(hmac.compare_digest(digest, known) for known in digests))


def _stamp(file: Path | None) -> tuple[int, int] | None:
    try:
        status = file.stat() if file is not None else None
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ino) if status else None
